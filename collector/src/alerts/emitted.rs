//! What the engine gives to the recorder.

use std::sync::Arc;

use super::holder::Part;
use super::message_talkers::AlertTalkers;
use super::owner::Owner;
use super::rule::AlertRule;
use super::state::{Firing, Moment};
use crate::store::{AlertEvent, AlertSubject};

/// What the recorder has to write.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The rule.
    pub rule: Arc<AlertRule>,
    /// What it is about.
    pub subject: AlertSubject,
    /// What happened.
    pub what: What,
    /// When.
    pub at: Moment,
    /// Who had the traffic, if it is about that and it is known.
    pub talkers: Option<AlertTalkers>,
    pub(super) owner: Owner,
    pub(super) part: Part,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The rule fires.
    Fire {
        /// The value.
        value: f64,
        /// What is known.
        firing: Firing,
        /// More about it.
        detail: String,
        /// Why no message is sent.
        muted: Option<String>,
    },
    /// It is no longer muted.
    Announce(Firing),
    /// It is over, and how.
    Resolve(Firing, &'static str),
}

impl What {
    /// What its messages tell.
    pub(super) const fn event(&self) -> AlertEvent {
        match self {
            Self::Fire { .. } | Self::Announce(_) => AlertEvent::Firing,
            Self::Resolve(..) => AlertEvent::Resolved,
        }
    }
}
