//! The recorder: a thread that writes every report to the spool, notifies the connection, and reads
//! records back for it. Sampling never waits for it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select, tick};
use settings::InFull;
use tokio::sync::{mpsc, oneshot};
use wire::Seq;
use wire::codec;
use wire::delivery::StoredProgress;
use wire::frame::Frame;
use wire::id::SessionId;
use wire::message::{Committed, SeqRange};

use super::framer::{FRAME_LEN, Framer};
use super::spool::{Forked, Record, Spool, SpoolError};
use crate::clocks::{boot_ns, wall_ns};
use crate::sampler::IntervalReport;
use crate::talkers::Addresses;

/// How often to enforce the spool's limits.
const MAINTENANCE: Duration = Duration::from_secs(5);

/// Records that may wait for an unwritable spool before they are coarsened.
const PENDING_MAX: usize = 4096;

/// Most memory for them, bytes: the size of so many reports. Records of talkers can be longer.
const PENDING_SIZE: usize = PENDING_MAX * FRAME_LEN * 2;

/// Most bytes that one answer holds.
const READ_BYTES: usize = 64 << 10;

/// Requests of the connection.
#[derive(Debug)]
pub enum RecorderRequest {
    /// The collector accepted the agent and said how far each session is. The answer: sessions that
    /// go on under another id, and are to be introduced by a new connection.
    Welcome(Vec<StoredProgress>, oneshot::Sender<Result<Vec<Forked>, SpoolError>>),
    /// The connection is gone.
    Disconnected,
    /// A session is committed up to here.
    Committed(Committed),
    /// Read the records of a range for sending.
    Read(SessionId, SeqRange, oneshot::Sender<Result<Vec<Record>, SpoolError>>),
}

/// Events for the connection.
#[derive(Debug)]
pub enum RecorderEvent {
    /// A record of a session, the running one, is in the spool.
    Made(SessionId, Record),
    /// A session, the running one, ends with this number.
    Finished(SessionId, Seq),
}

/// The recorder's config.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// The running session.
    pub session: SessionId,
    /// Number of its newest record.
    pub last_seq: Seq,
    /// Length of a report.
    pub report_interval: Duration,
    /// How often to sync to disk, against power loss.
    pub fsync_interval: Duration,
    /// What is said of the addresses of talkers.
    pub addresses: Addresses,
}

/// Starts the recorder. It ends once `reports` and `requests` are both closed.
///
/// # Errors
/// If the system provides no thread.
pub fn start(
    config: RecorderConfig,
    spool: Spool,
    reports: Receiver<IntervalReport>,
    requests: Receiver<RecorderRequest>,
    events: mpsc::Sender<RecorderEvent>,
) -> std::io::Result<JoinHandle<()>> {
    let report_ns = u64::try_from(config.report_interval.as_nanos()).unwrap_or(u64::MAX);
    let framer = Framer::new(config.session, config.last_seq, report_ns);
    let recorder = Recorder {
        session: config.session,
        spool,
        framer,
        addresses: config.addresses,
        events,
        pending: VecDeque::new(),
        failing: None,
        last_seq: Seq(0),
    };
    let fsync = config.fsync_interval;
    std::thread::Builder::new().name("spool".into()).spawn(move || {
        let _acting =
            recorder.spool.acting().inspect_err(|error| tracing::error!(error = %error.in_full()));
        recorder.run(reports, &requests, fsync);
    })
}

#[derive(Debug)]
struct Recorder {
    session: SessionId,
    spool: Spool,
    framer: Framer,
    addresses: Addresses,
    events: mpsc::Sender<RecorderEvent>,
    /// Records that the spool couldn't take yet.
    pending: VecDeque<Frame>,
    /// Since when the spool fails.
    failing: Option<Instant>,
    last_seq: Seq,
}

impl Recorder {
    fn run(
        mut self,
        mut reports: Receiver<IntervalReport>,
        requests: &Receiver<RecorderRequest>,
        fsync: Duration,
    ) {
        let (maintenance, sync) = (tick(MAINTENANCE), tick(fsync));
        let mut requests = requests.clone();
        let (mut reporting, mut asked) = (true, true);
        while reporting || asked {
            select! {
                recv(reports) -> report => match report {
                    Ok(IntervalReport { samples, mixes, talkers, .. }) => self.guarded(|it| {
                        let talkers = talkers.into_iter().map(|report| report.record);
                        let shown = talkers.filter_map(|record| it.addresses.shown(record));
                        it.framer.add_talkers(shown);
                        let frames = it.framer.add(samples, mixes);
                        it.write(frames);
                    }),
                    Err(_) => {
                        self.guarded(|it| {
                            let frames = it.framer.finish();
                            it.write(frames);
                            it.end();
                        });
                        // If the connection is gone, it needs no end.
                        let _gone = self.events.blocking_send(RecorderEvent::Finished(self.session, self.last_seq));
                        (reports, reporting) = (never(), false);
                    }
                },
                recv(requests) -> request => match request {
                    Ok(request) => self.guarded(|it| it.on_request(request)),
                    Err(_) => (requests, asked) = (never(), false),
                },
                recv(maintenance) -> _ => {
                    self.guarded(|it| it.write(Vec::new()));
                    self.guarded(|it| {
                        let done = it.spool.maintain(it.session, boot_ns());
                        it.note(done);
                    });
                }
                recv(sync) -> _ => self.guarded(|it| {
                    let done = it.spool.sync();
                    it.note(done);
                }),
            }
        }
        let done = self.spool.sync();
        self.note(done);
    }

    /// A panic ends the current request, not the thread; later samples still go to the spool. The
    /// caller gets no answer and asks again.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            tracing::error!("the spool hit a bug and continues; please report the log lines above");
        }
    }

    /// Writes new records, after those that failed earlier.
    fn write(&mut self, frames: Vec<Frame>) {
        self.last_seq = frames.last().map_or(self.last_seq, |frame| frame.last_seq);
        self.pending.extend(frames);
        if self.pending.is_empty() {
            return;
        }
        let size: usize = self.pending.iter().map(codec::frame_size).sum();
        if self.pending.len() > PENDING_MAX || size > PENDING_SIZE {
            self.pending = super::spool::coarsen_pending(self.pending.drain(..).collect());
        }
        match self.spool.append(self.pending.make_contiguous(), boot_ns()) {
            Ok(records) => {
                self.pending.clear();
                self.note(Ok(()));
                for record in records {
                    // If the connection is too slow, it reads the record from the spool later.
                    let _later = self.events.try_send(RecorderEvent::Made(self.session, record));
                }
            }
            Err(error) => self.note(Err(error)),
        }
    }

    fn on_request(&mut self, request: RecorderRequest) {
        match request {
            RecorderRequest::Welcome(told, answer) => {
                let forked = self.on_welcome(&told);
                if forked.as_ref().is_err_and(SpoolError::is_damage) {
                    self.recover();
                }
                let _gone = answer.send(forked);
            }
            RecorderRequest::Disconnected => self.spool.on_disconnected(),
            RecorderRequest::Committed(committed) => {
                let done = self.spool.on_committed(committed, boot_ns());
                self.note(done);
            }
            RecorderRequest::Read(session, range, reply) => {
                let records = self.spool.read(session, range, READ_BYTES);
                if let Some((first, last)) = records.as_ref().ok().and_then(|records| {
                    Some((records.first()?.range.first, records.last()?.range.last))
                }) {
                    // Synced before it is sent. Otherwise, after a power loss, the database could
                    // have records that are unknown here, as after a fork.
                    let noted = self.spool.on_sent(session, SeqRange { first, last });
                    let noted = noted.and_then(|()| self.spool.sync());
                    self.note(noted);
                }
                if records.as_ref().is_err_and(SpoolError::is_damage) {
                    self.recover();
                }
                let _gone = reply.send(records);
            }
        }
    }

    fn on_welcome(&mut self, told: &[StoredProgress]) -> Result<Vec<Forked>, SpoolError> {
        // If no random number is available, any id will do.
        let forked = self
            .spool
            .fork(told, || SessionId::new(getrandom::u64().unwrap_or_else(|_| wall_ns().get())))?;
        let running = self.session;
        for it in forked.iter().filter(|it| it.before == running) {
            self.session = it.session.session;
            self.framer.go_on_as(self.session, it.lowered);
            self.last_seq = self.last_seq.saturating_sub(it.lowered);
            for frame in &mut self.pending {
                frame.session = self.session;
                frame.first_seq -= it.lowered;
                frame.last_seq -= it.lowered;
            }
        }
        if forked.is_empty() {
            let committed = |it: &StoredProgress| Committed { session: it.session, seq: it.seq };
            let committed: Vec<Committed> = told.iter().map(committed).collect();
            let welcomed = self.spool.on_welcome(&committed, boot_ns());
            self.note(welcomed);
        }
        Ok(forked)
    }

    /// The last report was made. If it can't be written, the next run records a gap.
    fn end(&mut self) {
        let unwritten = self.pending.len();
        if unwritten > 0 {
            tracing::error!(unwritten, "can't write the last records to the spool: they are lost");
        } else {
            let ended = self.spool.end(self.session);
            self.note(ended);
        }
    }

    fn recover(&mut self) {
        match self.spool.recover(wall_ns()) {
            Ok(path) => {
                tracing::error!(path = %path.display(), "the spool was damaged and is set aside");
            }
            Err(error) => {
                tracing::error!(error = %error.in_full(), "the spool was damaged and can't be replaced yet");
                self.failing.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Logs once when the spool begins to fail, and once when it works again.
    fn note(&mut self, result: Result<(), SpoolError>) {
        if result.as_ref().is_err_and(SpoolError::is_damage) {
            return self.recover();
        }
        match (result, self.failing) {
            (Err(error), None) => {
                tracing::error!(error = %error.in_full(), "can't write the spool; measurements wait in memory until \
                                         it works again");
                self.failing = Some(Instant::now());
            }
            (Ok(()), Some(since)) if self.pending.is_empty() => {
                tracing::info!(after = ?since.elapsed(), "the spool can be written again");
                self.failing = None;
            }
            _ => {}
        }
    }
}

/// Asks the recorder from async code. `None` once it has ended.
pub(super) async fn ask<T>(
    requests: &Sender<RecorderRequest>,
    request: impl FnOnce(oneshot::Sender<T>) -> RecorderRequest,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    requests.send(request(reply)).ok()?;
    answer.await.ok()
}
