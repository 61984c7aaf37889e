//! Ingest: takes what agents send from the UDP socket to the writer.

mod agent;
mod claims;
mod clock;
mod commits;
mod end;
mod introduction;
mod limits;
mod listener;
mod notes;
mod notice;
mod patience;
mod reading;
mod requests;
mod second_host;
mod sessions;
mod shared;
mod shared_claims;
mod socket;

pub use self::claims::ConnectedHosts;
pub use self::limits::{ClientLimits, Quotas, TotalLimits};
pub use self::listener::{ListenError, Listener, Reloader};
pub use self::shared::Ingest;
pub use self::shared_claims::answer as answer_claims;
