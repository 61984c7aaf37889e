//! The hosts connect to two collectors of one database.

use std::time::Instant;

use testbed::http::{HTTP, is_ready};
use testbed::{
    Cluster, Pair, Running, SLACK, Site, get, in_namespace, in_time, quick_once, sh, wait_until,
};

use crate::host::{
    ASKED, AT_ONCE, Host, claim, refusal, refusals, refusals_at, runtime, wait_for_listed, welcome,
};

/// Port of the second collector of a database.
const SECOND: u16 = 9082;
const SECOND_HTTP: &str = "127.0.0.1:9083";

/// Starts the collector of the site, enrols its agent, and starts another collector with the same
/// database and CA.
fn two_collectors(site: &Site) -> [Running; 2] {
    let first = site.start_collector();
    site.enroll();
    let identity = site.identity();
    let copy = site.dir().join("second");
    sh(&format!("mkdir -m 700 {0} && cp -a {1} {0}", copy.display(), identity.display()));
    let mut second = site.collector_in("second", &["run"]);
    second.env("NETMON_COLLECTOR_SERVER__PORT", SECOND.to_string());
    second.env("NETMON_COLLECTOR_HTTP__PORT", "9083");
    let second = Running::start(second, &site.dir().join("second.log"));
    wait_until("the second collector", || is_ready(SECOND_HTTP));
    [first, second]
}

/// Number of unanswered questions.
const WAITS: &str = "SELECT count(*) FROM claims WHERE question > answered";

/// Runs a statement in the database of a URL.
fn psql(cluster: &Cluster, database: &str, sql: &str) -> String {
    let (_, name) = database.split_once("dbname=").unwrap();
    cluster.psql(name, sql).trim().to_owned()
}

#[test]
fn a_second_host_at_another_collector_of_the_database_is_refused_as_at_the_same_one() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let (_pair, site) = (Pair::new(), Site::with_database(&cluster.new_database()));
    let [collector, second] = two_collectors(&site);
    runtime().block_on(async {
        let mut first = Host::connect(&site).await;
        welcome(&mut first, claim(1, 1, 1)).await;
        for (number, (claim, what)) in (1..).zip([
            (Some(claim(2, 2, 2)), "this is another machine"),
            (Some(claim(1, 2, 3)), "a copy of that machine, with the same machine-id"),
            (Some(claim(1, 1, 4)), "a second agent on the same machine"),
            // An older agent, which sends no claim.
            (None, "one of the two has no machine-id"),
        ]) {
            let asked = Instant::now();
            let mut host = Host::connect_to(&site, SECOND).await;
            let reason = refusal(host.introduce(claim, 5).await);
            assert!(asked.elapsed() < ASKED, "the collector asks instead of waiting");
            assert!(reason.contains("client host-1 is connected from 127.0.0.1 "), "{reason}");
            assert!(reason.contains(what), "{reason}");
            let counted = f64::from(number);
            wait_until("the count", || refusals_at(SECOND_HTTP) >= counted);
            wait_until("the second collector's log", || second.log().contains(what));
        }
        // Reported wherever people look, whichever collector refused it.
        wait_for_listed(&site, &["host-1: two hosts have its certificate since 20"]);
        for http in [HTTP, SECOND_HTTP] {
            let told = || get(http, "/api/v1/clients").unwrap_or_default();
            wait_until("the second host", || told().contains(r#""refused":"127.0.0.1""#));
        }
        assert!(first.connection.close_reason().is_none(), "the first stays connected");
        assert!(refusals() < 1.0);
        // It leaves and frees its place.
        first.leave().await;
        let mut host = Host::connect_to(&site, SECOND).await;
        welcome(&mut host, claim(2, 2, 2)).await;
        host.leave().await;
    });
    second.stop();
    collector.stop();
}

#[test]
fn a_host_that_goes_to_another_collector_of_the_database_is_never_refused() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let database = cluster.new_database();
    let (_pair, site) = (Pair::new(), Site::with_database(&database));
    let claims = |sql: &str| psql(&cluster, &database, sql);
    let [collector, second] = two_collectors(&site);
    let killed = runtime();
    let mut host = killed.block_on(async {
        let mut before = Host::connect(&site).await;
        welcome(&mut before, claim(1, 1, 1)).await;
        // The same run comes over a fallback while its old connection is still open.
        let mut left = Vec::new();
        quick_once("the same run goes on at once", async || {
            let asked = Instant::now();
            let mut host = Host::connect_to(&site, SECOND).await;
            welcome(&mut host, claim(1, 1, 1)).await;
            let took = asked.elapsed();
            in_time("the end of the old connection", before.connection.closed()).await;
            left.push(host);
            if took >= AT_ONCE {
                before = Host::connect(&site).await;
                welcome(&mut before, claim(1, 1, 1)).await;
            }
            took < AT_ONCE
        })
        .await;
        left.pop().unwrap()
    });
    // Killed, and restarted at the other collector: the old connection is not closed.
    killed.shutdown_background();
    let runtime = runtime();
    runtime.block_on(async {
        host = Host::connect(&site).await;
        welcome(&mut host, claim(1, 1, 2)).await;
    });
    // The collector is killed. The host continues at the other collector; its successor follows once
    // the host itself has had time to return.
    collector.kill();
    runtime.block_on(async {
        let mut host = Host::connect_to(&site, SECOND).await;
        let successor = tokio::spawn(async move {
            welcome(&mut host, claim(2, 2, 3)).await;
            host
        });
        wait_until("the question", || claims(WAITS) == "1");
        claims("UPDATE claims SET asked_since = asked_since - interval '35 seconds'");
        successor.await.unwrap().leave().await;
    });
    assert!(refusals_at(SECOND_HTTP) < 1.0);
    second.stop();
}

#[test]
fn a_host_that_falls_back_is_let_in_before_a_second_one_that_waits() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let database = cluster.new_database();
    let (_pair, site) = (Pair::new(), Site::with_database(&database));
    let claims = |sql: &str| psql(&cluster, &database, sql);
    let [collector, second] = two_collectors(&site);
    runtime().block_on(async {
        let mut first = Host::connect(&site).await;
        welcome(&mut first, claim(1, 1, 1)).await;
        // The database lost the claim, but the host still isn't connected elsewhere.
        claims("DELETE FROM claims");
        wait_until("the claim", || claims("SELECT count(*) FROM claims") == "1");
        assert!(first.connection.close_reason().is_none(), "the host stays connected");
        collector.kill();
        let mut copy = Host::connect_to(&site, SECOND).await;
        let refused = tokio::spawn(async move { copy.introduce(Some(claim(2, 2, 2)), 2).await });
        wait_until("the question", || claims(WAITS) == "1");
        let asked = Instant::now();
        let mut host = Host::connect_to(&site, SECOND).await;
        welcome(&mut host, claim(1, 1, 1)).await;
        // Others wait for half a minute after a collector is gone.
        assert!(asked.elapsed() < SLACK, "{:?}", asked.elapsed());
        let reason = refusal(refused.await.unwrap());
        assert!(reason.contains("this is another machine"), "{reason}");
        assert!(host.connection.close_reason().is_none(), "the host stays connected");
        host.leave().await;
    });
    second.stop();
}
