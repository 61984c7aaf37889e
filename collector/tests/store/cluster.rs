//! A temporary PostgreSQL: one server for all tests of the process, one database per test. Or a given
//! Citus (`scripts/citus`).

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use testbed::Pooler;
use testbed::postgres::{Cluster, Tls};

use crate::statements::LOGGED;

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static POOLER: OnceLock<Pooler> = OnceLock::new();

/// URL of a database through a pooler.
pub fn pooled(name: &str) -> String {
    tokio::task::block_in_place(|| POOLER.get_or_init(|| Pooler::start(cluster())).url(name))
}

fn cluster() -> &'static Cluster {
    let settings = [&LOGGED[..], &["max_prepared_transactions=600"]].concat();
    tokio::task::block_in_place(|| CLUSTER.get_or_init(|| Cluster::start_with(&settings)))
}

/// Makes a new, empty database and returns its URL.
pub async fn new_database() -> String {
    if let Some(running) = testbed::citus::running() {
        return tokio::task::block_in_place(|| running.new_database());
    }
    let cluster = cluster();
    tokio::task::block_in_place(|| cluster.new_database())
}

/// URL of a server that listens on a Unix socket in `directory`.
pub fn url(directory: &Path, name: &str) -> String {
    cluster().url_in(directory, name)
}

/// The server's log.
pub fn log() -> PathBuf {
    cluster().log_file()
}

/// The server's socket.
pub fn socket() -> PathBuf {
    cluster().socket()
}

/// The TLS identity of the server, as `localhost`.
pub fn tls() -> &'static Tls {
    cluster().tls()
}

pub async fn execute(url: &str, sql: &str) {
    client(url).await.batch_execute(sql).await.unwrap();
}

pub async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
