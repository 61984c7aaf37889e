//! Alerts: incidents that rules found, messages about them, and silences.

use wire::WallNs;

/// Longest wait before a message is tried again, and longest lease, nanoseconds.
pub const RETRY_MAX_NS: u64 = 600_000_000_000;

/// Longest time that quiet hours hold a message, nanoseconds: a week and two days, for windows that join, and
/// an hour when clocks are set back.
pub const HELD_MAX_NS: u64 = (9 * 24 + 1) * 3_600_000_000_000;

/// The columns of an incident, in the order of [`AlertIncident`], with the parts of its subject.
pub const INCIDENT_COLUMNS: &str = "id, rule, measure, severity, client, nic, direction, name, since, fired_at, resolved_at, value, \
     bound, worst, worst_at, detail, muted, announced, ended";

/// What an incident is about. Parts that don't apply are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertSubject {
    /// The client.
    pub client: String,
    /// Its NIC.
    pub nic: String,
    /// `rx` or `tx`.
    pub direction: String,
    /// The collector or account, if it is about one.
    pub name: String,
}

/// A time during which a rule's condition held for a subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertIncident {
    /// Its id: 16 hexadecimal digits.
    pub id: String,
    /// The rule's name.
    pub rule: String,
    /// What the rule measures.
    pub measure: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// What it is about.
    pub subject: AlertSubject,
    /// When the condition began, nanoseconds since 1970 (UTC).
    pub since_ns: WallNs,
    /// When the rule fired, nanoseconds since 1970 (UTC).
    pub fired_ns: WallNs,
    /// When it was resolved, nanoseconds since 1970 (UTC); `None` while it fires.
    pub resolved_ns: Option<WallNs>,
    /// The value when it fired, in the measure's unit.
    pub value: f64,
    /// The rule's bound, in the same unit.
    pub bound: f64,
    /// The worst value so far.
    pub worst: f64,
    /// When that was, nanoseconds since 1970 (UTC).
    pub worst_ns: WallNs,
    /// More about it, for people; may be empty.
    pub detail: String,
    /// Why no message was sent when it fired: quiet hours or a silence.
    pub muted: Option<String>,
    /// A message was queued that it fires.
    pub announced: bool,
    /// How it ended: `calm`, `no_data`, `rule_removed`, `rule_changed` or `collector_gone`.
    pub ended: Option<String>,
}

/// What a message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertEvent {
    /// The rule fires.
    Firing,
    /// The trouble is over.
    Resolved,
}

impl AlertEvent {
    /// Its name in the database and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// The event of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        if name == "resolved" { Self::Resolved } else { Self::Firing }
    }
}

/// A message to queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The target's name.
    pub target: String,
    /// It is not sent before this, nanoseconds since 1970 (UTC); 0: at once.
    pub held_until_ns: WallNs,
    /// It was sent already, while the store was away.
    pub sent: bool,
    /// Its facts, as JSON.
    pub body: String,
}

/// A change of an incident, with the messages about it.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertChange {
    /// A rule fires. Messages are queued if the incident is announced.
    Open(AlertIncident, Vec<QueuedMessage>),
    /// An open incident is no longer muted.
    Announce(AlertRef, Vec<QueuedMessage>),
    /// The trouble is over. Those who were told that it fires are told so too.
    Resolve(AlertEnd, EndMessage),
}

/// The message that an incident is over, for all targets that were told that it fires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndMessage {
    /// It is not sent before this, nanoseconds since 1970 (UTC); 0: at once.
    pub held_until_ns: WallNs,
    /// Its facts, as JSON.
    pub body: String,
    /// Targets that want no such message.
    pub unwanted: Vec<String>,
    /// Targets that it was sent to already, while the store was away.
    pub sent: Vec<String>,
}

impl EndMessage {
    /// The messages for the targets that were told that it fires.
    #[must_use]
    pub fn to(&self, told: Vec<String>) -> Vec<QueuedMessage> {
        let unsent = told.into_iter().filter(|it| !self.sent.contains(it));
        let wanted = unsent.filter(|it| !self.unwanted.contains(it)).map(|it| (it, false));
        let all = wanted.chain(self.sent.iter().map(|it| (it.clone(), true)));
        let message = |(target, sent)| QueuedMessage {
            target,
            held_until_ns: self.held_until_ns,
            sent,
            body: self.body.clone(),
        };
        all.map(message).collect()
    }
}

/// Names an open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRef {
    /// Its id, as far as the collector knows that changes it: messages that were sent already have it.
    pub id: String,
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub subject: AlertSubject,
    /// It fired by then, nanoseconds since 1970 (UTC); a later one is another incident.
    pub fired_ns: WallNs,
}

/// How an open incident ends.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertEnd {
    /// Which one.
    pub which: AlertRef,
    /// When, nanoseconds since 1970 (UTC).
    pub at_ns: WallNs,
    /// The worst value.
    pub worst: f64,
    /// When that was, nanoseconds since 1970 (UTC).
    pub worst_ns: WallNs,
    /// How, as [`AlertIncident::ended`].
    pub ended: &'static str,
}

/// An open incident that the asking collector does not stand behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedAlert {
    /// Its id.
    pub id: String,
    /// How long ago a collector last stood behind it.
    pub since: std::time::Duration,
    /// The one that did so last was the asking one, or none has yet.
    pub own: bool,
}

/// The run of a collector that claims messages, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLease {
    /// A random number of the run.
    pub collector: u64,
    /// After this it is another collector's turn, unless the message is settled.
    pub lasts: std::time::Duration,
}

/// A message to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// The incident.
    pub incident: String,
    /// What it tells.
    pub event: AlertEvent,
    /// How often it was claimed, with this time.
    pub attempts: u32,
    /// Its facts, as JSON.
    pub body: String,
}

/// A claimed message, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledMessage {
    /// The incident.
    pub incident: String,
    /// What it tells.
    pub event: AlertEvent,
    /// What became of it.
    pub outcome: MessageOutcome,
}

/// What became of a claimed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageOutcome {
    /// The target has it.
    Sent,
    /// It is tried again after a while; the reason.
    Retry(std::time::Duration, String),
    /// It is given up; the reason.
    Failed(String),
}

/// A message as the inbox shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertDelivery {
    /// The incident.
    pub incident: String,
    /// What it tells.
    pub event: AlertEvent,
    /// The target's name.
    pub target: String,
    /// `waiting`, `sent` or `failed`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was sent or given up, nanoseconds since 1970 (UTC).
    pub ended_ns: Option<WallNs>,
    /// Why it was not sent yet, or at all.
    pub error: Option<String>,
}

/// A page of the inbox.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertPage {
    /// Incidents, the newest first.
    pub incidents: Vec<AlertIncident>,
    /// Their messages.
    pub deliveries: Vec<AlertDelivery>,
}

/// Which incidents are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRange {
    /// Only those that fire now, or only those that are over.
    pub firing: Option<bool>,
    /// Without those that were over before this, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Only those that fired before this, nanoseconds since 1970 (UTC).
    pub to_ns: WallNs,
    /// Only of this rule.
    pub rule: Option<String>,
    /// Only of this client.
    pub client: Option<String>,
    /// Only those that come after this one.
    pub after: Option<AlertCursor>,
    /// Most of them.
    pub limit: usize,
}

impl AlertRange {
    /// The newest incidents.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        let (from_ns, to_ns) = (WallNs(0), WallNs::MAX);
        Self { firing: None, from_ns, to_ns, rule: None, client: None, after: None, limit }
    }

    /// The newest of those that fire now.
    #[must_use]
    pub fn firing(limit: usize) -> Self {
        Self { firing: Some(true), ..Self::newest(limit) }
    }
}

/// A place in the list of incidents, the newest first: that of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCursor {
    /// When it fired, nanoseconds since 1970 (UTC).
    pub fired_ns: WallNs,
    /// Its id.
    pub id: String,
}

/// A time without messages, set by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSilence {
    /// Its id: 12 hexadecimal digits.
    pub id: String,
    /// Only of this rule; empty: of all.
    pub rule: String,
    /// Only of clients whose id matches this glob; empty: of all.
    pub client: String,
    /// Only of NICs whose name matches this glob; empty: of all, and of alerts that are about no NIC.
    pub nic: String,
    /// Only of clients with this tag, `key=value`; empty: of all.
    pub tag: String,
    /// When it began, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// When it ends, nanoseconds since 1970 (UTC).
    pub until_ns: WallNs,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
}
