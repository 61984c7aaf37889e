//! Config files, URLs, HTTP requests, the collector's records, and values.

use super::inputs::Seeds;

pub(super) fn all() -> Vec<(&'static str, Seeds)> {
    vec![
        ("agent_config", agent_config()),
        ("collector_config", collector_config()),
        ("database_url", database_url()),
        ("http", http()),
        ("records", records()),
        ("token_records", token_records()),
        ("values", values()),
    ]
}

fn text(name: &'static str, text: &str) -> (&'static str, Vec<u8>) {
    (name, text.as_bytes().to_vec())
}

fn agent_config() -> Seeds {
    vec![
        text("reference", include_str!("../../../../deploy/agent.yaml")),
        text("old-tool", include_str!("../../../../agent/tests/fixtures/old-tool.yaml")),
        text(
            "everything",
            "server: {host: collector.example, port: 8082, fallbacks: ['[2001:db8::1]:9', b]}\n\
             client:\n  id: web-1\n  alias: \"Käse\"\nmonitor:\n  sample_interval: 1s500ms\n  \
             cpus: [0, 1]\n  nics:\n    include: [eth*, 'en{p,o}*']\n    exclude: lo\n  \
             ring: {size: 16MiB, block_size: 8KiB}\nspool: {max_size: 64MiB, max_age: 7d}\n",
        ),
        text("anchors", "a: &a {x: 1}\nserver: *a\nclient:\n  <<: *a\n"),
    ]
}

fn collector_config() -> Seeds {
    vec![
        text("reference", include_str!("../../../../deploy/collector.yaml")),
        text("old-tool", include_str!("../../../../collector/tests/fixtures/old-tool.yaml")),
        text(
            "everything",
            "server: {host: '::', port: 8082}\ndatabase:\n  url: postgres://u:p%40ss@db/n\n\
             http: {host: 0.0.0.0, port: 8083, names: [a.example], proxy_header: remote-user}\n\
             retention: {raw: 7d, rollup_1m: 30d}\nwriter: {max_rows: 20000, max_delay: 200ms}\n",
        ),
        text("secret", "database:\n  host: db\n  name: n\n  user: u\n  password: 0123\n"),
    ]
}

/// A password, a line end, then the rest of the URL after `@`; and whole URLs.
fn database_url() -> Seeds {
    vec![
        text("plain", "x\ndb/n"),
        text("like-a-port", "5/\ndb/n"),
        text("strange", "p@s/s?w#o%rd\ndb:5432/n?sslmode=require"),
        text("parameters", "x\ndb/n?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=5"),
        text("whole", "postgresql://u:p%40ss@[::1]:5432,b:1/n?target_session_attrs=read-write"),
        text("words", "host=/run/postgresql user=u password='p w' dbname=n sslmode=disable"),
    ]
}

fn http() -> Seeds {
    let get = |name, path: &str| text(name, &format!("GET {path} HTTP/1.1\r\n\r\n"));
    vec![
        get("page", "/"),
        get("metrics", "/metrics"),
        get("clients", "/api/v1/clients"),
        get(
            "series",
            "/api/v1/series?client=web-1&nic=eth0&from=1704110400&to=2024-01-01T13:00:00%2B01:00",
        ),
        get("mix", "/api/v1/mix?client=web-1&nic=eth%20%00&from=1&to=1704110400.25"),
        get("percentile", "/api/v1/percentile?client=web-1&nic=eth0&month=2024-01&p=95"),
        get("events", "/api/v1/events?client=web-1&limit=10"),
        get("live", "/api/v1/live?client=web-1"),
        text(
            "sign-in",
            "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: 13\r\n\r\n{\"token\":\"x\"}",
        ),
        text(
            "cookie",
            "GET /api/v1/version HTTP/1.1\r\nHost: [::1]:8083\r\nCookie: a=b; \
             netmon_session=AAAA\r\nAuthorization: Bearer x\r\nIf-None-Match: \"x\"\r\n\
             Accept-Encoding: gzip\r\n\r\n",
        ),
        text(
            "chunked",
            "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\n{\"tok\r\n0\r\n\r\n",
        ),
    ]
}

/// The kind of record, then its text.
fn token_records() -> Seeds {
    vec![
        text("old", r#"{"expires_at":1800000060,"client":"web-1"}"#),
        text(
            "fleet",
            r#"{"expires_at":1800000060,"client":null,"replace":false,"matching":"web-*",
            "uses":50,"used":3,"made_at":1799990000,"made_by":"root"}"#,
        ),
        text("expired", r#"{"expires_at":1700000000,"client":null}"#),
        text("cut", r#"{"expires_at":18000"#),
    ]
}

fn records() -> Seeds {
    vec![
        text(
            "issued",
            "\0{\"certificates\":[{\"serial\":\"12ab\",\"not_before\":1700000000,\
             \"not_after\":1900000000}]}",
        ),
        text("revoked", "\x01{\"revoked_at\":1750000000,\"forgotten\":true,\"generation\":7}"),
        text(
            "second-host",
            "\x02{\"at\":1750000000,\"kept\":\"192.0.2.1\",\"refused\":\"2001:db8::1\",\
             \"what\":\"a copy\"}",
        ),
    ]
}

fn values() -> Seeds {
    let all = [
        ("interval", "1m30s"),
        ("days", "7d 5h"),
        ("fraction", "1.5s"),
        ("size", "1.5 GiB"),
        ("bytes", "64000000"),
        ("address", "[2001:db8::1]:8082"),
        ("host", "collector.example.org:65535"),
        ("glob", "en{p,o}[0-9]s?"),
        ("time", "2024-01-01T13:00:00.25+01:00"),
        ("seconds", "1704110400.25"),
        ("hostile", "a\u{1b}[2J\u{202e}b\u{200b}\u{e0041}"),
        ("wide", "网卡0 e\u{301}"),
    ];
    all.map(|(name, value)| text(name, value)).to_vec()
}
