//! The clients of the embedded store, and the tables with their rows.

use std::collections::HashMap;

use crate::store::postgres::error::Failure;
use crate::store::postgres::partition::Table;
use crate::store::rows::nics::NicId;
use crate::store::rows::tables::{MIXES, SAMPLES};
use crate::store::sqlite::SqliteError;

/// A client of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSource {
    /// Its number in the file.
    pub(super) id: i64,
    /// Its id.
    pub client: String,
}

/// The tables that are copied row by row, in an order that satisfies references, with the condition for
/// a client's rows.
pub(super) const TABLES: [CopiedTable; 11] = [
    CopiedTable { table: "sessions", of: "client = ?1" },
    CopiedTable { table: "session_nics", of: OF_SESSIONS },
    CopiedTable { table: SAMPLES, of: "client = ?1" },
    CopiedTable { table: MIXES, of: "client = ?1" },
    CopiedTable { table: "talkers", of: "client = ?1" },
    CopiedTable { table: "talker_owners", of: "client = ?1" },
    CopiedTable { table: "gaps", of: "client = ?1" },
    CopiedTable { table: "link_changes", of: "client = ?1" },
    CopiedTable { table: "quarantine", of: OF_SESSIONS },
    CopiedTable { table: "bandwidth_1m", of: "client = ?1" },
    CopiedTable { table: "bandwidth_5m", of: "client = ?1" },
];

const OF_SESSIONS: &str = "session IN (SELECT session FROM sessions WHERE client = ?1)";

#[derive(Debug, Clone, Copy)]
pub(super) struct CopiedTable {
    pub table: &'static str,
    pub of: &'static str,
}

impl CopiedTable {
    /// The table to which its rows are added.
    pub fn into(self) -> &'static str {
        Table::of_rows(self.table)
    }

    /// True if rows may already exist, to which the new ones are added.
    pub fn is_rollup(self) -> bool {
        [Table::Minutes, Table::FiveMinutes].iter().any(|table| table.name() == self.table)
    }
}

/// New numbers of a client and its NICs, by their numbers in the file.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub client: i32,
    pub nics: HashMap<NicId, NicId>,
}

/// The embedded store can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the embedded store can't be read")]
struct SourceError(#[source] SqliteError);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::failed(SourceError(SqliteError(error)))
    }
}
