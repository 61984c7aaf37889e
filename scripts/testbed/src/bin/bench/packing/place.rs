//! The stores that are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use collector::store::Database;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use collector::store::sqlite::SqliteStore;
use rusqlite::Connection;
use testbed::Cluster;

use crate::packed::traffic::Kind;
use crate::process::{cpu_ns_with_ended, own_cpu_ns};

/// Which store.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PackingEngine {
    Sqlite,
    Postgres,
}

impl PackingEngine {
    /// Most bytes of a packed sample.
    pub const fn most_bytes(self, kind: &Kind) -> f64 {
        match self {
            Self::Sqlite => 25.0,
            Self::Postgres => kind.target,
        }
    }
}

/// A store, and where it is.
#[derive(Debug)]
pub enum PackingPlace {
    Sqlite { path: PathBuf, _folder: tempfile::TempDir },
    Postgres(Cluster),
}

impl PackingPlace {
    pub fn new(engine: PackingEngine) -> anyhow::Result<Self> {
        Ok(match engine {
            PackingEngine::Sqlite => {
                let folder = tempfile::tempdir()?;
                Self::Sqlite { path: folder.path().join("netmon.sqlite"), _folder: folder }
            }
            PackingEngine::Postgres => Self::Postgres(Cluster::start_plain()),
        })
    }

    pub fn open(&self) -> anyhow::Result<Arc<dyn Database>> {
        Ok(match self {
            Self::Sqlite { path, .. } => Arc::new(SqliteStore::open(path)?),
            Self::Postgres(cluster) => {
                let config =
                    PostgresConfig::new(cluster.url("postgres").parse()?, Authorities::System)?;
                Arc::new(PostgresStore::new(config.with_unsafe_commits()))
            }
        })
    }

    /// CPU time of the collector, and of the database's server if it has one.
    pub fn cpu_ns(&self) -> [u64; 2] {
        let server = match self {
            Self::Sqlite { .. } => 0,
            Self::Postgres(cluster) => cpu_ns_with_ended(cluster.pid()),
        };
        [own_cpu_ns(), server]
    }

    /// Bytes of a table of samples with its indexes.
    pub fn bytes(&self, table: &str) -> anyhow::Result<u64> {
        match self {
            Self::Sqlite { path, .. } => bytes(path, table),
            Self::Postgres(cluster) => {
                let sizes = format!(
                    "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
                     WHERE inhparent = '{table}'::regclass"
                );
                let said = cluster.psql("postgres", &sizes);
                said.trim().parse().with_context(|| format!("no size: {said}"))
            }
        }
    }
}

/// What a copy without the table lacks.
fn bytes(path: &Path, table: &str) -> anyhow::Result<u64> {
    let copy = tempfile::tempdir()?;
    let copy = copy.path().join("copy");
    let copied = copy.to_str().context("a path that is text")?;
    Connection::open(path)?.execute("VACUUM INTO ?1", [copied])?;
    let db = Connection::open(&copy)?;
    let size = || -> anyhow::Result<i64> {
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(db.query_row(size, [], |row| row.get(0))?)
    };
    let whole = size()?;
    db.execute_batch(&format!("DELETE FROM {table}; VACUUM"))?;
    Ok((whole - size()?).unsigned_abs())
}
