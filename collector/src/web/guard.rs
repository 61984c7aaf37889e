//! Checks the host and origin of every request, and adds security headers to every answer.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::error::ApiError;
use super::limits::refused;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                   img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                   frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, CSP),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Headers in which a browser names the requesting page and the purpose, and a proxy its protocol.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The host names that requests may use. By DNS rebinding a foreign page can make its own name point to
/// this machine and read what only this machine or network may read. Where that matters, only names
/// that nobody else can own are accepted.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// Bound to a loopback address, so requests by other addresses are refused.
    loopback: bool,
    names: Vec<String>,
}

/// True if a request names a host that nobody else can own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named(pub bool);

/// True if a request arrived encrypted, here or at the proxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encrypted(pub bool);

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(false)))
    }
}

impl<S: Sync> FromRequestParts<S> for Encrypted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // A client that sets this header falsely gets a cookie that its browser won't send.
        let proxied = parts.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        Ok(Self(proxied || parts.extensions.get().is_some_and(|Self(here)| *here)))
    }
}

impl Hosts {
    pub fn new(bound: SocketAddr, names: &[String]) -> Self {
        let loopback = bound.ip().to_canonical().is_loopback();
        let mut names = names.to_vec();
        if !loopback && let Ok(own) = nix::unistd::gethostname() {
            names.extend(own.into_string());
        }
        Self { loopback, names }
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        host.to_str().ok().and_then(without_port).is_some_and(|host| self.name(host))
    }

    fn name(&self, host: &str) -> bool {
        let four = host.parse().map(IpAddr::V4).ok();
        let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let six = six.and_then(|ip| Some(ip.parse::<Ipv6Addr>().ok()?.to_canonical()));
        let ours = |ip: IpAddr| !self.loopback || ip.is_loopback();
        four.or(six).is_some_and(ours)
            || host.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// True if a request that changes something comes from the collector's own page or from no page.
    /// Browsers mark their pages' requests by one of two headers.
    fn is_own(&self, headers: &HeaderMap) -> bool {
        if let Some(site) = headers.get(FETCH_SITE) {
            return site == "same-origin" || site == "none";
        }
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        origin.is_some_and(|(_, origin)| {
            host.is_some_and(|host| host.eq_ignore_ascii_case(origin))
                || without_port(origin).is_some_and(|origin| {
                    self.names.iter().any(|name| name.eq_ignore_ascii_case(origin))
                })
        })
    }
}

/// True if a page of another site sends the request in the background.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site")
        && headers.get(FETCH_MODE).is_none_or(|mode| mode != "navigate")
}

/// The host of a `Host` header; `None` if an invalid port follows.
fn without_port(host: &str) -> Option<&str> {
    let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[end..].split_once(':') {
        None => Some(host),
        Some((name, port)) => {
            port.bytes().all(|b| b.is_ascii_digit()).then(|| &host[..end + name.len()])
        }
    }
}

/// Passes requests with an allowed host that no other site's page sends, and adds security headers to
/// every answer.
pub(super) async fn guard(
    State((hosts, access)): State<(Arc<Hosts>, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let named = hosts.allow(headers);
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let mut response = if !named && (hosts.loopback || access.rule().asks_nobody()) {
        refused("host");
        ApiError::host_not_allowed().into_response()
    } else if is_foreign(headers) || changes && !hosts.is_own(headers) {
        refused("cross_site");
        let message = "pages of other sites may not send this request; if this is the collector's \
                       own page under another name, add the name to http.names";
        ApiError::new(StatusCode::FORBIDDEN, "cross_site", message).into_response()
    } else {
        request.extensions_mut().insert(Named(named));
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(const { HeaderValue::from_static("no-store") });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(bound: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        Hosts::new(bound.parse().unwrap(), &["netmon.example".to_owned()]).allow(&headers)
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        for bound in ["127.0.0.1:8083", "[::1]:8083", "[::ffff:127.0.0.1]:8083"] {
            for host in [
                "localhost",
                "LocalHost:8083",
                "127.0.0.1:8083",
                "127.1.2.3",
                "[::1]",
                "[::1]:8083",
                "netmon.example:80",
                "Netmon.Example",
            ] {
                assert!(allows(bound, host), "{bound} {host}");
            }
            for host in [
                "",
                "evil.example",
                "localhost.evil.example:8083",
                "evil.example:localhost",
                "localhost:80@evil.example",
                "192.0.2.1",
                "[2001:db8::1]:8083",
                "::1",
                "[::1",
                "[localhost]",
            ] {
                assert!(!allows(bound, host), "{bound} {host}");
            }
        }
    }

    #[test]
    fn on_other_addresses_a_name_that_others_can_have_is_none_of_this_machine() {
        for bound in ["0.0.0.0:8083", "192.0.2.1:8083", "[::]:8083"] {
            for host in ["192.0.2.1:8083", "[2001:db8::1]", "localhost", "netmon.example:8083"] {
                assert!(allows(bound, host), "{bound} {host}");
            }
            for host in ["collector.example", "192.0.2.1.evil.example", "", "[evil]"] {
                assert!(!allows(bound, host), "{bound} {host}");
            }
        }
        let own = nix::unistd::gethostname().unwrap().into_string().unwrap();
        assert!(allows("0.0.0.0:8083", &own));
    }

    #[test]
    fn what_changes_something_comes_from_an_own_page_or_from_none() {
        let hosts = Hosts::new("0.0.0.0:8083".parse().unwrap(), &["netmon.example".to_owned()]);
        for (given, own) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://10.0.0.1:8083")], false),
            (&[("origin", "http://10.0.0.1:8083")], true),
            (&[("origin", "http://10.0.0.1")], false),
            (&[("origin", "https://netmon.example")], true),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("10.0.0.1:8083"));
            for &(name, value) in given {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(hosts.is_own(&headers), own, "{given:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_may_lead_here_and_not_ask() {
        let foreign = |site: &'static str, mode: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(FETCH_SITE, HeaderValue::from_static(site));
            headers.insert(FETCH_MODE, HeaderValue::from_static(mode));
            is_foreign(&headers)
        };
        assert!(foreign("cross-site", "no-cors") && foreign("cross-site", "cors"));
        assert!(!foreign("cross-site", "navigate") && !foreign("same-origin", "cors"));
        assert!(!is_foreign(&HeaderMap::new()));
    }

    #[test]
    fn a_missing_or_double_host_is_refused_on_loopback() {
        let hosts = Hosts::new("127.0.0.1:8083".parse().unwrap(), &[]);
        let mut headers = HeaderMap::new();
        assert!(!hosts.allow(&headers));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(hosts.allow(&headers));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(!hosts.allow(&headers));
    }
}
