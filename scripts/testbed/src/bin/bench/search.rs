//! `bench search`: how long both stores take to find which hosts talked to an address in one night, and
//! what their rows take. The rows come through commits, as agents send them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::sqlite::SqliteStore;
use collector::store::{Batch, Commit, Database, Epoch, SessionBatch, TalkerSearch, TalkersFound};
use testbed::Cluster;
use wire::frame::Frame;
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Hello, Session};
use wire::talkers::{KeyKind, Talker, TalkerKey, TalkerList, Talkers, TalkersKind, address_bytes};
use wire::{Bytes, Packets, Seq, WallNs};

use super::table::Table;

const MINUTE_NS: u64 = 60_000_000_000;

/// Minutes committed at a time.
const TOGETHER: u64 = 4;

/// Talkers of a list, as agents send them by default.
const LISTED: u64 = 16;

/// How often each question is asked; the quickest answer counts.
const ASKED: usize = 3;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Clients, with two NICs each
    #[arg(long, default_value_t = 1000)]
    clients: u64,
    /// Hours of the night; of 1,000 clients each is 240,000 rows
    #[arg(long, default_value_t = 12)]
    hours: u64,
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
/// A store fails, or finds something else than was written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Options { clients, hours, .. } = *options;
    let rows = clients * 2 * hours * 60 * 2;
    println!("{clients} clients x 2 NICs, {hours} hours: {rows} rows; seconds:");
    runtime.block_on(async {
        let mut table = Table::new(&["", "SQLite", "PostgreSQL", "NICs found"]);
        let mut answers = [const { Vec::new() }; 2];
        // The same night in both stores.
        let now_ns = u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_nanos())?;
        let end_ns = now_ns / MINUTE_NS * MINUTE_NS - 2 * MINUTE_NS;
        let night = (end_ns - hours * 60 * MINUTE_NS, end_ns);
        if !options.no_sqlite {
            let folder = tempfile::tempdir()?;
            let store: Arc<dyn Database> =
                Arc::new(SqliteStore::open(&folder.path().join("netmon.sqlite"))?);
            answers[0] = measured("SQLite", &store, options, night).await?;
        }
        if !options.no_postgres {
            let cluster = Cluster::start_plain();
            let url = cluster.new_database();
            let config =
                PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
            let store: Arc<dyn Database> = Arc::new(PostgresStore::new(config));
            answers[1] = measured("PostgreSQL", &store, options, night).await?;
        }
        let [sqlite, postgres] = &answers;
        for at in 0..sqlite.len().max(postgres.len()) {
            let [a, b] = [sqlite.get(at), postgres.get(at)];
            let took = |answer: Option<&Answer>| {
                answer.map_or_else(|| "-".to_owned(), |it| format!("{:.2}", it.took.as_secs_f64()))
            };
            let any = a.or(b).context("no answer")?;
            let same = a.zip(b).is_none_or(|(a, b)| a.found == b.found);
            anyhow::ensure!(same, "the stores differ: {}", any.question);
            let nics = any.found.found.len() as u64 + any.found.left_out;
            table.row([any.question.to_owned(), took(a), took(b), nics.to_string()]);
        }
        table.print();
        Ok(())
    })
}

/// The answer to a question, and the shortest time that it took.
#[derive(Debug)]
struct Answer {
    question: &'static str,
    took: Duration,
    found: TalkersFound,
}

async fn measured(
    name: &str,
    store: &Arc<dyn Database>,
    options: &Options,
    (first_ns, end_ns): (u64, u64),
) -> anyhow::Result<Vec<Answer>> {
    let begun = Instant::now();
    fill(store, options, first_ns).await?;
    let took = begun.elapsed().as_secs_f64();
    eprintln!("{name}: filled in {took:.0} s; asks");
    let mut answers = Vec::new();
    for (question, address, prefix, nics) in [
        ("an address of 3 hosts", "203.0.113.7", 32, Some(3)),
        ("an address of all hosts", "10.0.0.53", 32, Some(4 * options.clients)),
        ("an IPv6 address of 2 hosts", "2001:db8::7", 128, Some(2)),
        ("a prefix of all hosts, 10.0.0.0/8", "10.0.0.0", 8, Some(4 * options.clients)),
        ("an address of nobody", "192.0.2.99", 32, Some(0)),
    ] {
        let search = TalkerSearch {
            address: address.parse()?,
            prefix,
            from_ns: WallNs(first_ns),
            to_ns: WallNs(end_ns),
            limit: 100,
        };
        eprintln!("{name}: {question}");
        let mut took = Duration::MAX;
        let mut found = TalkersFound::default();
        for _ in 0..ASKED {
            let begun = Instant::now();
            found = store.search_talkers(&search).await?;
            took = took.min(begun.elapsed());
        }
        let expected = nics.map(|it| it.min(4 * options.clients));
        let number = found.found.len() as u64 + found.left_out;
        anyhow::ensure!(expected.is_none_or(|it| it == number), "{name}: {question}: {number}");
        answers.push(Answer { question, took, found });
    }
    Ok(answers)
}

/// Commits the records of all clients.
async fn fill(store: &Arc<dyn Database>, options: &Options, first_ns: u64) -> anyhow::Result<()> {
    let mut agents: Vec<(ClientId, SessionId, Epoch)> = Vec::new();
    for number in 1..=options.clients {
        let id = ClientId::new(&format!("host-{number:04}"))?;
        let session = SessionId::new(number);
        let start_ns = WallNs(first_ns);
        let hello =
            Hello { sessions: vec![Session { session, started_ns: start_ns }], ..Hello::default() };
        let opened = store.open_sessions(&id, &hello, start_ns).await?;
        agents.push((id, session, opened.first().context("no session")?.epoch));
    }
    let minutes = options.hours * 60;
    for from in (0..minutes.div_ceil(TOGETHER)).map(|it| it * TOGETHER) {
        let mut batches = Vec::new();
        for (number, (id, session, epoch)) in (1..).zip(&agents) {
            let frames = (from..(from + TOGETHER).min(minutes)).map(|minute| Frame {
                session: *session,
                first_seq: Seq(minute + 1),
                last_seq: Seq(minute + 1),
                gap: 0,
                samples: vec![],
                mixes: vec![],
                talkers: ["eth0", "eth1"]
                    .map(|nic| record(number, nic, minute, first_ns + minute * MINUTE_NS))
                    .into(),
            });
            let frames = frames.collect();
            batches.push(SessionBatch::new(id.clone(), *session, *epoch, Seq(from), frames));
        }
        store.commit(&Arc::new(Batch::new(batches))).await?;
    }
    Ok(())
}

/// A minute of a NIC: 16 talkers each way, of which half are always the same.
fn record(host: u64, nic: &str, minute: u64, start_ns: u64) -> Talkers {
    let list = |way: u64| {
        let talker = |at: u64| {
            let salt = if at < LISTED / 2 { 0 } else { minute };
            // Spread like digits of a hash (Knuth's multiplier).
            let mixed = (host * 31 + at * 7 + way + salt * 1009)
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(29);
            let [a, b, c, ..] = mixed.to_be_bytes();
            let address = match at {
                0 => [10, 0, 0, 53].into(),
                1 if host <= 3 && nic == "eth0" && way == 0 => [203, 0, 113, 7].into(),
                2 if host <= 2 && nic == "eth1" && way == 1 => {
                    std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into()
                }
                3 => std::net::Ipv6Addr::new(0x2001, 0xdb8, a.into(), b.into(), 0, 0, 0, 9).into(),
                _ => [100 + a % 64, b, c, 1].into(),
            };
            let key = TalkerKey {
                kind: KeyKind::RemoteService as u8,
                protocol: 6,
                port: 443,
                address: address_bytes(address),
                other: [0; 16],
            };
            let bytes = 4_000_000_000 / (at + 1) + u64::from(c);
            Talker { key, bytes: Bytes(bytes), packets: Packets(bytes / 1400), owner: 0 }
        };
        let talkers: Vec<Talker> = (0..LISTED).map(talker).collect();
        let bytes: u64 = talkers.iter().map(|it| it.bytes.get()).sum();
        let packets: u64 = talkers.iter().map(|it| it.packets.get()).sum();
        TalkerList {
            total_bytes: Bytes(bytes + 100_000),
            total_packets: Packets(packets + 100),
            error_bytes: Bytes(10_000),
            unlisted_bytes: Bytes(20_000),
            distinct: 400,
            distinct_error: 12,
            talkers,
        }
    };
    Talkers {
        nic: NicName::new(nic).unwrap_or_default(),
        start_ns: WallNs(start_ns),
        interval_ns: MINUTE_NS,
        kind: TalkersKind::Minute as u8,
        rx: list(0),
        tx: list(1),
        owners: vec![],
    }
}
