//! `agent enroll`: gets this host its certificate.

use std::path::Path;

use wire::id::ClientId;
use wire::private_file::{self, FileError};
use wire::token::{Token, TokenError};

use crate::config::enrolled;
use crate::connection::Server;
use crate::identity::{self, EnrollError, Enrolled};
use crate::run;

/// Why this host has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollCommandError {
    /// The token is damaged.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No place for the certificate.
    #[error(transparent)]
    DataDir(#[from] FileError),
    /// The system gives no runtime.
    #[error("can't start: {0}")]
    System(#[from] std::io::Error),
    /// The collector said no, or nothing.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// The collector said no, or nothing, and the token names another one than the config.
    #[error("{error}; the token names {named}, but server.host by {origin} goes first: change it")]
    Elsewhere {
        /// What came of it.
        #[source]
        error: Box<EnrollError>,
        /// Who set `server.host`.
        origin: String,
        /// The token's addresses.
        named: String,
    },
}

/// Where the config says that the collector is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The collectors in the order to try them; none: the token's own addresses.
    pub servers: &'a [Server],
    /// Who says so.
    pub origin: &'a str,
}

/// Gets a certificate with a token, keeps where the collector is for `agent run`, and says what
/// comes next.
///
/// # Errors
/// [`EnrollCommandError`] says why there is none; what was there before stays.
pub fn enroll(
    token: &str,
    place: &Place<'_>,
    client: &ClientId,
    data_dir: &Path,
) -> Result<String, EnrollCommandError> {
    let token: Token = token.parse()?;
    private_file::make_directory(data_dir)?;
    let directory = run::identity_dir(data_dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hints = identity::hints(&token);
    let servers = if place.servers.is_empty() { &hints } else { place.servers };
    let enrolled = runtime.block_on(identity::enroll(&token, servers, client, &directory));
    let Enrolled { server, .. } = enrolled.map_err(|error| place.blame(error, &hints))?;
    // The token names what its collector takes for its addresses; from here some may lead nowhere.
    let others = if place.servers.is_empty() { hints } else { Vec::new() };
    let others = others.into_iter().filter(|it| *it != server).collect();
    let fallbacks = runtime.block_on(identity::reachable(&token, others));
    enrolled::write(data_dir, &server, &fallbacks)?;
    Ok(format!(
        "enrolled as {client} at {server}; certificate, key and the collector's address are in {}\n\
         start measuring: systemctl enable --now network-monitor-agent\n\
         (if it runs already: systemctl restart network-monitor-agent; without systemd: agent run)",
        data_dir.display()
    ))
}

impl Place<'_> {
    /// Says so if the config leads elsewhere than the token.
    fn blame(&self, error: EnrollError, hints: &[Server]) -> EnrollCommandError {
        let elsewhere = hints.iter().filter(|it| !self.servers.contains(it));
        let named: Vec<String> = elsewhere.map(ToString::to_string).collect();
        if self.servers.is_empty() || named.is_empty() {
            return error.into();
        }
        let origin = self.origin.to_owned();
        EnrollCommandError::Elsewhere { error: Box::new(error), origin, named: named.join(", ") }
    }
}
