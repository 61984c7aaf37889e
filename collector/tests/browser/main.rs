//! The dashboard in headless Chromium: what people see and do. The API beside its description.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../web/client.rs"]
#[allow(dead_code, reason = "the tests of the API use all of it")]
mod client;
mod contract;
mod driver;
mod failures;
mod pages;
mod real;
mod site;
mod time;
mod values;
