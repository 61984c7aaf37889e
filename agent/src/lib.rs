//! The agent: captures each NIC's packets and measures what was on the wire.

pub mod account;
pub mod capture;
pub mod cli;
pub mod clocks;
pub mod config;
pub mod connection;
pub mod doctor;
pub mod enroll;
pub mod identity;
pub mod nic;
pub mod nics;
pub mod owner;
pub mod run;
pub mod sampler;
pub mod ship;
pub mod talkers;
pub mod top;
pub mod watch;
