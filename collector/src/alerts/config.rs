//! Section `alerts` of the config: rules, targets, and what both share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use settings::{Interval, Problem};

use super::measure::Measure;

/// Section `alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsSection {
    /// Where people reach the pages, for links in messages: `https://monitor.example.org`.
    pub url: Option<String>,
    /// Name of the time zone of quiet hours and of times in messages.
    pub time_zone: String,
    /// `false`: messages name no talkers, so that no address of a peer leaves by them.
    pub talkers: bool,
    /// Rules, by name.
    pub rules: BTreeMap<String, RuleSection>,
    /// Targets of messages, by name.
    pub targets: BTreeMap<String, TargetSection>,
}

impl Default for AlertsSection {
    fn default() -> Self {
        let (rules, targets) = (BTreeMap::new(), BTreeMap::new());
        Self { url: None, time_zone: "UTC".to_owned(), talkers: true, rules, targets }
    }
}

/// A rule as it is written. What isn't set has the measure's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSection {
    /// What it measures; must be set.
    pub measure: Option<Measure>,
    /// Fires above this value, with its unit.
    pub above: Option<String>,
    /// Fires below this value, with its unit.
    pub below: Option<String>,
    /// Is over only at this value or beyond.
    pub clear: Option<String>,
    /// How long the condition must hold; 0 s to 30 d.
    #[serde(rename = "for")]
    pub hold: Option<Interval>,
    /// How long it must be over; 5 s to 30 d.
    pub clear_for: Option<Interval>,
    /// `rx` or `tx`; not set: each for itself.
    pub direction: Option<AlertDirection>,
    /// `client`: rates of whole clients, without stacked NICs. Not set: of each NIC.
    pub per: Option<RuleScope>,
    /// Only clients whose id matches one of these globs.
    #[serde(deserialize_with = "settings::list")]
    pub clients: Vec<String>,
    /// Only NICs whose name matches one of these globs.
    #[serde(deserialize_with = "settings::list")]
    pub nics: Vec<String>,
    /// Only clients with all of these tags, `key=value`.
    #[serde(deserialize_with = "settings::list")]
    pub tags: Vec<String>,
    /// Only accounts whose name matches one of these globs.
    #[serde(deserialize_with = "settings::list")]
    pub accounts: Vec<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Targets of its messages; not set: all.
    #[serde(deserialize_with = "settings::list")]
    pub targets: Vec<String>,
    /// Windows without messages: `22:00-06:00`, `Sat,Sun 00:00-24:00`.
    #[serde(deserialize_with = "settings::list")]
    pub quiet: Vec<String>,
}

/// A direction of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertDirection {
    /// Received.
    Rx,
    /// Transmitted.
    Tx,
}

impl AlertDirection {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rx, Self::Tx];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

/// What one value of a rate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleScope {
    /// A NIC.
    Nic,
    /// A client.
    Client,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be looked at.
    #[default]
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// The severity of a name, as the store has it.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        if name == "critical" { Self::Critical } else { Self::Warning }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The kinds of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// JSON by HTTP POST.
    Webhook,
    /// A webhook of Slack, or of what understands the same (Mattermost, Rocket.Chat, Discord's `/slack`).
    Slack,
    /// A topic of ntfy.
    Ntfy,
    /// E-mail.
    Smtp,
    /// Refused: a program of the operator would run with all that the collector may.
    Exec,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpEncryption {
    /// By STARTTLS, which the server must offer.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

/// A target as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSection {
    /// What it is; must be set.
    pub kind: Option<TargetKind>,
    /// Where messages are posted.
    pub url: Option<String>,
    /// File whose first line is the URL, if it is a secret.
    pub url_file: Option<PathBuf>,
    /// Headers of requests, by name.
    pub headers: BTreeMap<String, String>,
    /// Files whose first lines are values of headers, by name.
    pub header_files: BTreeMap<String, PathBuf>,
    /// Template of a webhook's body. Values in it become JSON by themselves.
    pub body: Option<String>,
    /// Template of the title, of a mail its subject.
    pub title: Option<String>,
    /// Template of the text.
    pub text: Option<String>,
    /// Mail server: a host name, or host and port.
    pub server: Option<String>,
    /// How the connection to it is encrypted.
    pub encryption: SmtpEncryption,
    /// User to sign in with.
    pub user: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Sender of mails.
    pub from: Option<String>,
    /// Recipients of mails.
    #[serde(deserialize_with = "settings::list")]
    pub to: Vec<String>,
    /// PEM file of the authorities to check the server by; not set: the system's.
    pub ca: Option<PathBuf>,
    /// Longest time for one message; 1 s to 1 min. Not set: 10 s.
    pub timeout: Option<Interval>,
    /// Only alerts of this severity; not set: all.
    pub severity: Option<Severity>,
    /// `false`: no messages that the trouble is over. Not set: true.
    pub resolved: Option<bool>,
}

impl AlertsSection {
    /// The files with secrets, by key.
    #[must_use]
    pub fn secret_files(&self) -> Vec<(Cow<'static, str>, &Path)> {
        let mut files: Vec<(Cow<'static, str>, &Path)> = Vec::new();
        for (name, target) in &self.targets {
            let key = |key: &str| Cow::Owned(format!("alerts.targets.{name}.{key}"));
            files.extend(target.url_file.iter().map(|file| (key("url_file"), file.as_path())));
            files.extend(
                target.password_file.iter().map(|file| (key("password_file"), file.as_path())),
            );
            files.extend(
                target
                    .header_files
                    .iter()
                    .map(|(header, file)| (key(&format!("header_files.{header}")), file.as_path())),
            );
        }
        files
    }
}

/// Refuses a name that config keys, metrics or messages can't have.
pub(super) fn check_name(section: &str, name: &str) -> Result<(), Problem> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let sound = (1..=64).contains(&name.len()) && name.bytes().all(known);
    Problem::unless(sound, format!("alerts.{section}"), || {
        format!("{name:?} is no name; use up to 64 letters, digits, - and _")
    })
}
