//! How long a week of samples of one NIC takes to be answered down-sampled, beside a bare scan of
//! the same rows in SQL, in both stores: `cargo run --release --example series`.
//!
//! The bare scan adds up every column that the answer needs and sends one row. Both are run in
//! turns on warm caches; the medians and their ratio are printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::query::{Resolution, SeriesRange};
use collector::store::sqlite::SqliteStore;
use collector::store::{Batch, Database, SessionBatch};
use rusqlite::Connection;
use testbed::Cluster;
use tokio_postgres::NoTls;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName};
use wire::message::{Hello, Session};

const SECOND: u64 = 1_000_000_000;
const INTERVAL: u64 = SECOND / 2;
/// A week.
const SAMPLES: u64 = 7 * 86_400 * 2;
/// Samples of one frame, and frames of one batch.
const FRAME: u64 = 480;
const BATCH: usize = 40;
const START: u64 = 1_799_971_200 * SECOND;
const POINTS: usize = 1000;
const TURNS: usize = 5;

/// What the answer needs of every row.
const SCAN: &str = "SELECT count(*), min(time), sum(interval_ns), sum(rx_bytes), sum(rx_packets),
    sum(rx_captured), max(rx_peak_1ms_bytes), max(rx_peak_10ms_bytes), sum(tx_bytes),
    sum(tx_packets), sum(tx_captured), max(tx_peak_1ms_bytes), max(tx_peak_10ms_bytes),
    sum(drops), max(flags) FROM bandwidth_stats";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{SAMPLES} rows to at most {POINTS} points, ms (median of {TURNS}):");
    println!("{:<12} {:>10} {:>10} {:>7}", "store", "scan", "series", "ratio");
    sqlite().await?;
    postgres().await
}

async fn sqlite() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("netmon.sqlite");
    let store = SqliteStore::open(&path)?;
    fill(&store).await?;
    let bare = Connection::open(&path)?;
    let mut times = Times::default();
    for _ in 0..TURNS {
        let begun = Instant::now();
        let rows: u64 = bare.query_row(SCAN, [], |row| row.get::<_, i64>(0))?.cast_unsigned();
        times.scans.push(begun.elapsed());
        anyhow::ensure!(rows == SAMPLES, "{rows} rows");
        times.series.push(series(&store).await?);
    }
    times.print("SQLite");
    Ok(())
}

async fn postgres() -> anyhow::Result<()> {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
    let store = PostgresStore::new(config);
    fill(&store).await?;
    let (bare, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    bare.batch_execute("VACUUM ANALYZE bandwidth_stats").await?;
    let mut times = Times::default();
    for _ in 0..TURNS {
        let begun = Instant::now();
        let rows: i64 = bare.query_one(SCAN, &[]).await?.try_get(0)?;
        times.scans.push(begun.elapsed());
        anyhow::ensure!(rows.cast_unsigned() == SAMPLES, "{rows} rows");
        times.series.push(series(&store).await?);
    }
    times.print("PostgreSQL");
    Ok(())
}

#[derive(Debug, Default)]
struct Times {
    scans: Vec<Duration>,
    series: Vec<Duration>,
}

impl Times {
    fn print(self, store: &str) {
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1000.0
        };
        let (scan, series) = (median(self.scans), median(self.series));
        println!("{store:<12} {scan:>10.0} {series:>10.0} {:>7.2}", series / scan);
    }
}

async fn series(store: &dyn Database) -> anyhow::Result<Duration> {
    let range = SeriesRange {
        client: "web".into(),
        nic: "eth0".into(),
        from_ns: START,
        to_ns: START + SAMPLES * INTERVAL,
        limit: POINTS,
        resolution: Some(Resolution::Raw),
    };
    let begun = Instant::now();
    let points = store.series(&range).await?.points;
    let taken = begun.elapsed();
    let bytes: u64 = points.iter().map(|point| point.rx.bytes).sum();
    let expected: u64 = (0..SAMPLES).map(|n| sample(n).rx.bytes).sum();
    anyhow::ensure!(points.len() <= POINTS && bytes == expected, "{} points", points.len());
    Ok(taken)
}

async fn fill(store: &dyn Database) -> anyhow::Result<()> {
    let client = ClientId::new("web")?;
    let hello =
        Hello { sessions: vec![Session { session: 1, started_ns: START }], ..Hello::default() };
    let opened = store.open_sessions(&client, &hello, START).await?;
    let epoch = opened.first().context("no session")?.epoch;
    let mut totals = [0; 2];
    let mut frames = (1..=SAMPLES / FRAME).map(|seq| {
        let samples = ((seq - 1) * FRAME..seq * FRAME).map(|n| {
            let mut sample = sample(n);
            totals[0] += sample.rx.bytes;
            totals[1] += sample.rx.packets;
            [sample.rx.total_bytes, sample.rx.total_packets] = totals;
            sample
        });
        let samples = samples.collect();
        Frame { session: 1, first_seq: seq, last_seq: seq, gap: 0, samples, mixes: vec![] }
    });
    loop {
        let frames: Vec<Frame> = frames.by_ref().take(BATCH).collect();
        let Some(first) = frames.first() else { return Ok(()) };
        let expected = first.first_seq - 1;
        let batch = SessionBatch { client: client.clone(), session: 1, epoch, expected, frames };
        store.commit(&Arc::new(Batch { sessions: vec![batch] })).await?;
    }
}

fn sample(n: u64) -> Sample {
    let rx = Counts {
        bytes: 1_000_000 + n * 7919 % 500_000,
        packets: 900 + n % 300,
        captured: 90 + n % 30,
        peak_1ms_bytes: 9000,
        peak_10ms_bytes: 40_000,
        ..Counts::default()
    };
    Sample {
        nic: NicName::new("eth0").unwrap_or_default(),
        start_ns: START + n * INTERVAL,
        interval_ns: INTERVAL,
        rx,
        ..Sample::default()
    }
}
