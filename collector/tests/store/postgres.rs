//! The suite on PostgreSQL, and features that only PostgreSQL has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::{
    Check, Commit, Database, Query, Resolution, RetentionLimits, Store, StoreError, Tagging,
};
use collector::time::now_ns;
use rustls::RootCertStore;
use settings::InFull;
use testbed::until;
use tokio_postgres::SimpleQueryMessage;
use wire::Packets;
use wire::frame::Sample;
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, SECOND, START, all, batch, client, hello, sample};
use crate::sqlite::of_hot_samples;
use crate::statements::Held;
use crate::suite::{
    FarEnds, Place, ReportRow, SAID, commit_talkers, day,
    few_clients_are_found_beside_many_changes, opened, tags,
};
use crate::{cluster, proxy};

/// A separate database.
pub struct Postgres {
    /// URL for tests.
    pub url: String,
    /// Config of the store.
    pub config: PostgresConfig,
    /// Checks on drop that no statement broke a rule of Citus.
    pub _held: Option<Held>,
}

/// A database on the tests' server, which runs without fsync. On Citus no node dies here, so no
/// transaction stays in doubt for long.
pub fn config(url: &str, authorities: Authorities) -> PostgresConfig {
    let config = PostgresConfig::new(url.parse().unwrap(), authorities).unwrap();
    config.with_unsafe_commits().with_doubt(Duration::from_secs(1))
}

/// The store in a database on the tests' server.
pub fn store(url: &str) -> PostgresStore {
    PostgresStore::new(config(url, Authorities::System))
}

impl Postgres {
    /// Runs a query for one number on the server, and with Citus also on each worker.
    pub async fn numbers_of_nodes(&self, sql: &str) -> Vec<i64> {
        let mut numbers = self.numbers(sql).await;
        let is_citus = "SELECT count(*) FROM pg_extension WHERE extname = 'citus'";
        if self.numbers(is_citus).await == [1] {
            let ask = format!("SELECT result::bigint FROM run_command_on_workers($${sql}$$)");
            numbers.extend(self.numbers(&ask).await);
        }
        numbers
    }
}

impl Place for Postgres {
    async fn open(&self) -> Arc<dyn Database> {
        Arc::new(PostgresStore::new(self.config.clone()))
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let client = cluster::client(&self.url).await;
        let rows = client.simple_query(sql).await.unwrap().into_iter();
        let number = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().parse().unwrap()),
            _ => None,
        };
        rows.filter_map(number).collect()
    }

    async fn execute(&self, sql: &str) {
        cluster::execute(&self.url, &of_hot_samples(sql)).await;
    }

    async fn wait_until_nothing_is_read(&self) {
        let readers = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                           AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
        until("the end of all snapshots", async || self.numbers(readers).await == [0]).await;
    }

    async fn report(&self, client: &str) -> Vec<ReportRow> {
        let connection = cluster::client(&self.url).await;
        let select = "
            SELECT alias, nic, to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'),
                upload_speed, download_speed, avg_upload_packet_size, avg_download_packet_size
            FROM bandwidth_report WHERE client_id = $1 ORDER BY nic, timestamp";
        let rows = connection.query(select, &[&client]).await.unwrap();
        let row = |row: &tokio_postgres::Row| ReportRow {
            alias: row.get(0),
            nic: row.get(1),
            timestamp: row.get(2),
            upload_speed: row.get(3),
            download_speed: row.get(4),
            avg_upload_packet_size: row.get(5),
            avg_download_packet_size: row.get(6),
        };
        rows.iter().map(row).collect()
    }
}

pub async fn fresh() -> Postgres {
    let url = cluster::new_database().await;
    let config = config(&url, Authorities::System);
    let held = Some(Held(url.rsplit('=').next().unwrap().to_owned()));
    Postgres { url, config, _held: held }
}

crate::behaviours!(fresh());

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_talkers_of_a_nic_takes_at_most_two_megabytes() {
    if testbed::citus::running().is_some() {
        return;
    }
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class
                WHERE relkind = 'r' AND relname ~ '^talker'";
    // Days with a partition of their own, as days are.
    for (ago, far) in (2..).zip(FarEnds::ALL) {
        let before = place.numbers(size).await[0];
        commit_talkers(&store, &mut agent, day(midnight(ago), far)).await;
        let bytes = place.numbers(size).await[0] - before;
        println!("a day of talkers, {far:?}: {bytes} bytes");
        assert!((1_000_000..=far.most()).contains(&bytes), "{far:?}: {bytes}");
    }
}

/// Key of the lock that who adds rows shares.
const DAYS_LOCK: i64 = 0x4e44_4159;

#[tokio::test(flavor = "multi_thread")]
async fn days_that_end_while_rows_are_imported_are_noted_later_and_commits_go_on() {
    if testbed::citus::running().is_some() {
        return;
    }
    let place = fresh().await;
    let (store, mut agent) = opened(&place).await;
    let start = midnight(3);
    store.commit(&agent.next(vec![sample("eth0", start, 1)])).await.unwrap();
    store.keep_clock(WallNs(start + 2 * DAY)).await.unwrap();
    // As an import does, for hours.
    let importing = cluster::client(&place.url).await;
    let share = format!("BEGIN; SELECT pg_advisory_xact_lock_shared({DAYS_LOCK})");
    importing.batch_execute(&share).await.unwrap();
    let ending = {
        let store = store.clone();
        tokio::spawn(async move { store.end_days().await })
    };
    let mut slowest = Duration::ZERO;
    let mut commits = 0;
    while !ending.is_finished() || commits < 3 {
        let begun = std::time::Instant::now();
        let one = vec![sample("eth0", start + SECOND + commits, 1)];
        store.commit(&agent.next(one)).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        commits += 1;
    }
    assert!(!ending.await.unwrap().unwrap(), "nothing could be noted");
    println!("the slowest of {commits} commits took {slowest:?}");
    // Days before the first row are noted too if they share its partition.
    let noted = format!("SELECT count(*) FROM client_days WHERE day = {}", start / DAY);
    assert_eq!(place.numbers(&noted).await, [0]);
    importing.batch_execute("COMMIT").await.unwrap();
    assert!(store.end_days().await.unwrap());
    assert_eq!(place.numbers(&noted).await, [1]);
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Failed { location, error }) => format!("{location}: {}", error.in_full()),
        other => panic!("{other:?}"),
    }
}

/// Midnight `days_ago` days ago. Rows of these days have their own partitions.
pub fn midnight(days_ago: u64) -> u64 {
    (now_ns() / DAY - days_ago) * DAY
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_that_start_at_once_make_one_schema() {
    let place = fresh().await;
    let starts = [0; 8].map(|_| {
        let store = store(&place.url);
        tokio::spawn(async move { store.migrate().await })
    });
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let versions = place.numbers("SELECT version FROM netmon_schema ORDER BY version").await;
    assert!(versions.iter().copied().eq(1..=versions.len() as i64), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let place = fresh().await;
    store(&place.url).migrate().await.unwrap();
    place.execute("INSERT INTO netmon_schema VALUES (99)").await;
    let words = failure(store(&place.url).ready().await);
    assert!(words.contains("newer collector") && words.contains("99"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_named_and_waited_for() {
    let place = fresh().await;
    let url = format!("{}_later", place.url);
    let name = url.rsplit('=').next().unwrap();
    // On servers that ran already, an earlier run may have left it.
    place.execute(&format!("DROP DATABASE IF EXISTS {name}")).await;
    let store = store(&url);
    let words = failure(store.ready().await);
    assert!(words.contains("_later") && words.contains("create the database"), "{words}");
    place.execute(&format!("CREATE DATABASE {name}")).await;
    store.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_day_has_a_partition_and_goes_with_it() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let first = midnight(9);
    let samples: Vec<Sample> =
        (0..9).map(|day| sample("eth0", first + day * DAY + SECOND, day)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats_default").await, [0]);
    assert_eq!(place.numbers("SELECT count(DISTINCT tableoid) FROM hot_samples").await, [9]);
    let retained =
        store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await.unwrap();
    // Only two days of samples are old enough.
    assert_eq!((retained.partitions, retained.rows), (2, 0));
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [7]);
    assert!(store.check().await.unwrap().is_sound());
    store.commit(&agent.next(vec![sample("eth0", midnight(0), 1)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats_default").await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_day_that_another_collector_has_dropped_are_stored_all_the_same() {
    let place = fresh().await;
    let (store, other) = (place.open().await, place.open().await);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(9);
    store.commit(&agent.next(vec![sample("eth0", old + SECOND, 1)])).await.unwrap();
    let retained = other.retain(&RetentionLimits::default(), WallNs(midnight(0))).await.unwrap();
    assert_eq!(retained.partitions, 1);
    // This one still believes that the day's partition exists.
    store.commit(&agent.next(vec![sample("eth0", old + 2 * SECOND, 2)])).await.unwrap();
    store.commit(&agent.next(vec![sample("eth0", old + 3 * SECOND, 4)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [2]);
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats_default").await, [0]);
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_came_before_their_partition_move_into_it() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let future = midnight(0) + 20 * DAY;
    store.commit(&agent.next(vec![sample("eth0", future + SECOND, 7)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats_default").await, [1]);
    store.retain(&RetentionLimits::default(), WallNs(future)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats_default").await, [0]);
    let series = store.series(&all("web", "eth0", Resolution::Raw)).await.unwrap();
    assert_eq!(series.points.len(), 1);
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_on_after_the_server_has_cut_its_connections() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for n in 1..5 {
        place.numbers(cut).await;
        let batch = agent.next(vec![sample("eth0", START + n * SECOND, 1)]);
        // Each kept connection may fail once because of the cut, no more.
        let mut tries = 0;
        while let Err(error) = store.commit(&batch).await {
            tries += 1;
            assert!(tries < 8, "{error}");
        }
    }
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(5));
    let series = store.series(&all("web", "eth0", Resolution::Raw)).await.unwrap();
    assert_eq!(series.points.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_with_more_packets_than_any_nic_carries_is_kept_apart() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let mut large = sample("eth0", START, 1);
    large.tx.packets = Packets(1 << 62);
    let frames =
        vec![agent.frame(vec![large]), agent.frame(vec![sample("eth0", START + SECOND, 2)])];
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    assert_eq!(place.numbers("SELECT first_seq FROM quarantine").await, [1]);
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_with_a_nul_does_not_stop_a_client() {
    let place = fresh().await;
    let store = place.open().await;
    let mut hello = hello(&[1]);
    hello.alias = "a\0b".into();
    store.open_sessions(&client("web"), &hello, WallNs(START)).await.unwrap();
    assert_eq!(store.clients().await.unwrap()[0].alias, "a\u{fffd}b");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_collectors_that_commit_the_same_numbers_one_wins() {
    let place = fresh().await;
    let stores = [0; 4].map(|_| store(&place.url));
    let sessions: Vec<u64> = (1..=20).collect();
    stores[0].open_sessions(&client("web"), &hello(&sessions), WallNs(START)).await.unwrap();
    let mut agents: Vec<Agent> =
        sessions.iter().map(|session| Agent::new("web", *session, 1)).collect();
    for n in 0..10 {
        let parts = agents.iter_mut().map(|agent| {
            let frame = agent.frame(vec![sample("eth0", START + n * SECOND, n)]);
            agent.batch(vec![frame])
        });
        let there = batch(parts);
        let mut back = there.clone();
        Arc::make_mut(&mut back).sessions.reverse();
        let commits = stores.iter().zip([&there, &back, &there, &back]).map(|(store, batch)| {
            let (store, batch) = (store.clone(), batch.clone());
            tokio::spawn(async move { store.commit(&batch).await })
        });
        let mut won = 0;
        for commit in commits.collect::<Vec<_>>() {
            match commit.await.unwrap() {
                Ok(_) => won += 1,
                Err(StoreError::Conflict { sessions }) => assert_eq!(sessions.len(), 20),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [200]);
    let report = stores[1].check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_reached_by_tls_must_prove_itself() {
    let place = fresh().await;
    let name = place.url.rsplit('=').next().unwrap();
    let tls = cluster::tls();
    let port = tls.port;
    let url = format!("host=localhost port={port} user=postgres dbname={name} sslmode=require");
    let mut roots = RootCertStore::empty();
    roots.add(tls.certificate.clone()).unwrap();
    let encrypted = PostgresStore::new(config(&url, Authorities::These(roots)));
    encrypted.ready().await.unwrap();
    let by_tls = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                  WHERE ssl AND datname = current_database()";
    assert_eq!(place.numbers(by_tls).await, [1]);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let mut others = RootCertStore::empty();
    others.add(names.self_signed(&key).unwrap().der().clone()).unwrap();
    let fooled = PostgresStore::new(config(&url, Authorities::These(others)));
    let words = failure(fooled.ready().await);
    assert!(words.contains("certificate"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_which_nothing_was_heard_is_settled_and_counted_once() {
    let place = fresh().await;
    let directory = tempfile::tempdir().unwrap();
    let lose = Arc::new(AtomicBool::new(false));
    proxy::lose(directory.path(), lose.clone()).await;
    let name = place.url.rsplit('=').next().unwrap();
    let store = store(&cluster::url(directory.path(), name));
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    for n in 0..10 {
        let batch = agent.next(vec![sample("eth0", START + n * SECOND, n)]);
        store.ready().await.unwrap();
        lose.store(true, Ordering::SeqCst);
        if let Err(error) = store.commit(&batch).await {
            // If the server saw the cut before the COMMIT, nothing is committed.
            assert_eq!(
                store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq,
                Seq(n),
                "{error}"
            );
            store.commit(&batch).await.unwrap();
        }
        assert!(!lose.load(Ordering::SeqCst), "the answer was lost");
    }
    let points = store.series(&all("web", "eth0", Resolution::Raw)).await.unwrap().points;
    assert_eq!(points.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_bandwidth_p95_is_the_server_s_own_discrete_percentile() {
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    for intervals in [1, 19, 20, 21, 119, 120, 121] {
        let from = START + intervals * DAY;
        let at = |n| from + n * 300 * SECOND;
        let samples = (0..intervals).map(|n| sample("eth0", at(n), n * 7919 % 1009)).collect();
        store.commit(&agent.next(samples)).await.unwrap();
        let limits =
            format!("to_timestamp({}), to_timestamp({})", from / SECOND, at(intervals) / SECOND);
        let ours = format!("SELECT rx_bits_per_second FROM bandwidth_p95('web', 'eth0', {limits})");
        let own = format!(
            "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY rx_bits_per_second)
             FROM bandwidth_rates_5m WHERE timestamp >= to_timestamp({}) AND timestamp <
             to_timestamp({})",
            from / SECOND,
            at(intervals) / SECOND
        );
        let ours = place.numbers(&ours).await;
        assert_eq!((ours.len(), &ours), (1, &place.numbers(&own).await), "{intervals}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_says_the_same_tags_again_locks_and_writes_nothing() {
    let url = cluster::new_database().await;
    let store = store(&url);
    store.migrate().await.unwrap();
    let (web, at) = (client("web"), |minute: u64| WallNs(START + minute * 60 * SECOND));
    store.open_sessions(&web, &hello(&[1]), at(0)).await.unwrap();
    let db = cluster::client(&url).await;
    // The transactions that wrote and locked the client's row last.
    let version = async || {
        let row = db.query_one("SELECT xmin::text, xmax::text FROM clients", &[]).await.unwrap();
        [0, 1].map(|at| row.get::<_, String>(at))
    };
    let mut before = version().await;
    for (said, minute, writes) in SAID {
        store.record_tags(&web, &tags(said), at(minute), at(minute)).await.unwrap();
        let after = version().await;
        assert_eq!(before != after, writes, "{said:?} at minute {minute}");
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_clients_are_found_beside_many_changes_of_others() {
    let later = "valid_from + i * interval '1 microsecond'";
    few_clients_are_found_beside_many_changes(&fresh().await, later).await;
}
