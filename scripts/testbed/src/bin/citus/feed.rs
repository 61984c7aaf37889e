//! The writers of two collectors, and agents that record what they delivered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::{Epoch, Retain, Store};
use collector::writer::{
    BatchLimits, ClientShare, Heed, OpenSession, Progress, Surroundings, Writer, WriterHandle,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::frame::{Counts, Frame, Mix, MixCounts, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Host, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

/// Agents with two NICs each, alternating between the two collectors.
pub const AGENTS: u64 = 40;
const COLLECTORS: usize = 2;
const NICS: [&str; 2] = ["eth0", "eth1"];

/// Samples of each NIC in a frame.
const SAMPLES: u64 = 2;
const INTERVAL_NS: u64 = 500_000_000;

/// Most frames in flight per agent, and the time between two frames.
const WINDOW: u64 = 8;
const PACE: Duration = Duration::from_millis(80);

/// Longest time until everything is committed once no fault is left.
pub const SETTLE: Duration = Duration::from_secs(180);

/// What a client delivered, and what the database must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Rows of samples.
    pub rows: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes transmitted.
    pub tx_bytes: u64,
    /// Rows of mixes.
    pub mixes: u64,
}

/// An agent's session.
#[derive(Debug)]
struct Agent {
    number: u64,
    epoch: Epoch,
    seq: Seq,
    /// Frames kept until they are committed.
    under_way: VecDeque<Frame>,
    start_ns: WallNs,
    /// By NIC: bytes and packets, received and transmitted.
    totals: [[u64; 4]; NICS.len()],
    delivered: Delivered,
}

/// An agent's progress, for waiters.
#[derive(Debug, Default)]
struct Mark {
    seq: AtomicU64,
    committed: AtomicU64,
}

/// A collector: only the part that commits.
#[derive(Debug)]
struct Collector {
    store: Arc<PostgresStore>,
    writer: Option<Writer>,
}

/// All agents and collectors.
#[derive(Debug)]
pub struct Feed {
    runtime: Runtime,
    collectors: Vec<Collector>,
    agents: Vec<Agent>,
    marks: Arc<Vec<Mark>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Result<Agent, String>>>,
}

impl Feed {
    /// Idle agents.
    ///
    /// # Errors
    /// Fails if the URL is wrong.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
        let store = || Arc::new(PostgresStore::new(config.clone()));
        let collector = |_| Collector { store: store(), writer: None };
        let start_ns = collector::time::now_ns() - 3 * 3600 * 1_000_000_000;
        let agent = |number| Agent {
            number,
            epoch: Epoch(0),
            seq: Seq(0),
            under_way: VecDeque::new(),
            start_ns,
            totals: Default::default(),
            delivered: Delivered::default(),
        };
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build()?,
            collectors: (0..COLLECTORS).map(collector).collect(),
            agents: (0..AGENTS).map(agent).collect(),
            marks: Arc::new((0..AGENTS).map(|_| Mark::default()).collect()),
            stop: Arc::default(),
            tasks: vec![],
        })
    }

    /// Packs what was delivered; returns the number of rows.
    ///
    /// # Errors
    /// Fails if the database does.
    pub fn pack(&self) -> anyhow::Result<u64> {
        Ok(self.runtime.block_on(self.collectors[0].store.pack(WallNs::MAX))?)
    }

    /// Lets all agents connect and deliver until [`Self::stop`].
    pub fn start(&mut self) {
        self.stop.store(false, Ordering::SeqCst);
        let _inside = self.runtime.enter();
        let limits = BatchLimits::DEFAULT;
        for collector in &mut self.collectors {
            let store = collector.store.clone();
            let writer = Writer::start(store, limits, 64 << 20, Surroundings::default());
            collector.writer = Some(writer);
        }
        for agent in std::mem::take(&mut self.agents) {
            let collector = &self.collectors[agent.place()];
            let Some(writer) = &collector.writer else { continue };
            let (store, writer) = (collector.store.clone(), writer.handle());
            let (marks, stop) = (self.marks.clone(), self.stop.clone());
            self.tasks.push(self.runtime.spawn(agent.deliver(store, writer, marks, stop)));
        }
    }

    /// Waits until everything delivered so far is committed. Returns how long that took; `None` if it
    /// took too long.
    #[must_use]
    pub fn catch_up(&self) -> Option<Duration> {
        let begun = Instant::now();
        let by_now: Vec<u64> =
            self.marks.iter().map(|mark| mark.seq.load(Ordering::SeqCst)).collect();
        let done = || {
            let marks = self.marks.iter().zip(&by_now);
            marks.into_iter().all(|(mark, seq)| mark.committed.load(Ordering::SeqCst) >= *seq)
        };
        while !done() {
            if begun.elapsed() > SETTLE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(begun.elapsed())
    }

    /// What the collectors report about a store in trouble.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let writers = self.collectors.iter().filter_map(|collector| collector.writer.as_ref());
        let mut states = writers.map(|writer| writer.handle().changes().borrow().clone());
        states.find_map(|state| state)
    }

    /// Stops all agents once everything is committed.
    ///
    /// # Errors
    /// Names the agents that missed the deadline, with the reason.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        for task in std::mem::take(&mut self.tasks) {
            let agent = self.runtime.block_on(task)?;
            let agent =
                agent.map_err(|why| anyhow::anyhow!("{why}; store: {:?}", self.trouble()))?;
            self.agents.push(agent);
        }
        for collector in &mut self.collectors {
            if let Some(writer) = collector.writer.take() {
                self.runtime.block_on(writer.stop(Duration::from_secs(10)));
            }
        }
        Ok(())
    }

    /// True if all agents have stopped or none has started.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.agents.len() as u64 == AGENTS
    }

    /// What each client delivered, by client name.
    pub fn delivered(&self) -> impl Iterator<Item = (String, Delivered)> {
        self.agents.iter().map(|agent| (format!("host-{}", agent.number), agent.delivered))
    }
}

impl Agent {
    /// The index of its collector, which is also that of its mark.
    #[allow(clippy::cast_possible_truncation, reason = "a few")]
    const fn place(&self) -> usize {
        self.number as usize % COLLECTORS
    }

    /// Connects, retrying as often as needed.
    async fn open(&mut self, store: &PostgresStore) -> anyhow::Result<OpenSession> {
        let client = ClientId::new(&format!("host-{}", self.number))?;
        let session = SessionId::new(self.number + 1);
        let sessions = vec![Session { session, started_ns: self.start_ns }];
        let hello = Hello { sessions, alias: String::new(), host: Host::default() };
        let begun = Instant::now();
        let states = loop {
            match store.open_sessions(&client, &hello, self.start_ns).await {
                Ok(states) => break states,
                Err(error) if begun.elapsed() > SETTLE => return Err(error.into()),
                Err(_) => tokio::time::sleep(PACE).await,
            }
        };
        let state = states.first().ok_or_else(|| anyhow::anyhow!("no session"))?;
        self.under_way.retain(|frame| frame.last_seq > state.seq);
        let kept = self.under_way.len() as u64;
        anyhow::ensure!(
            state.seq + kept == self.seq,
            "{client}: {} is committed, {kept} in flight up to {}",
            state.seq,
            self.seq
        );
        self.epoch = state.epoch;
        Ok(OpenSession { client, session, epoch: state.epoch, committed: state.seq })
    }

    /// Delivers until stopped and everything is committed. Reconnects when its session is closed.
    async fn deliver(
        mut self,
        store: Arc<PostgresStore>,
        writer: WriterHandle,
        marks: Arc<Vec<Mark>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let number = self.number;
        let failed = |why: String| format!("agent {number}: {why}");
        let mark = usize::try_from(number).map(|at| &marks[at]);
        let mark = mark.map_err(|error| failed(error.to_string()))?;
        loop {
            let opened = self.open(&store).await.map_err(|error| failed(format!("{error:#}")))?;
            let progress = writer.open(opened, Heed::all());
            let delivered = self.deliver_once(&writer, progress, mark, &stop).await;
            if delivered.map_err(failed)? {
                return Ok(self);
            }
        }
    }

    /// Delivers over one connection. Returns false if the connection ends.
    async fn deliver_once(
        &mut self,
        writer: &WriterHandle,
        mut progress: watch::Receiver<Progress>,
        mark: &Mark,
        stop: &AtomicBool,
    ) -> Result<bool, String> {
        let share = ClientShare::new(1 << 30);
        for frame in self.under_way.clone() {
            let Some(room) = writer.reserve(&frame, &share).await else { return Ok(false) };
            writer.submit(self.epoch, frame, room);
        }
        let committed = |progress: &Progress, by: Seq| {
            mark.committed.store(progress.committed.get(), Ordering::SeqCst);
            progress.committed >= by
        };
        while !stop.load(Ordering::SeqCst) {
            let frame = self.frame();
            self.under_way.push_back(frame.clone());
            mark.seq.store(self.seq.get(), Ordering::SeqCst);
            let Some(room) = writer.reserve(&frame, &share).await else { return Ok(false) };
            writer.submit(self.epoch, frame, room);
            let by = self.seq.saturating_sub(WINDOW);
            let done = match progress.wait_for(|progress| committed(progress, by)).await {
                Ok(now) => now.committed,
                Err(_) => return Ok(false),
            };
            self.under_way.retain(|frame| frame.last_seq > done);
            tokio::time::sleep(PACE).await;
        }
        let all = progress.wait_for(|progress| committed(progress, self.seq));
        match tokio::time::timeout(SETTLE, all).await {
            Ok(Ok(progress)) if progress.quarantined.is_none() => {}
            Ok(Ok(_)) => return Err("a frame is in quarantine".to_owned()),
            Ok(Err(_)) => return Ok(false),
            Err(_) => return Err("not all was committed in time".to_owned()),
        }
        self.under_way.clear();
        Ok(true)
    }

    /// The next frame. No two figures are equal.
    fn frame(&mut self) -> Frame {
        let (mut samples, mut mixes) = (Vec::new(), Vec::new());
        self.seq += 1;
        let nth = self.seq.get();
        for interval in (nth - 1) * SAMPLES..nth * SAMPLES {
            let start_ns = self.start_ns + interval * INTERVAL_NS;
            for (nic, totals) in NICS.iter().zip(&mut self.totals) {
                let nic = NicName::new(nic).unwrap_or_default();
                let noise = (self.number * 7919 + interval * 104_729) % 1_000_003;
                let counts = [(0, 1), (2, 3)].map(|(at, times)| {
                    let (bytes, packets) = (60_000 + noise * times, 45 + noise % 977);
                    totals[at] += bytes;
                    totals[at + 1] += packets;
                    let (total_bytes, total_packets) = (totals[at], totals[at + 1]);
                    Counts {
                        bytes: Bytes(bytes),
                        packets: Packets(packets),
                        total_bytes: Bytes(total_bytes),
                        total_packets: Packets(total_packets),
                        ..Counts::default()
                    }
                });
                self.delivered.rows += 1;
                self.delivered.rx_bytes += counts[0].bytes.get();
                self.delivered.tx_bytes += counts[1].bytes.get();
                let [rx, tx] = counts;
                let interval_ns = INTERVAL_NS;
                samples.push(Sample { nic, start_ns, interval_ns, rx, tx, ..Sample::default() });
                if interval % 20 == 0 {
                    self.delivered.mixes += 1;
                    let rx = MixCounts { tcp_bytes: Bytes(noise), ..MixCounts::default() };
                    let interval_ns = 20 * INTERVAL_NS;
                    mixes.push(Mix { nic, start_ns, interval_ns, rx, ..Mix::default() });
                }
            }
        }
        let session = SessionId::new(self.number + 1);
        Frame {
            session,
            first_seq: self.seq,
            last_seq: self.seq,
            gap: 0,
            samples,
            mixes,
            talkers: vec![],
        }
    }
}
