//! The traits that every engine of the store implements, and their errors.

pub mod account_cycles;
pub mod accounts;
pub mod alerts;
pub mod check;
pub mod claims;
pub mod client_days;
pub mod error;
pub mod excess;
pub mod export;
pub mod read;
pub mod register;
pub mod retain;
pub mod schema;
pub mod sign_outs;
pub mod tags;
pub mod talkers;
pub mod write;
