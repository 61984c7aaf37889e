//! A change of an incident on its way into the store, with the messages about it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use wire::WallNs;

use super::emitted::{Emitted, What};
use super::memory_outbox::MemoryDelivery;
use super::message::MessageFacts;
use super::message_talkers::AlertTalkers;
use super::outbox::AlertOutbox;
use crate::store::{
    AlertChange, AlertEnd, AlertIncident, AlertRef, AlertSubject, EndMessage, QueuedMessage,
};
use crate::time::now_ns;

/// How long the store may take until messages are sent without it: of the 5 s that an alert may take, time
/// is left to send it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A change to write.
pub(super) struct QueuedChange {
    pub emitted: Emitted,
    /// The incident as it is after the change.
    pub incident: AlertIncident,
    pub wording: QueuedWording,
    pub messages: Vec<Prepared>,
    at: Instant,
}

/// What the messages of a change have in common.
#[derive(Debug, Default)]
pub(super) struct QueuedWording {
    /// Their facts, as JSON.
    pub body: String,
    /// They are not sent before this, nanoseconds since 1970 (UTC).
    pub held_until_ns: WallNs,
    /// Targets that want none.
    pub unwanted: Vec<String>,
}

/// A message, which may be sent without the store.
pub(super) struct Prepared {
    target: String,
    facts: MessageFacts,
    sending: Option<MemoryDelivery>,
}

impl Prepared {
    pub fn new(target: String, facts: MessageFacts) -> Self {
        Self { target, facts, sending: None }
    }

    fn is_sent(&self) -> bool {
        self.sending.as_ref().is_some_and(MemoryDelivery::is_sent)
    }

    /// Nobody sends it from memory.
    fn waits(&self) -> bool {
        self.sending.as_ref().is_none_or(MemoryDelivery::is_lost)
    }
}

impl QueuedChange {
    pub fn new(
        emitted: Emitted,
        incident: AlertIncident,
        wording: QueuedWording,
        messages: Vec<Prepared>,
    ) -> Self {
        Self { emitted, incident, wording, messages, at: Instant::now() }
    }

    /// When its messages are sent without the store; `None` if they are already.
    pub fn impatient_at(&self) -> Option<Instant> {
        let waits = self.messages.iter().any(Prepared::waits);
        (waits && self.incident.announced).then(|| self.at + PATIENCE)
    }

    /// True if its messages are sent without the store by now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.impatient_at().is_some_and(|at| at <= now)
    }

    /// Whom it is still to tell that something fires: incidents and targets. They are told of the end later.
    pub fn untold(&self) -> impl Iterator<Item = (String, String)> {
        let fires = !matches!(self.emitted.what, What::Resolve(..)) && self.incident.announced;
        let untold = |it: &&Prepared| {
            let over = |it: &MemoryDelivery| it.is_sent() || it.has_failed();
            !it.sending.as_ref().is_some_and(over)
        };
        let messages = self.messages.iter().filter(move |_| fires).filter(untold);
        messages.map(|it| (self.incident.id.clone(), it.target.clone()))
    }

    /// Sends its messages without the store, once it has waited for long enough; an end not to those who are
    /// `untold` of the beginning.
    pub fn send_if_due(
        &mut self,
        outbox: &AlertOutbox,
        now: Instant,
        untold: &HashSet<(String, String)>,
    ) {
        if !self.is_due(now) {
            return;
        }
        let is_end = matches!(self.emitted.what, What::Resolve(..));
        // Those that quiet hours hold go through the store.
        let due = self.wording.held_until_ns <= now_ns();
        for prepared in &mut self.messages {
            let pair = (self.incident.id.clone(), prepared.target.clone());
            if is_end && untold.contains(&pair) {
                continue;
            }
            if due && prepared.waits() {
                prepared.sending = outbox.send_from_memory(&prepared.target, &prepared.facts);
            }
        }
        // The others need not be looked at again soon.
        self.at = now;
    }

    /// Sends its messages without the store, which will never have them.
    pub fn send_and_forget(&mut self, outbox: &AlertOutbox) {
        if !self.incident.announced {
            return;
        }
        for prepared in &mut self.messages {
            let sending = prepared.sending.take().filter(|it| !it.is_lost());
            let again = || outbox.send_from_memory(&prepared.target, &prepared.facts);
            // It goes on without this change.
            if let Some(sending) = sending.or_else(again) {
                sending.forget();
            }
        }
    }

    /// How many of its messages were sent without the store.
    pub fn sent(&self) -> usize {
        self.messages.iter().filter(|it| it.is_sent()).count()
    }

    pub fn change(&self) -> AlertChange {
        let QueuedWording { body, held_until_ns, unwanted } = &self.wording;
        let messages = || {
            let message = |prepared: &Prepared| QueuedMessage {
                target: prepared.target.clone(),
                held_until_ns: *held_until_ns,
                sent: prepared.is_sent(),
                body: body.clone(),
            };
            self.messages.iter().map(message).collect()
        };
        let AlertIncident { id, rule, subject, fired_ns, worst, worst_ns, .. } = &self.incident;
        let which = || AlertRef {
            id: id.clone(),
            rule: rule.clone(),
            subject: subject.clone(),
            fired_ns: *fired_ns,
        };
        match &self.emitted.what {
            What::Fire { .. } if self.incident.announced => {
                AlertChange::Open(self.incident.clone(), messages())
            }
            What::Fire { .. } => AlertChange::Open(self.incident.clone(), vec![]),
            What::Announce(_) => AlertChange::Announce(which(), messages()),
            What::Resolve(_, ended) => {
                let at_ns = self.emitted.at.wall_ns;
                let (which, worst, worst_ns) = (which(), *worst, *worst_ns);
                let sent = self.messages.iter().filter(|it| it.is_sent());
                let message = EndMessage {
                    held_until_ns: *held_until_ns,
                    body: body.clone(),
                    unwanted: unwanted.clone(),
                    sent: sent.map(|it| it.target.clone()).collect(),
                };
                AlertChange::Resolve(AlertEnd { which, at_ns, worst, worst_ns, ended }, message)
            }
        }
    }

    /// What orders changes: those of one subject stay in their order.
    pub fn key(&self) -> (&str, &AlertSubject) {
        (&self.incident.rule, &self.incident.subject)
    }
}

/// The incident as it is after a change.
pub(super) fn incident(emitted: &Emitted) -> AlertIncident {
    let Emitted { rule, subject, what, at, .. } = emitted;
    let (firing, value, detail, muted, ended) = match what {
        What::Fire { value, firing, detail, muted } => {
            (firing, *value, detail.clone(), muted.clone(), None)
        }
        What::Announce(firing) => (firing, firing.worst, String::new(), None, None),
        What::Resolve(firing, ended) => {
            (firing, firing.worst, String::new(), None, Some((*ended).to_owned()))
        }
    };
    let talkers = emitted.talkers.as_ref().filter(|_| detail.is_empty());
    let detail = talkers.map_or_else(|| detail.clone(), AlertTalkers::line);
    AlertIncident {
        id: firing.id.to_string(),
        rule: rule.name.to_string(),
        measure: rule.measure.name().to_owned(),
        severity: rule.severity.name().to_owned(),
        subject: subject.clone(),
        since_ns: firing.since_ns,
        fired_ns: firing.fired_ns,
        resolved_ns: ended.as_ref().map(|_| at.wall_ns),
        value,
        bound: rule.bounds.bound,
        worst: firing.worst,
        worst_ns: firing.worst_ns,
        detail,
        muted,
        announced: firing.announced,
        ended,
    }
}
