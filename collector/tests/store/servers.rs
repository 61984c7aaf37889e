//! Rows on several servers without Citus: a table behind postgres_fdw, and two-phase commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use collector::store::postgres::PostgresStore;
use collector::store::{Check, Commit, Store};
use testbed::PATIENCE;
use testbed::postgres::Cluster;
use wire::WallNs;

use crate::batches::{Agent, SECOND, START, client, hello, sample};
use crate::cluster;
use crate::drops::somebody_waits;
use crate::postgres::{Postgres, fresh};
use crate::proxy;
use crate::suite::Place;

/// Moves the samples to another server.
async fn move_samples(place: &Postgres, far: &Cluster) {
    let db = cluster::client(&place.url).await;
    let columns =
        "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
                   FROM information_schema.columns WHERE table_name = 'bandwidth_stats'";
    let columns: String = db.query_one(columns, &[]).await.unwrap().get(0);
    let make = format!("CREATE TABLE samples ({columns})");
    let _made = tokio::task::block_in_place(|| far.psql("postgres", &make));
    let (directory, port) = far.address();
    place
        .execute(&format!(
            "CREATE EXTENSION postgres_fdw;
             CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
                 OPTIONS (host '{}', port '{port}', dbname 'postgres');
             CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres');
             DROP TABLE bandwidth_stats_default;
             CREATE FOREIGN TABLE bandwidth_stats_default PARTITION OF hot_samples DEFAULT
                 SERVER far OPTIONS (table_name 'samples')",
            directory.display()
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_beside_commits_raises_no_alarm_of_a_table_on_another_server_but_of_what_lasts() {
    let place = fresh().await;
    let far = tokio::task::block_in_place(Cluster::start);
    let store = PostgresStore::new(place.config.clone());
    store.open_sessions(&client("web"), &hello(&[1, 2, 3]), WallNs(START)).await.unwrap();
    move_samples(&place, &far).await;
    let done = Arc::new(AtomicBool::new(false));
    let commits = [1, 2, 3].map(|session| {
        // A separate collector.
        let (store, done) = (PostgresStore::new(place.config.clone()), done.clone());
        tokio::spawn(async move {
            let mut agent = Agent::new("web", session, 1);
            while !done.load(Ordering::Relaxed) {
                let at = START + agent.seq * SECOND;
                store.commit(&agent.next(vec![sample("eth0", at, 1)])).await.unwrap();
            }
        })
    });
    let deadline = Instant::now() + PATIENCE;
    let (mut checks, mut fleeting) = (0, 0);
    while checks < 20 || fleeting == 0 {
        assert!(Instant::now() < deadline, "no commit was seen in part by {checks} checks");
        let report = store.check().await.unwrap();
        assert!(report.is_sound(), "{report:?}");
        (checks, fleeting) = (checks + 1, fleeting + report.fleeting);
    }
    done.store(true, Ordering::Relaxed);
    for commit in commits {
        commit.await.unwrap();
    }
    let lose = "DELETE FROM samples WHERE time = (SELECT min(time) FROM samples)";
    let _lost = tokio::task::block_in_place(|| far.psql("postgres", lose));
    let report = store.check().await.unwrap();
    assert_eq!((report.findings.len(), report.fleeting, report.readings), (1, 0, 7), "{report:?}");
    assert!(report.findings[0].contains("the rows of bandwidth_stats"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_in_doubt_between_two_phases_is_waited_for_and_counted_once() {
    let place = fresh().await;
    let directory = tempfile::tempdir().unwrap();
    let in_doubt = Arc::new(AtomicBool::new(false));
    proxy::prepare(directory.path(), in_doubt.clone()).await;
    let name = place.url.rsplit('=').next().unwrap();
    let store = crate::postgres::store(&cluster::url(directory.path(), name));
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    for (n, settled) in (0..).zip(["COMMIT", "ROLLBACK", "COMMIT", "ROLLBACK"]) {
        let batch = agent.next(vec![sample("eth0", START + n * SECOND, n)]);
        in_doubt.store(true, Ordering::SeqCst);
        let commit = tokio::spawn({
            let (store, batch) = (store.clone(), batch.clone());
            async move { store.commit(&batch).await }
        });
        somebody_waits(&place).await;
        assert!(!commit.is_finished(), "the outcome isn't known yet");
        place.execute(&format!("{settled} PREPARED '{}'", proxy::IN_DOUBT)).await;
        let committed = commit.await.unwrap();
        assert_eq!(committed.is_ok(), settled == "COMMIT", "{committed:?}");
        if committed.is_err() {
            store.commit(&batch).await.unwrap();
        }
    }
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_stats").await, [4]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{report:?}");
}
