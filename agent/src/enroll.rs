//! `agent enroll`: gets this host its certificate.

use std::path::Path;

use wire::id::ClientId;
use wire::private_file::{self, FileError};
use wire::token::{Token, TokenError};

use crate::connection::Server;
use crate::identity::{self, EnrollError};
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
}

/// Gets a certificate with a token and says what comes next.
///
/// # Errors
/// [`EnrollCommandError`] says why there is none; what was there before stays.
pub fn enroll(
    token: &str,
    servers: &[Server],
    client: &ClientId,
    data_dir: &Path,
) -> Result<String, EnrollCommandError> {
    let token: Token = token.parse()?;
    private_file::make_directory(data_dir)?;
    let directory = run::identity_dir(data_dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let enrolled = runtime.block_on(identity::enroll(&token, servers, client, &directory))?;
    Ok(format!(
        "enrolled as {client} at {}; certificate and key are in {}\n\
         start measuring: agent run, or systemctl enable --now network-monitor-agent",
        enrolled.server,
        directory.display()
    ))
}
