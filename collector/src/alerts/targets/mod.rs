//! Targets of messages: how each kind is told.

mod chat;
mod post;
mod send;
mod smtp;
mod webhook;

use std::time::Duration;

use settings::{Interval, Problem};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::chat::Chat;
use self::send::Keys;
pub use self::send::SendError;
use self::smtp::Mail;
use self::webhook::Webhook;
use super::config::{AlertsSection, Severity, TargetKind, TargetSection, check_name};
use super::message::MessageFacts;
use crate::tls_client::TrustedAuthorities;

/// Most targets.
const TARGETS_MAX: usize = 50;

/// Longest time for one message, unless it is set.
const TIMEOUT: Interval = Interval::secs(10);

/// Most messages that a target is sent at the same time, as from the outbox.
const AT_ONCE: usize = 8;

/// A target of messages.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it was made of.
    pub section: TargetSection,
    /// Longest time for one message.
    pub timeout: Duration,
    /// The authorities of its server, as they were read.
    authorities: Option<TrustedAuthorities>,
    /// Messages that are sent at the same time: more would be refused as too many.
    at_once: Semaphore,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Webhook(Box<Webhook>),
    Chat(Box<Chat>),
    Mail(Box<Mail>),
}

/// The targets of a config.
///
/// # Errors
/// What is wrong with the first one that is.
pub fn targets(section: &AlertsSection) -> Result<Vec<Target>, Problem> {
    Problem::unless(section.targets.len() <= TARGETS_MAX, "alerts.targets", || {
        format!("{} targets; {TARGETS_MAX} are allowed", section.targets.len())
    })?;
    let made = section.targets.iter().map(|(name, target)| Target::of(name, target));
    made.collect()
}

impl Target {
    fn of(name: &str, section: &TargetSection) -> Result<Self, Problem> {
        check_name("targets", name)?;
        let keys = Keys(name);
        let Some(kind) = section.kind else {
            return Err(keys.problem("kind", "not set; choose one of webhook, slack, ntfy, smtp"));
        };
        check_keys(kind, section, keys)?;
        let timeout = section.timeout.unwrap_or(TIMEOUT);
        let range = Interval::secs(1)..=Interval::secs(60);
        Problem::unless_within(keys.of("timeout"), &timeout, &range)?;
        let authorities = section.ca.as_deref().map(TrustedAuthorities::read).transpose();
        let authorities = authorities.map_err(|why| keys.problem("ca", why))?;
        let trusted = authorities.as_ref();
        let sender = match kind {
            TargetKind::Webhook => Sender::Webhook(Box::new(Webhook::of(section, trusted, keys)?)),
            TargetKind::Slack | TargetKind::Ntfy => {
                Sender::Chat(Box::new(Chat::of(kind, section, trusted, keys)?))
            }
            TargetKind::Smtp => Sender::Mail(Box::new(Mail::of(section, trusted, keys)?)),
            TargetKind::Exec => {
                let why = "exec is refused on purpose: a program started here would run with all that \
                           the collector may read and write, its database's password too; post to a \
                           webhook of your own instead (kind: webhook)";
                return Err(keys.problem("kind", why));
            }
        };
        let (name, section) = (name.to_owned(), section.clone());
        let at_once = Semaphore::new(AT_ONCE);
        Ok(Self { name, section, timeout: timeout.0, authorities, at_once, sender })
    }

    /// True if it was made of the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.section == other.section && self.authorities == other.authorities
    }

    /// True if it wants messages of a severity, or that trouble is over.
    #[must_use]
    pub fn wants(&self, severity: Severity, resolved: bool) -> bool {
        self.section.severity.is_none_or(|only| only == severity)
            && (!resolved || self.section.resolved.unwrap_or(true))
    }

    /// True if it is told of many alerts in one message, because people read it.
    #[must_use]
    pub const fn is_for_people(&self) -> bool {
        !matches!(self.sender, Sender::Webhook(_))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`] says whether trying again helps.
    pub async fn send(&self, facts: &MessageFacts) -> Result<(), SendError> {
        let send = async {
            match &self.sender {
                Sender::Webhook(webhook) => webhook.send(facts).await,
                Sender::Chat(chat) => chat.send(facts).await,
                Sender::Mail(mail) => mail.send(facts, self.timeout).await,
            }
        };
        // It is never closed.
        let _place = self.at_once.acquire().await;
        let late = |_| SendError::Later(format!("no answer within {:?}", self.timeout));
        timeout(self.timeout, send).await.map_err(late)?
    }
}

/// Refuses keys that a kind of target doesn't have.
fn check_keys(kind: TargetKind, it: &TargetSection, keys: Keys<'_>) -> Result<(), Problem> {
    let (http, mail) = match kind {
        TargetKind::Smtp => (false, true),
        TargetKind::Webhook | TargetKind::Slack | TargetKind::Ntfy => (true, false),
        TargetKind::Exec => return Ok(()),
    };
    let webhook = kind == TargetKind::Webhook;
    for (key, set, fits) in [
        ("url", it.url.is_some(), http),
        ("url_file", it.url_file.is_some(), http),
        ("headers", !it.headers.is_empty(), http),
        ("header_files", !it.header_files.is_empty(), http),
        ("body", it.body.is_some(), webhook),
        ("title", it.title.is_some(), !webhook),
        ("text", it.text.is_some(), !webhook),
        ("server", it.server.is_some(), mail),
        ("user", it.user.is_some(), mail),
        ("password_file", it.password_file.is_some(), mail),
        ("from", it.from.is_some(), mail),
        ("to", !it.to.is_empty(), mail),
    ] {
        Problem::unless(fits || !set, keys.of(key), || {
            "this kind of target has no such key; leave it out".to_owned()
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(yaml: &str) -> TargetSection {
        serde_json::from_str(yaml).unwrap()
    }

    #[test]
    fn what_a_target_lacks_or_has_too_much_is_named_with_its_key() {
        for (json, key, why) in [
            ("{}", "kind", "choose one of webhook, slack, ntfy, smtp"),
            (r#"{"kind":"exec"}"#, "kind", "on purpose"),
            (r#"{"kind":"webhook"}"#, "url", "not set"),
            (r#"{"kind":"webhook","url":"ftp://a"}"#, "url", "https://"),
            (r#"{"kind":"webhook","url":"http://me:pw@a"}"#, "url", "https://"),
            (r#"{"kind":"webhook","url":"http://a","url_file":"/x"}"#, "url_file", "beside"),
            (r#"{"kind":"webhook","url":"http://a","to":["a@b.example"]}"#, "to", "no such key"),
            (
                r#"{"kind":"webhook","url":"http://a","headers":{"a b":"c"}}"#,
                "headers",
                "no header",
            ),
            (r#"{"kind":"webhook","url":"http://a","body":"{{"}"#, "body", "syntax error"),
            (r#"{"kind":"webhook","url":"http://a","body":"{{ titel }}"}"#, "body", "undefined"),
            (r#"{"kind":"webhook","url":"http://a","body":"{"}"#, "body", "no JSON"),
            (r#"{"kind":"slack","url":"http://a","text":"{{ x }}"}"#, "text", "undefined"),
            (r#"{"kind":"ntfy","url":"https://ntfy.example"}"#, "url", "topic"),
            (r#"{"kind":"smtp"}"#, "server", "not set"),
            (r#"{"kind":"smtp","server":"a","from":"x"}"#, "from", "no address"),
            (r#"{"kind":"smtp","server":"a","from":"x@a.example"}"#, "to", "not set"),
            (r#"{"kind":"slack","url":"http://a","timeout":"2m"}"#, "timeout", "out of range"),
        ] {
            let problem = Target::of("ops", &section(json)).unwrap_err();
            assert_eq!(problem.key, format!("alerts.targets.ops.{key}"), "{json}: {problem:?}");
            assert!(problem.why.contains(why), "{json}: {problem:?}");
        }
    }

    #[test]
    fn authorities_are_read_and_refused_by_the_name_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let made = |url: &str| {
            let ca = serde_json::to_string(&file).unwrap();
            Target::of("ops", &section(&format!(r#"{{"kind":"slack","url":"{url}","ca":{ca}}}"#)))
        };
        let mail = format!(
            r#"{{"kind":"smtp","server":"a","from":"x@a.example","to":"y@a.example","ca":{}}}"#,
            serde_json::to_string(&file).unwrap()
        );
        for (text, why) in [
            (None, "No such file"),
            (Some(""), "no certificate"),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca.pem"),
        ] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            for made in [made("https://a"), Target::of("ops", &section(&mail))] {
                let problem = made.unwrap_err();
                assert_eq!(problem.key, "alerts.targets.ops.ca");
                let told = problem.why.contains(why) && problem.why.contains("ca.pem");
                assert!(told, "{text:?}: {problem:?}");
            }
        }
        let authority = |file: &std::path::Path| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
            std::fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
        };
        authority(&file);
        let (first, again) = (made("https://a").unwrap(), made("https://a").unwrap());
        assert!(first.is_same(&again));
        authority(&file);
        assert!(!first.is_same(&made("https://a").unwrap()), "a reload serves a new target");
        let problem = made("http://a").unwrap_err();
        assert!(problem.why.contains("not encrypted"), "{problem:?}");
    }

    #[test]
    fn a_target_takes_what_it_wants() {
        let json = r#"{"kind":"slack","url":"http://a","severity":"critical","resolved":false}"#;
        let target = Target::of("ops", &section(json)).unwrap();
        assert!(target.wants(Severity::Critical, false));
        assert!(!target.wants(Severity::Critical, true) && !target.wants(Severity::Warning, false));
    }
}
