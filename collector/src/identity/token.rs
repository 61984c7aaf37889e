//! Tokens: files named by the digest of their secret, removed by the enrolment that uses them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate::Fingerprint;
use wire::id::ClientId;
use wire::private_file;
use wire::token::{Address, Secret, Token};

use super::IdentityError;
use super::record::{self, TokenRecord};

/// How long an expired token is remembered, seconds: its user is told that it expired.
const REMEMBERED: u64 = 7 * 86_400;

/// What a new token is good for.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// How long it can be used.
    pub life: Duration,
    /// The only client that may use it.
    pub client: Option<ClientId>,
    /// It may take the place of a client that is there already. Otherwise it makes a new one.
    pub replace: bool,
    /// Where the collector can be reached, for the agent that has no other word of it.
    pub addresses: Vec<Address>,
}

/// Makes a token in `dir`. Expired ones are cleared away.
pub(super) fn make(
    dir: &Path,
    ca: Fingerprint,
    new: NewToken,
    now: UnixTime,
) -> Result<Token, IdentityError> {
    for digest in record::names(dir)? {
        let path = dir.join(digest);
        let known: Option<TokenRecord> = record::read(&path)?;
        if known.is_some_and(|it| it.expires_at.saturating_add(REMEMBERED) < now.as_secs()) {
            private_file::remove(&path)?;
        }
    }
    let mut secret = Secret([0; 32]);
    getrandom::fill(&mut secret.0)?;
    let token = Token::new(ca, secret, new.addresses)?;
    let kept = TokenRecord {
        expires_at: now.as_secs().saturating_add(new.life.as_secs()),
        client: new.client.map(|client| client.to_string()),
        replace: new.replace,
    };
    record::write(&path(dir, secret), &kept)?;
    Ok(token)
}

/// The file of a token.
pub(super) fn path(dir: &Path, secret: Secret) -> PathBuf {
    dir.join(secret.digest())
}
