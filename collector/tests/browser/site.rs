//! A collector's store, live table and web server, with simulated agents.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::accounts::AccountBook;
use collector::alerts::AlertRules;
use collector::live::Live;
use collector::metrics::Metrics;
use collector::store::dates::Dates;
use collector::store::sqlite::SqliteStore;
use collector::store::{Batch, Commit, Epoch, SessionBatch, Store};
use collector::time::{boot, now_ns};
use collector::web::{Access, AlertInbox, SignedOut, StoredTalkers, WebLimits, WebState, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::frame::{Counts, Frame, Mix, MixCounts, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Host, Inventory, Nic, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

pub const SECOND: u64 = 1_000_000_000;
/// Length of a sample.
pub const INTERVAL: u64 = SECOND / 2;

/// Link speed.
const SPEED_BITS: u64 = 10_000_000_000;

/// Hosts of a small company: id, alias, and approximate bytes received per second.
const HOSTS: [(&str, &str, u64); 12] = [
    ("cache-1", "", 620_000_000),
    ("backup-1", "", 560_000_000),
    ("web-1", "Frontend Frankfurt", 310_000_000),
    ("web-2", "Frontend Frankfurt", 290_000_000),
    ("db-1", "Orders, primary", 96_000_000),
    ("build-1", "", 73_000_000),
    ("build-2", "", 64_000_000),
    ("db-2", "Orders, replica", 41_000_000),
    ("vpn-1", "", 12_000_000),
    ("mail-1", "", 2_100_000),
    ("dns-1", "Resolver", 310_000),
    ("dns-2", "Resolver", 270_000),
];

/// Traffic that continues until it is dropped.
pub struct Flow {
    stop: Arc<AtomicBool>,
}

impl Flow {
    /// Calls `next` with the start of each interval as soon as the interval is over.
    pub fn start<F: Future<Output = ()> + Send>(
        mut start_ns: u64,
        mut next: impl FnMut(u64) -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                while start_ns + INTERVAL <= now_ns().get() {
                    next(start_ns).await;
                    start_ns += INTERVAL;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { stop }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Twelve clients with live traffic. The second one loses packets now and then.
pub fn company(site: &Site) -> Flow {
    let agents = (1..).zip(HOSTS);
    let agents = agents.map(|(session, (id, alias, rate))| Agent::new(id, alias, session, rate));
    let mut agents: Vec<Agent> = agents.collect();
    agents.iter().for_each(|agent| agent.connect(&site.live));
    let live = site.live.clone();
    Flow::start(now_ns() / INTERVAL * INTERVAL, move |start_ns| {
        for (n, agent) in agents.iter_mut().enumerate() {
            let mut frame = agent.frame([start_ns]);
            let lost = n == 1 && (start_ns / INTERVAL).is_multiple_of(7);
            frame.samples[0].drops = if lost { Packets(12) } else { Packets(0) };
            live.observe(&agent.id, &frame, now_ns());
        }
        std::future::ready(())
    })
}

pub struct Site {
    pub address: String,
    pub live: Live,
    pub store: Arc<SqliteStore>,
    /// Directory of the store.
    pub directory: tempfile::TempDir,
    /// The reason for which the writer can't commit, as reported to the web server.
    pub writer: Arc<Mutex<Option<String>>>,
    /// The rules of alerts in force.
    pub rules: Arc<Mutex<AlertRules>>,
    state: WebState,
    serving: Mutex<Option<Serving>>,
}

/// The running web server.
struct Serving {
    stop: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Site {
    pub async fn start(access: Access) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("netmon.sqlite")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let live = Live::new();
        let writer = Arc::new(Mutex::new(None));
        let told = writer.clone();
        let rules = Arc::new(Mutex::new(AlertRules::default()));
        let in_force = rules.clone();
        let dates = Dates::awaited();
        dates.set(now_ns(), boot(), Duration::ZERO);
        let state = WebState {
            live: live.clone(),
            query: store.clone(),
            talkers: StoredTalkers::new(store.clone(), false),
            alerts: AlertInbox {
                store: store.clone(),
                rules: Arc::new(move || in_force.lock().unwrap().clone()),
            },
            book: AccountBook::new(store.clone(), vec![]),
            dates,
            writer: Arc::new(move || told.lock().unwrap().clone()),
            notice: Arc::new(|| None),
            metrics: Metrics::with_recorder().unwrap().1,
            version: "1.2.3".into(),
            host_names: vec![],
            access,
            tls: None,
            signed_out: SignedOut::default(),
            limits: WebLimits::default(),
        };
        let serving = Mutex::new(None);
        let site = Self { address, live, store, directory, writer, rules, state, serving };
        site.serve(listener, site.state.clone());
        let page = crate::client::get(&site.address, "/").await.body;
        assert!(page.contains("./assets/"), "built without the dashboard; run scripts/build");
        site
    }

    /// The accounts.
    pub fn book(&self) -> &AccountBook {
        &self.state.book
    }

    fn serve(&self, listener: TcpListener, state: WebState) {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, state, stopped));
        *self.serving.lock().unwrap() = Some(Serving { stop, task });
    }

    /// Stops the web server: its address refuses connections.
    pub async fn stop(&self) {
        let serving = self.serving.lock().unwrap().take();
        let Some(Serving { stop, task }) = serving else { return };
        stop.send(true).unwrap();
        task.await.unwrap().unwrap();
    }

    /// Restarts the web server at the same address.
    pub async fn start_again(&self, access: Access) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        self.serve(listener, WebState { access, ..self.state.clone() });
    }
}

/// A simulated agent with two NICs.
pub struct Agent {
    pub id: ClientId,
    pub alias: String,
    session: SessionId,
    seq: u64,
    epoch: Epoch,
    totals: [[u64; 2]; 4],
    /// Approximate bytes received per second on its first NIC.
    pub rate: u64,
}

pub const NICS: [&str; 2] = ["eth0", "eth1"];

impl Agent {
    pub fn new(id: &str, alias: &str, session: u64, rate: u64) -> Self {
        let id = ClientId::new(id).unwrap();
        Self {
            id,
            alias: alias.into(),
            session: SessionId::new(session),
            seq: 0,
            epoch: Epoch(1),
            totals: [[0; 2]; 4],
            rate,
        }
    }

    pub fn host() -> Host {
        Host {
            agent_version: "1.2.3".into(),
            os: "Debian GNU/Linux 12".into(),
            kernel: "6.1.0".into(),
            cpus: 8,
            sample_interval_ns: INTERVAL,
        }
    }

    pub fn nic(name: &str, up: bool) -> Nic {
        Nic {
            name: NicName::new(name).unwrap(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            speed_bits: SPEED_BITS,
            kind: "physical".into(),
            up,
            stacked: false,
        }
    }

    /// Connects in the live table only.
    pub fn connect(&self, live: &Live) {
        live.on_connected(&self.id, &self.alias, &Self::host(), now_ns());
        let nics = NICS.map(|name| Self::nic(name, true)).to_vec();
        live.on_inventory(&self.id, &Inventory { nics });
    }

    /// Connects, and opens its session in the store.
    pub async fn enrol(&mut self, site: &Site, started_ns: u64) {
        self.connect(&site.live);
        let hello = Hello {
            sessions: vec![Session { session: self.session, started_ns: WallNs(started_ns) }],
            alias: self.alias.clone(),
            host: Self::host(),
        };
        let opened = site.store.open_sessions(&self.id, &hello, WallNs(started_ns)).await.unwrap();
        self.epoch = opened[0].epoch;
        let nics = NICS.map(|name| Self::nic(name, true)).to_vec();
        let inventory = Inventory { nics };
        site.store.record_inventory(&self.id, &inventory, WallNs(started_ns)).await.unwrap();
    }

    /// The traffic of one interval: a slow wave with noise and bursts.
    pub fn sample(&self, nic: usize, start_ns: u64, interval_ns: u64) -> Sample {
        let tick = start_ns / interval_ns;
        let noise = (tick ^ self.session.get() << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = (noise ^ noise >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 54;
        let wave = ((tick % 240).abs_diff(120)) * 8;
        let share = [1, 4][nic];
        let counts = |rate: u64| {
            let bytes = rate * interval_ns / SECOND / share * (500 + wave + noise) / 1500;
            // At most the link's capacity.
            let peak = bytes * 1_000_000 / interval_ns * (2 + noise % 7);
            let peak = peak.min(SPEED_BITS / 8 / 1000);
            Counts {
                bytes: Bytes(bytes),
                packets: Packets(bytes / 900),
                captured: Packets(bytes / 9000),
                peak_1ms_bytes: u32::try_from(peak).unwrap(),
                peak_10ms_bytes: u32::try_from(peak * 3).unwrap(),
                ..Counts::default()
            }
        };
        Sample {
            nic: NicName::new(NICS[nic]).unwrap(),
            start_ns: WallNs(start_ns),
            interval_ns,
            rx: counts(self.rate),
            tx: counts(self.rate / 3),
            ..Sample::default()
        }
    }

    /// The next frame, with samples of both NICs that start at these times.
    pub fn frame(&mut self, starts_ns: impl IntoIterator<Item = u64>) -> Frame {
        let starts = starts_ns.into_iter();
        let samples = starts.flat_map(|start| [0, 1].map(|nic| self.sample(nic, start, INTERVAL)));
        let samples = samples.collect();
        self.frame_of(samples)
    }

    /// The next frame, with these samples.
    pub fn frame_of(&mut self, mut samples: Vec<Sample>) -> Frame {
        self.seq += 1;
        for sample in &mut samples {
            let nic = usize::from(sample.nic.as_str() == Some(NICS[1]));
            for (at, counts) in [(2 * nic, &mut sample.rx), (2 * nic + 1, &mut sample.tx)] {
                let [bytes, packets] = &mut self.totals[at];
                *bytes += counts.bytes.get();
                *packets += counts.packets.get();
                (counts.total_bytes, counts.total_packets) = (Bytes(*bytes), Packets(*packets));
            }
        }
        let (session, seq) = (self.session, self.seq);
        Frame {
            session,
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    }

    /// Delivers a frame as the collector does: shown at once, then committed.
    pub async fn deliver(&self, site: &Site, frame: Frame) {
        site.live.observe(&self.id, &frame, now_ns());
        self.commit(site, vec![frame]).await;
    }

    pub async fn commit(&self, site: &Site, frames: Vec<Frame>) {
        let expected = frames[0].first_seq - 1;
        let batch = SessionBatch::new(self.id.clone(), self.session, self.epoch, expected, frames);
        site.store.commit(&Arc::new(Batch::new(vec![batch]))).await.unwrap();
    }

    /// Adds history up to now, with contiguous samples and mixes. Returns its end.
    pub async fn remember(&mut self, site: &Site, intervals: u64) -> u64 {
        let end = now_ns() / INTERVAL * INTERVAL;
        let first = end - intervals * INTERVAL;
        let starts: Vec<u64> = (0..intervals).map(|n| first + n * INTERVAL).collect();
        let mut frames: Vec<Frame> =
            starts.chunks(20).map(|few| self.frame(few.to_vec())).collect();
        for frame in &mut frames {
            frame.mixes = frame.samples[..2].iter().map(mix).collect();
        }
        for frames in frames.chunks(200) {
            self.commit(site, frames.to_vec()).await;
        }
        end
    }
}

/// A mix for a sample.
fn mix(sample: &Sample) -> Mix {
    let counts =
        |Counts { bytes: Bytes(bytes), packets: Packets(packets), .. }: Counts| MixCounts {
            multicast_packets: Packets(packets / 500),
            broadcast_packets: Packets(packets / 900),
            size_packets: [30, 12, 6, 4, 8, 40, 0].map(|share| Packets(packets * share / 100 * 20)),
            ipv4_bytes: Bytes(bytes * 15),
            ipv6_bytes: Bytes(bytes * 5),
            arp_bytes: Bytes(bytes / 1000),
            tcp_packets: Packets(packets * 16),
            tcp_bytes: Bytes(bytes * 17),
            udp_packets: Packets(packets * 4),
            udp_bytes: Bytes(bytes * 3),
            tcp_syn_packets: Packets(packets / 40),
            tcp_rst_packets: Packets(packets / 200),
            ..MixCounts::default()
        };
    let (rx, tx) = (counts(sample.rx), counts(sample.tx));
    let Sample { nic, start_ns, .. } = *sample;
    Mix { nic, start_ns, interval_ns: 20 * INTERVAL, rx, tx, ..Mix::default() }
}
