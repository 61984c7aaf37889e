//! Why delivery over a connection ended.

use std::time::Duration;

use super::spool::SpoolError;
use crate::connection::control::ControlError;

/// Why delivery over a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The connection broke, or the collector broke the protocol.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The collector refuses this agent, in this text.
    #[error("the collector refuses this agent: {0}")]
    Refused(String),
    /// Something else than an answer to Hello.
    #[error("the collector didn't send its welcome; run the same release on both ends")]
    NoWelcome,
    /// No answer to Hello.
    #[error("the collector didn't answer Hello within {0:?}; is its database away?")]
    Unanswered(Duration),
    /// No commits.
    #[error("the collector has committed nothing for {0:?}; is its database away?")]
    Stalled(Duration),
    /// The database has other records of some sessions; they continue under new ids.
    #[error("the database has other records of {0} sessions; they continue under new ids")]
    Forked(usize),
    /// A bug.
    #[error(
        "delivery hit a bug; please report it with the log lines before this one (\"panicked\")"
    )]
    Panicked,
    /// The spool can't be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The recorder has ended.
    #[error("the spool's thread has ended")]
    RecorderGone,
}

impl DeliveryError {
    /// True if the collector took too long: try the next one at once.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self, Self::Unanswered(_) | Self::Stalled(_))
    }
}
