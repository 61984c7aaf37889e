//! Access to figures.

use std::time::Duration;

use collector::web::Access;
use serde_json::json;
use testbed::until;

use crate::client::{Answer, post, send};
use crate::server::{Server, server, server_with};

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = server().await;
    for path in ["/", "/metrics", "/healthz", "/api/v1/clients", "/api/v1/series", "/nowhere"] {
        let answer = server.get(path).await;
        let csp = answer.header("content-security-policy").unwrap();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "frame-ancestors 'none'",
        ] {
            assert!(csp.split("; ").any(|found| found == directive), "{path}: {csp}");
        }
        assert!(!csp.contains("unsafe"), "{csp}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_name_that_points_here_gets_nothing() {
    let server = server().await;
    for path in ["/", "/metrics", "/api/v1/clients", "/api/v1/live", "/healthz"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example:8083");
        let answer = send(&server.address, &request).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.json()["error"]["code"], "host_not_allowed");
    }
    for host in ["localhost:8083", "127.0.0.1", "[::1]:80", "netmon.example"] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}");
        assert_eq!(send(&server.address, &request).await.status, 200, "{host}");
    }
    assert_eq!(send(&server.address, "GET /healthz HTTP/1.0").await.status, 403);
}

const TOKEN: &str = "0123456789abcdef";

/// Requests a path with further headers.
async fn with(server: &Server, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost{headers}");
    send(&server.address, &request).await
}

/// Signs in with further headers.
async fn sign_in(server: &Server, token: &str, headers: &str) -> Answer {
    let body = json!({ "token": token }).to_string();
    let length = body.len();
    let head = format!("POST /api/v1/session HTTP/1.1\r\nHost: localhost{headers}");
    let json = "Content-Type: application/json";
    post(&server.address, &format!("{head}\r\n{json}\r\nContent-Length: {length}"), &body).await
}

/// The request header that returns the cookie of an answer.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap();
    format!("\r\nCookie: {}", set.split(';').next().unwrap())
}

#[tokio::test]
async fn with_a_token_only_who_knows_it_sees_figures() {
    let server = server_with(None, Access::default().with_token(TOKEN)).await;
    for path in ["/api/v1/clients", "/api/v1/live", "/api/v1/version", "/metrics"] {
        let refused = with(&server, path, "").await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(refused.json()["error"]["code"], "token_needed");
    }
    let refused = with(&server, "/metrics", "\r\nAuthorization: Bearer 0123456789abcde0").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!("wrong_token")));
    let bearer = format!("\r\nAuthorization: Bearer {TOKEN}");
    assert_eq!(with(&server, "/metrics", &bearer).await.status, 200);
    for path in ["/", "/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/session"] {
        assert_eq!(with(&server, path, "").await.status, 200, "{path}");
    }
    assert_eq!(sign_in(&server, "0123456789abcde0", "").await.status, 401);
    let answer = sign_in(&server, TOKEN, "").await;
    assert_eq!(answer.status, 204);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Strict; Max-Age=2592000"), "{set}");
    assert!(!set.contains(TOKEN));
    assert_eq!(with(&server, "/api/v1/version", &cookie(&answer)).await.status, 200);
    // The proxy terminates TLS.
    let answer = sign_in(&server, TOKEN, "\r\nX-Forwarded-Proto: https").await;
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[tokio::test]
async fn who_signs_out_is_out_wherever_the_cookie_got_to() {
    let server = server_with(None, Access::default().with_token(TOKEN)).await;
    let [one, other] = [sign_in(&server, TOKEN, "").await, sign_in(&server, TOKEN, "").await];
    let [one, other] = [&one, &other].map(cookie);
    assert_eq!(with(&server, "/api/v1/session", &one).await.json()["signed_in"], true);
    let request = format!("DELETE /api/v1/session HTTP/1.1\r\nHost: localhost{one}");
    let answer = send(&server.address, &request).await;
    assert_eq!(answer.status, 204);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("netmon_session=; ") && set.contains("Max-Age=0"), "{set}");
    assert_eq!(with(&server, "/api/v1/version", &one).await.status, 401);
    assert_eq!(with(&server, "/api/v1/session", &one).await.json()["signed_in"], false);
    assert_eq!(with(&server, "/api/v1/version", &other).await.status, 200);
}

#[tokio::test]
async fn a_session_ends_by_itself_and_with_its_token() {
    let access = Access::default().with_token(TOKEN).with_session_time(Duration::from_secs(2));
    let server = server_with(None, access.clone()).await;
    let answer = sign_in(&server, TOKEN, "").await;
    assert!(answer.header("set-cookie").unwrap().ends_with("Max-Age=2"));
    let cookie = cookie(&answer);
    assert_eq!(with(&server, "/api/v1/version", &cookie).await.status, 200);
    until("the session's end", async || {
        with(&server, "/api/v1/version", &cookie).await.status == 401
    })
    .await;
    access.replace(&Access::default().with_token(TOKEN));
    assert_eq!(
        with(&server, "/api/v1/version", &cookie).await.status,
        200,
        "sessions last longer now"
    );
    access.replace(&Access::default().with_token("fedcba9876543210"));
    assert_eq!(with(&server, "/api/v1/version", &cookie).await.status, 401);
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_locks_nobody_out() {
    let proxy = ["127.0.0.1".parse().unwrap()];
    let access = Access::default().with_token(TOKEN).with_proxies(&proxy);
    let access = access.with_addresses("x-forwarded-for".parse().unwrap());
    let server = server_with(None, access).await;
    let from = |host: &str| format!("\r\nX-Forwarded-For: {host}");
    let known = cookie(&sign_in(&server, TOKEN, &from("192.0.2.1")).await);
    let bearer = |token: &str| format!("{}\r\nAuthorization: Bearer {token}", from("192.0.2.2"));
    for _ in 0..5 {
        assert_eq!(sign_in(&server, "guess", &from("192.0.2.2")).await.status, 401);
        assert_eq!(with(&server, "/metrics", &bearer("guess")).await.status, 401);
    }
    let refused = sign_in(&server, TOKEN, &from("192.0.2.2")).await;
    assert_eq!(refused.status, 429, "refused whether right or wrong");
    assert_eq!(refused.json()["error"]["code"], "too_many_sign_ins");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(with(&server, "/metrics", &bearer(TOKEN)).await.status, 429);
    // Others are let in, even behind the same proxy, and so is anybody already signed in.
    assert_eq!(sign_in(&server, TOKEN, &from("192.0.2.3")).await.status, 204);
    let mine = format!("{}{known}", from("192.0.2.2"));
    assert_eq!(with(&server, "/api/v1/version", &mine).await.status, 200);
}

#[tokio::test]
async fn no_other_sites_page_changes_or_asks_anything() {
    let server = server_with(None, Access::default().with_token(TOKEN)).await;
    for headers in [
        "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors",
        "\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors",
        "\r\nOrigin: http://evil.example",
        "\r\nOrigin: null",
    ] {
        let refused = sign_in(&server, TOKEN, headers).await;
        assert_eq!(refused.status, 403, "{headers}");
        assert_eq!(refused.json()["error"]["code"], "cross_site");
        assert_eq!(refused.header("set-cookie"), None);
    }
    assert_eq!(sign_in(&server, TOKEN, "\r\nOrigin: http://localhost").await.status, 204);
    let own = "\r\nSec-Fetch-Site: same-origin\r\nOrigin: https://monitor.example";
    assert_eq!(sign_in(&server, TOKEN, own).await.status, 204, "a proxy has changed the host");
    let image = "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors";
    assert_eq!(with(&server, "/api/v1/openapi.json", image).await.status, 403);
    let link = "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate";
    assert_eq!(with(&server, "/", link).await.status, 200);
}

#[tokio::test]
async fn behind_a_proxy_only_its_users_see_figures() {
    let proxy = ["127.0.0.1".parse().unwrap()];
    let access = Access::default().with_users("remote-user".parse().unwrap());
    // An address on this machine is no proxy unless it is named as one.
    let server = server_with(None, access.clone()).await;
    let user = "\r\nRemote-User: alice";
    assert_eq!(with(&server, "/api/v1/version", user).await.status, 401);
    let server = server_with(None, access.with_proxies(&proxy)).await;
    assert_eq!(server.get("/api/v1/version").await.status, 401);
    assert_eq!(with(&server, "/api/v1/version", user).await.status, 200);
}
