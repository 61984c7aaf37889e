//! The spool on a real file: kept, bounded, damaged, full, killed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod basics;
mod broken_off;
mod damage;
mod fork;
mod full;
mod support;
mod time;
mod upgrade;
mod week;
