//! The spools of a swarm, in memory. They make every agent's frames when due, keep them until they are
//! committed, and answer the requests of the connections.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent::clocks::wall_ns;
use agent::ship::framer::Framer;
use agent::ship::recorder::{RecorderEvent, RecorderRequest};
use agent::ship::spool::Record;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::mpsc;
use wire::Seq;
use wire::WallNs;
use wire::codec::frame_bytes;
use wire::frame::{Frame, Sample};
use wire::id::SessionId;
use wire::message::SeqRange;

use super::traffic::Nic;

/// Samples between two mixes.
const MIX_EVERY: u64 = 20;

/// Records per answer.
const READ_MAX: usize = 64;

/// The spool of one agent.
#[derive(Debug)]
pub struct AgentSpool {
    session: SessionId,
    framer: Framer,
    nics: Vec<Nic>,
    events: mpsc::Sender<RecorderEvent>,
    /// Uncommitted records, with the time each was made.
    records: VecDeque<(Kept, Instant)>,
    last_seq: Seq,
    /// Start of its first interval, nanoseconds since 1970.
    started_ns: Option<WallNs>,
}

/// A record and the number of its samples: 0 if it holds only a mix.
#[derive(Debug)]
struct Kept {
    record: Record,
    samples: usize,
}

impl AgentSpool {
    /// An empty spool.
    #[must_use]
    pub fn new(
        session: SessionId,
        nics: u32,
        report: Duration,
        events: mpsc::Sender<RecorderEvent>,
    ) -> Self {
        let nics = (0..nics).map(|number| Nic::new(number, session.get())).collect();
        let report_ns = u64::try_from(report.as_nanos()).unwrap_or(u64::MAX);
        let framer = Framer::new(session, Seq(0), report_ns);
        let records = VecDeque::new();
        Self { session, framer, nics, events, records, last_seq: Seq(0), started_ns: None }
    }
}

/// What the swarm made, and when it was committed.
#[derive(Debug, Default)]
pub struct Account {
    /// Samples made.
    pub samples: u64,
    /// Bytes received by all NICs in them.
    pub rx_bytes: u64,
    /// The acknowledged frames.
    pub commits: Vec<Commit>,
    /// Longest delay of an agent's samples behind plan.
    pub behind: Duration,
}

/// A frame acknowledged as committed.
#[derive(Debug)]
pub struct Commit {
    /// When it was acknowledged.
    pub at: Instant,
    /// Time since it was made.
    pub took: Duration,
    /// Samples in it.
    pub samples: usize,
}

/// All spools, running.
#[derive(Debug)]
pub struct Spools {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Account>,
}

impl Spools {
    /// Starts making samples, one per agent and NIC every `interval`. The agents' starts are spread
    /// over it.
    ///
    /// # Errors
    /// Fails if no thread can be started.
    pub fn start(
        agents: HashMap<SessionId, AgentSpool>,
        requests: Receiver<RecorderRequest>,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("spools".into()).spawn(move || {
            let order = agents.keys().copied().collect();
            let account = Account::default();
            Work { agents, order, interval, account }.run(&requests, &stopped)
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends every session: no more samples are made.
    pub fn finish(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all connections are gone.
    #[must_use]
    pub fn join(self) -> Account {
        self.thread.join().unwrap_or_default()
    }
}

struct Work {
    agents: HashMap<SessionId, AgentSpool>,
    order: Vec<SessionId>,
    interval: Duration,
    account: Account,
}

impl Work {
    fn run(mut self, requests: &Receiver<RecorderRequest>, stop: &AtomicBool) -> Account {
        let (start, start_ns) = (Instant::now(), wall_ns());
        let step = self.interval / u32::try_from(self.order.len()).unwrap_or(1).max(1);
        let mut finished = false;
        for turn in 0u32.. {
            let due = start + step * turn;
            if !finished && stop.load(Ordering::Relaxed) {
                self.finish();
                finished = true;
            }
            if !finished {
                self.account.behind = self.account.behind.max(due.elapsed());
                let due_ns = u64::try_from((step * turn).as_nanos()).unwrap_or(u64::MAX);
                let (turn, agents) = (turn as usize, self.order.len().max(1));
                let session = self.order[turn % agents];
                self.make(session, (turn / agents) as u64, start_ns.saturating_add(due_ns));
            }
            let until = start + step * (turn + 1);
            loop {
                match requests.recv_deadline(until) {
                    Ok(request) => self.on_request(request),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return self.account,
                }
                if Instant::now() >= until {
                    break;
                }
            }
        }
        self.account
    }

    /// Makes one interval of one agent. Its first interval ends at `due_ns`, nanoseconds since 1970.
    fn make(&mut self, session: SessionId, interval: u64, due_ns: WallNs) {
        let Some(agent) = self.agents.get_mut(&session) else { return };
        let length_ns = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        // Intervals are contiguous, as an agent's are.
        let started_ns = agent.started_ns.get_or_insert_with(|| due_ns.saturating_sub(length_ns));
        let start_ns = *started_ns + interval * length_ns;
        let sample = |nic: &mut Nic| nic.sample(start_ns, length_ns);
        let samples: Vec<Sample> = agent.nics.iter_mut().map(sample).collect();
        let mixes = if session.get().wrapping_add(interval).is_multiple_of(MIX_EVERY) {
            let mix_ns = length_ns * MIX_EVERY;
            let mix = |nic: &Nic| nic.mix((start_ns + length_ns).saturating_sub(mix_ns), mix_ns);
            agent.nics.iter().map(mix).collect()
        } else {
            Vec::new()
        };
        self.account.samples += samples.len() as u64;
        self.account.rx_bytes += samples.iter().map(|it| it.rx.bytes.get()).sum::<u64>();
        let frames = agent.framer.add(samples, mixes);
        agent.keep(frames);
    }

    fn finish(&mut self) {
        for agent in self.agents.values_mut() {
            let frames = agent.framer.finish();
            agent.keep(frames);
            // Wait until the connection has taken earlier frames.
            let _gone =
                agent.events.blocking_send(RecorderEvent::Finished(agent.session, agent.last_seq));
        }
    }

    fn on_request(&mut self, request: RecorderRequest) {
        match request {
            RecorderRequest::Welcome(_, told) => {
                let _gone = told.send(Ok(Vec::new()));
            }
            RecorderRequest::Disconnected => {}
            RecorderRequest::Committed(committed) => {
                let Some(agent) = self.agents.get_mut(&committed.session) else { return };
                let now = Instant::now();
                while let Some((kept, made)) = agent.records.front()
                    && kept.record.range.last <= committed.seq
                {
                    let (took, samples) = (now - *made, kept.samples);
                    self.account.commits.push(Commit { at: now, took, samples });
                    agent.records.pop_front();
                }
            }
            RecorderRequest::Read(session, range, reply) => {
                let mut found = Vec::new();
                if let Some(agent) = self.agents.get(&session) {
                    let records = agent.records.iter().map(|(kept, _)| &kept.record);
                    let wanted =
                        records.filter(|it| (range.first..=range.last).contains(&it.range.first));
                    found.extend(wanted.take(READ_MAX).cloned());
                }
                let _gone = reply.send(Ok(found));
            }
        }
    }
}

impl AgentSpool {
    fn keep(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            self.last_seq = frame.last_seq;
            let range = SeqRange { first: frame.first_seq, last: frame.last_seq };
            let record = Record { range, frame: frame_bytes(&frame) };
            let kept = Kept { record: record.clone(), samples: frame.samples.len() };
            self.records.push_back((kept, Instant::now()));
            // A connection that lags asks for it later.
            let _later = self.events.try_send(RecorderEvent::Made(self.session, record));
        }
    }
}
