//! Retention beside commits of old rows and beside locked tables.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use collector::store::postgres::PostgresStore;
use collector::store::{Check, Commit, Query, Resolution, Retain, RetentionLimits, Store};
use settings::InFull;
use testbed::{in_time, until};
use tokio::net::{UnixListener, UnixStream};
use wire::WallNs;

use crate::batches::{Agent, DAY, SECOND, START, all, client, hello, sample};
use crate::cluster;
use crate::postgres::{Postgres, fresh, midnight, store};
use crate::suite::Place;

/// Waits until a session of the database waits for a lock.
pub async fn somebody_waits(place: &Postgres) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("somebody to wait for a lock", async || place.numbers(waiting).await != [0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_old_rows_and_the_drop_of_their_day_do_not_wait_for_each_other() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(31);
    store.commit(&agent.next(vec![sample("eth0", old + SECOND, 1)])).await.unwrap();
    // A commit of another collector that has inserted today's rows.
    let commit = cluster::client(&place.url).await;
    let insert = |time: u64| {
        let figures = [", 0"; 23].concat();
        format!("INSERT INTO bandwidth_1m VALUES (1, 1, to_timestamp({}){figures})", time / SECOND)
    };
    commit.batch_execute(&format!("BEGIN; {}", insert(midnight(0)))).await.unwrap();
    let retain = tokio::spawn({
        let store = store.clone();
        async move { store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await }
    });
    somebody_waits(&place).await;
    // It continues with rows of the day that is being dropped.
    commit.batch_execute(&insert(old + 7200 * SECOND)).await.unwrap();
    commit.batch_execute("COMMIT").await.unwrap();
    let retained = retain.await.unwrap().unwrap();
    assert_eq!(retained.partitions, 2, "of samples and of minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_another_collector_drops_first_is_no_failure() {
    let place = fresh().await;
    let one = store(&place.url);
    one.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    one.commit(&agent.next(vec![sample("eth0", midnight(31) + SECOND, 1)])).await.unwrap();
    // Both have listed the partitions before either drops one.
    let readers = async |table: &str| {
        let reader = cluster::client(&place.url).await;
        let lock = format!("BEGIN; LOCK TABLE ONLY {table} IN ACCESS SHARE MODE");
        reader.batch_execute(&lock).await.unwrap();
        let waiting = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        (reader, waiting)
    };
    let readers = [readers("hot_samples").await, readers("bandwidth_5m").await];
    let limits = RetentionLimits {
        rollup_5m: Duration::from_secs(10 * 86_400),
        ..RetentionLimits::default()
    };
    let retained = [one, store(&place.url)].map(|store| {
        tokio::spawn(async move { store.retain(&limits, WallNs(midnight(0) + SECOND)).await })
    });
    for (reader, waiting) in readers {
        // On Citus a lock is taken on one node after the other.
        let both = async || place.numbers_of_nodes(&waiting).await.iter().sum::<i64>() == 2;
        until("both to wait", both).await;
        reader.batch_execute("COMMIT").await.unwrap();
    }
    let mut dropped = 0;
    for retained in retained {
        dropped += retained.await.unwrap().unwrap().partitions;
    }
    assert_eq!(dropped, 3, "of samples, of minutes and of five minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_made_and_another_dropped_without_waiting_for_each_other() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    for n in 0..8 {
        let old = midnight(20 + n) + SECOND;
        store.commit(&agent.next(vec![sample("eth0", old, 1)])).await.unwrap();
        // Drops that day while the next commits make other partitions.
        let retain = tokio::spawn({
            let store = store.clone();
            async move { store.retain(&RetentionLimits::default(), WallNs(midnight(0))).await }
        });
        let other = crate::postgres::store(&place.url);
        for days in 8..12 {
            let day = midnight(days + 1) + n * 60 * SECOND;
            other.commit(&agent.next(vec![sample("eth0", day, 1)])).await.unwrap();
        }
        retain.await.unwrap().unwrap();
    }
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_can_not_be_had_keeps_no_other_from_shrinking() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let days = (0..3).map(|n| sample("eth0", midnight(500) + n * DAY, 1));
    store.commit(&agent.next(days.collect())).await.unwrap();
    let rows = "SELECT count(*) FROM bandwidth_stats_default UNION ALL
                SELECT count(*) FROM bandwidth_5m_default";
    assert_eq!(place.numbers(rows).await, [3, 3]);
    let ahead = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'hot_mixes'::regclass";
    let made = place.numbers(ahead).await[0];
    // Not today's partitions: some must be made again.
    let drop = format!("DROP TABLE traffic_mix_p{}", midnight(0) / DAY + 1);
    place.execute(&drop).await;
    place.execute("ALTER TABLE bandwidth_stats_default RENAME TO gone").await;
    let error = store.retain(&RetentionLimits::default(), WallNs(midnight(0))).await.unwrap_err();
    let error = error.in_full().to_string();
    assert!(error.contains("hot_samples: ") && !error.contains("bandwidth_5m"), "{error}");
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_5m_default").await, [0]);
    assert_eq!(place.numbers(ahead).await, [made], "the next days' partitions are made");
    place.execute("ALTER TABLE gone RENAME TO bandwidth_stats_default").await;
    let retained = store.retain(&RetentionLimits::default(), WallNs(midnight(0))).await.unwrap();
    let nics = 1;
    assert_eq!(retained.rows, 3 + nics, "the NIC has no rows left");
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_default_partition_holds_is_deleted_in_steps_and_its_sums_are_kept() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(600);
    let samples = (0..100).map(|n| sample("eth0", old + n * SECOND, n)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    // Many more than one step deletes, several with equal times.
    let more = "INSERT INTO hot_samples SELECT time + n % 350 * interval '1 s', interval_ns, 0, 0,
                    client, nic, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
                FROM bandwidth_stats, generate_series(1, 351) AS n";
    place.execute(more).await;
    store.commit(&agent.next(vec![sample("eth0", midnight(0), 1)])).await.unwrap();
    let retained =
        store.retain(&RetentionLimits::default(), WallNs(midnight(0) + SECOND)).await.unwrap();
    let rollups = 2 + 1;
    assert_eq!(retained.rows, 100 * 352 + rollups);
    // On a worker of Citus, the name of an index ends with the number of its shard.
    let by_time = "SELECT count(*) FROM pg_stat_user_indexes
                   WHERE indexrelname ~ '^bandwidth_stats_default_time(_[0-9]+)?$' AND idx_scan > 0";
    // The server reports a session's statistics once it is idle.
    until("a step that reads by time", async || {
        place.numbers_of_nodes(by_time).await.iter().any(|scanned| *scanned > 0)
    })
    .await;
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [1]);
    assert!(store.check().await.unwrap().is_sound());
}

/// A store with samples of an old day, all in one 5-minute partition, and one sample of today.
async fn with_an_old_partition(place: &Postgres) -> (PostgresStore, Agent) {
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(31);
    let samples = (0..100).map(|n| sample("eth0", old + n * SECOND, n)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    store.commit(&agent.next(vec![sample("eth0", midnight(0), 1)])).await.unwrap();
    (store, agent)
}

/// Limits that delete rows of `bandwidth_5m` older than 15 days.
fn short() -> RetentionLimits {
    RetentionLimits { rollup_5m: Duration::from_secs(15 * 86_400), ..RetentionLimits::default() }
}

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits
    WHERE inhparent = 'bandwidth_5m'::regclass AND inhrelid::regclass::text <> 'bandwidth_5m_default'";
const EXPIRING: &str = "SELECT count(*) FROM pg_class WHERE relname LIKE 'expiring%'";

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_five_minutes_is_summed_up_while_others_commit_and_read() {
    let place = fresh().await;
    let (store, mut agent) = with_an_old_partition(&place).await;
    let partitions = place.numbers(PARTITIONS).await[0];
    // Holds up the storing of its sums.
    let slow = cluster::client(&place.url).await;
    slow.batch_execute("BEGIN; SELECT 1 FROM nics FOR NO KEY UPDATE").await.unwrap();
    let retain = tokio::spawn({
        let store = store.clone();
        async move { store.retain(&short(), WallNs(midnight(0) + SECOND)).await }
    });
    somebody_waits(&place).await;
    assert_eq!(place.numbers(EXPIRING).await, [1]);
    let beside = async {
        let next = vec![sample("eth0", midnight(0) + 300 * SECOND, 1)];
        store.commit(&agent.next(next)).await.unwrap();
        store.series(&all("web", "eth0", Resolution::FiveMinutes)).await.unwrap()
    };
    // Nobody ends the transaction that holds the sums up before this has.
    let series = in_time("a commit and a reader, which don't wait for the sums", beside).await;
    assert_eq!(series.points.len(), 2);
    assert!(!retain.is_finished(), "the sums are not kept yet");
    slow.batch_execute("COMMIT").await.unwrap();
    retain.await.unwrap().unwrap();
    assert_eq!(place.numbers(PARTITIONS).await, [partitions - 1]);
    assert_eq!(place.numbers(EXPIRING).await, [0]);
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_ends_half_way_loses_no_sum_and_goes_on_next_time() {
    let place = fresh().await;
    let (store, _) = with_an_old_partition(&place).await;
    let slow = cluster::client(&place.url).await;
    slow.batch_execute("BEGIN; SELECT 1 FROM nics FOR NO KEY UPDATE").await.unwrap();
    let retain = tokio::spawn({
        let store = store.clone();
        async move { store.retain(&short(), WallNs(midnight(0) + SECOND)).await }
    });
    somebody_waits(&place).await;
    let end = "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(place.numbers(end).await, [1]);
    let error = retain.await.unwrap().unwrap_err().in_full().to_string();
    assert!(error.contains("bandwidth_5m: "), "{error}");
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(place.numbers(EXPIRING).await, [1]);
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_5m").await, [1]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    // One of two collectors continues it.
    let other = crate::postgres::store(&place.url);
    let (limits, now) = (short(), midnight(0) + SECOND);
    let (one, two) =
        tokio::join!(store.retain(&limits, WallNs(now)), other.retain(&limits, WallNs(now)));
    assert_eq!(one.unwrap().partitions + two.unwrap().partitions, 1);
    assert_eq!(place.numbers(EXPIRING).await, [0]);
    let kept = "SELECT count(*) FROM nics WHERE expired_rx_packets > 0";
    assert_eq!(place.numbers(kept).await, [1]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

/// A gate before the server: once shut, it refuses and counts connections.
async fn gate(directory: &Path, refused: Arc<AtomicU64>, shut: Arc<AtomicBool>) {
    let server = cluster::socket();
    let listener = UnixListener::bind(directory.join(server.file_name().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            if shut.load(Ordering::SeqCst) {
                refused.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let mut far = UnixStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                // Ends with either side.
                let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_tried_once_however_much_there_is_to_do() {
    let place = fresh().await;
    let directory = tempfile::tempdir().unwrap();
    let (refused, shut) = (Arc::default(), Arc::default());
    gate(directory.path(), Arc::clone(&refused), Arc::clone(&shut)).await;
    let name = place.url.rsplit('=').next().unwrap();
    let store = store(&cluster::url(directory.path(), name));
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", midnight(0), 1)])).await.unwrap();
    shut.store(true, Ordering::SeqCst);
    let cut = "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'netmon-collector'";
    place.numbers(cut).await;
    let count = || refused.swap(0, Ordering::SeqCst);
    let error = store.retain(&RetentionLimits::default(), WallNs(midnight(0))).await.unwrap_err();
    assert!(!error.in_full().to_string().contains("bandwidth"), "{error}");
    assert_eq!(count(), 1, "attempts of retention");
    let days = (3..9).map(|day| sample("eth0", midnight(day), 1)).collect();
    let error = store.commit(&agent.next(days)).await.unwrap_err();
    assert!(!error.in_full().to_string().contains("bandwidth"), "{error}");
    assert_eq!(count(), 1, "attempts of a commit that needs many partitions");
}
