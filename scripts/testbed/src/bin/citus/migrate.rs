//! `collector migrate` on Citus: an empty database, and one that holds rows.

use std::time::Duration;

use testbed::{Cluster, citus};

use crate::feed::Feed;
use crate::lab::{Lab, collector};
use crate::truth;

/// How long agents deliver before and after.
const DELIVER: Duration = Duration::from_secs(8);

/// Bytes of distributed tables' rows on the coordinator's disk.
const LOCAL: &str = "SELECT coalesce(sum(pg_relation_size(inhrelid)), 0) FROM pg_inherits
    WHERE inhparent = ANY
        ('{hot_samples,packed_samples,hot_mixes,packed_mixes,bandwidth_1m,bandwidth_5m}'::regclass[])";

const STRETCHES: &str =
    "SELECT (SELECT count(*) FROM packed_samples) + (SELECT count(*) FROM packed_mixes)";

/// Migrates both databases; true if both are right.
#[must_use]
pub fn run() -> bool {
    let outcomes = [("empty", empty()), ("filled", filled())];
    let mut sound = true;
    for (what, outcome) in outcomes {
        match outcome {
            Ok(text) => println!("migrate, {what} database: sound; {text}"),
            Err(why) => {
                sound = false;
                println!("migrate, {what} database: VIOLATION: {why:#}");
            }
        }
    }
    sound
}

fn empty() -> anyhow::Result<String> {
    let lab = Lab::start();
    let directory = tempfile::tempdir()?;
    let run = |args: &[&str]| collector(&lab.url, directory.path(), args);
    let (current, plan) = run(&["migrate", "--check"]);
    anyhow::ensure!(!current && plan.contains("collector migrate"), "--check: {plan}");
    let (done, said) = run(&["migrate"]);
    anyhow::ensure!(done, "{said}");
    proven(&lab.cluster, &lab.database, &lab.url, directory.path(), Feed::new(&lab.url)?, &said)
}

fn filled() -> anyhow::Result<String> {
    let programs = citus::programs().ok_or_else(|| anyhow::anyhow!("no installation"))?;
    let cluster = Cluster::start_citus(&programs, &[]);
    let database = "filled";
    let _made = cluster.psql("postgres", &format!("CREATE DATABASE {database}"));
    let url = cluster.url(database);
    let directory = tempfile::tempdir()?;
    let run = |args: &[&str]| collector(&url, directory.path(), args);
    let (done, said) = run(&["migrate"]);
    anyhow::ensure!(done, "{said}");
    let mut feed = Feed::new(&url)?;
    feed.start();
    std::thread::sleep(DELIVER);
    feed.stop()?;
    let bytes: u64 = cluster.psql(database, LOCAL).trim().parse()?;
    anyhow::ensure!(bytes > 0, "nothing was stored");
    let packed = feed.pack()?;
    let delivered: u64 = feed.delivered().map(|(_, it)| it.rows + it.mixes).sum();
    anyhow::ensure!(packed == delivered, "{packed} of {delivered} rows were packed");
    cluster.join_nodes(database, &ports(&cluster));
    let (current, plan) = run(&["migrate", "--check"]);
    anyhow::ensure!(!current && plan.contains("Citus"), "--check: {plan}");
    let (done, said) = run(&["migrate"]);
    anyhow::ensure!(done, "{said}");
    let left: u64 = cluster.psql(database, LOCAL).trim().parse()?;
    anyhow::ensure!(left == 0, "{left} bytes of {bytes} are left on the coordinator");
    let differs = truth::differs(&cluster, database, feed.delivered());
    anyhow::ensure!(differs.is_empty(), "{differs:#?}");
    anyhow::ensure!(cluster.psql(database, STRETCHES).trim() == "0", "some rows are packed still");
    anyhow::ensure!(feed.pack()? == 0, "rows are packed on Citus");
    let text = proven(&cluster, database, &url, directory.path(), feed, &said)?;
    Ok(format!(
        "{text}; {bytes} bytes moved, none left on the coordinator; {packed} rows were packed before"
    ))
}

fn ports(cluster: &Cluster) -> Vec<u16> {
    cluster.workers().iter().map(|worker| worker.tls().port).collect()
}

/// Delivers to the database, and proves that all rows are there and on the workers.
fn proven(
    cluster: &Cluster,
    database: &str,
    url: &str,
    directory: &std::path::Path,
    mut feed: Feed,
    said: &str,
) -> anyhow::Result<String> {
    let words = said.lines().find(|line| line.contains("Citus"));
    let words = words.ok_or_else(|| anyhow::anyhow!("not distributed: {said}"))?.to_owned();
    feed.start();
    std::thread::sleep(DELIVER);
    feed.stop()?;
    let differs = truth::differs(cluster, database, feed.delivered());
    anyhow::ensure!(differs.is_empty(), "{differs:#?}");
    let tables = "SELECT count(DISTINCT colocationid) || ' ' || count(*) FROM pg_dist_partition
        WHERE logicalrelid IN ('hot_samples'::regclass, 'packed_samples', 'hot_mixes', 'packed_mixes',
                               'bandwidth_1m', 'bandwidth_5m')";
    let tables = cluster.psql(database, tables);
    anyhow::ensure!(tables.trim() == "1 6", "groups and tables: {tables}");
    for args in [&["migrate", "--check"][..], &["migrate"], &["fsck"]] {
        let (done, said) = collector(url, directory, args);
        anyhow::ensure!(done, "{args:?}: {said}");
    }
    let rows: u64 = feed.delivered().map(|(_, it)| it.rows).sum();
    Ok(format!("{} rows exact; said: {}", rows, words.trim()))
}
