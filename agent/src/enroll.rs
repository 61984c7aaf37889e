//! `agent enroll`: gets this host its certificate.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use settings::{Loaded, Problem};
use wire::advice::Advised;
use wire::id::ClientId;
use wire::pem::TlsFiles;
use wire::private_file::{self, FileError};
use wire::token::{Token, TokenError};

use crate::config::{self, Config, enrolled};
use crate::connection::Server;
use crate::identity::{self, Asked, Credentials, EnrollError, Enrolled, IdentityError};
use crate::run;

/// Why this host has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollCommandError {
    /// The token is damaged.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No place for the certificate, or no file with the token.
    #[error(transparent)]
    File(#[from] FileError),
    /// No token on the standard input.
    #[error("can't read the token from the standard input")]
    Input(#[source] io::Error),
    /// The system provides no runtime.
    #[error("can't start")]
    System(#[from] io::Error),
    /// The collector said no, or nothing.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// The collector said no, or nothing, and the token names another one than the config.
    #[error("this host is not enrolled")]
    Elsewhere(#[source] Advised),
}

/// Where the config says that the collector is.
#[derive(Debug, Clone, Copy)]
pub struct ServerChoice<'a> {
    /// The collectors in the order to try them; none: the token's own addresses.
    pub servers: &'a [Server],
    /// Who says so.
    pub origin: &'a str,
}

/// Longest text that may be a token, bytes: tokens have at most about 3,000.
const TEXT_MAX: u64 = 16 << 10;

/// Where a token is.
#[derive(Debug, Clone, Copy)]
pub enum TokenSource<'a> {
    /// On the command line.
    Given(&'a str),
    /// In a file.
    File(&'a Path),
    /// On standard input: piped or pasted.
    Input,
}

impl TokenSource<'_> {
    /// Reads the token.
    ///
    /// # Errors
    /// [`EnrollCommandError`] says why it can't be read, or is none.
    pub fn read(self) -> Result<Token, EnrollCommandError> {
        Ok(match self {
            Self::Given(text) => text.parse()?,
            Self::File(file) => String::from_utf8_lossy(&private_file::read(file)?).parse()?,
            Self::Input => {
                let input = io::stdin();
                if input.is_terminal() {
                    settings::hint(
                        "paste the token that `collector token` printed, and press enter:",
                    );
                    pasted(input.lock())?
                } else {
                    let mut text = String::new();
                    let read = input.lock().take(TEXT_MAX).read_to_string(&mut text);
                    read.map_err(EnrollCommandError::Input)?;
                    text.parse()?
                }
            }
        })
    }
}

/// Reads a pasted token, which may have line breaks. It ends when it is complete, or at an empty
/// line.
fn pasted(input: impl BufRead) -> Result<Token, EnrollCommandError> {
    let mut text = String::new();
    for line in input.take(TEXT_MAX).lines() {
        let line = line.map_err(EnrollCommandError::Input)?;
        let ended = line.trim().is_empty() && !text.is_empty();
        text.push_str(&line);
        match text.parse() {
            Ok(token) => return Ok(token),
            Err(error) if ended => return Err(TokenError::into(error)),
            Err(_) => {}
        }
    }
    Ok(text.parse()?)
}

/// The client id for this host: the one chosen by flag or config, else the token's, else the host's
/// name.
///
/// # Errors
/// The chosen one can't be a client id.
pub fn wanted(loaded: &Loaded<Config>) -> Result<Asked, Problem> {
    let id = loaded.config.client_id();
    if config::is_id_chosen(loaded) { Ok(Asked::Chosen(id?)) } else { Ok(Asked::HostName(id.ok())) }
}

/// The client that this host has a certificate for. It may have expired: measuring goes on all the
/// same, and the agent's log says what to do.
///
/// # Errors
/// [`IdentityError`] names the file that is damaged or can't be read.
pub fn enrolled(
    data_dir: &Path,
    tls: Option<&TlsFiles>,
) -> Result<Option<ClientId>, IdentityError> {
    // At a time at which no certificate has expired.
    let whenever = UnixTime::since_unix_epoch(Duration::ZERO);
    match Credentials::load(&run::identity_dir(data_dir), tls, whenever) {
        Ok(credentials) => Ok(Some(credentials.client().clone())),
        Err(IdentityError::NotEnrolled(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gets a certificate with a token, stores the collector's address for `agent run`, and prints the
/// next step.
///
/// # Errors
/// [`EnrollCommandError`] says why there is none; an earlier certificate stays.
pub fn enroll(
    token: &Token,
    place: &ServerChoice<'_>,
    asked: &Asked,
    data_dir: &Path,
) -> Result<String, EnrollCommandError> {
    private_file::make_directory(data_dir)?;
    let directory = run::identity_dir(data_dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hints = identity::hints(token);
    let servers = if place.servers.is_empty() { &hints } else { place.servers };
    let enrolled = runtime.block_on(identity::enroll(token, servers, asked, &directory));
    let Enrolled { server, credentials } = enrolled.map_err(|error| place.blame(error, &hints))?;
    // The token names the addresses that the collector has; some may be unreachable from here.
    let others = if place.servers.is_empty() { hints } else { Vec::new() };
    let others = others.into_iter().filter(|it| *it != server).collect();
    let fallbacks = runtime.block_on(identity::reachable(token, others));
    enrolled::write(data_dir, &server, &fallbacks)?;
    let client = credentials.client();
    Ok(format!(
        "enrolled as {client} at {server}; certificate, key and the collector's address are in {}\n\
         start measuring: systemctl enable --now network-monitor-agent\n\
         (if it runs already: systemctl restart network-monitor-agent; without systemd: agent run)",
        data_dir.display()
    ))
}

impl ServerChoice<'_> {
    /// Explains a failure if the config names another collector than the token.
    fn blame(&self, error: EnrollError, hints: &[Server]) -> EnrollCommandError {
        let elsewhere = hints.iter().filter(|it| !self.servers.contains(it));
        let named: Vec<String> = elsewhere.map(ToString::to_string).collect();
        if self.servers.is_empty() || named.is_empty() {
            return error.into();
        }
        let way_out = format!(
            "the token names {}, but server.host from {} overrides it: change it",
            named.join(", "),
            self.origin
        );
        EnrollCommandError::Elsewhere(Advised::new(error, way_out))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use wire::certificate::Fingerprint;
    use wire::token::TokenSecret;

    use super::*;

    #[test]
    fn a_pasted_token_ends_where_it_is_whole_or_with_an_empty_line() {
        let token = Token::new(Fingerprint([7; 32]), TokenSecret([9; 32]), vec![]).unwrap();
        let text = token.to_string();
        let (first, second) = text.split_at(40);
        let goes_on = "\nnothing more is read".repeat(10);
        for typed in
            [format!("{text}\n{goes_on}"), format!("{first}\n  {second}\n{goes_on}"), text.clone()]
        {
            assert_eq!(pasted(Cursor::new(typed)).unwrap(), token);
        }
        for wrong in [format!("{first}\n\n{second}"), String::new(), "\nx\n\n".to_owned()] {
            assert!(matches!(pasted(Cursor::new(wrong)), Err(EnrollCommandError::Token(_))));
        }
    }
}
