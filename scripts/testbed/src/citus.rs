//! Citus in tests: temporary servers from an installation, or a running cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::process::done;

/// Variable with the programs' directory of a PostgreSQL with Citus, or its parent: the tests' servers
/// are then clusters. Or the URL of a running cluster's coordinator: the store's tests then make
/// databases there.
pub const CITUS: &str = "NETMON_TEST_CITUS";

/// Workers of a cluster: two are the fewest that must agree.
pub const WORKERS: usize = 2;

/// Settings of each node. Each database has a maintenance daemon on each node, which is a worker
/// process; a commit opens a connection for each shard.
pub const SETTINGS: [&str; 7] = [
    "shared_preload_libraries=citus",
    "max_connections=600",
    "max_worker_processes=600",
    "max_prepared_transactions=600",
    // Some shards are moved by replication.
    "wal_level=logical",
    "citus.node_conninfo=sslmode=disable",
    "citus.local_hostname=127.0.0.1",
];

/// The programs' directory, if tests are to use Citus.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let given = std::env::var_os(CITUS)?;
    let given = Path::new(&given);
    let folders = [given.to_owned(), given.join("bin")];
    let found = folders.into_iter().find(|folder| folder.join("initdb").exists());
    assert!(found.is_some(), "{CITUS}: no initdb in {} or its bin", given.display());
    found
}

/// Held while joining nodes. Joining writes to catalogues that all databases of a server share, and one
/// of two concurrent joins fails ("tuple concurrently updated").
pub(crate) static JOINING: Mutex<()> = Mutex::new(());

/// The SQL that gives a coordinator its workers, all on this host.
pub(crate) fn join(coordinator: u16, workers: &[u16]) -> String {
    let node = |port: u16| ("127.0.0.1".to_owned(), port.to_string());
    join_nodes(&node(coordinator), workers.iter().copied().map(node))
}

type Address = (String, String);

fn join_nodes((host, port): &Address, workers: impl IntoIterator<Item = Address>) -> String {
    let add = |(host, port)| format!("; SELECT citus_add_node('{host}', {port})");
    let workers: String = workers.into_iter().map(add).collect();
    format!("SELECT citus_set_coordinator_host('{host}', {port}){workers}")
}

/// A cluster that is already running.
#[derive(Debug, PartialEq, Eq)]
pub struct Running {
    user: String,
    password: String,
    coordinator: Address,
    database: String,
}

/// The running cluster, if tests are to use one.
#[must_use]
pub fn running() -> Option<Running> {
    let given = std::env::var(CITUS).ok()?;
    let (scheme, rest) = given.split_once("://")?;
    let running = Running::parse(rest).filter(|_| scheme.starts_with("postgres"));
    assert!(running.is_some(), "{CITUS}: not postgresql://user:password@host:port/database");
    running
}

impl Running {
    fn parse(rest: &str) -> Option<Self> {
        let (who, place) = rest.rsplit_once('@')?;
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        let (address, database) = place.split_once('/')?;
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
        let [user, password, host, port] = [user, password, host, port].map(str::to_owned);
        let database = database.split('?').next()?.to_owned();
        Some(Self { user, password, coordinator: (host, port), database })
    }

    /// Makes an empty database with a unique name on all nodes, and returns its URL.
    #[must_use]
    pub fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let ask = |sql: &str| self.psql(&self.coordinator, &self.database, &[sql]);
        let nodes = ask("SELECT nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary'
                         ORDER BY groupid");
        let address =
            |line: &str| line.split_once('|').map(|(host, port)| (host.into(), port.into()));
        let nodes: Vec<Address> = nodes.lines().filter_map(address).collect();
        assert!(
            nodes.len() > 1,
            "{CITUS}: the cluster has no workers, or doesn't know its coordinator"
        );
        let secrets =
            ask("SELECT format('INSERT INTO pg_dist_authinfo VALUES (%L, %L, %L);', nodeid,
                               rolename, authinfo) FROM pg_dist_authinfo");
        let _alone = JOINING.lock().unwrap_or_else(PoisonError::into_inner);
        for node in &nodes {
            let [drop, create] = ["DROP DATABASE IF EXISTS", "CREATE DATABASE"];
            let [drop, create] = [format!("{drop} {name} (FORCE)"), format!("{create} {name}")];
            self.psql(node, "postgres", &[&drop, &create]);
            self.psql(node, &name, &["CREATE EXTENSION citus", &secrets]);
        }
        self.psql(&nodes[0], &name, &[&join_nodes(&nodes[0], nodes[1..].iter().cloned())]);
        let Self { user, password, coordinator: (host, port), .. } = self;
        format!("host={host} port={port} user={user} password='{password}' dbname={name}")
    }

    fn psql(&self, (host, port): &Address, database: &str, sql: &[&str]) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-h", host, "-p", port, "-U", &self.user, "-d", database]);
        psql.env("PGPASSWORD", &self.password).args(sql.iter().flat_map(|sql| ["-c", sql]));
        done(psql.output().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_coordinator() {
        let parsed = |rest| Running::parse(rest).map(|it| (it.user, it.coordinator, it.database));
        let at = |port: &str| {
            let place = ("db-0".to_owned(), port.to_owned());
            Some(("postgres".to_owned(), place, "netmon".to_owned()))
        };
        assert_eq!(parsed("postgres:s@cret@db-0:6432/netmon?sslmode=require"), at("6432"));
        assert_eq!(parsed("postgres@db-0/netmon"), at("5432"));
        assert_eq!(parsed("db-0"), None);
    }
}
