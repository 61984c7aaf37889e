//! Shipping: from sampled intervals to records in the collector's database.

pub mod backoff;
pub mod clock_check;
pub mod delivery;
mod error;
pub mod framer;
pub mod patience;
pub mod recorder;
mod said;
pub mod shipper;
pub mod spool;
pub mod state;
mod streaming;
pub mod tags;
mod understood;
