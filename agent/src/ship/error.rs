//! Why delivery over a connection ended.

use std::time::Duration;

use super::spool::SpoolError;
use crate::connection::control::ControlError;

/// Why delivery over a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The connection broke or the collector speaks nonsense.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The collector refuses this agent.
    #[error("the collector refuses this agent: {0}")]
    Refused(String),
    /// Something else than an answer to Hello.
    #[error(
        "the collector sent another message than its welcome; run the same release on both ends"
    )]
    NoWelcome,
    /// No answer to Hello.
    #[error("the collector didn't answer Hello within {0:?}; is its database away?")]
    Unanswered(Duration),
    /// No commits.
    #[error("the collector has committed nothing for {0:?}; is its database away?")]
    Stalled(Duration),
    /// Sessions of which the database has another future go on under other ids.
    #[error("the database has another future of {0} sessions, which go on under other ids")]
    Forked(usize),
    /// A bug.
    #[error(
        "delivery failed by a bug; please report it with what the log says before (\"panicked\")"
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
    /// The collector was waited for long enough: the next one is tried at once.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self, Self::Unanswered(_) | Self::Stalled(_))
    }
}
