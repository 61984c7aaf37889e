//! The collector under attack by an independent QUIC client (aioquic) and by plain sockets, and the
//! agent at the mercy of a hostile collector, while honest agents' delivery is watched.
//!
//! `attacks.py` and `web.py` have the attacks, one function each; `scripts/bench hostile` runs the
//! same with figures in print.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod collectors;
mod files;

use testbed::in_namespace;

/// True in a namespace of the named test's own, for it to go on.
fn inside(module: &str, test: &str) -> bool {
    let module = module.rsplit("::").next().unwrap();
    in_namespace(&format!("{module}::{test}"))
}
