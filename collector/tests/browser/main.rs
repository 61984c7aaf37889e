//! The dashboard in headless Chromium, as people see and use it, and the API compared with its
//! description.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod alerts;
#[path = "../web/client.rs"]
#[allow(dead_code, reason = "the API tests use all of it")]
mod client;
mod contract;
mod damaged;
mod driver;
mod failures;
mod groups;
mod losses;
mod overview;
mod pages;
mod programs;
mod real;
mod site;
mod talkers;
mod thousand;
mod time;
mod values;
