//! The collector: takes in what agents measure, keeps it in a database, and shows it.

pub mod cli;
pub mod config;
pub mod store;
pub mod writer;
