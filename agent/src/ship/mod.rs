//! Shipping: from sampled intervals to records in the collector's database.

pub mod framer;
pub mod spool;
