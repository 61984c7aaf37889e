//! The audit log: who was given, refused or taken away what, and by whom.
//!
//! Each event is one line of the log with the target `audit` and the fields of [`Record`], and one
//! more in `netmon_collector_audit_total{event=}`. It is logged at every level but `off`. In the
//! journal: `journalctl -u network-monitor-collector -g '^audit:'`; as JSON: lines whose `target` is
//! `audit`. A tool that wants a file of its own takes these lines from there.
//!
//! Commands (`collector token`, `revoke`, `forget`) are processes of their own that may have no
//! log. They leave a record in `audit` of the data directory; the collector that runs there logs it
//! within a second, or at its next start, and only then removes it.

mod pending;
mod throttle;

use std::fmt::{self, Display};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use settings::AUDIT_TARGET;

pub use self::pending::{AuditError, Pending, operator};
use self::throttle::Throttle;
use crate::time::boot;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A token was made: `token`, `client` or `matching`, `uses`, `until`.
    TokenMade,
    /// A token was cancelled before its time: `token`.
    TokenCancelled,
    /// A host used a token and got a certificate: `client`, `address`, `token`, `uses` (left).
    Enrolled,
    /// A host was refused one: `client` (asked for), `address`, `token`, `reason`.
    EnrolmentRefused,
    /// A host took the place of a client, whose certificates were revoked: `client`, `address`,
    /// `token`.
    ClientReplaced,
    /// An agent was refused its next certificate: `client`, `address`, `reason`.
    RenewalRefused,
    /// An operator revoked a client's certificates: `client`.
    ClientRevoked,
    /// An operator forgot a client: `client`, `detail`.
    ClientForgotten,
    /// An operator made a new CA in place of the collector's own: `detail` (its fingerprint).
    CaRolled,
    /// Somebody could not sign in to the pages or the API: `address`, `reason`.
    SignInFailed,
    /// A browser was signed in to the pages: `address`.
    SignedIn,
    /// A browser was signed out: `address`.
    SignedOut,
    /// A reload changed the config: `key`, `old`, `new`, `detail` (when it holds).
    ConfigChanged,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TokenMade,
        Self::TokenCancelled,
        Self::Enrolled,
        Self::EnrolmentRefused,
        Self::ClientReplaced,
        Self::RenewalRefused,
        Self::ClientRevoked,
        Self::ClientForgotten,
        Self::CaRolled,
        Self::SignInFailed,
        Self::SignedIn,
        Self::SignedOut,
        Self::ConfigChanged,
    ];

    /// Its name: the field `event`, and the label of the metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenMade => "token_made",
            Self::TokenCancelled => "token_cancelled",
            Self::Enrolled => "enrolled",
            Self::EnrolmentRefused => "enrolment_refused",
            Self::ClientReplaced => "client_replaced",
            Self::RenewalRefused => "renewal_refused",
            Self::ClientRevoked => "client_revoked",
            Self::ClientForgotten => "client_forgotten",
            Self::CaRolled => "ca_rolled",
            Self::SignInFailed => "sign_in_failed",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::ConfigChanged => "config_changed",
        }
    }

    /// It needs no authority: anybody can cause it, as often as they like.
    const fn is_refusal(self) -> bool {
        matches!(self, Self::EnrolmentRefused | Self::RenewalRefused | Self::SignInFailed)
    }
}

/// One event of the audit log. Fields that don't apply are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// When a command did it (RFC 3339, UTC); of all others the log's own time is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The operator who did it, as far as the system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The token's id, as `collector tokens` shows it; never its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The client ids that the token is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// For how many hosts the token is good, or how many more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How long the token is good (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why it was refused, as the label of `netmon_collector_rejects_total` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The config key, written with dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its value before; `***` of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value now; `***` of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// More, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Record {
    /// An event of which nothing else is known.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            at: None,
            by: None,
            client: None,
            address: None,
            token: None,
            matching: None,
            uses: None,
            until: None,
            reason: None,
            key: None,
            old: None,
            new: None,
            detail: None,
        }
    }

    /// An event of a client.
    #[must_use]
    pub fn of(event: Event, client: impl Display) -> Self {
        Self { client: Some(client.to_string()), ..Self::new(event) }
    }
}

/// Logs and counts an event. Of refusals, which anybody can cause, each kind is logged 60 times a
/// minute at most; the next one that is says how many were not (`untold`). All are counted.
pub fn log(record: &Record) {
    /// Which refusals are logged now.
    static REFUSALS: Throttle = Throttle::new();
    count(record.event, 1);
    if !record.event.is_refusal() {
        return write(record, None);
    }
    if let Some(untold) = REFUSALS.pass(record.event, boot()) {
        write(record, (untold > 0).then_some(untold));
    }
}

/// Somebody at `address` could not sign in.
pub fn sign_in_failed(address: IpAddr, reason: &str) {
    let (address, reason) = (Some(address.to_canonical()), Some(reason.to_owned()));
    log(&Record { address, reason, ..Record::new(Event::SignInFailed) });
}

/// A browser at `address` was signed in.
pub fn signed_in(address: IpAddr) {
    log(&Record { address: Some(address.to_canonical()), ..Record::new(Event::SignedIn) });
}

/// A browser at `address` was signed out.
pub fn signed_out(address: IpAddr) {
    log(&Record { address: Some(address.to_canonical()), ..Record::new(Event::SignedOut) });
}

/// Adds to the metric of an event; 0 makes it appear.
pub(crate) fn count(event: Event, times: u64) {
    metrics::counter!(METRIC, "event" => event.name()).increment(times);
}

/// Counts the events, by kind.
pub(crate) const METRIC: &str = "netmon_collector_audit_total";

fn write(record: &Record, untold: Option<u64>) {
    /// One line at a level.
    macro_rules! line {
        ($level:ident) => {{
            let Record { event, at, by, client, token, matching, uses, until, .. } = record;
            let Record { reason, key, old, new, detail, .. } = record;
            tracing::$level!(
                target: AUDIT_TARGET,
                event = event.name(),
                at = at.as_deref(),
                by = by.as_deref(),
                client = client.as_deref(),
                address = record.address.as_ref().map(tracing::field::display),
                token = token.as_deref(),
                matching = matching.as_deref(),
                uses = *uses,
                until = until.as_deref(),
                reason = reason.as_deref(),
                key = key.as_deref(),
                old = old.as_deref(),
                new = new.as_deref(),
                detail = detail.as_deref(),
                untold,
                "{event}"
            );
        }};
    }
    if record.event.is_refusal() { line!(warn) } else { line!(info) }
}

impl Display for Event {
    /// In words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_one_name_in_log_metric_and_records() {
        for event in Event::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
    }
}
