//! The writer: batches what all sessions deliver and commits it, again and again until the store
//! has it. The only way into the fact tables.

mod queue;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::codec::frame_len;
use wire::frame::Frame;

use self::queue::Queue;
pub use self::queue::{BatchLimits, OpenSession};
use crate::store::{Batch, Store, StoreError};

/// Unit in which memory is reserved, bytes.
const MEMORY_UNIT: usize = 256;

/// First and longest wait before a failed commit is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What the writer has to say about the store: `None` while it commits, else why it can't.
pub type StoreState = Option<String>;

/// Memory reserved for a frame on its way to the store.
#[derive(Debug)]
pub struct Reservation {
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Command {
    Open(OpenSession, watch::Sender<u64>),
    Frame { epoch: u64, frame: Frame, reservation: Reservation },
    Close { session: u64, epoch: u64 },
}

/// Gives frames to the writer.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    commands: mpsc::UnboundedSender<Command>,
    memory: Arc<Semaphore>,
    state: watch::Receiver<StoreState>,
}

impl WriterHandle {
    /// Opens a session and gives what is committed of it from now on. The channel closes when
    /// the store refuses the session's frames: another connection has opened it.
    #[must_use]
    pub fn open(&self, open: OpenSession) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(open.committed);
        // A writer that is gone shows as a closed channel.
        let _gone = self.commands.send(Command::Open(open, sender));
        receiver
    }

    /// Reserves memory for a frame if there is any left.
    #[must_use]
    pub fn try_reserve(&self, frame: &Frame) -> Option<Reservation> {
        let permit = self.memory.clone().try_acquire_many_owned(units(frame)).ok()?;
        Some(Reservation { _permit: permit })
    }

    /// Waits for memory for a frame. `None` once the writer has stopped.
    pub async fn reserve(&self, frame: &Frame) -> Option<Reservation> {
        let permit = self.memory.clone().acquire_many_owned(units(frame)).await.ok()?;
        Some(Reservation { _permit: permit })
    }

    /// Hands over the next frame of a session that was opened under `epoch`.
    pub fn submit(&self, epoch: u64, frame: Frame, reservation: Reservation) {
        let _gone = self.commands.send(Command::Frame { epoch, frame, reservation });
    }

    /// The connection that opened a session is gone. What it handed over is still committed.
    pub fn close(&self, session: u64, epoch: u64) {
        let _gone = self.commands.send(Command::Close { session, epoch });
    }

    /// What the store was last found to be, and what it is found to be from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }
}

fn units(frame: &Frame) -> u32 {
    let bytes = frame_len(frame.samples.len(), frame.mixes.len());
    u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX)
}

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    handle: WriterHandle,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer on a store. Frames that wait take at most `max_memory` bytes.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, limits: BatchLimits, max_memory: usize) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (state, state_receiver) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        // Room for the longest frame in any case, or it could never pass.
        let units = max_memory.max(wire::codec::LEN_MAX as usize) / MEMORY_UNIT;
        let memory = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        let handle = WriterHandle { commands, memory, state: state_receiver };
        let task = tokio::spawn(run(store, limits, receiver, state, stopped));
        Self { handle, stop, task }
    }

    /// What gives frames to this writer.
    #[must_use]
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Commits what has been handed over, as far as the store takes it within `patience`. What
    /// it doesn't take is with the agents still.
    pub async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        self.handle.memory.close();
        let Self { task, handle, .. } = self;
        drop(handle);
        let aborter = task.abort_handle();
        if tokio::time::timeout(patience, task).await.is_err() {
            aborter.abort();
            tracing::warn!("stopped with frames that the store didn't take; agents keep them");
        }
    }
}

/// What came of a batch.
#[derive(Debug)]
struct Outcome {
    /// Session, epoch and what is committed of it.
    committed: Vec<(u64, u64, u64)>,
    /// Session and epoch of what the store refused.
    refused: Vec<(u64, u64)>,
}

async fn run(
    store: Arc<dyn Store>,
    limits: BatchLimits,
    mut commands: mpsc::UnboundedReceiver<Command>,
    state: watch::Sender<StoreState>,
    mut stopped: watch::Receiver<bool>,
) {
    let started = Instant::now();
    let mut queue: Queue<Reservation> = Queue::new(limits);
    let mut sessions: HashMap<u64, (u64, watch::Sender<u64>)> = HashMap::new();
    let state = Arc::new(state);
    let mut committing: Option<JoinHandle<Outcome>> = None;
    loop {
        let stopping = *stopped.borrow();
        if stopping {
            while let Ok(command) = commands.try_recv() {
                on_command(command, &mut queue, &mut sessions, started.elapsed());
            }
        }
        if committing.is_none() {
            let due = queue.due();
            if stopping && due.is_none() {
                return;
            }
            if due.is_some_and(|due| stopping || due <= started.elapsed()) {
                let (batch, reservations) = queue.take();
                committing =
                    Some(tokio::spawn(commit(store.clone(), batch, reservations, state.clone())));
            }
        }
        metrics::gauge!("netmon_collector_queue_rows").set(as_f64(queue.rows()));
        let due = queue.due().map_or(started + Duration::from_secs(3600), |due| started + due);
        tokio::select! {
            command = commands.recv(), if !stopping => match command {
                Some(command) => on_command(command, &mut queue, &mut sessions, started.elapsed()),
                None => return,
            },
            outcome = finished(&mut committing) => {
                committing = None;
                if let Some(outcome) = outcome {
                    on_outcome(outcome, &mut queue, &mut sessions);
                }
            }
            () = tokio::time::sleep_until(due), if committing.is_none() => {}
            _ = stopped.changed(), if !stopping => {}
        }
    }
}

/// Waits for the commit under way, or for ever if there is none.
async fn finished(committing: &mut Option<JoinHandle<Outcome>>) -> Option<Outcome> {
    match committing {
        Some(task) => match task.await {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                tracing::error!(%error, "a commit was broken off");
                None
            }
        },
        None => std::future::pending().await,
    }
}

fn on_command(
    command: Command,
    queue: &mut Queue<Reservation>,
    sessions: &mut HashMap<u64, (u64, watch::Sender<u64>)>,
    now: Duration,
) {
    match command {
        Command::Open(open, progress) => {
            sessions.insert(open.session, (open.epoch, progress));
            queue.open(open);
        }
        Command::Frame { epoch, frame, reservation } => {
            queue.add(epoch, frame, reservation, now);
        }
        Command::Close { session, epoch } => {
            queue.close(session, epoch);
            if sessions.get(&session).is_some_and(|(open, _)| *open == epoch) {
                sessions.remove(&session);
            }
        }
    }
}

fn on_outcome(
    outcome: Outcome,
    queue: &mut Queue<Reservation>,
    sessions: &mut HashMap<u64, (u64, watch::Sender<u64>)>,
) {
    for (session, epoch, committed) in outcome.committed {
        if let Some((open, progress)) = sessions.get(&session)
            && *open == epoch
        {
            progress.send_replace(committed);
        }
    }
    for (session, epoch) in outcome.refused {
        queue.refuse(session, epoch);
        if sessions.get(&session).is_some_and(|(open, _)| *open == epoch) {
            sessions.remove(&session);
        }
    }
}

/// Commits a batch, however often it has to be tried, and gives its memory back.
async fn commit(
    store: Arc<dyn Store>,
    batch: Batch,
    reservations: Vec<Reservation>,
    state: Arc<watch::Sender<StoreState>>,
) -> Outcome {
    let mut batch = Arc::new(batch);
    let mut outcome = Outcome { committed: Vec::new(), refused: Vec::new() };
    let mut wait = RETRY.0;
    while !batch.sessions.is_empty() {
        let begun = Instant::now();
        match store.commit(&batch).await {
            Ok(()) => {
                metrics::histogram!("netmon_collector_commit_seconds").record(begun.elapsed());
                metrics::histogram!("netmon_collector_batch_rows").record(as_f64(batch.rows()));
                set_state(&state, None);
                let sessions = Arc::make_mut(&mut batch).sessions.drain(..);
                outcome.committed.extend(
                    sessions.map(|session| (session.session, session.epoch, session.last_seq())),
                );
            }
            Err(StoreError::Conflict { sessions }) => {
                Arc::make_mut(&mut batch).sessions.retain(|session| {
                    let refused = sessions.contains(&session.session);
                    if refused {
                        outcome.refused.push((session.session, session.epoch));
                    }
                    !refused
                });
            }
            Err(error) => {
                metrics::counter!("netmon_collector_commit_errors_total").increment(1);
                set_state(&state, Some(error.to_string()));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
                settle(store.as_ref(), Arc::make_mut(&mut batch), &mut outcome).await;
            }
        }
    }
    drop(reservations);
    outcome
}

/// Finds out which sessions of a failed batch are committed all the same: the failure may have
/// come after the commit.
async fn settle(store: &dyn Store, batch: &mut Batch, outcome: &mut Outcome) {
    let sessions: Vec<u64> = batch.sessions.iter().map(|session| session.session).collect();
    // Still failing: the next try tells.
    let Ok(committed) = store.committed(&sessions).await else { return };
    let before = batch.sessions.len();
    batch.sessions.retain(|session| {
        let found = committed.iter().find(|found| found.session == session.session);
        let done = found
            .is_some_and(|found| found.seq == session.last_seq() && found.epoch == session.epoch);
        if done {
            outcome.committed.push((session.session, session.epoch, session.last_seq()));
        }
        !done
    });
    match before - batch.sessions.len() {
        0 => tracing::debug!("the failed commit had not been made"),
        sessions => tracing::info!(sessions, "the failed commit had been made all the same"),
    }
}

fn set_state(state: &watch::Sender<StoreState>, new: StoreState) {
    state.send_if_modified(|state| {
        let changed = *state != new;
        *state = new;
        changed
    });
}

#[allow(clippy::cast_precision_loss, reason = "a metric far below 2^53")]
const fn as_f64(count: usize) -> f64 {
    count as f64
}
