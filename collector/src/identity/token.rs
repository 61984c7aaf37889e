//! Tokens: files named by the digest of their secret. They hold what a token allows and its number of
//! uses here. The store counts its uses at all collectors ([`TokenUses`]).

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use globset::Glob;
use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use settings::InFull;
use wire::WallNs;
use wire::certificate::Fingerprint;
use wire::id::{CLIENT_ID_MAX, ClientId};
use wire::private_file;
use wire::token::{Address, Token, TokenSecret};

use super::error::IdentityError;
use super::record;

/// How long an expired token is kept, seconds, so that its user learns that it has expired.
const REMEMBERED: u64 = 7 * 86_400;

/// How long the store keeps uses of an expired token, seconds: longer than any undetected clock error.
const USES_REMEMBERED: u64 = 400 * 86_400;

/// Largest number of hosts per token.
pub const USES_MAX: u32 = 100_000;

/// Why the store can't answer now.
pub type UsesError = Box<dyn Error + Send + Sync>;

/// Uses of tokens, counted for all collectors of a store.
#[async_trait]
pub trait TokenUses: Send + Sync + Debug {
    /// Takes one use, atomically; false if all are taken.
    async fn take(&self, of: &TokenUse) -> Result<bool, UsesError>;

    /// Gives back a use that led to nothing.
    async fn give_back(&self, token: &str) -> Result<(), UsesError>;

    /// Takes all remaining uses.
    async fn use_up(&self, of: &TokenUse) -> Result<(), UsesError>;

    /// Number of uses of each token, by its digest.
    async fn used(&self) -> Result<Vec<(String, u32)>, UsesError>;
}

/// One use of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// Digest of the token's secret.
    pub token: String,
    /// Number of uses allowed in total.
    pub allowed: u32,
    /// When it expires, seconds since 1970 (UTC).
    pub expires_at: u64,
    /// The time now.
    pub now: UnixTime,
}

impl TokenUse {
    /// When the token expires, nanoseconds since 1970 (UTC).
    #[must_use]
    pub const fn expires_ns(&self) -> WallNs {
        nanoseconds(self.expires_at)
    }

    /// Uses of tokens that expired before this may be dropped, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn forgotten_ns(&self) -> WallNs {
        nanoseconds(self.now.as_secs().saturating_sub(USES_REMEMBERED))
    }
}

/// Saturates at the latest time that stores can represent.
const fn nanoseconds(seconds: u64) -> WallNs {
    let ns = seconds.saturating_mul(1_000_000_000);
    WallNs(if ns > i64::MAX as u64 { i64::MAX as u64 } else { ns })
}

/// Properties of a new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// How long it can be used.
    pub life: Duration,
    /// The only client that may use it.
    pub client: Option<ClientId>,
    /// It may replace an existing client. Otherwise it makes a new one.
    pub replace: bool,
    /// The client ids that may use it.
    pub matching: Option<ClientGlob>,
    /// Number of hosts, each with its own id.
    pub uses: u32,
    /// The operator who makes it.
    pub by: Option<String>,
    /// The collector's addresses, for an agent without other configuration.
    pub addresses: Vec<Address>,
}

/// A glob over client ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientGlob(String);

impl ClientGlob {
    /// True if it matches a client.
    #[must_use]
    pub fn matches(&self, client: &ClientId) -> bool {
        Glob::new(&self.0).is_ok_and(|glob| glob.compile_matcher().is_match(client.as_str()))
    }
}

impl FromStr for ClientGlob {
    type Err = String;

    /// Parses a glob that some client id can match. Converts letters to lower case, as in ids.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.to_ascii_lowercase();
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.*?[]!{},".contains(c);
        let wrong = |why: &str| Err(format!("{text:?} {why}; write for example 'web-*'"));
        if pattern.is_empty() || pattern.len() > CLIENT_ID_MAX || !pattern.chars().all(known) {
            return wrong("matches no client id");
        }
        if !pattern.contains(['*', '?', '[', '{']) {
            return Err(format!("{text:?} has no *, ? or []; for one client: --client {pattern}"));
        }
        match Glob::new(&pattern) {
            Ok(_) => Ok(Self(pattern)),
            Err(error) => wrong(&format!("is no pattern: {}", error.kind())),
        }
    }
}

impl Display for ClientGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token stored under the digest of its secret until it is used up. Older collectors' files have
/// fewer fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    /// When it expires, seconds since 1970 (UTC).
    pub expires_at: u64,
    /// The only client that may use it.
    pub client: Option<String>,
    /// It may replace an existing client.
    #[serde(default)]
    pub replace: bool,
    /// The client ids that may use it.
    #[serde(default)]
    pub matching: Option<String>,
    /// Number of hosts.
    #[serde(default = "once")]
    pub uses: u32,
    /// Number of uses here.
    #[serde(default)]
    pub used: u32,
    /// When it was made, seconds since 1970 (UTC).
    #[serde(default)]
    pub made_at: Option<u64>,
    /// Who made it.
    #[serde(default)]
    pub made_by: Option<String>,
}

const fn once() -> u32 {
    1
}

impl TokenRecord {
    /// The data for taking a use of it.
    pub fn usage(&self, digest: &str, now: UnixTime) -> TokenUse {
        let (token, allowed) = (digest.to_owned(), self.uses);
        TokenUse { token, allowed, expires_at: self.expires_at, now }
    }
}

/// A token that can still be used, according to its own collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenToken {
    /// Digest of its secret; [`wire::token::id`] shortens it to the id shown to people.
    pub digest: String,
    /// The only client that may use it.
    pub client: Option<String>,
    /// It may replace that client.
    pub replace: bool,
    /// The client ids that may use it.
    pub matching: Option<String>,
    /// Number of hosts.
    pub uses: u32,
    /// Number of uses here.
    pub used: u32,
    /// When it was made, seconds since 1970 (UTC); unknown for tokens of older collectors.
    pub made_at: Option<u64>,
    /// Who made it.
    pub made_by: Option<String>,
    /// When it expires, seconds since 1970 (UTC).
    pub expires_at: u64,
}

/// The tokens that can still be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenTokens {
    /// Ordered by expiry, earliest first.
    pub tokens: Vec<OpenToken>,
    /// Unreadable files of tokens, with the remedy. Such tokens are refused.
    pub damaged: Vec<String>,
}

/// Creates a token in `dir`, and removes expired ones.
pub(super) fn make(
    dir: &Path,
    ca: Fingerprint,
    new: NewToken,
    now: UnixTime,
) -> Result<Token, IdentityError> {
    for digest in record::names(dir)? {
        let path = dir.join(digest);
        // An unreadable one is reported in the list of tokens, and doesn't block others.
        let known: Option<TokenRecord> = record::read(&path).unwrap_or_default();
        if known.is_some_and(|it| it.expires_at.saturating_add(REMEMBERED) < now.as_secs()) {
            private_file::remove(&path)?;
        }
    }
    let mut secret = TokenSecret([0; 32]);
    getrandom::fill(&mut secret.0)?;
    let token = Token::new(ca, secret, new.addresses)?;
    let kept = TokenRecord {
        expires_at: now.as_secs().saturating_add(new.life.as_secs()),
        client: new.client.map(|client| client.to_string()),
        replace: new.replace,
        matching: new.matching.map(|glob| glob.to_string()),
        uses: new.uses.clamp(1, USES_MAX),
        used: 0,
        made_at: Some(now.as_secs()),
        made_by: new.by,
    };
    record::write(&path(dir, &secret.digest()), &kept)?;
    Ok(token)
}

/// The tokens of `dir` that can still be used.
pub(super) fn open(dir: &Path, now: UnixTime) -> Result<OpenTokens, IdentityError> {
    let mut open = OpenTokens::default();
    for digest in record::names(dir)? {
        let token = match record::read::<TokenRecord>(&dir.join(&digest)) {
            Ok(Some(token)) => token,
            // It was used up in the meantime.
            Ok(None) => continue,
            Err(error) => {
                open.damaged.push(format!("{}; the token is refused until then", error.in_full()));
                continue;
            }
        };
        let TokenRecord { expires_at, client, replace, matching, uses, .. } = token;
        let TokenRecord { used, made_at, made_by, .. } = token;
        if expires_at > now.as_secs() {
            open.tokens.push(OpenToken {
                digest,
                client,
                replace,
                matching,
                uses,
                used,
                made_at,
                made_by,
                expires_at,
            });
        }
    }
    open.tokens.sort_by_key(|token| token.expires_at);
    Ok(open)
}

/// The file of a token.
pub(super) fn path(dir: &Path, digest: &str) -> PathBuf {
    dir.join(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_an_older_collector_is_good_once() {
        let old: TokenRecord =
            serde_json::from_str(r#"{"expires_at":1800000000,"client":"web-1"}"#).unwrap();
        assert_eq!((old.uses, old.used, old.replace, old.matching), (1, 0, false, None));
    }

    #[test]
    fn a_glob_takes_in_ids_as_they_are_compared_and_nonsense_is_refused() {
        let glob: ClientGlob = "Web-*".parse().unwrap();
        let matches = |id: &str| glob.matches(&ClientId::new(id).unwrap());
        assert!(matches("WEB-17") && matches("web-a.example"));
        assert!(!matches("db-1") && !matches("my-web-1"));
        for (wrong, said) in [
            ("", "matches no client id"),
            ("web 1*", "matches no client id"),
            ("web-1", "--client web-1"),
            ("web-[", "is no pattern"),
        ] {
            let error = wrong.parse::<ClientGlob>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
