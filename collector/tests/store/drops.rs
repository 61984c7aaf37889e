//! Retention beside others: commits of old rows, and tables that can't be had.

use std::time::{Duration, Instant};

use collector::store::{Check, Commit, Retain, RetentionLimits, Store};

use crate::batches::{Agent, DAY, SECOND, START, client, hello, sample};
use crate::cluster;
use crate::postgres::{Postgres, fresh, midnight, store};
use crate::suite::Place;

/// Waits until somebody in the database waits for a lock.
pub async fn somebody_waits(place: &Postgres) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.numbers(waiting).await == [0] {
        assert!(Instant::now() < deadline, "nobody waits for a lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_old_rows_and_the_drop_of_their_day_do_not_wait_for_each_other() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(31);
    store.commit(&agent.next(vec![sample("eth0", old + SECOND, 1)])).await.unwrap();
    // A commit of another collector that has come as far as today's rows.
    let commit = cluster::client(&place.url).await;
    let insert = |time: u64| {
        let figures = [", 0"; 23].concat();
        format!("INSERT INTO bandwidth_1m VALUES (1, 1, to_timestamp({}){figures})", time / SECOND)
    };
    commit.batch_execute(&format!("BEGIN; {}", insert(midnight(0)))).await.unwrap();
    let retain = tokio::spawn({
        let store = store.clone();
        async move { store.retain(&RetentionLimits::default(), midnight(0) + SECOND).await }
    });
    somebody_waits(&place).await;
    // And goes on to those of the day that is being dropped.
    commit.batch_execute(&insert(old + 7200 * SECOND)).await.unwrap();
    commit.batch_execute("COMMIT").await.unwrap();
    let retained = retain.await.unwrap().unwrap();
    assert_eq!(retained.partitions, 2, "of samples and of minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_made_and_another_dropped_without_waiting_for_each_other() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    for n in 0..8 {
        let old = midnight(20 + n) + SECOND;
        store.commit(&agent.next(vec![sample("eth0", old, 1)])).await.unwrap();
        // Drops that day, while the next commits make others.
        let retain = tokio::spawn({
            let store = store.clone();
            async move { store.retain(&RetentionLimits::default(), midnight(0)).await }
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
    store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let days = (0..3).map(|n| sample("eth0", midnight(500) + n * DAY, 1));
    store.commit(&agent.next(days.collect())).await.unwrap();
    let rows = "SELECT count(*) FROM bandwidth_stats_default UNION ALL
                SELECT count(*) FROM bandwidth_5m_default";
    assert_eq!(place.numbers(rows).await, [3, 3]);
    let ahead = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'traffic_mix'::regclass";
    let made = place.numbers(ahead).await[0];
    // Not those of today: some must be made anew.
    let drop = format!("DROP TABLE traffic_mix_p{}", midnight(0) / DAY + 1);
    place.execute(&drop).await;
    place.execute("ALTER TABLE bandwidth_stats_default RENAME TO gone").await;
    let error = store.retain(&RetentionLimits::default(), midnight(0)).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("bandwidth_stats: ") && !error.contains("bandwidth_5m"), "{error}");
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_5m_default").await, [0]);
    assert_eq!(place.numbers(ahead).await, [made], "the next days' partitions are made");
    place.execute("ALTER TABLE gone RENAME TO bandwidth_stats_default").await;
    let retained = store.retain(&RetentionLimits::default(), midnight(0)).await.unwrap();
    let nics = 1;
    assert_eq!(retained.rows, 3 + nics, "the NIC has no rows left");
    assert!(store.check().await.unwrap().is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_default_partition_holds_is_deleted_in_steps_and_its_sums_are_kept() {
    let place = fresh().await;
    let store = store(&place.url);
    store.open_sessions(&client("web"), &hello(&[1]), START).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let old = midnight(600);
    let samples = (0..100).map(|n| sample("eth0", old + n * SECOND, n)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    // Many more than one step deletes, some at the same moments.
    let more =
        "INSERT INTO bandwidth_stats SELECT time + n % 350 * interval '1 s', interval_ns, 0, 0,
                    client, nic, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
                FROM bandwidth_stats, generate_series(1, 351) AS n";
    place.execute(more).await;
    store.commit(&agent.next(vec![sample("eth0", midnight(0), 1)])).await.unwrap();
    let retained = store.retain(&RetentionLimits::default(), midnight(0) + SECOND).await.unwrap();
    let rollups = 2 + 1;
    assert_eq!(retained.rows, 100 * 352 + rollups);
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [1]);
    assert!(store.check().await.unwrap().is_sound());
}
