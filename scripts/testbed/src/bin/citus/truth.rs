//! Compares the database with what was delivered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testbed::Cluster;

use crate::feed::Delivered;

/// Longest time that a transaction may stay prepared on a worker after the last fault: a round of
/// Citus' maintenance and a margin.
const RECOVERED: Duration = Duration::from_secs(90);

/// Waits until no worker has a prepared transaction left. Returns the number at the beginning and the
/// time it took; `None` if some are left.
#[must_use]
pub fn settled(cluster: &Cluster) -> Option<(u64, Duration)> {
    let begun = Instant::now();
    let prepared = || -> u64 {
        let count = |worker: &Cluster| {
            let count = worker.psql("postgres", "SELECT count(*) FROM pg_prepared_xacts");
            count.trim().parse::<u64>().unwrap_or(u64::MAX)
        };
        cluster.workers().iter().map(count).sum()
    };
    let first = prepared();
    while prepared() > 0 {
        if begun.elapsed() > RECOVERED {
            return None;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Some((first, begun.elapsed()))
}

/// Compares each client's rows in every table with what it delivered. Returns the differences.
#[must_use]
pub fn differs(
    cluster: &Cluster,
    database: &str,
    delivered: impl Iterator<Item = (String, Delivered)>,
) -> Vec<String> {
    let delivered: BTreeMap<String, Delivered> = delivered.collect();
    let names = cluster.psql(database, "SELECT id, client_id FROM clients");
    let names: BTreeMap<&str, &str> =
        names.lines().filter_map(|line| line.split_once('|')).collect();
    let mut differs = Vec::new();
    for (table, rows, sums) in [
        ("bandwidth_stats", "count(*)", "sum(rx_bytes), sum(tx_bytes)"),
        ("bandwidth_1m", "sum(samples)", "sum(rx_bytes), sum(tx_bytes)"),
        ("bandwidth_5m", "sum(samples)", "sum(rx_bytes), sum(tx_bytes)"),
        ("traffic_mix", "count(*)", "0, 0"),
    ] {
        let select = format!("SELECT client, {rows}, {sums} FROM {table} GROUP BY client");
        let text = cluster.psql(database, &select);
        let mut found: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for line in text.lines() {
            let mut cells = line.split('|');
            let client = cells.next().unwrap_or_default();
            let mut figure = || cells.next().and_then(|cell| cell.parse().ok()).unwrap_or(u64::MAX);
            let figures = [figure(), figure(), figure()];
            found.insert(names.get(client).copied().unwrap_or(client), figures);
        }
        for (client, it) in &delivered {
            let expected = if table == "traffic_mix" {
                [it.mixes, 0, 0]
            } else {
                [it.rows, it.rx_bytes, it.tx_bytes]
            };
            let figures = found.get(client.as_str()).copied().unwrap_or_default();
            if figures != expected {
                differs.push(format!("{table} of {client}: {figures:?}, delivered {expected:?}"));
            }
        }
        if found.len() != delivered.len() {
            differs.push(format!("{table}: {} clients, not {}", found.len(), delivered.len()));
        }
    }
    differs
}
