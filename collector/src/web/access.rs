//! Authorization: who may see figures. Callers send the token, have signed in with it, or come through
//! a trusted proxy.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName};
use axum::http::request::Parts;
use ring::hmac;

use super::caller::Caller;
use super::error::ApiError;
use super::session::{self, WebSession};

/// Text signed to compare tokens.
const PROOF: &[u8] = b"network monitor token";

/// How long a browser stays signed in by default (30 days).
const SESSION_TIME: Duration = Duration::from_secs(30 * 86_400);

/// Who may see figures; by default everybody who reaches the listener. Clones share one rule.
#[derive(Clone, Default)]
pub struct Access(Arc<RwLock<Rule>>);

/// The rule at one moment.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// Key for signing sessions and comparing tokens; `None` without a token.
    pub token: Option<hmac::Key>,
    /// How long a browser stays signed in.
    pub session_time: Duration,
    /// Addresses of trusted proxies.
    proxies: Vec<IpAddr>,
    /// Header in which a proxy names the user it let in.
    user: Option<HeaderName>,
    /// Header in which a proxy names its client's address.
    address: Option<HeaderName>,
}

impl Default for Rule {
    fn default() -> Self {
        let (session_time, proxies) = (SESSION_TIME, Vec::new());
        Self { token: None, session_time, proxies, user: None, address: None }
    }
}

/// Source address of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestOrigin(pub SocketAddr);

/// The caller and its address.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// The caller that limits count for.
    pub caller: Caller,
    /// The caller's address, if known.
    pub address: IpAddr,
}

impl<S: Sync> FromRequestParts<S> for RequestOrigin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let peer = parts.extensions.get().copied();
        peer.ok_or_else(|| ApiError::internal("a request from nowhere"))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule();
        let token = rule.token.as_ref().map(|_| "***");
        f.debug_struct("Access")
            .field("token", &token)
            .field("proxies", &rule.proxies)
            .field("user", &rule.user)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// How long a browser stays signed in.
    #[must_use]
    pub fn session_time(&self) -> Duration {
        self.rule().session_time
    }

    /// Lets in callers who send the token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.set(Rule { token: Some(key(token)), ..self.rule() });
        self
    }

    /// Lets in requests that come from a trusted proxy with a user's name in the header.
    #[must_use]
    pub fn with_users(self, header: HeaderName) -> Self {
        self.set(Rule { user: Some(header), ..self.rule() });
        self
    }

    /// Trusts proxies at these addresses. Each may carry many people.
    #[must_use]
    pub fn with_proxies(self, addresses: &[IpAddr]) -> Self {
        let proxies = addresses.iter().map(IpAddr::to_canonical).collect();
        self.set(Rule { proxies, ..self.rule() });
        self
    }

    /// Reads the client's address of a proxy's request from this header.
    #[must_use]
    pub fn with_addresses(self, header: HeaderName) -> Self {
        self.set(Rule { address: Some(header), ..self.rule() });
        self
    }

    /// Sets how long browsers stay signed in.
    #[must_use]
    pub fn with_session_time(self, session_time: Duration) -> Self {
        self.set(Rule { session_time, ..self.rule() });
        self
    }

    /// Replaces the rule by another one's, in all clones.
    pub fn replace(&self, other: &Self) {
        self.set(other.rule());
    }

    fn set(&self, rule: Rule) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    pub(super) fn rule(&self) -> Rule {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The credential of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// None needed: everybody is let in.
    Open,
    /// By a session.
    Session,
    /// A user named by a trusted proxy.
    User,
    /// A token, right or wrong.
    Token(bool),
    /// Not at all.
    Nothing,
}

impl Rule {
    /// True if everybody who reaches the listener is let in.
    pub const fn asks_nobody(&self) -> bool {
        self.token.is_none() && self.user.is_none()
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contains(&peer.to_canonical())
    }

    /// The caller behind a connection.
    pub fn behind(&self, peer: IpAddr) -> Caller {
        if self.is_proxy(peer) { Caller::Proxy } else { Caller::at(peer) }
    }

    /// The caller of a request. A proxy appends to a list of addresses, so the last one counts.
    pub fn asker(&self, headers: &HeaderMap, peer: IpAddr) -> Asker {
        let address = peer.to_canonical();
        if !self.is_proxy(peer) {
            return Asker { caller: Caller::at(peer), address };
        }
        let told = |header: &HeaderName| headers.get_all(header).iter().next_back();
        let told_address = self.address.as_ref().and_then(told).and_then(|list| {
            let last = list.to_str().ok()?.rsplit(',').next()?.trim();
            last.trim_matches(['[', ']']).parse::<IpAddr>().ok()
        });
        let user = self.user.as_ref().and_then(told).filter(|user| !user.is_empty());
        let caller = match (user, told_address) {
            (Some(user), _) => Caller::user(user.as_bytes()),
            (None, Some(address)) => Caller::at(address),
            (None, None) => Caller::Proxy,
        };
        Asker { caller, address: told_address.map_or(address, |it| it.to_canonical()) }
    }

    /// The credential of a request. `holds` checks its sessions.
    pub fn claim(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        holds: impl Fn(WebSession) -> bool,
    ) -> Credential {
        if self.asks_nobody() {
            return Credential::Open;
        }
        if let Some(token) = &self.token {
            if sessions(token, headers).any(holds) {
                return Credential::Session;
            }
            if let Some(right) = bearer(token, headers) {
                return Credential::Token(right);
            }
        }
        let user = self.user.as_ref().and_then(|header| headers.get(header));
        let vouched = user.is_some_and(|user| !user.is_empty()) && self.is_proxy(peer);
        if vouched { Credential::User } else { Credential::Nothing }
    }
}

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

/// Compares in constant time, so that timing reveals nothing about the token.
pub(super) fn is_token(token: &hmac::Key, presented: &str) -> bool {
    hmac::verify(token, PROOF, hmac::sign(&key(presented), PROOF).as_ref()).is_ok()
}

/// Whether the token of a request is right; `None` if there is none.
fn bearer(token: &hmac::Key, headers: &HeaderMap) -> Option<bool> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, presented) = given.split_once(' ')?;
    let presented = presented.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !presented.is_empty())
        .then(|| is_token(token, presented))
}

/// The sessions of a request's cookies.
pub(super) fn sessions<'a>(
    token: &'a hmac::Key,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = WebSession> + 'a {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let cookies = cookies.flat_map(|cookies| cookies.split(';'));
    let ours = cookies.filter_map(|cookie| cookie.trim().split_once('='));
    let ours = ours.filter(|(name, _)| *name == session::COOKIE);
    ours.filter_map(|(_, value)| WebSession::of(value, token))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "correct horse battery";
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        let given = given.iter();
        given.map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn without_token_and_proxy_everybody_may() {
        let claim = Access::default().rule().claim(&HeaderMap::new(), ELSEWHERE, |_| false);
        assert_eq!(claim, Credential::Open);
    }

    #[test]
    fn only_who_knows_the_token_may() {
        let rule = Access::default().with_token(TOKEN).rule();
        let claim = |given: &[(HeaderName, &str)]| rule.claim(&headers(given), ELSEWHERE, |_| true);
        assert_eq!(claim(&[]), Credential::Nothing);
        for (value, claimed) in [
            ("Bearer correct horse battery", Credential::Token(true)),
            ("bearer  correct horse battery", Credential::Token(true)),
            ("Bearer correct horse", Credential::Token(false)),
            ("Bearer ", Credential::Nothing),
            ("Bearer", Credential::Nothing),
            ("Basic correct horse battery", Credential::Nothing),
        ] {
            assert_eq!(claim(&[(AUTHORIZATION, value)]), claimed, "{value}");
        }
        let cookie = WebSession::begin(7).unwrap().cookie(&key(TOKEN));
        let with = |cookie: String| claim(&[(COOKIE, &cookie)]);
        assert_eq!(with(format!("a=b; netmon_session={cookie}")), Credential::Session);
        assert_eq!(with(format!("a=b; netmon_session={}", &cookie[1..])), Credential::Nothing);
        assert_eq!(with(format!("other={cookie}")), Credential::Nothing);
        assert_eq!(with(format!("netmon_session={TOKEN}")), Credential::Nothing);
        let ended = headers(&[(COOKIE, &format!("netmon_session={cookie}"))]);
        assert_eq!(rule.claim(&ended, ELSEWHERE, |_| false), Credential::Nothing);
        let access = Access::default().with_token(TOKEN);
        assert!(!format!("{access:?}").contains("horse"));
    }

    #[test]
    fn a_user_is_believed_from_the_proxy_only() {
        let name = HeaderName::from_static("remote-user");
        let proxy = "192.0.2.7".parse().unwrap();
        let access = Access::default().with_users(name.clone()).with_proxies(&[proxy]);
        let claim = |given: &HeaderMap, peer| access.rule().claim(given, peer, |_| true);
        let user = headers(&[(name.clone(), "alice")]);
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(claim(&user, proxy), Credential::User);
        assert_eq!(claim(&user, mapped), Credential::User);
        assert_eq!(claim(&user, ELSEWHERE), Credential::Nothing);
        assert_eq!(claim(&HeaderMap::new(), proxy), Credential::Nothing);
        assert_eq!(claim(&headers(&[(name, "")]), proxy), Credential::Nothing);
    }

    #[test]
    fn behind_a_proxy_users_and_addresses_are_told_apart_as_it_says() {
        let (user, list) =
            (HeaderName::from_static("remote-user"), HeaderName::from_static("x-forwarded-for"));
        let proxy = "192.0.2.7".parse().unwrap();
        let access = Access::default().with_users(user.clone()).with_proxies(&[proxy]);
        let rule = access.with_addresses(list.clone()).rule();
        let caller = |given: &[(HeaderName, &str)], peer| rule.asker(&headers(given), peer).caller;
        let forged = [(list.clone(), "198.51.100.1, 203.0.113.5")];
        assert_eq!(caller(&forged, proxy), Caller::at("203.0.113.5".parse().unwrap()));
        assert_eq!(caller(&forged, ELSEWHERE), Caller::at(ELSEWHERE), "no proxy");
        assert_eq!(caller(&[(list.clone(), "unknown")], proxy), Caller::Proxy);
        assert_eq!(caller(&[], proxy), Caller::Proxy);
        assert_eq!(caller(&[(user, "alice")], proxy), Caller::user(b"alice"));
        assert_eq!(rule.behind(proxy), Caller::Proxy);
        let asker = rule.asker(&headers(&[(list, "[2001:db8::7]")]), proxy);
        assert_eq!(asker.address, "2001:db8::7".parse::<IpAddr>().unwrap());
    }
}
