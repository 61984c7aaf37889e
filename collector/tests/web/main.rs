//! The web server, tested over a real socket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod accounts;
mod alerts;
mod api;
mod client;
mod groups;
mod limits;
mod live;
mod memory;
mod page;
mod server;
mod talkers;
mod tls;
