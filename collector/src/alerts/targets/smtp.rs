//! E-mail by SMTP.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Message, Tokio1Executor};
use settings::{Foreign, InFull, Problem};

use super::super::config::{SmtpEncryption, TargetSection};
use super::super::message::MessageFacts;
use super::send::{Keys, SendError, Wording, secret};
use crate::tls_client::TrustedAuthorities;

/// Mails to some people by one server.
#[derive(Debug)]
pub(super) struct Mail {
    host: String,
    port: Option<u16>,
    encryption: SmtpEncryption,
    authorities: Option<TrustedAuthorities>,
    sign_in: Option<(String, PathBuf)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    wording: Wording,
}

/// Tells other programs that nobody awaits an answer (RFC 3834).
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mail {
    pub fn of(
        section: &TargetSection,
        authorities: Option<&TrustedAuthorities>,
        keys: Keys<'_>,
    ) -> Result<Self, Problem> {
        let not_set = |example: &str| format!("not set; write for example {example}");
        let Some(server) = &section.server else {
            return Err(
                keys.problem("server", not_set("mail.example.org, or mail.example.org:587"))
            );
        };
        let (host, port) = host_and_port(server).ok_or_else(|| {
            keys.problem("server", format!("{server:?} is no host, or host:port"))
        })?;
        let address = |key: &str, text: &str| {
            let why = || format!("{text:?} is no address; write for example noc@example.org");
            text.parse::<Mailbox>().map_err(|_| keys.problem(key, why()))
        };
        let Some(from) = &section.from else {
            return Err(keys.problem("from", not_set("Network Monitor <netmon@example.org>")));
        };
        let from = address("from", from)?;
        let to = section.to.iter().map(|to| address("to", to)).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(keys.problem("to", not_set("[noc@example.org]")));
        }
        let sign_in = match (&section.user, &section.password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some((user.clone(), file.clone())),
            (Some(_), None) => {
                return Err(keys.problem("password_file", "set user and this, or none"));
            }
            (None, Some(_)) => {
                return Err(keys.problem("user", "set this and password_file, or none"));
            }
        };
        let local = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        let clear = sign_in.is_some() && section.encryption == SmtpEncryption::None && !local;
        Problem::unless(!clear, keys.of("encryption"), || {
            "a password would travel in clear; choose starttls or tls".to_owned()
        })?;
        let used = authorities.is_none() || section.encryption != SmtpEncryption::None;
        Problem::unless(used, keys.of("ca"), || {
            "set, but encryption is none; choose starttls or tls, or leave ca out".to_owned()
        })?;
        Ok(Self {
            host,
            port,
            encryption: section.encryption,
            authorities: authorities.cloned(),
            sign_in,
            from,
            to,
            wording: Wording::of(section, keys)?,
        })
    }

    pub async fn send(&self, facts: &MessageFacts, timeout: Duration) -> Result<(), SendError> {
        let message = self.message(facts)?;
        let transport = self.transport(timeout)?;
        match transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let why = Foreign(&error.in_full().to_string()).to_string();
                Err(if error.is_permanent() {
                    SendError::Refused(why)
                } else {
                    SendError::Later(why)
                })
            }
        }
    }

    /// A mail. Its id is that of the message, so that mail programs show it once; one that trouble is over
    /// answers the one that it began.
    fn message(&self, facts: &MessageFacts) -> Result<Message, SendError> {
        let (title, text) = self.wording.render(facts)?;
        let id = |event: &str| format!("<{}-{event}@network-monitor.invalid>", facts.incident);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(title)
            .message_id(Some(format!("<{}@network-monitor.invalid>", facts.id)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        if facts.state == "resolved" {
            builder = builder.in_reply_to(id("firing")).references(id("firing"));
        }
        builder.body(text).map_err(|error| SendError::Refused(error.in_full().to_string()))
    }

    fn transport(
        &self,
        timeout: Duration,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
        let wrong = |error: SmtpError| SendError::Later(error.in_full().to_string());
        let mut tls = TlsParameters::builder(self.host.clone());
        if let Some(authorities) = &self.authorities {
            // Those only, as for other targets.
            tls = tls.certificate_store(CertificateStore::None);
            for authority in authorities.certificates() {
                let authority = Certificate::from_der(authority.to_vec()).map_err(wrong)?;
                tls = tls.add_root_certificate(authority);
            }
        }
        let parameters = || tls.build_rustls().map_err(wrong);
        let (tls, port) = match self.encryption {
            SmtpEncryption::Starttls => (Tls::Required(parameters()?), 587),
            SmtpEncryption::Tls => (Tls::Wrapper(parameters()?), 465),
            SmtpEncryption::None => (Tls::None, 25),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, file)) = &self.sign_in {
            builder = builder.credentials(Credentials::new(user.clone(), secret(file)?));
        }
        Ok(builder.build())
    }
}

/// `mail.example.org`, `mail.example.org:587`, `[::1]:25`.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, Some(port.parse().ok()?))
        }
        _ => (text, None),
    };
    let host = host.trim_matches(['[', ']']);
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (!host.is_empty() && host.bytes().all(known)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("mail.example.org", "mail.example.org", None),
            ("mail.example.org:587", "mail.example.org", Some(587)),
            ("::1", "::1", None),
            ("[::1]:25", "::1", Some(25)),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["", "a b", "a:x", "smtp://a"] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
