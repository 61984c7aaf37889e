//! Data to write and to read: plain types and pure functions, equal for every engine.

pub mod account_cycles;
pub mod accounts;
pub mod alerts;
pub mod batch;
pub mod claims;
pub mod clients;
pub mod columns;
pub mod epoch;
pub mod export;
pub mod facts;
pub mod groups;
pub mod history;
pub mod near;
pub mod nics;
pub mod percentile;
pub mod points;
pub mod proof;
pub mod retention;
pub mod rollups;
pub mod series;
pub mod sign_outs;
pub mod split;
pub mod tables;
pub mod tags;
