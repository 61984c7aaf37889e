//! `bench packing`: what packing samples in a store takes and gives: bytes, CPU beside that of storing
//! them, commits meanwhile, and reads before and after.

mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use collector::store::{
    Batch, Commit, Point, PointCounts, Query, Resolution, SeriesRange, SessionBatch, Store,
};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Session};
use wire::{Bytes, Packets, Seq, WallNs};

use self::place::{PackingEngine, PackingPlace};
use crate::packed::traffic::{INTERVAL_NS, KINDS, Kind, START_NS};
use crate::table::{Table, median, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// NICs of each kind
    #[arg(long, default_value_t = 12)]
    nics: u64,
    /// Hours of samples, one every 500 ms
    #[arg(long, default_value_t = 6)]
    hours: u64,
    /// The store
    #[arg(long, value_enum, default_value_t = PackingEngine::Sqlite)]
    store: PackingEngine,
}

/// Samples of a NIC in an hour.
const HOUR: u64 = 7200;

/// Samples of a NIC in a batch: 10 s.
const BATCH: usize = 20;

/// Most CPU of packing beside that of storing, most time of a commit beside its median, most time of a read beside
/// that before.
const CPU_TARGET: f64 = 0.15;
const COMMIT_TARGET: f64 = 2.0;
const READ_TARGET: f64 = 1.2;

/// Stores samples, packs them, and reads them before and after.
///
/// # Errors
/// The store fails, or reads something else than before.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut costs = Table::new(&[
        "samples",
        "number",
        "B before",
        "B after",
        "target",
        "storing, CPU us",
        "of which database",
        "packing, CPU us",
        "of which database",
        "share",
        "target 0.15",
    ]);
    let mut commits = Table::new(&[
        "commits",
        "alone, median ms",
        "p99",
        "most",
        "of median",
        "while packing, median ms",
        "p99",
        "most",
        "of median",
        "target 2",
    ]);
    let mut reads =
        Table::new(&["reads", "range", "before, ms", "after, ms", "ratio", "target 1.2"]);
    for kind in &KINDS {
        let measured = runtime.block_on(measure(kind, options))?;
        costs.row(measured.costs);
        commits.row(measured.commits);
        measured.reads.into_iter().for_each(|row| reads.row(row));
    }
    costs.print();
    commits.print();
    reads.print();
    println!(
        "bytes are of the whole table of samples with its index, a sample; times are medians of 5 turns"
    );
    Ok(())
}

struct Measured {
    costs: [String; 11],
    commits: [String; 10],
    reads: Vec<[String; 6]>,
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
async fn measure(kind: &Kind, options: &Options) -> anyhow::Result<Measured> {
    let place = PackingPlace::new(options.store)?;
    let store = place.open()?;
    let samples = options.nics * options.hours * HOUR;
    let batches = batches(kind, options.nics, options.hours + 1, &*store).await?;
    let stored = usize::try_from(options.hours * HOUR)? / BATCH;
    let (stored, mut live) = (&batches[..stored], batches[stored..].iter());
    let (used, mut alone) = (place.cpu_ns(), Vec::new());
    for batch in stored {
        let begun = Instant::now();
        store.commit(batch).await?;
        alone.push(millis(begun.elapsed()));
    }
    let storing = Cpu::since(used, &place, samples);
    let before = (place.bytes("hot_samples")?, times(&*store, options).await?);
    // Half of the hours are packed alone, the others beside commits.
    let half = START_NS + options.hours / 2 * HOUR * INTERVAL_NS;
    let used = place.cpu_ns();
    let packed = store.pack(WallNs(half)).await?;
    let packing = Cpu::since(used, &place, packed);
    let all = WallNs(START_NS + options.hours * HOUR * INTERVAL_NS);
    let meanwhile = {
        let store = store.clone();
        tokio::spawn(async move { store.pack(all).await })
    };
    let mut beside = Vec::new();
    while !meanwhile.is_finished() {
        let Some(batch) = live.next() else { break };
        let begun = Instant::now();
        store.commit(batch).await?;
        beside.push(millis(begun.elapsed()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    meanwhile.await??;
    store.pack(all).await?;
    anyhow::ensure!(store.check().await?.is_sound(), "fsck finds something");
    let after = (place.bytes("packed_samples")?, times(&*store, options).await?);
    for (before, after) in before.1.iter().zip(&after.1) {
        anyhow::ensure!(before.points == after.points, "{} reads otherwise", before.name);
    }
    let sizes = [before.0, after.0].map(|bytes| bytes as f64 / samples as f64);
    let share = packing.all / storing.all;
    let target = options.store.most_bytes(kind);
    Ok(Measured {
        costs: [
            kind.name.to_owned(),
            samples.to_string(),
            format!("{:.1}", sizes[0]),
            format!("{:.1}", sizes[1]),
            format!("{target:.0} {}", met(sizes[1] <= target)),
            format!("{:.2}", storing.all),
            format!("{:.2}", storing.database),
            format!("{:.2}", packing.all),
            format!("{:.2}", packing.database),
            format!("{share:.2}"),
            met(share <= CPU_TARGET).to_owned(),
        ],
        commits: commits_row(kind, &Times::of(alone), &Times::of(beside)),
        reads: before
            .1
            .iter()
            .zip(&after.1)
            .map(|(before, after)| row(kind, before, after))
            .collect(),
    })
}

/// CPU time per sample, microseconds.
struct Cpu {
    /// Of the collector and the database's server.
    all: f64,
    database: f64,
}

impl Cpu {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn since(used: [u64; 2], place: &PackingPlace, samples: u64) -> Self {
        let now = place.cpu_ns();
        let each = |at: usize| now[at].saturating_sub(used[at]) as f64 / samples as f64 / 1e3;
        Self { all: each(0) + each(1), database: each(1) }
    }
}

/// Times of commits, milliseconds.
struct Times {
    median: f64,
    p99: f64,
    most: f64,
}

impl Times {
    fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let p99 = millis.get(millis.len() * 99 / 100).copied().unwrap_or(f64::NAN);
        let most = millis.last().copied().unwrap_or(f64::NAN);
        Self { median: median(millis), p99, most }
    }
}

/// Some commits take long without packing too.
fn commits_row(kind: &Kind, alone: &Times, beside: &Times) -> [String; 10] {
    let most = beside.most / alone.median;
    [
        kind.name.to_owned(),
        format!("{:.1}", alone.median),
        format!("{:.1}", alone.p99),
        format!("{:.1}", alone.most),
        format!("{:.1}", alone.most / alone.median),
        format!("{:.1}", beside.median),
        format!("{:.1}", beside.p99),
        format!("{:.1}", beside.most),
        format!("{most:.1}"),
        met(most <= COMMIT_TARGET).to_owned(),
    ]
}

fn row(kind: &Kind, before: &Read, after: &Read) -> [String; 6] {
    let ratio = after.millis / before.millis;
    [
        kind.name.to_owned(),
        before.name.to_owned(),
        format!("{:.2}", before.millis),
        format!("{:.2}", after.millis),
        format!("{ratio:.2}"),
        met(ratio <= READ_TARGET).to_owned(),
    ]
}

struct Read {
    name: &'static str,
    millis: f64,
    points: Vec<Point>,
}

/// How long reads of the first NIC take, and what they say.
async fn times(store: &dyn Query, options: &Options) -> anyhow::Result<Vec<Read>> {
    const MINUTE: u64 = 120 * INTERVAL_NS;
    let whole = options.hours * 60 * MINUTE;
    let mut reads = Vec::new();
    for (name, from, length) in [
        ("a sample", 17 * MINUTE, INTERVAL_NS),
        ("a minute", 17 * MINUTE, MINUTE),
        ("15 minutes", 17 * MINUTE, 15 * MINUTE),
        ("an hour", 0, 60 * MINUTE),
        ("all", 0, whole),
    ] {
        let range = SeriesRange {
            client: "web".to_owned(),
            nic: "eth0".to_owned(),
            from_ns: WallNs(START_NS + from),
            to_ns: WallNs(START_NS + from + length),
            limit: 1000,
            resolution: Some(Resolution::Raw),
        };
        let (mut turns, mut points) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let begun = Instant::now();
            points = store.series(&range).await?.points;
            turns.push(millis(begun.elapsed()));
        }
        reads.push(Read { name, millis: median(turns), points });
    }
    Ok(reads)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The batches of an agent with NICs of a kind: all of them have 10 s of samples.
async fn batches(
    kind: &Kind,
    nics: u64,
    hours: u64,
    store: &dyn Store,
) -> anyhow::Result<Vec<Arc<Batch>>> {
    let (client, session) = (ClientId::new("web")?, SessionId::new(1));
    let sessions = vec![Session { session, started_ns: WallNs(START_NS) }];
    let hello = Hello { sessions, ..Hello::default() };
    let opened = store.open_sessions(&client, &hello, WallNs(START_NS)).await?;
    let epoch = opened.first().context("no session")?.epoch;
    let mut totals: Vec<[Counts; 2]> = vec![Default::default(); usize::try_from(nics)?];
    let rows: Vec<Vec<Point>> = (0..nics).map(|nic| kind.rows(nic, hours * HOUR)).collect();
    let mut batches = Vec::new();
    for first in (0..usize::try_from(hours * HOUR)?).step_by(BATCH) {
        let mut frames = Vec::new();
        for at in first..first + BATCH {
            let mut samples = Vec::new();
            for (nic, (rows, totals)) in rows.iter().zip(&mut totals).enumerate() {
                samples.push(sample(&format!("eth{nic}"), &rows[at], totals)?);
            }
            let (first_seq, last_seq) = (Seq(at as u64 + 1), Seq(at as u64 + 1));
            let (mixes, talkers) = (vec![], vec![]);
            frames.push(Frame { session, first_seq, last_seq, gap: 0, samples, mixes, talkers });
        }
        let batch = SessionBatch::new(client.clone(), session, epoch, Seq(first as u64), frames);
        batches.push(Arc::new(Batch::new(vec![batch])));
    }
    Ok(batches)
}

fn sample(nic: &str, row: &Point, [rx, tx]: &mut [Counts; 2]) -> anyhow::Result<Sample> {
    let counts = |totals: &mut Counts, row: &PointCounts| {
        totals.total_bytes = Bytes(totals.total_bytes.get() + row.bytes.get());
        totals.total_packets = Packets(totals.total_packets.get() + row.packets.get());
        Counts {
            bytes: row.bytes,
            packets: row.packets,
            captured: row.captured,
            peak_1ms_bytes: row.peak_1ms_bytes,
            peak_10ms_bytes: row.peak_10ms_bytes,
            ..*totals
        }
    };
    Ok(Sample {
        nic: NicName::new(nic).context("no name of a NIC")?,
        start_ns: row.start_ns,
        interval_ns: row.interval_ns,
        rx: counts(rx, &row.rx),
        tx: counts(tx, &row.tx),
        drops: row.drops,
        flags: row.flags,
        ..Sample::default()
    })
}
