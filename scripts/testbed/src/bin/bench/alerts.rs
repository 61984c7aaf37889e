//! `bench alerts`: how long an alert takes from the arrival of the sample that broke its rule to the request
//! at its webhook: through the collector's live view, engine, naming, store and outbox, in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use collector::alerts::{
    AlertOutbox, AlertRules, AlertsSection, CONFIRM, Engine, Recorder, targets, with_talkers,
};
use collector::live::Live;
use collector::store::Database;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::sqlite::SqliteStore;
use collector::time::now_ns;
use serde_json::{Value, json};
use testbed::{Cluster, PATIENCE};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};
use wire::talkers::{Talker, TalkerList, Talkers, TalkersKind};
use wire::{Bytes, Seq, WallNs};

use super::table::{Table, quantile};

const INTERVAL_NS: u64 = 500_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

/// A link of 1 Gbit/s, and half a second that fills it.
const SPEED_BITS: u64 = 1_000_000_000;
const FULL: Bytes = Bytes(62_000_000);

/// For so long, a client without talkers is to be heard before nothing is waited for.
const HEARD: Duration = Duration::from_secs(151);

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Incidents of each kind, each of a client of its own, one after another
    #[arg(long, default_value_t = 100)]
    incidents: u64,
    /// Take PostgreSQL in place of the embedded store
    #[arg(long)]
    postgres: bool,
}

/// Which talkers of a client come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// The record of the sample, right after it.
    Moment,
    /// Those of the last minute.
    Minute,
    /// None, from a client that was heard for long.
    Nothing,
}

impl Comes {
    const ALL: [Self; 3] = [Self::Moment, Self::Minute, Self::Nothing];

    const fn told(self) -> &'static str {
        match self {
            Self::Moment => "the talkers of its sample come",
            Self::Minute => "only those of the last minute",
            Self::Nothing => "its agent sends no talkers",
        }
    }
}

/// Runs the benchmark; it takes three to five minutes.
///
/// # Errors
/// The store fails, or a message stays away.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let cluster = options.postgres.then(Cluster::start_plain);
    let (name, store): (_, Arc<dyn Database>) = match &cluster {
        None => ("SQLite", Arc::new(SqliteStore::open(&folder.path().join("netmon.sqlite"))?)),
        Some(cluster) => {
            let url = cluster.new_database().parse()?;
            let config = PostgresConfig::new(url, Authorities::System)?.with_unsafe_commits();
            ("PostgreSQL", Arc::new(PostgresStore::new(config)))
        }
    };
    println!("from the sample to the webhook, ms, {name}:");
    runtime.block_on(measured(options.incidents, store))
}

async fn measured(incidents: u64, store: Arc<dyn Database>) -> anyhow::Result<()> {
    store.ready().await?;
    let bench = AlertBench::start(store)?;
    let id = |comes: Comes, n: u64| ClientId::new(&format!("{comes:?}-{n:04}").to_lowercase());
    let begun = Instant::now();
    for comes in Comes::ALL {
        for n in 0..incidents {
            bench.connect(&id(comes, n)?);
        }
    }
    let mut table = Table::new(&["", "p50", "p99", "most", "messages"]);
    for comes in Comes::ALL {
        if comes == Comes::Nothing {
            tokio::time::sleep(HEARD.saturating_sub(begun.elapsed())).await;
        }
        let mut took = Vec::new();
        for n in 0..incidents {
            took.push(bench.incident(&id(comes, n)?, comes)?.as_secs_f64() * 1000.0);
        }
        let at = |percent, took: &mut [f64]| format!("{:.0}", quantile(took, percent));
        let [half, most_of, most] = [50, 99, 100].map(|percent| at(percent, &mut took));
        let count = took.len().to_string();
        table.row([comes.told().to_owned(), half, most_of, most, count]);
    }
    table.print();
    Ok(())
}

/// The parts of a collector that alerts go through, and the webhook.
struct AlertBench {
    live: Live,
    told: Receiver<(Instant, String)>,
}

impl AlertBench {
    fn start(store: Arc<dyn Database>) -> anyhow::Result<Self> {
        let (told, url) = webhook()?;
        let section: AlertsSection = serde_json::from_value(json!({
            "rules": { "full": { "measure": "utilisation", "for": "0s" } },
            "targets": { "ops": { "kind": "webhook", "url": url } },
        }))?;
        let live = Live::new();
        let (engine, emitted) = Engine::new(AlertRules::of(&section)?);
        let (tap, emitted) = with_talkers(engine.clone(), emitted);
        live.set_tap(tap);
        let outbox = Arc::new(AlertOutbox::new(store.clone(), 1));
        outbox.serve(targets(&section)?);
        let recorder = Recorder {
            engine,
            store,
            outbox,
            live: live.clone(),
            url: Arc::new(|| None),
            name: "bench".to_owned(),
            run: 1,
            confirm: CONFIRM,
        };
        tokio::spawn(recorder.run(emitted));
        Ok(Self { live, told })
    }

    /// A client connects and reports a quiet link.
    fn connect(&self, id: &ClientId) {
        self.live.on_connected(id, "", &Host::default(), now_ns());
        let (name, kind) = (nic(), "physical".to_owned());
        let nic = Nic { name, kind, speed_bits: SPEED_BITS, up: true, ..Nic::default() };
        self.live.on_inventory(id, &Inventory { nics: vec![nic] });
        self.report(id, 1, vec![sample(now_ns() - INTERVAL_NS, Bytes(0))], vec![]);
    }

    /// A client's link is full; returns how long the message about it took.
    fn incident(&self, id: &ClientId, comes: Comes) -> anyhow::Result<Duration> {
        let at = now_ns() - INTERVAL_NS;
        if comes != Comes::Nothing {
            let minute = talkers(TalkersKind::Minute, at - 62 * (MINUTE_NS / 60), MINUTE_NS);
            self.report(id, 2, vec![], vec![minute]);
        }
        let begun = Instant::now();
        self.report(id, 3, vec![sample(at, FULL)], vec![]);
        if comes == Comes::Moment {
            self.report(id, 4, vec![], vec![talkers(TalkersKind::Moment, at, INTERVAL_NS)]);
        }
        let (arrived, said) = self.firing(id)?;
        let kind = &said["talkers"]["kind"];
        let expected = match comes {
            Comes::Moment => json!("moment"),
            Comes::Minute => json!("minute"),
            Comes::Nothing => Value::Null,
        };
        anyhow::ensure!(*kind == expected, "about {id}, with {expected}: {said}");
        Ok(arrived.saturating_duration_since(begun))
    }

    /// The message that a client's link is full, and when it came. Others may come before it: that earlier
    /// incidents are over.
    fn firing(&self, id: &ClientId) -> anyhow::Result<(Instant, Value)> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Waits in this thread: the others do the work.
            let told = tokio::task::block_in_place(|| self.told.recv_timeout(left));
            let (arrived, body) = told.with_context(|| format!("no message about {id}"))?;
            let said: Value = serde_json::from_str(&body)?;
            if said["client"] == id.as_str() && said["state"] == "firing" {
                return Ok((arrived, said));
            }
        }
    }

    fn report(&self, id: &ClientId, seq: u64, samples: Vec<Sample>, talkers: Vec<Talkers>) {
        let (session, seq) = (SessionId::new(1), Seq(seq));
        let (first_seq, last_seq) = (seq, seq);
        let mixes = vec![];
        let frame = Frame { session, first_seq, last_seq, gap: 0, samples, mixes, talkers };
        self.live.observe(id, &frame, now_ns());
    }
}

fn nic() -> NicName {
    NicName::new("eth0").unwrap_or_default()
}

fn sample(start_ns: WallNs, bytes: Bytes) -> Sample {
    let rx = Counts { bytes, ..Counts::default() };
    Sample { nic: nic(), start_ns, interval_ns: INTERVAL_NS, rx, ..Sample::default() }
}

fn talkers(kind: TalkersKind, start_ns: WallNs, interval_ns: u64) -> Talkers {
    let talkers = vec![Talker { bytes: FULL, ..Talker::default() }];
    let rx = TalkerList { total_bytes: FULL, talkers, ..TalkerList::default() };
    Talkers { nic: nic(), start_ns, interval_ns, kind: kind as u8, rx, ..Talkers::default() }
}

/// An HTTP server that gives each request's body, and when it came; and its URL.
fn webhook() -> anyhow::Result<(Receiver<(Instant, String)>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (told, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || serve(&stream, &told));
        }
    });
    Ok((receiver, url))
}

/// Answers one request.
fn serve(stream: &TcpStream, told: &Sender<(Instant, String)>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    // The benchmark may be over.
    let _over = told.send((Instant::now(), String::from_utf8_lossy(&body).into_owned()));
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
