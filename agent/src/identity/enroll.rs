//! Enrolment: gets a certificate for a one-time token.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::Connection;
use rcgen::KeyPair;
use rustls::pki_types::UnixTime;
use settings::InFull;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::certificate::{COLLECTOR_NAME, Fingerprint, Validity, utc};
use wire::id::ClientId;
use wire::message::{Enroll, EnrollReply, Message};
use wire::pem;
use wire::private_file;
use wire::token::Token;

use super::credentials::{Credentials, Pem, enrolled_files, keep, signing_request};
use super::error::IdentityError;
use super::tls::enrolling_config;
use crate::connection::control::{self, ControlError};
use crate::connection::{Server, connect};

/// Time limit for the collector's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Close code of a connection that has done its work.
const CLOSE_DONE: u32 = 0;

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No address to connect to.
    #[error("the token doesn't name the collector's address; set server.host")]
    NoServer,
    /// No collector that made the token answers. The texts say of each why not.
    #[error("can't find the collector that made this token; the token is still unused: {}", .0.join("; "))]
    NotFound(Vec<String>),
    /// The collector said no, in this text.
    #[error("the collector refuses: {0}")]
    Refused(String),
    /// The collector didn't answer.
    #[error("the collector didn't answer within {PATIENCE:?}")]
    Late,
    /// Talking to the collector failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The collector answered something else.
    #[error("can't use the collector's answer: {0}; run the same release on both ends")]
    Answer(&'static str),
    /// The certificate isn't valid now.
    #[error(
        "the collector made a certificate that is valid {validity}, but this host's clock says \
         {now}; check the clocks of both hosts, and try again (an enrolment needs a new token)"
    )]
    Untimely {
        /// When it is valid.
        validity: Validity,
        /// This host's clock, UTC.
        now: String,
    },
    /// Another process is changing the files.
    #[error("another process is changing this host's certificate; trying again later")]
    Busy,
    /// No key or signing request.
    #[error("can't make a key")]
    Key(#[from] rcgen::Error),
    /// TLS can't be set up.
    #[error("can't set up TLS")]
    Tls(#[from] rustls::Error),
    /// The certificate can't be kept or used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The client id that a host asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Chosen explicitly: this one, or none.
    Chosen(ClientId),
    /// The host's name, if it is a valid id. A token that was made for an id overrides it.
    HostName(Option<ClientId>),
}

impl Asked {
    /// The id, if there is one.
    fn id(&self) -> Option<&ClientId> {
        match self {
            Self::Chosen(id) => Some(id),
            Self::HostName(id) => id.as_ref(),
        }
    }

    /// True if a certificate for `client` matches the request.
    fn allows(&self, client: &ClientId) -> bool {
        match self {
            Self::Chosen(id) => id == client,
            Self::HostName(_) => true,
        }
    }
}

/// The result of an enrolment.
#[derive(Debug)]
pub struct Enrolled {
    /// The collector that gave the certificate.
    pub server: Server,
    /// The present contents of the directory.
    pub credentials: Credentials,
}

/// Where the token says that its collector is.
#[must_use]
pub fn hints(token: &Token) -> Vec<Server> {
    let addresses = token.addresses().iter();
    addresses.map(|it| Server { host: it.host.clone(), port: it.port }).collect()
}

/// Those of the servers that answer and have proven to be of the token's CA. Each may take some
/// seconds, all of them at the same time.
pub async fn reachable(token: &Token, servers: Vec<Server>) -> Vec<Server> {
    let mut tries = JoinSet::new();
    for (place, server) in servers.into_iter().enumerate() {
        let Ok(config) = enrolling_config(token.ca, Arc::default()) else { continue };
        tries.spawn(async move {
            let (endpoint, connection) = connect(&server, COLLECTOR_NAME, &config).await.ok()?;
            connection.close(CLOSE_DONE.into(), b"finished");
            let _late = timeout(PATIENCE, endpoint.wait_idle()).await;
            Some((place, server))
        });
    }
    let mut found: Vec<_> = tries.join_all().await.into_iter().flatten().collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, server)| server).collect()
}

/// Gets a certificate for a client from the first of `servers` that made the token, or of the
/// token's own addresses where there are none, and keeps it in `dir` with its key, which is made
/// here. The token's secret is sent only to a collector that has proven to be of the token's CA.
///
/// # Errors
/// [`EnrollError`] says why there is no certificate; what was in `dir` stays.
pub async fn enroll(
    token: &Token,
    servers: &[Server],
    asked: &Asked,
    dir: &Path,
) -> Result<Enrolled, EnrollError> {
    private_file::create_directory(dir).map_err(IdentityError::from)?;
    let _locked = private_file::lock(dir).map_err(IdentityError::from)?;
    let servers = if servers.is_empty() { hints(token) } else { servers.to_vec() };
    let mut failures = Vec::new();
    for server in servers {
        let refusal = Arc::new(OnceLock::new());
        let config = enrolling_config(token.ca, refusal.clone())?;
        match connect(&server, COLLECTOR_NAME, &config).await {
            Ok((endpoint, connection)) => {
                let credentials = enroll_at(&connection, token, asked, dir).await;
                connection.close(CLOSE_DONE.into(), b"finished");
                // The close is sent before the socket goes.
                let _late = timeout(PATIENCE, endpoint.wait_idle()).await;
                return Ok(Enrolled { server, credentials: credentials? });
            }
            Err(error) => failures.push(match refusal.get() {
                Some(reason) => format!("{server} is not the collector that made it: {reason}"),
                None => error.in_full().to_string(),
            }),
        }
    }
    Err(if failures.is_empty() { EnrollError::NoServer } else { EnrollError::NotFound(failures) })
}

async fn enroll_at(
    connection: &Connection,
    token: &Token,
    asked: &Asked,
    dir: &Path,
) -> Result<Credentials, EnrollError> {
    let key = KeyPair::generate()?;
    let request = Message::Enroll(Enroll {
        secret: token.secret.0.to_vec(),
        client_id: asked.id().map_or_else(String::new, ToString::to_string),
        chosen: matches!(asked, Asked::Chosen(_)),
        csr_der: signing_request(&key)?,
    });
    let EnrollReply { certificate_pem, ca_pem } = ask(connection, &request).await?;
    let (files, key_pem) = (enrolled_files(dir), key.serialize_pem());
    let pem =
        Pem { ca: ca_pem.as_bytes(), cert: certificate_pem.as_bytes(), key: key_pem.as_bytes() };
    let credentials = Credentials::of_enrollment(&files, pem)?;
    if !asked.allows(credentials.client()) {
        return Err(EnrollError::Answer("the certificate is for another client"));
    }
    let ca = pem::certificates(pem.ca, &files.ca).map_err(IdentityError::from)?;
    if !ca.iter().any(|it| Fingerprint::of(it) == token.ca) {
        return Err(EnrollError::Answer("the CA is not the token's"));
    }
    must_be_timely(&credentials)?;
    keep(&files, pem)?;
    Ok(credentials)
}

/// A certificate made under a very different clock would be refused later.
pub(super) fn must_be_timely(made: &Credentials) -> Result<(), EnrollError> {
    let (validity, now) = (made.validity(), UnixTime::now());
    if validity.covers(now) {
        return Ok(());
    }
    Err(EnrollError::Untimely { validity, now: utc(now) })
}

/// One request and its answer, on a stream of its own.
pub(super) async fn ask(
    connection: &Connection,
    request: &Message,
) -> Result<EnrollReply, EnrollError> {
    let exchange = async {
        let opened = connection.open_bi().await;
        let (mut send, mut receive) =
            opened.map_err(|error| ControlError::Gone(control::close_reason(&error)))?;
        control::write(&mut send, connection, request).await?;
        control::read(&mut receive, connection).await
    };
    match timeout(PATIENCE, exchange).await {
        Ok(Ok(Message::EnrollReply(reply))) => Ok(reply),
        Ok(Ok(Message::Refused(refused))) => Err(EnrollError::Refused(refused.reason)),
        Ok(Ok(_)) => Err(EnrollError::Answer("it is another message")),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(EnrollError::Late),
    }
}
