//! What every request must say and every answer says: the host asked for, and headers that keep
//! a browser from doing anything but showing the page.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

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

/// Which hosts may be asked for. A page of somewhere else can make its own name point to this
/// machine (DNS rebinding) and read what only this machine may: so on a loopback address only
/// names that mean this machine are answered.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// `None`: any.
    names: Option<Vec<String>>,
}

impl Hosts {
    pub fn new(bound: SocketAddr, names: &[String]) -> Self {
        Self { names: bound.ip().to_canonical().is_loopback().then(|| names.to_vec()) }
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(names) = &self.names else { return true };
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(host) = host.to_str().ok().and_then(without_port) else { return false };
        let ip = host.parse().map(IpAddr::V4).ok();
        ip.is_some_and(|ip| ip.is_loopback())
            || host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|ip| {
                ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            })
            || host.eq_ignore_ascii_case("localhost")
            || names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// The host of a `Host` header. `None` if what follows it is no port.
fn without_port(host: &str) -> Option<&str> {
    let end = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[end..].split_once(':') {
        None => Some(host),
        Some((name, port)) => {
            port.bytes().all(|b| b.is_ascii_digit()).then(|| &host[..end + name.len()])
        }
    }
}

/// Lets a request pass whose host is allowed, and adds the headers to whatever is answered.
pub(super) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut response = if hosts.allow(request.headers()) {
        next.run(request).await
    } else {
        let message = "this host name is not served here; ask for localhost, or add the name to \
                       http.names";
        ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", message).into_response()
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
    fn on_other_addresses_any_name_is_answered() {
        assert!(allows("0.0.0.0:8083", "collector.example"));
        assert!(allows("192.0.2.1:8083", "192.0.2.1:8083"));
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
