//! Events of the audit log.

use std::fmt::{self, Display};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
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
    /// An operator changed the collector's tags of a client: `client`, `old`, `new`.
    ClientTagged,
    /// An operator added a silence of alerts: `until`, `detail` (its id, what it is about, and why).
    SilenceAdded,
    /// An operator ended one before its time: `until`, `detail`.
    SilenceEnded,
    /// An operator made a new CA in place of the collector's own: `detail` (its fingerprint).
    CaRolled,
    /// An operator typed in an opening balance or a provider's figure: `detail`.
    AccountEntry,
    /// Somebody could not sign in to the pages or the API: `address`, `reason`.
    SignInFailed,
    /// A browser was signed in to the pages: `address`.
    SignedIn,
    /// A browser was signed out: `address`.
    SignedOut,
    /// A reload changed the config: `key`, `old`, `new`, `detail` (when it holds).
    ConfigChanged,
}

impl AuditEvent {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::TokenMade,
        Self::TokenCancelled,
        Self::Enrolled,
        Self::EnrolmentRefused,
        Self::ClientReplaced,
        Self::RenewalRefused,
        Self::ClientRevoked,
        Self::ClientForgotten,
        Self::ClientTagged,
        Self::SilenceAdded,
        Self::SilenceEnded,
        Self::CaRolled,
        Self::AccountEntry,
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
            Self::ClientTagged => "client_tagged",
            Self::SilenceAdded => "silence_added",
            Self::SilenceEnded => "silence_ended",
            Self::CaRolled => "ca_rolled",
            Self::AccountEntry => "account_entry",
            Self::SignInFailed => "sign_in_failed",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::ConfigChanged => "config_changed",
        }
    }

    /// True for events that anybody can cause, as often as they like.
    pub(super) const fn is_refusal(self) -> bool {
        matches!(self, Self::EnrolmentRefused | Self::RenewalRefused | Self::SignInFailed)
    }
}

/// One event of the audit log. Fields that don't apply are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What happened.
    pub event: AuditEvent,
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

impl AuditRecord {
    /// An event without further facts.
    #[must_use]
    pub const fn new(event: AuditEvent) -> Self {
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
    pub fn of(event: AuditEvent, client: impl Display) -> Self {
        Self { client: Some(client.to_string()), ..Self::new(event) }
    }
}

impl Display for AuditEvent {
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
        for event in AuditEvent::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.name());
        }
    }
}
