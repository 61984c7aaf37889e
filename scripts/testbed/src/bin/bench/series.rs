//! `bench series`: how long both stores take to down-sample a week of one NIC's samples, beside a bare
//! SQL scan of the same rows. The bare scan adds up every column that the answer needs and returns one
//! row. Both run in turns on warm caches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::sqlite::SqliteStore;
use collector::store::{Batch, Commit, Database, Resolution, SeriesRange, SessionBatch};
use rusqlite::Connection;
use testbed::Cluster;
use tokio_postgres::NoTls;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

use crate::table::{Table, median, met};

const SECOND: u64 = 1_000_000_000;
const INTERVAL: u64 = SECOND / 2;
/// A week.
const SAMPLES: u64 = 7 * 86_400 * 2;
/// Samples of one frame, and frames of one batch.
const FRAME: u64 = 480;
const BATCH: usize = 40;
const START: u64 = 1_799_971_200 * SECOND;
const POINTS: usize = 1000;

/// Highest acceptable ratio.
const TARGET: f64 = 1.5;

/// Options of `bench series`.
#[derive(Debug, Args)]
pub struct Options {
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    turns: usize,
}

/// All columns that the answer needs.
const SCAN: &str = "SELECT count(*), min(time), sum(interval_ns), sum(rx_bytes), sum(rx_packets),
    sum(rx_captured), max(rx_peak_1ms_bytes), max(rx_peak_10ms_bytes), sum(tx_bytes),
    sum(tx_packets), sum(tx_captured), max(tx_peak_1ms_bytes), max(tx_peak_10ms_bytes),
    sum(drops), max(flags) FROM hot_samples";

/// Runs the benchmark.
///
/// # Errors
/// A store fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{SAMPLES} samples of one NIC, 7 days, to at most {POINTS} points; medians:");
    let mut table = Table::new(&["store", "bare scan, ms", "series, ms", "ratio", "target 1.5"]);
    runtime.block_on(async {
        table.row(sqlite(options.turns).await?.cells("SQLite"));
        table.row(postgres(options.turns).await?.cells("PostgreSQL"));
        table.print();
        Ok(())
    })
}

async fn sqlite(turns: usize) -> anyhow::Result<Times> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("netmon.sqlite");
    let store = SqliteStore::open(&path)?;
    fill(&store).await?;
    let bare = Connection::open(&path)?;
    let mut times = Times::default();
    for _ in 0..turns {
        let begun = Instant::now();
        let rows: u64 = bare.query_row(SCAN, [], |row| row.get::<_, i64>(0))?.cast_unsigned();
        times.scans.push(millis(begun.elapsed()));
        anyhow::ensure!(rows == SAMPLES, "{rows} rows");
        times.series.push(series(&store).await?);
    }
    Ok(times)
}

async fn postgres(turns: usize) -> anyhow::Result<Times> {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
    let store = PostgresStore::new(config);
    fill(&store).await?;
    let (bare, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    bare.batch_execute("VACUUM ANALYZE hot_samples").await?;
    let mut times = Times::default();
    for _ in 0..turns {
        let begun = Instant::now();
        let rows: i64 = bare.query_one(SCAN, &[]).await?.try_get(0)?;
        times.scans.push(millis(begun.elapsed()));
        anyhow::ensure!(rows.cast_unsigned() == SAMPLES, "{rows} rows");
        times.series.push(series(&store).await?);
    }
    Ok(times)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// How long each turn took, ms.
#[derive(Debug, Default)]
struct Times {
    scans: Vec<f64>,
    series: Vec<f64>,
}

impl Times {
    fn cells(self, store: &str) -> [String; 5] {
        let (scan, series) = (median(self.scans), median(self.series));
        let ratio = series / scan;
        let verdict = met(ratio <= TARGET).to_owned();
        [
            store.to_owned(),
            format!("{scan:.0}"),
            format!("{series:.0}"),
            format!("{ratio:.2}"),
            verdict,
        ]
    }
}

async fn series(store: &dyn Database) -> anyhow::Result<f64> {
    let range = SeriesRange {
        client: "web".into(),
        nic: "eth0".into(),
        from_ns: WallNs(START),
        to_ns: WallNs(START + SAMPLES * INTERVAL),
        limit: POINTS,
        resolution: Some(Resolution::Raw),
    };
    let begun = Instant::now();
    let points = store.series(&range).await?.points;
    let taken = millis(begun.elapsed());
    let bytes: Bytes = points.iter().map(|point| point.rx.bytes).sum();
    let expected: Bytes = (0..SAMPLES).map(|n| sample(n).rx.bytes).sum();
    anyhow::ensure!(points.len() <= POINTS && bytes == expected, "{} points", points.len());
    Ok(taken)
}

async fn fill(store: &dyn Database) -> anyhow::Result<()> {
    let client = ClientId::new("web")?;
    let hello = Hello {
        sessions: vec![Session { session: SessionId::new(1), started_ns: WallNs(START) }],
        ..Hello::default()
    };
    let opened = store.open_sessions(&client, &hello, WallNs(START)).await?;
    let epoch = opened.first().context("no session")?.epoch;
    let mut totals = [0; 2];
    let mut frames = (1..=SAMPLES / FRAME).map(|seq| {
        let samples = ((seq - 1) * FRAME..seq * FRAME).map(|n| {
            let mut sample = sample(n);
            totals[0] += sample.rx.bytes.get();
            totals[1] += sample.rx.packets.get();
            (sample.rx.total_bytes, sample.rx.total_packets) =
                (Bytes(totals[0]), Packets(totals[1]));
            sample
        });
        let samples = samples.collect();
        Frame {
            session: SessionId::new(1),
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    });
    loop {
        let frames: Vec<Frame> = frames.by_ref().take(BATCH).collect();
        let Some(first) = frames.first() else { return Ok(()) };
        let expected = first.first_seq - 1;
        let batch = SessionBatch::new(client.clone(), SessionId::new(1), epoch, expected, frames);
        store.commit(&Arc::new(Batch::new(vec![batch]))).await?;
    }
}

fn sample(n: u64) -> Sample {
    let rx = Counts {
        bytes: Bytes(1_000_000 + n * 7919 % 500_000),
        packets: Packets(900 + n % 300),
        captured: Packets(90 + n % 30),
        peak_1ms_bytes: 9000,
        peak_10ms_bytes: 40_000,
        ..Counts::default()
    };
    Sample {
        nic: NicName::new("eth0").unwrap_or_default(),
        start_ns: WallNs(START + n * INTERVAL),
        interval_ns: INTERVAL,
        rx,
        ..Sample::default()
    }
}
