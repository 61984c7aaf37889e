//! `bench packing`: what packing samples and mixes in a store takes and gives: bytes, CPU beside that of storing
//! them, commits meanwhile, and reads before and after.

mod feed;
mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use collector::store::{Batch, Commit, Database, NicRange, Point, Query, Resolution, SeriesRange};
use wire::WallNs;
use wire::frame::Mix;

use self::feed::{HOUR, STEP, batches, hours_before_today};
use self::place::{PackingEngine, PackingPlace};
use crate::packed::traffic::{INTERVAL_NS, KINDS, Kind};
use crate::table::{Table, median, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Agents, each with two NICs of the same kind
    #[arg(long, default_value_t = 20)]
    agents: u64,
    /// Hours of samples, one every 500 ms, and of mixes, one every 10 s; an even number
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..))]
    hours: u64,
    /// The store
    #[arg(long, value_enum, default_value_t = PackingEngine::Sqlite)]
    store: PackingEngine,
}

/// Commits before packing begins, whose times are compared with those while it packs.
const ALONE: usize = 200;

/// Pause between these commits: shorter than that of a collector, so that there are many while it packs.
const PAUSE: Duration = Duration::from_millis(50);

/// Turns of each read: at least so many, and for so long.
const LEAST_TURNS: usize = 5;
const TURNS_TIME: Duration = Duration::from_millis(500);

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
    let mut sizes = Table::new(&["rows", "number", "B before", "B after", "target"]);
    let mut costs = Table::new(&[
        "CPU per sample with its share of mixes",
        "storing, us",
        "of which database",
        "packing, us",
        "of which database",
        "of storing",
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
        measured.sizes.into_iter().for_each(|row| sizes.row(row));
        costs.row(measured.costs);
        commits.row(measured.commits);
        measured.reads.into_iter().for_each(|row| reads.row(row));
    }
    sizes.print();
    costs.print();
    commits.print();
    reads.print();
    println!(
        "bytes are of the whole table with its index, a row; storing is that of batches of 2 s, without the \
         network: `bench swarm` prints what a sample costs the whole collector; times of reads are medians \
         of {LEAST_TURNS} turns or more"
    );
    Ok(())
}

struct Measured {
    sizes: [[String; 5]; 2],
    costs: [String; 7],
    commits: [String; 10],
    reads: Vec<[String; 6]>,
}

async fn measure(kind: &Kind, options: &Options) -> anyhow::Result<Measured> {
    let place = PackingPlace::new(options.store)?;
    let store = place.open()?;
    let samples = 2 * options.agents * options.hours * HOUR;
    let mixes = samples / STEP.mix();
    let start_ns = hours_before_today(options.hours)?;
    let after = |hours: u64| start_ns + hours * HOUR * INTERVAL_NS;
    let batches =
        batches(kind, options.agents, [start_ns, after(options.hours + 1)], &*store).await?;
    let (stored, live) = batches.split_at(usize::try_from(options.hours * STEP.batches_of_hour())?);
    let used = place.cpu_ns();
    for batch in stored {
        store.commit(batch).await?;
    }
    let storing = Cpu::since(used, &place, samples);
    let (mut live, mut alone) = (live.iter(), Vec::new());
    for batch in live.by_ref().take(ALONE) {
        alone.push(paced(&*store, batch).await?);
    }
    let bytes = |tables: [&str; 2]| -> anyhow::Result<[u64; 2]> {
        let [samples, mixes] = tables.map(|table| place.bytes(table));
        Ok([samples?, mixes?])
    };
    let before = (
        bytes(["hot_samples", "hot_mixes"])?,
        times(&*store, [start_ns, after(options.hours)]).await?,
    );
    // Half of the hours are packed alone, the others beside commits.
    let used = place.cpu_ns();
    store.pack(after(options.hours / 2)).await?;
    let packing = Cpu::since(used, &place, samples / options.hours * (options.hours / 2));
    let beside = beside(&store, live, after(options.hours)).await?;
    anyhow::ensure!(store.check().await?.is_sound(), "fsck finds something");
    let after = (
        bytes(["packed_samples", "packed_mixes"])?,
        times(&*store, [start_ns, after(options.hours)]).await?,
    );
    for (before, after) in before.1.iter().zip(&after.1) {
        anyhow::ensure!(before.read == after.read, "{} reads otherwise", before.name);
    }
    let share = packing.all / storing.all;
    let [of_samples, of_mixes] = [0, 1].map(|at| [before.0[at], after.0[at]]);
    Ok(Measured {
        sizes: [
            sizes_row(kind, "samples", samples, of_samples, Some(options.store.most_bytes(kind))),
            sizes_row(kind, "mixes", mixes, of_mixes, None),
        ],
        costs: [
            kind.name.to_owned(),
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

/// How long commits take while the store packs what is older than a time, milliseconds.
async fn beside<'live>(
    store: &Arc<dyn Database>,
    mut live: impl Iterator<Item = &'live Arc<Batch>>,
    before_ns: WallNs,
) -> anyhow::Result<Vec<f64>> {
    let packs = store.clone();
    let packing = tokio::spawn(async move { packs.pack(before_ns).await });
    let mut beside = Vec::new();
    while !packing.is_finished() {
        let Some(batch) = live.next() else { break };
        beside.push(paced(&**store, batch).await?);
    }
    packing.await??;
    store.pack(before_ns).await?;
    Ok(beside)
}

/// How long a commit takes, milliseconds; waits before the next one.
async fn paced(store: &dyn Database, batch: &Arc<Batch>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    store.commit(batch).await?;
    let took = millis(begun.elapsed());
    tokio::time::sleep(PAUSE).await;
    Ok(took)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn sizes_row(
    kind: &Kind,
    of: &str,
    rows: u64,
    bytes: [u64; 2],
    target: Option<f64>,
) -> [String; 5] {
    let [before, after] = bytes.map(|bytes| bytes as f64 / rows as f64);
    let target = target.map(|most| format!("{most:.0} {}", met(after <= most)));
    [
        format!("{} {of}", kind.name),
        rows.to_string(),
        format!("{before:.1}"),
        format!("{after:.1}"),
        target.unwrap_or_default(),
    ]
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
    read: (Vec<Point>, Mix),
}

/// How long reads of the first NIC take, and what they say.
async fn times(store: &dyn Query, [start_ns, end_ns]: [WallNs; 2]) -> anyhow::Result<Vec<Read>> {
    const MINUTE: u64 = 120 * INTERVAL_NS;
    let mut reads = Vec::new();
    for (name, from, length) in [
        ("a sample", 17 * MINUTE, INTERVAL_NS),
        ("a minute", 17 * MINUTE, MINUTE),
        ("15 minutes", 17 * MINUTE, 15 * MINUTE),
        ("an hour", 0, 60 * MINUTE),
        ("all", 0, end_ns - start_ns),
    ] {
        let range = SeriesRange {
            client: "web-0".to_owned(),
            nic: "eth0".to_owned(),
            from_ns: start_ns + from,
            to_ns: start_ns + from + length,
            limit: 1000,
            resolution: Some(Resolution::Raw),
        };
        let (millis, points) = repeated(async || Ok(store.series(&range).await?.points)).await?;
        reads.push(Read { name, millis, read: (points, Mix::default()) });
    }
    let range = NicRange {
        client: "web-0".to_owned(),
        nic: "eth0".to_owned(),
        from_ns: start_ns,
        to_ns: end_ns,
    };
    let (millis, mix) = repeated(async || Ok(store.mix(&range).await?)).await?;
    reads.push(Read { name: "mixes of all", millis, read: (Vec::new(), mix) });
    Ok(reads)
}

/// How long a read takes, the median of many turns, and what it reads in the last one.
async fn repeated<T>(read: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let (started, mut turns) = (Instant::now(), Vec::new());
    loop {
        let begun = Instant::now();
        let found = read().await?;
        turns.push(millis(begun.elapsed()));
        if turns.len() >= LEAST_TURNS && started.elapsed() >= TURNS_TIME {
            return Ok((median(turns), found));
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
