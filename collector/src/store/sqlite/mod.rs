//! The store in one SQLite file, the default: it needs no installation. One connection writes and a few
//! read, each on a blocking thread.
//!
//! `store` defines what can be opened, `lease` lends its connections, `tables` adds rows, and each
//! other file implements one trait of [`port`](super::port).

mod account_cycles;
mod accounts;
mod alert_reader;
mod alerts;
mod backup;
mod cancel;
mod check;
mod checkpoint;
mod claims;
mod client_days;
mod commit;
mod dump;
mod enrolled;
mod error;
mod export;
mod files;
mod functions;
mod group_commit;
mod groups;
mod history;
mod hot_rows;
mod inventory;
mod known_days;
mod lease;
mod minutes;
mod mixes;
mod number;
mod numbers;
mod open;
mod points;
mod quarantine;
mod query;
mod read;
mod register;
mod retention;
mod samples;
mod session;
mod sign_outs;
mod silences;
mod sql;
mod store;
mod tables;
mod tags;
mod talkers;
mod to_pack;
mod tokens;
mod wide;
mod write;

pub use self::backup::{BackupState, Copied, CopyError, Snapshot};
pub use self::dump::Dump;
pub use self::error::OpenError;
pub(super) use self::error::SqliteError;
pub use self::functions::register as add_functions;
pub use self::open::reusable_bytes;
pub use self::sql::{SqlError, SqlFile};
pub use self::store::{SqliteReader, SqliteRegister, SqliteStore};
