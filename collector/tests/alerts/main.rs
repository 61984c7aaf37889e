//! Alerts from the sample to the receiver: with the parts of the collector in this process, and with the
//! real programs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod bursts;
mod delivery;
mod keepers;
mod mail;
mod parts;
mod programs;
mod receiver;
mod receivers;
mod rules;
mod store_away;
mod talkers;
