//! The writer: batches the frames of all sessions and commits them, retrying until it succeeds. Nothing
//! else writes to the fact tables.

mod commit;
mod heed;
mod limits;
mod memory;
mod queue;
mod state;
mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use settings::InFull;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::Seq;
use wire::frame::Frame;
use wire::id::SessionId;

use self::commit::{Outcome, commit};
pub use self::heed::Heed;
pub use self::limits::BatchLimits;
use self::memory::WriterMemory;
pub use self::memory::{ClientShare, Reservation};
pub use self::queue::OpenSession;
use self::queue::Queue;
pub use self::state::StoreState;
use self::state::{as_f64, set_state};
use crate::store::commit::{Plan, Strikes};
use crate::store::dates::Dates;
use crate::store::{Epoch, Store};
use crate::time::{boot, now_ns};

/// Most commands that are taken before the next look at what is due. They take microseconds.
const COMMANDS: usize = 256;

/// A commit that takes longer than SLOW times `writer.max_delay`, and at least a second, shows that the
/// store is in trouble.
const SLOW: u32 = 10;
const SLOW_MIN: Duration = Duration::from_secs(1);

/// Progress of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every sequence number up to this one is committed.
    pub committed: Seq,
    /// Why frames of it went to quarantine, if any did.
    pub quarantined: Option<Arc<str>>,
}

/// Other dependencies of the writer.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The dates that samples may have. Nothing is committed until they are known.
    pub dates: Dates,
    /// Why nothing may be written now, if so.
    pub held: Option<watch::Receiver<StoreState>>,
}

impl Surroundings {
    fn held(&self) -> StoreState {
        self.held.as_ref().and_then(|held| held.borrow().clone())
    }

    /// Waits until writing is allowed or stops being allowed.
    async fn changed(&mut self) {
        let (dates, awaited) = (self.dates.clone(), self.dates.are_awaited());
        let held = async {
            let changed = match &mut self.held {
                Some(held) => held.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = held => {}
            () = dates.known(), if awaited => {}
        }
    }
}

#[derive(Debug)]
enum Command {
    Open(OpenSession, Told),
    Frame { epoch: Epoch, frame: Frame, reservation: Reservation },
    Heed(SessionId),
    Hurry,
    Close { session: SessionId, epoch: Epoch },
}

/// Gives frames to the writer.
#[derive(Debug, Clone)]
pub struct WriterHandle {
    commands: mpsc::UnboundedSender<Command>,
    memory: WriterMemory,
    state: watch::Receiver<StoreState>,
    held: Option<watch::Receiver<StoreState>>,
}

impl WriterHandle {
    /// Opens a session. The channel has its progress from now on, and tells the commits that `heed`
    /// asks for, and frames in quarantine. It closes when the store refuses the session's frames,
    /// because another connection has opened it.
    #[must_use]
    pub fn open(&self, open: OpenSession, heed: Heed) -> watch::Receiver<Progress> {
        let progress = Progress { committed: open.committed, quarantined: None };
        let (sender, receiver) = watch::channel(progress);
        let told = Told { epoch: open.epoch, progress: sender, heed };
        // A closed channel shows that the writer has gone.
        let _gone = self.commands.send(Command::Open(open, told));
        receiver
    }

    /// Reserves memory for a frame if there is any left.
    #[must_use]
    pub fn try_reserve(&self, frame: &Frame, share: &ClientShare) -> Option<Reservation> {
        self.memory.try_reserve(frame, share)
    }

    /// Waits for memory for a frame. `None` once the writer has stopped.
    pub async fn reserve(&self, frame: &Frame, share: &ClientShare) -> Option<Reservation> {
        let _gone = self.commands.send(Command::Hurry);
        self.memory.reserve(frame, share).await
    }

    /// Somebody waits for the commit of a session's frames that were handed over before. Those handed
    /// over later are known by [`Heed`].
    pub fn heed(&self, session: SessionId) {
        let _gone = self.commands.send(Command::Heed(session));
    }

    /// Hands over the next frame of a session that was opened under `epoch`.
    pub fn submit(&self, epoch: Epoch, frame: Frame, reservation: Reservation) {
        let _gone = self.commands.send(Command::Frame { epoch, frame, reservation });
    }

    /// The connection that opened a session has ended. Frames already handed over are still committed.
    pub fn close(&self, session: SessionId, epoch: Epoch) {
        let _gone = self.commands.send(Command::Close { session, epoch });
    }

    /// Why nothing may be written now, if so. Everybody who adds to the store must respect it.
    #[must_use]
    pub fn held(&self) -> StoreState {
        self.held.as_ref().and_then(|held| held.borrow().clone())
    }

    /// Waits until writing is allowed.
    pub async fn not_held(&mut self) {
        if let Some(held) = &mut self.held {
            // The sender goes only at shutdown.
            let _gone = held.wait_for(Option::is_none).await;
        }
    }

    /// The store's state, now and at each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }
}

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    handle: WriterHandle,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer on a store. Waiting frames take at most `max_memory` bytes.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        limits: BatchLimits,
        max_memory: usize,
        surroundings: Surroundings,
    ) -> Self {
        // `max_memory` bounds the frames. Sessions open and close with connections, whose number is
        // bounded too.
        let (commands, receiver) = mpsc::unbounded_channel();
        let (state, state_receiver) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let memory = WriterMemory::new(max_memory);
        let held = surroundings.held.clone();
        let handle = WriterHandle { commands, memory, state: state_receiver, held };
        let running = Running {
            store,
            queue: Queue::new(limits),
            limits,
            sessions: HashMap::new(),
            state: Arc::new(state),
            surroundings,
            started: Instant::now(),
        };
        let task = tokio::spawn(running.run(receiver, stopped));
        Self { handle, stop, task }
    }

    /// A handle for giving frames to this writer.
    #[must_use]
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Commits the frames handed over, as far as the store takes them within `patience`. Agents still
    /// have the rest.
    pub async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        self.handle.memory.close();
        let Self { task, handle, .. } = self;
        drop(handle);
        let aborter = task.abort_handle();
        if tokio::time::timeout(patience, task).await.is_err() {
            aborter.abort();
            tracing::warn!("stopped with uncommitted frames; agents keep them");
        }
    }
}

/// Whom to tell of a session's commits.
#[derive(Debug)]
struct Told {
    epoch: Epoch,
    progress: watch::Sender<Progress>,
    heed: Heed,
}

/// State of the running writer.
struct Running {
    store: Arc<dyn Store>,
    queue: Queue<Reservation>,
    sessions: HashMap<SessionId, Told>,
    state: Arc<watch::Sender<StoreState>>,
    surroundings: Surroundings,
    /// The configured limits.
    limits: BatchLimits,
    started: Instant,
}

/// A running commit.
struct Committing {
    task: JoinHandle<Strikes>,
    /// When the commit counts as slow; `None` once that was reported.
    slow: Option<Instant>,
}

impl Running {
    async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut stopped: watch::Receiver<bool>,
    ) {
        // One commit runs at a time, and it reports at most once per frame.
        let (news, mut outcomes) = mpsc::unbounded_channel();
        let mut committing: Option<Committing> = None;
        let mut strikes = Strikes::default();
        let mut received = Vec::with_capacity(COMMANDS);
        loop {
            let stopping = *stopped.borrow();
            if stopping {
                while let Ok(command) = commands.try_recv() {
                    self.on_command(command);
                }
            }
            let held = self.surroundings.held();
            let may = held.is_none() && !self.surroundings.dates.are_awaited();
            if committing.is_none() {
                if let Some(why) = &held {
                    set_state(&self.state, Some(why.clone()));
                }
                let due = self.queue.due();
                if stopping && (due.is_none() || !may) {
                    return;
                }
                let now = self.started.elapsed();
                if may && due.is_some_and(|due| stopping || due <= now) {
                    let now = if stopping { Duration::MAX } else { now };
                    let strikes = std::mem::take(&mut strikes);
                    committing = Some(self.begin(now, strikes, news.clone()));
                }
            }
            metrics::gauge!("netmon_collector_queue_rows").set(as_f64(self.queue.rows()));
            let far = self.started.elapsed() + Duration::from_secs(3600);
            let due = self.queue.due().filter(|_| may).unwrap_or(far);
            let slow = committing.as_ref().and_then(|it| it.slow);
            tokio::select! {
                // Report commits before making the next batch.
                biased;
                Some(outcome) = outcomes.recv() => self.on_outcome(outcome),
                done = finished(&mut committing) => {
                    committing = None;
                    strikes = done;
                }
                count = commands.recv_many(&mut received, COMMANDS), if !stopping => {
                    if count == 0 {
                        return;
                    }
                    received.drain(..).for_each(|command| self.on_command(command));
                }
                () = tokio::time::sleep_until(self.started + due), if committing.is_none() => {}
                () = until(slow) => self.on_slow(&mut committing),
                () = self.surroundings.changed() => {
                    if self.surroundings.held().is_none() && committing.is_none() {
                        set_state(&self.state, None);
                    }
                }
                _ = stopped.changed(), if !stopping => {}
            }
        }
    }

    /// Begins to commit the frames that are due at `now`.
    fn begin(
        &mut self,
        now: Duration,
        strikes: Strikes,
        news: mpsc::UnboundedSender<Outcome>,
    ) -> Committing {
        self.queue.limit(self.limits.suited(self.store.is_spread()));
        let (mut batch, reservations) = self.queue.take(now);
        batch.near = self.surroundings.dates.near(now_ns(), boot());
        let (store, state, started) = (self.store.clone(), self.state.clone(), self.started);
        let plan = Plan::new(batch, strikes, started.elapsed());
        let task = tokio::spawn(async move {
            let strikes = commit(store.as_ref(), plan, started, &state, &news).await;
            drop(reservations);
            strikes
        });
        Committing { task, slow: Some(Instant::now() + self.slow()) }
    }

    /// Time after which a commit is slow.
    fn slow(&self) -> Duration {
        (self.limits.suited(self.store.is_spread()).max_delay * SLOW).max(SLOW_MIN)
    }

    /// A commit is slow.
    fn on_slow(&self, committing: &mut Option<Committing>) {
        if let Some(committing) = committing {
            committing.slow = None;
            metrics::counter!("netmon_collector_slow_commits_total").increment(1);
            let why = format!(
                "a commit has taken longer than {:?} and still runs; check what delays the store: \
                 locks, a slow disk, another program",
                self.slow()
            );
            // The error of a failed commit says more.
            self.state.send_if_modified(|state| {
                let unsaid = state.is_none();
                if unsaid {
                    *state = Some(why);
                }
                unsaid
            });
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Open(open, told) => {
                self.sessions.insert(open.session, told);
                self.queue.open(open);
            }
            Command::Frame { epoch, frame, reservation } => {
                let (session, first, now) =
                    (frame.session, frame.first_seq, self.started.elapsed());
                if self.queue.add(epoch, frame, reservation, now)
                    && self.sessions.get(&session).is_some_and(|told| told.heed.includes(first))
                {
                    self.queue.heed(session, now);
                }
            }
            Command::Heed(session) => self.queue.heed(session, self.started.elapsed()),
            Command::Hurry => self.queue.hurry(self.started.elapsed()),
            Command::Close { session, epoch } => {
                // Its agent may come back soon and ask what is committed.
                self.queue.heed(session, self.started.elapsed());
                self.queue.close(session, epoch);
                self.forget(session, epoch);
            }
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        for it in outcome.committed {
            let reason = outcome.told.iter().find(|(session, _)| *session == it.session);
            if let Some(told) = self.sessions.get(&it.session)
                && told.epoch == it.epoch
            {
                told.progress.send_if_modified(|progress| {
                    let heeded = told.heed.covers(progress.committed);
                    progress.committed = it.seq;
                    if let Some((_, reason)) = reason {
                        progress.quarantined = Some(reason.clone());
                    }
                    heeded || reason.is_some()
                });
            }
        }
        for (session, epoch) in outcome.refused {
            self.queue.refuse(session, epoch);
            self.forget(session, epoch);
        }
    }

    /// Tells nothing more of a session, unless it was opened again.
    fn forget(&mut self, session: SessionId, epoch: Epoch) {
        if self.sessions.get(&session).is_some_and(|told| told.epoch == epoch) {
            self.sessions.remove(&session);
        }
    }
}

/// Waits for the running commit; without one, waits forever.
async fn finished(committing: &mut Option<Committing>) -> Strikes {
    match committing {
        Some(committing) => (&mut committing.task).await.unwrap_or_else(|error| {
            tracing::error!(error = %error.in_full(), "a commit was aborted");
            Strikes::default()
        }),
        None => std::future::pending().await,
    }
}

/// Waits until a time, or forever.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}
