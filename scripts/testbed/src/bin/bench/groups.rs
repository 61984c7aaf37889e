//! `bench groups`: how long both stores take to add up the traffic of groups of many clients over long
//! ranges, from the rows of `bandwidth_5m` and from packed days. Both answers must be the same.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::sqlite::SqliteStore;
use collector::store::{
    Batch, Commit, Database, FIVE_MINUTES_NS, Group, GroupsRange, SessionBatch,
};
use rusqlite::Connection;
use testbed::Cluster;
use tokio_postgres::NoTls;
use wire::frame::{Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Session};
use wire::tag::{Tag, TagKey, TagSet};
use wire::{Seq, WallNs};

use crate::table::Table;

const HOUR_NS: u64 = 12 * FIVE_MINUTES_NS;
const DAY_NS: u64 = 24 * HOUR_NS;

/// Groups of the fleet.
const SITES: u64 = 20;

/// Days of the longest range: older ones than those filled are copies of packed days.
const LONGEST: u64 = 400;

/// Options of `bench groups`.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients, with two NICs each
    #[arg(long, default_value_t = 1000)]
    clients: u64,
    /// Days with rows; 17 million rows of 1,000 clients are 2 GB
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// Leave the embedded store out
    #[arg(long)]
    no_sqlite: bool,
    /// Leave PostgreSQL out
    #[arg(long)]
    no_postgres: bool,
}

/// Runs the benchmark.
///
/// # Errors
/// A store fails, or answers differently from packed days.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!(
        "{} clients x 2 NICs, {} days of rows, {} sites; seconds:",
        options.clients, options.days, SITES
    );
    runtime.block_on(async {
        if !options.no_sqlite {
            sqlite(options).await?;
        }
        if !options.no_postgres {
            postgres(options).await?;
        }
        Ok(())
    })
}

async fn sqlite(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("netmon.sqlite");
    let store = SqliteStore::open(&path)?;
    let bench = Bench::prepare(&store, options).await?;
    execute(&path, &bench.fill("s * 1000000000", "", "nics n CROSS JOIN times"))?;
    let rows = bench.read("SQLite", "rows").await?;
    let packing = bench.pack().await?;
    execute(&path, &bench.copies())?;
    bench.report("SQLite", &rows, packing).await
}

fn execute(path: &Path, sql: &str) -> anyhow::Result<()> {
    Ok(Connection::open(path)?.execute_batch(sql)?)
}

async fn postgres(options: &Options) -> anyhow::Result<()> {
    let cluster = Cluster::start_plain();
    let _set = cluster.psql("postgres", "ALTER SYSTEM SET max_wal_size = '8GB'");
    let _told = cluster.psql("postgres", "SELECT pg_reload_conf()");
    let url = cluster.new_database();
    let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
    let store = PostgresStore::new(config);
    let bench = Bench::prepare(&store, options).await?;
    let (bare, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    bare.batch_execute(&bench.fill("to_timestamp(s)", "::bigint", "times CROSS JOIN nics n"))
        .await?;
    bare.batch_execute("VACUUM ANALYZE").await?;
    let rows = bench.read("PostgreSQL", "rows").await?;
    let packing = bench.pack().await?;
    bare.batch_execute(&bench.copies()).await?;
    bare.batch_execute("VACUUM ANALYZE").await?;
    bench.report("PostgreSQL", &rows, packing).await
}

/// The answer to a question, and how long it took.
#[derive(Debug)]
struct Answer {
    question: &'static str,
    took: Duration,
    groups: Vec<Group>,
}

struct Bench<'a> {
    store: &'a dyn Database,
    clients: u64,
    days: u64,
    /// The end of the last whole day.
    end_ns: u64,
}

impl<'a> Bench<'a> {
    /// A store with the clients, their NICs and tags, and a sample a day, for which the store makes what it
    /// needs.
    async fn prepare(store: &'a dyn Database, options: &Options) -> anyhow::Result<Self> {
        let now_ns = std::time::UNIX_EPOCH.elapsed()?.as_nanos();
        let end_ns = u64::try_from(now_ns)? / DAY_NS * DAY_NS;
        let Options { clients, days, .. } = *options;
        let bench = Self { store, clients, days, end_ns };
        let start_ns = WallNs(end_ns - LONGEST * DAY_NS);
        for number in 1..=clients {
            let id = ClientId::new(&format!("host-{number:04}"))?;
            let session = SessionId::new(number);
            let hello = Hello {
                sessions: vec![Session { session, started_ns: start_ns }],
                ..Hello::default()
            };
            let opened = store.open_sessions(&id, &hello, start_ns).await?;
            let site = Tag::new("site", &format!("site-{:02}", number % SITES))?;
            store.record_tags(&id, &TagSet::new([site])?, start_ns, start_ns).await?;
            let days = if number == 1 { days } else { 1 };
            let samples = (1..=days).flat_map(|day| {
                ["eth0", "eth1"].map(|nic| Sample {
                    nic: NicName::new(nic).unwrap_or_default(),
                    start_ns: WallNs(end_ns - day * DAY_NS),
                    interval_ns: FIVE_MINUTES_NS,
                    ..Sample::default()
                })
            });
            let (samples, mixes) = (samples.collect(), vec![]);
            let (first_seq, last_seq) = (Seq(1), Seq(1));
            let frames = vec![Frame {
                session,
                first_seq,
                last_seq,
                gap: 0,
                samples,
                mixes,
                talkers: vec![],
            }];
            let epoch = opened.first().context("no session")?.epoch;
            let batch = SessionBatch::new(id, session, epoch, Seq(0), frames);
            store.commit(&std::sync::Arc::new(Batch::new(vec![batch]))).await?;
        }
        Ok(bench)
    }

    /// Rows for all NICs, from what is joined in an order that the store fills fast.
    fn fill(&self, time: &str, big: &str, joined: &str) -> String {
        let (first, end) =
            ((self.end_ns - self.days * DAY_NS) / 1_000_000_000, self.end_ns / 1_000_000_000);
        // Arbitrary figures that neither grow nor repeat.
        let figure =
            |prime: u64, below: u64| format!("(s / 300{big} * {prime} + n.id * 104729) % {below}");
        format!(
            "WITH RECURSIVE times (s) AS (SELECT {first}{big} UNION ALL SELECT s + 300 FROM times
                 WHERE s + 300 < {end})
             INSERT INTO bandwidth_5m (client, nic, time, samples, covered_ns, rx_bytes, tx_bytes,
                 rx_packets, tx_packets, rx_captured, tx_captured, rx_peak_1ms_bytes, tx_peak_1ms_bytes,
                 rx_peak_10ms_bytes, tx_peak_10ms_bytes, drops, freezes, late, inexact,
                 kernel_rx_packets, kernel_tx_packets, kernel_rx_bytes, kernel_tx_bytes, kernel_dropped,
                 kernel_errors, flags)
             SELECT n.client, n.id, {time}, 600, 300000000000 - {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
                 {}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
             FROM {joined} WHERE true ON CONFLICT (client, nic, time) DO NOTHING",
            figure(7, 1000),
            figure(7919, 50_000_000_017),
            figure(6007, 9_000_000_011),
            figure(5003, 90_000_049),
            figure(4001, 20_000_003),
            figure(3001, 9_000_011),
            figure(2003, 2_000_003),
            figure(1009, 1_250_003),
            figure(907, 1_250_003),
            figure(809, 9_000_011),
            figure(701, 9_000_011),
            figure(601, 3),
        )
    }

    /// Older packed days.
    fn copies(&self) -> String {
        let days = self.days;
        let times: Vec<String> = (1..LONGEST.div_ceil(days)).map(|it| format!("({it})")).collect();
        format!(
            "INSERT INTO client_days (client, day, totals, rates, figures)
             SELECT client, day - {days} * copy.column1, totals, rates, figures
             FROM client_days CROSS JOIN (VALUES {}) AS copy WHERE true
             ON CONFLICT (client, day) DO NOTHING",
            times.join(", ")
        )
    }

    /// Packs all days; returns how long that took.
    async fn pack(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.store.keep_clock(WallNs(self.end_ns + 2 * HOUR_NS)).await?;
        while self.store.end_days().await? {}
        let mut last = self.store.pack_days(None).await?;
        while last.is_some() {
            last = self.store.pack_days(last).await?;
        }
        Ok(begun.elapsed())
    }

    async fn ask(&self, question: &'static str, days: u64, each: bool) -> anyhow::Result<Answer> {
        let by = Some(TagKey::new("site")?).filter(|_| !each);
        let times = (WallNs(self.end_ns - days * DAY_NS), WallNs(self.end_ns));
        // As the API chooses it: at most 300 points.
        let steps = [5, 15, 30, 60, 180, 360, 1440, 10_080].map(|minutes| minutes * 60_000_000_000);
        let step_ns = steps.into_iter().find(|step| days * DAY_NS / step <= 300);
        let range = GroupsRange::new(by, vec![], times, step_ns.unwrap_or(7 * DAY_NS));
        // All days, packed or not.
        let range = GroupsRange { each_client: each, unpacked_max: u64::MAX, ..range };
        let begun = Instant::now();
        let groups = self.store.groups(&range).await?.groups;
        Ok(Answer { question, took: begun.elapsed(), groups })
    }

    /// Asks what rows can answer.
    async fn read(&self, store: &str, from: &str) -> anyhow::Result<Vec<Answer>> {
        eprintln!("{store}: reads {from}");
        Ok(vec![
            self.ask("1 day by site", 1, false).await?,
            self.ask("7 days by site", 7.min(self.days), false).await?,
            self.ask("30 days by site", 30.min(self.days), false).await?,
            self.ask("30 days, each client", 30.min(self.days), true).await?,
        ])
    }

    async fn report(&self, name: &str, rows: &[Answer], packing: Duration) -> anyhow::Result<()> {
        let packed = self.read(name, "packed days").await?;
        let mut table =
            Table::new(&[name, "from rows", "from packed days", "ratio", "same answer"]);
        for (rows, packed) in rows.iter().zip(&packed) {
            let (slow, fast) = (rows.took.as_secs_f64(), packed.took.as_secs_f64());
            let same = rows.groups == packed.groups;
            table.row([
                rows.question.to_owned(),
                format!("{slow:.2}"),
                format!("{fast:.2}"),
                format!("{:.2}", fast / slow),
                same.to_string(),
            ]);
            anyhow::ensure!(same, "{name}: {} differs", rows.question);
        }
        for (question, each) in [("400 days by site", false), ("400 days, each client", true)] {
            let answer = self.ask(question, LONGEST, each).await?;
            let took = format!("{:.2}", answer.took.as_secs_f64());
            table.row([question.to_owned(), "-".into(), took, "-".into(), "-".into()]);
        }
        table.print();
        let days = self.clients * self.days;
        let took = packing.as_secs_f64();
        println!(
            "packing {days} days of clients: {took:.1} s, {:.2} ms each",
            1000.0 * took / days as f64
        );
        Ok(())
    }
}
