//! Shared by tests, soak and benchmarks: network namespaces joined by veth pairs, the real programs and
//! their logs, temporary PostgreSQL servers, and ways to wait.
//!
//! A missing program or permission fails the test that needs it and names it: these functions panic
//! where others return errors.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test, and says why")]

pub mod cgroups;
pub mod citus;
pub mod clock;
pub mod dump;
#[allow(unsafe_code, reason = "bpf(2) has no safe interface; each call states its invariant")]
pub mod generator;
pub mod http;
pub mod namespace;
pub mod output;
pub mod pair;
pub mod patience;
mod picture;
pub mod pooler;
pub mod postgres;
pub mod process;
pub mod reference;
pub mod shell;
pub mod siege;
pub mod site;
pub mod spool;
pub mod terminal;

pub use cgroups::Cgroups;
pub use clock::Clock;
pub use http::{get, metric};
pub use namespace::{Namespace, in_namespace};
pub use pair::Pair;
pub use patience::{PATIENCE, SLACK, in_time, quick_once, until, wait_for, wait_until};
pub use pooler::Pooler;
pub use postgres::Cluster;
pub use process::{Running, done, onto_closed_pipe, onto_full_disk, program};
pub use shell::sh;
pub use siege::Siege;
pub use site::Site;
pub use terminal::{Terminal, pictures};
