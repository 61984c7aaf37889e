//! The store in PostgreSQL, for many hosts and several collectors. Statements are never kept prepared
//! across transactions, so that a pooler may stand in between.
//!
//! `store` is the interface for the rest of the collector, `database` knows the schema, `lease` lends
//! connections, `commit` and `tables` add rows, `group` and `group_commit` put small writes of many agents
//! together, and each other file implements one trait of [`port`](super::port).

mod account_cycles;
mod accounts;
mod alert_reader;
mod alerts;
mod check;
mod citus;
mod claim;
mod claims;
mod client_days;
mod clients;
mod commit;
mod connect;
mod copy;
mod database;
mod downsample;
mod enrolled;
mod error;
mod expired;
mod export;
mod faults;
mod figures;
mod forget;
mod group;
mod group_commit;
mod groups;
mod history;
mod import;
mod inventory;
mod key;
mod known_days;
mod lease;
mod migrate;
mod minutes;
mod mixes;
mod number;
mod partition;
mod quarantine;
mod read;
mod readers;
mod register;
mod resolution;
mod retention;
mod samples;
mod series;
mod session;
mod settings;
mod sign_outs;
mod silences;
mod store;
mod tables;
mod tagging;
mod tags;
mod talkers;
mod to_pack;
mod tokens;
mod transaction;
mod unpacked;
mod values;
mod write;

pub use self::connect::{Authorities, PASSWORD_OUT, PostgresConfig, PostgresConfigError};
pub use self::import::{ImportSource, Moved, TableSums};
pub use self::store::PostgresStore;
