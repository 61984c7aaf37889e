//! Who may see figures, where not everybody on the machine may: one who sends the token, has
//! signed in with it, or comes from a proxy that has asked already.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, SET_COOKIE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::error::ApiError;

/// Name of the cookie that says that a browser has signed in. It holds a proof of the token.
const COOKIE_NAME: &str = "netmon_session";

/// What is signed: with the token as key it proves that somebody knows it.
const PROOF: &[u8] = b"network monitor session";

/// How long a browser stays signed in, seconds (30 days).
const COOKIE_AGE: u32 = 2_592_000;

/// Who may see figures. By default everybody who reaches the listener. Clones share one rule.
#[derive(Clone, Default)]
pub struct Access(Arc<RwLock<Rule>>);

/// The rule at one moment.
#[derive(Clone, Default)]
struct Rule {
    token: Option<hmac::Key>,
    proxy: Option<Proxy>,
}

/// A reverse proxy that says who a user is.
#[derive(Debug, Clone)]
struct Proxy {
    header: HeaderName,
    addresses: Vec<IpAddr>,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule();
        let token = rule.token.as_ref().map(|_| "***");
        f.debug_struct("Access").field("token", &token).field("proxy", &rule.proxy).finish()
    }
}

impl Access {
    /// Lets in who knows the token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.set(Rule { token: Some(key(token)), ..self.rule() });
        self
    }

    /// Lets in whose request comes from one of the addresses with a user's name in the header.
    #[must_use]
    pub fn with_proxy(self, header: HeaderName, addresses: Vec<IpAddr>) -> Self {
        let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
        self.set(Rule { proxy: Some(Proxy { header, addresses }), ..self.rule() });
        self
    }

    /// From now on goes by another one's rule, in all clones.
    pub fn replace(&self, other: &Self) {
        self.set(other.rule());
    }

    fn set(&self, rule: Rule) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    fn rule(&self) -> Rule {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn allows(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
        match &self.rule() {
            Rule { token: None, proxy: None } => true,
            Rule { token, proxy } => {
                token.as_ref().is_some_and(|token| bearer(token, headers) || cookie(token, headers))
                    || proxy.as_ref().is_some_and(|proxy| proxy.vouches(headers, peer))
            }
        }
    }
}

impl Proxy {
    fn vouches(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.addresses.contains(&peer.to_canonical()))
            && headers.get(&self.header).is_some_and(|user| !user.is_empty())
    }
}

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

/// In constant time: whoever asks learns nothing of the token from how long it takes.
fn is_token(token: &hmac::Key, presented: &str) -> bool {
    hmac::verify(token, PROOF, hmac::sign(&key(presented), PROOF).as_ref()).is_ok()
}

fn bearer(token: &hmac::Key, headers: &HeaderMap) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|given| given.to_str().ok());
    let given = given.and_then(|given| given.split_once(' '));
    given.is_some_and(|(scheme, presented)| {
        scheme.eq_ignore_ascii_case("bearer") && is_token(token, presented.trim())
    })
}

fn cookie(token: &hmac::Key, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies = cookies.flat_map(|cookies| cookies.split(';'));
    cookies.any(|cookie| {
        let proof = cookie.trim().split_once('=').filter(|(name, _)| *name == COOKIE_NAME);
        let proof = proof.and_then(|(_, proof)| BASE64_URL_SAFE_NO_PAD.decode(proof).ok());
        proof.is_some_and(|proof| hmac::verify(token, PROOF, &proof).is_ok())
    })
}

/// Lets a request pass that may see figures.
pub(super) async fn protect(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.ip());
    if app.state.access.allows(request.headers(), peer) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "token_needed",
        match app.state.access.rule().token {
            Some(_) => {
                "send the token of http.token_file as `Authorization: Bearer TOKEN`, or sign in"
            }
            None => "ask the proxy before this collector; it says who you are",
        },
    ))
}

/// The token.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    token: String,
}

/// Signs a browser in with the token, which it need not keep: it gets a cookie
#[utoipa::path(
    post, path = "/api/v1/session", tag = "access", request_body = SignIn,
    responses((status = 204, description = "Signed in, or nobody has to"), ApiError)
)]
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(SignIn { token: presented }) =
        body.map_err(|rejection| ApiError::bad_parameter(rejection.body_text()))?;
    let access = app.state.access.rule();
    let Some(token) = &access.token else {
        let open = access.proxy.is_none();
        let refused = || ApiError::new(StatusCode::UNAUTHORIZED, "no_token", "no token is set");
        return if open { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(refused()) };
    };
    if !is_token(token, &presented) {
        let message = "this is not the token of http.token_file";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong_token", message));
    }
    let proof = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(token, PROOF));
    // Without a path it holds for what lies beside this one, also under a path of a proxy.
    let cookie = format!("{COOKIE_NAME}={proof}; HttpOnly; SameSite=Strict; Max-Age={COOKIE_AGE}");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "correct horse battery";

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        let given = given.iter();
        given.map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn without_token_and_proxy_everybody_may() {
        assert!(Access::default().allows(&HeaderMap::new(), None));
    }

    #[test]
    fn only_who_knows_the_token_may() {
        let access = Access::default().with_token(TOKEN);
        let allows = |given: &[(HeaderName, &str)]| access.allows(&headers(given), None);
        assert!(!allows(&[]));
        for (value, allowed) in [
            ("Bearer correct horse battery", true),
            ("bearer  correct horse battery", true),
            ("Bearer correct horse", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("Basic correct horse battery", false),
        ] {
            assert_eq!(allows(&[(AUTHORIZATION, value)]), allowed, "{value}");
        }
        let proof = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key(TOKEN), PROOF));
        assert!(allows(&[(COOKIE, &format!("a=b; netmon_session={proof}"))]));
        assert!(!allows(&[(COOKIE, &format!("a=b; netmon_session={}", &proof[1..]))]));
        assert!(!allows(&[(COOKIE, &format!("other={proof}"))]));
        assert!(!allows(&[(COOKIE, &format!("netmon_session={TOKEN}"))]));
        assert!(!format!("{access:?}").contains("horse"));
    }

    #[test]
    fn a_user_is_believed_from_the_proxy_only() {
        let name = HeaderName::from_static("remote-user");
        let proxy = "192.0.2.7".parse().unwrap();
        let access = Access::default().with_proxy(name.clone(), vec![proxy]);
        let user = headers(&[(name.clone(), "alice")]);
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert!(access.allows(&user, Some(proxy)));
        assert!(access.allows(&user, Some(mapped)));
        assert!(!access.allows(&user, Some("192.0.2.8".parse().unwrap())));
        assert!(!access.allows(&user, None));
        assert!(!access.allows(&HeaderMap::new(), Some(proxy)));
        assert!(!access.allows(&headers(&[(name, "")]), Some(proxy)));
    }
}
