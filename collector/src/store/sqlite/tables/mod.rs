//! The tables that a batch adds to, one file each: the columns, and the statements that add rows.

pub(super) mod client_days;
pub(super) mod cursors;
pub(super) mod gaps;
mod insert;
pub(super) mod ledgers;
pub(super) mod mixes;
pub(super) mod nics;
pub(super) mod quarantine;
pub(super) mod rollups;
pub(super) mod samples;
pub(super) mod stored;
pub(super) mod talkers;
