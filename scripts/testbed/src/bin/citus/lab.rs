//! A coordinator and its workers, each behind a proxy.

use std::path::Path;
use std::process::{Command, Output};

use testbed::{Cluster, citus, program};

use crate::proxy::Proxy;

/// The cluster with one database.
#[derive(Debug)]
pub struct Lab {
    /// The coordinator, which knows the workers.
    pub cluster: Cluster,
    /// One proxy before each worker.
    pub proxies: Vec<Proxy>,
    /// Name of the database.
    pub database: String,
    /// URL of the database.
    pub url: String,
}

impl Lab {
    /// Starts all servers and proxies.
    #[must_use]
    pub fn start() -> Self {
        let programs = citus::programs();
        let programs = programs.unwrap_or_else(|| panic!("{} is not set", citus::CITUS));
        let cluster = Cluster::start_citus(&programs, &[]);
        let proxies: Vec<Proxy> =
            cluster.workers().iter().map(|worker| Proxy::start(worker.tls().port)).collect();
        let ports: Vec<u16> = proxies.iter().map(Proxy::port).collect();
        let database = "netmon".to_owned();
        let _made = cluster.psql("postgres", &format!("CREATE DATABASE {database}"));
        cluster.join_nodes(&database, &ports);
        let url = cluster.url(&database);
        Self { cluster, proxies, database, url }
    }

    /// Runs SQL on the coordinator.
    #[must_use]
    pub fn psql(&self, sql: &str) -> String {
        self.cluster.psql(&self.database, sql).trim().to_owned()
    }

    /// Changes a setting of the coordinator without a restart.
    pub fn set(&self, setting: &str) {
        let _set = self.psql(&format!("ALTER SYSTEM SET {setting}"));
        let _told = self.psql("SELECT pg_reload_conf()");
    }

    /// Node by number: 0 is the coordinator, the others are workers.
    #[must_use]
    pub fn node(&self, number: usize) -> &Cluster {
        match number {
            0 => &self.cluster,
            worker => &self.cluster.workers()[worker - 1],
        }
    }
}

/// Runs `collector` with arguments on a database.
#[must_use]
pub fn collector(url: &str, directory: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(program("collector"));
    command.arg("--data-dir").arg(directory).args(args);
    command.env("NETMON_COLLECTOR_DATABASE__URL", url);
    command.env("NETMON_COLLECTOR_DATABASE__ALLOW_UNSAFE", "true");
    let Output { status, stdout, stderr } = command.output().expect("collector can be started");
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (status.success(), text.concat())
}
