//! The export of metrics by OTLP, to receivers made by the test.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod program;
mod receiver;
mod series;
mod shown;
