//! Browser sessions: a cookie signed with the token, which expires and can be signed out. It is valid
//! at every collector with the same token, and survives a restart.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use settings::InFull;
use wire::private_file;

/// Name of the cookie.
pub(super) const COOKIE: &str = "netmon_session";

/// Prefix of the signed text, so that a signature serves no other purpose.
const PURPOSE: &[u8] = b"network monitor session 2";

/// Number of signed-out sessions kept. Beyond that, all sessions up to the oldest one's start count as
/// signed out.
const SIGNED_OUT_MAX: usize = 10_000;

/// A session: its start, seconds since 1970, and a unique number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct WebSession {
    began: u64,
    number: u128,
}

impl WebSession {
    /// Begins a session.
    pub fn begin(now_s: u64) -> Result<Self, getrandom::Error> {
        let mut number = [0; 16];
        getrandom::fill(&mut number)?;
        Ok(Self { began: now_s, number: u128::from_be_bytes(number) })
    }

    fn signed(self) -> Vec<u8> {
        [PURPOSE, &self.began.to_be_bytes(), &self.number.to_be_bytes()].concat()
    }

    /// The value of its cookie.
    pub fn cookie(self, token: &hmac::Key) -> String {
        let signed = self.signed();
        let proof = hmac::sign(token, &signed);
        BASE64_URL_SAFE_NO_PAD.encode([&signed[PURPOSE.len()..], proof.as_ref()].concat())
    }

    /// The session of a cookie; `None` if the token didn't sign it.
    pub fn of(cookie: &str, token: &hmac::Key) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (began, rest) = bytes.split_first_chunk()?;
        let (number, proof) = rest.split_first_chunk()?;
        let session =
            Self { began: u64::from_be_bytes(*began), number: u128::from_be_bytes(*number) };
        hmac::verify(token, &session.signed(), proof).ok()?;
        Some(session)
    }

    /// Its name for other collectors, which is useless for signing in.
    fn name(self) -> String {
        format!("{}-{:032x}", self.began, self.number)
    }

    fn named(name: &str) -> Option<Self> {
        let (began, number) = name.split_once('-')?;
        let number = u128::from_str_radix(number, 16).ok()?;
        Some(Self { began: began.parse().ok()?, number })
    }

    /// True if it is still valid. A session begun while the clock was wrong is valid only if its start
    /// is near enough to now.
    pub const fn holds(self, now_s: u64, lasts: Duration) -> bool {
        self.began.abs_diff(now_s) <= lasts.as_secs()
    }
}

/// Signed-out sessions, optionally kept in a file. Clones share them.
#[derive(Clone, Default)]
pub struct SignedOut {
    known: Arc<Mutex<Known>>,
    file: Option<Arc<PathBuf>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// All sessions begun up to this time are signed out, seconds since 1970.
    until: u64,
    sessions: BTreeSet<WebSession>,
}

impl fmt::Debug for SignedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known().sessions.len();
        f.debug_struct("SignedOut").field("known", &known).finish_non_exhaustive()
    }
}

impl SignedOut {
    /// Reads those in a file, which is created when needed. If the file is unreadable, logs that and
    /// rewrites it at the next sign-out.
    #[must_use]
    pub fn open(file: PathBuf) -> Self {
        let known = match private_file::read(&file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| error.in_full().to_string())
            }
            Err(error) if error.is_absent() => Ok(Known::default()),
            Err(error) => Err(error.in_full().to_string()),
        };
        let known = known.unwrap_or_else(|error| {
            let file = file.display();
            tracing::error!(%file, error, "can't read signed-out sessions; they may be valid \
                                            again");
            Known::default()
        });
        Self { known: Arc::new(Mutex::new(known)), file: Some(Arc::new(file)) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a session was signed out.
    pub(super) fn has(&self, session: &WebSession) -> bool {
        let known = self.known();
        session.began <= known.until || known.sessions.contains(session)
    }

    /// Names of the signed-out sessions for other collectors of the store, with the time when each
    /// expires by itself, seconds since 1970.
    #[must_use]
    pub fn list(&self, lasts: Duration) -> Vec<(String, u64)> {
        let ends = |session: &WebSession| session.began.saturating_add(lasts.as_secs());
        self.known().sessions.iter().map(|session| (session.name(), ends(session))).collect()
    }

    /// Adds sessions signed out at other collectors. Ignores invalid names.
    pub fn learn(&self, names: &[String], now_s: u64, lasts: Duration) {
        let sessions = names.iter().filter_map(|name| WebSession::named(name));
        let news: Vec<WebSession> = sessions.filter(|session| !self.has(session)).collect();
        if !news.is_empty() {
            self.add(news, now_s, lasts);
        }
    }

    /// Signs sessions out, and drops those that have expired by themselves.
    pub(super) fn add(
        &self,
        sessions: impl IntoIterator<Item = WebSession>,
        now_s: u64,
        lasts: Duration,
    ) {
        let mut known = self.known();
        known.sessions.retain(|other| other.holds(now_s, lasts));
        known.sessions.extend(sessions);
        while known.sessions.len() > SIGNED_OUT_MAX
            && let Some(oldest) = known.sessions.pop_first()
        {
            known.until = known.until.max(oldest.began);
        }
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(&*known).map_err(|error| error.in_full().to_string());
        let written = written.and_then(|json| {
            private_file::write(file, &json).map_err(|error| error.in_full().to_string())
        });
        if let Err(error) = written {
            tracing::error!(
                error,
                "can't save a signed-out session; after a restart it is valid \
                                     again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn key(token: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
    }

    #[test]
    fn a_cookie_is_of_its_session_for_who_signed_it_only() {
        let session = WebSession::begin(1000).unwrap();
        let cookie = session.cookie(&key("a"));
        assert_eq!(WebSession::of(&cookie, &key("a")), Some(session));
        assert_eq!(WebSession::of(&cookie, &key("b")), None);
        for wrong in ["", "AAAA", &cookie[1..], &cookie[..cookie.len() - 2], "%"] {
            assert_eq!(WebSession::of(wrong, &key("a")), None, "{wrong}");
        }
        let later = BASE64_URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        let later = [&[0xff], &later[1..]].concat();
        assert_eq!(WebSession::of(&BASE64_URL_SAFE_NO_PAD.encode(later), &key("a")), None);
        assert_ne!(WebSession::begin(1000).unwrap(), session);
    }

    #[test]
    fn a_session_ends_and_none_from_the_far_future_holds() {
        let session = WebSession { began: 1_000_000, number: 1 };
        for (now, holds) in [
            (1_000_000, true),
            (1_086_400, true),
            (1_086_401, false),
            (913_600, true),
            (913_599, false),
            (0, false),
        ] {
            assert_eq!(session.holds(now, DAY), holds, "{now}");
        }
    }

    #[test]
    fn what_was_signed_out_stays_so_over_a_restart_and_takes_bounded_memory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("signed-out.json");
        let signed_out = SignedOut::open(file.clone());
        let session = |began| WebSession { began, number: 7 };
        assert!(!signed_out.has(&session(5)));
        signed_out.add([session(5), session(6)], 10, DAY);
        let again = SignedOut::open(file);
        assert!(again.has(&session(5)) && again.has(&session(6)) && !again.has(&session(7)));
        let other = SignedOut::default();
        let listed = again.list(DAY);
        assert_eq!([listed[0].1, listed[1].1], [86_405, 86_406]);
        let names = listed.into_iter().map(|(name, _)| name);
        let names: Vec<String> = names.chain(["nonsense-of-others".to_owned()]).collect();
        other.learn(&names, 10, DAY);
        assert!(other.has(&session(5)) && other.has(&session(6)) && !other.has(&session(7)));
        // Expired ones are dropped.
        again.add([session(200_000)], 200_000, DAY);
        assert_eq!(again.known().sessions.len(), 1);
        let many = SignedOut::default();
        many.known().sessions.extend((10..10_010).map(session));
        many.add([session(20_000)], 20_000, DAY);
        assert!(many.has(&session(10)) && many.has(&session(9)) && !many.has(&session(10_010)));
    }
}
