//! A temporary pgbouncer before a PostgreSQL server, in transaction mode.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::patience::wait_until;
use crate::postgres::{Cluster, unprivileged};

/// Number of the socket.
const PORT: u16 = 6432;

/// The README's setting for poolers: queries end when their client is gone.
const NOTICES: &str = "connect_query='SET client_connection_check_interval = 500'";

/// Runs until the pipe is closed.
const SCRIPT: &str = r#"
set -e; cd "$1"
pgbouncer -q pgbouncer.ini >log 2>&1 </dev/null &
cat >/dev/null; kill $! || true; wait || true; cd /; rm -rf "$1"
"#;

/// The pooler. Each statement outside a transaction, and each transaction, may run on either of two
/// connections to the server, which keep the state that others left.
#[derive(Debug)]
pub struct Pooler {
    directory: PathBuf,
    keeper: Child,
}

impl Pooler {
    /// Starts it before `cluster`, and waits until it takes connections.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        let directory = tempfile::Builder::new().prefix("netmon-pgb-").tempdir().unwrap().keep();
        let (server, port) = cluster.address();
        let ini = format!(
            "[databases]\n* = host={} port={port} user=postgres {NOTICES}\n\
             [pgbouncer]\nunix_socket_dir = {}\nlisten_port = {PORT}\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 1000\n\
             max_db_connections = 0\n",
            server.display(),
            directory.display()
        );
        std::fs::write(directory.join("pgbouncer.ini"), ini).unwrap();
        let mut keeper = unprivileged(&directory);
        keeper.args(["-c", SCRIPT, "sh"]).arg(&directory).stdin(Stdio::piped());
        let keeper = keeper.spawn().unwrap();
        let pooler = Self { directory, keeper };
        let socket = pooler.directory.join(format!(".s.PGSQL.{PORT}"));
        wait_until("pgbouncer's start", || {
            let log = std::fs::read_to_string(pooler.directory.join("log")).unwrap_or_default();
            assert!(!log.contains("FATAL"), "pgbouncer doesn't start: {log}");
            UnixStream::connect(&socket).is_ok()
        });
        pooler
    }

    /// URL of a database through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("host={} port={PORT} user=postgres dbname={database}", self.directory.display())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _reaped = self.keeper.wait();
    }
}
