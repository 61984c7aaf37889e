//! The spool: a SQLite file that keeps every record until the collector's database has it.
//!
//! A record is written before it is sent, so that a killed agent loses nothing. The file is
//! bounded: when it is full, the oldest records are coarsened, and in the end replaced by gap
//! records with exact counts. A record that was sent since the last Welcome keeps its bounds,
//! for the collector may be committing it. Every record has a checksum; what is damaged becomes
//! a gap record.

mod age;
mod coarsen;
mod damage;
mod error;
mod file;
mod fork;
mod maintain;
mod open;
mod records;
mod sent;
mod session;

pub use self::coarsen::coarsen_pending;
pub use self::error::{SpoolError, SqliteError};
pub use self::file::{Now, Record, Spool, SpoolLimits, SpooledSession};
pub use self::fork::Forked;
