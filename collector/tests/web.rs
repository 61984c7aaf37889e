//! The web side, asked over a real socket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod web {
    #[allow(dead_code, reason = "the tests of the dashboard use all of it")]
    pub mod client;
    pub mod memory;
}

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use collector::live::Live;
use collector::metrics::Metrics;
use collector::time::now_ns;
use collector::web::{Access, WebState, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName};
use wire::message::Host;

use web::client::{Answer, Connection, get, get_compressed, send};
use web::memory::Memory;

const NOON: u64 = 1_704_110_400_000_000_000;

/// A running server.
struct Server {
    address: String,
    live: Live,
    memory: Arc<Memory>,
    notice: watch::Sender<Option<String>>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn server() -> Server {
    server_with(None, Access::default()).await
}

/// A server whose writer has this to say, and that lets these in.
async fn server_with(writer: Option<&'static str>, access: Access) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (live, memory) = (Live::new(), Arc::new(Memory::default()));
    let (notice, noticed) = watch::channel(None);
    let state = WebState {
        live: live.clone(),
        query: memory.clone(),
        writer: Arc::new(move || writer.map(str::to_owned)),
        notice: Arc::new(move || noticed.borrow().clone()),
        metrics: Metrics::with_recorder().unwrap().1,
        version: "1.2.3".into(),
        host_names: vec!["netmon.example".into()],
        access,
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, state, stopped));
    Server { address, live, memory, notice, stop, task }
}

impl Server {
    async fn get(&self, path: &str) -> Answer {
        get(&self.address, path).await
    }

    /// The error of a path that must fail with a status.
    async fn error(&self, path: &str, status: u16) -> (String, String) {
        let answer = self.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = &answer.json()["error"];
        let text = |key: &str| error[key].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }

    /// A client connects and delivers one frame.
    fn observe(&self, client: &str, alias: &str, seq: u64) {
        let client = ClientId::new(client).unwrap();
        self.live.on_connected(&client, alias, &Host::default(), now_ns());
        self.live.observe(&client, &frame(seq), now_ns());
    }
}

/// A frame of half a second: 1000 bytes in 10 packets received.
fn frame(seq: u64) -> Frame {
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        start_ns: now_ns(),
        interval_ns: 500_000_000,
        rx: Counts {
            bytes: 1000,
            packets: 10,
            total_bytes: 1000 * seq,
            total_packets: 10 * seq,
            peak_1ms_bytes: 300,
            ..Counts::default()
        },
        ..Sample::default()
    };
    Frame {
        session: 1,
        first_seq: seq,
        last_seq: seq,
        gap: 0,
        samples: vec![sample],
        mixes: vec![],
    }
}

/// The files that the page names; none if the collector was built without its dashboard.
fn named(page: &str) -> Vec<String> {
    let files = page.split('"').filter(|text| text.starts_with("./"));
    files.map(|file| file[1..].to_owned()).collect()
}

#[tokio::test]
async fn the_page_and_its_files_are_served_compressed_small_and_name_no_other_place() {
    let server = server().await;
    let page = server.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!page.body.contains("<style") && !page.body.contains("style="));
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
    let files = named(&page.body);
    if files.is_empty() {
        assert!(page.body.contains("scripts/build"), "says how to get the dashboard");
        return;
    }
    let mut total = 0;
    for file in files {
        let answer = server.get(&file).await;
        assert_eq!(answer.status, 200, "{file}");
        let request =
            format!("HEAD {file} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br");
        let compressed = send(&server.address, &request).await;
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{file}");
        total += compressed.header("content-length").unwrap().parse::<usize>().unwrap();
        for sink in ["outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!answer.body.contains(sink), "{file}: {sink}");
        }
    }
    assert!((1..200_000).contains(&total), "{total} bytes compressed");
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let server = server().await;
    let etag = server.get("/").await.header("etag").unwrap().to_owned();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {etag}");
    let again = send(&server.address, &request).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}

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

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed_is_said_in_json() {
    let server = server().await;
    assert_eq!(server.error("/nowhere", 404).await.0, "not_found");
    let answer = send(&server.address, "POST /api/v1/clients HTTP/1.1\r\nHost: localhost").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    let answer = send(&server.address, "HEAD / HTTP/1.1\r\nHost: localhost").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn health_is_told_and_why_it_is_bad() {
    let server = server().await;
    assert_eq!(server.get("/healthz").await.body, "ok\n");
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    server.memory.fail();
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.body, "the store memory fails: switched off\n");
    assert_eq!(server.get("/healthz").await.status, 200);

    let server = server_with(Some("disk full"), Access::default()).await;
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "disk full\n"));
    server.notice.send_replace(Some("the clock is ahead".to_owned()));
    assert_eq!(server.get("/readyz").await.body, "disk full\n");
}

#[tokio::test]
async fn a_collector_that_works_and_has_something_to_say_is_ready() {
    let server = server().await;
    server.notice.send_replace(Some("the clock is ahead".to_owned()));
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\nthe clock is ahead\n"));
}

#[tokio::test]
async fn the_version_is_told() {
    assert_eq!(server().await.get("/api/v1/version").await.json(), json!({ "version": "1.2.3" }));
}

#[tokio::test]
async fn prometheus_reads_the_clients_of_this_moment() {
    let server = server().await;
    server.observe("web-1", "Web", 3);
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("netmon_collector_frames_total 0\n"));
    let series = "netmon_nic_bytes_total{client=\"web-1\",nic=\"eth0\",direction=\"rx\"} 3000\n";
    assert!(answer.body.contains(series), "{}", answer.body);
}

#[tokio::test]
async fn clients_are_listed_with_what_the_live_table_knows() {
    let server = server().await;
    server.observe("web-1", "Web", 1);
    server.live.on_clock_offset(&ClientId::new("web-1").unwrap(), 77);
    let clients = server.get("/api/v1/clients").await.json();
    let web = &clients["clients"][1];
    assert_eq!((&web["client"], &web["up"]), (&json!("web-1"), &json!(true)));
    assert_eq!(web["clock_offset_ns"], 77);
    assert_eq!(web["created"], "2024-01-01T12:00:00Z");
    let nic = &web["nics"][0];
    assert_eq!((&nic["nic"], &nic["mac"]), (&json!("eth0"), &json!("02:00:00:00:00:0a")));
    assert_eq!(nic["speed_bits_per_second"], 10_000_000_000_u64);
    let db = &clients["clients"][0];
    assert_eq!((&db["up"], &db["clock_offset_ns"]), (&json!(false), &Value::Null));
    server.memory.fail();
    assert_eq!(server.error("/api/v1/clients", 503).await.0, "store_unavailable");
}

#[tokio::test]
async fn a_series_has_its_units_in_its_names() {
    let server = server().await;
    let path = "/api/v1/series?client=web-1&nic=eth0&from=2024-01-01T12:00:00Z\
                &to=1704110460&max_points=7&resolution=raw";
    let series = server.get(path).await.json();
    assert_eq!(series["from"], "2024-01-01T12:00:00Z");
    assert_eq!(series["to"], "2024-01-01T12:01:00Z");
    assert_eq!(series["resolution"], "raw");
    let counts = json!({
        "bytes": 1, "packets": 2, "captured": 3, "peak_1ms_bytes": 4, "peak_10ms_bytes": 5
    });
    let point = json!({
        "time": "2024-01-01T12:00:00.5Z", "interval_ns": 500_000_000, "rx": counts, "tx": counts,
        "drops": 6, "flags": ["stacked"]
    });
    assert_eq!(series["points"], json!([point]));
    let asked = server.memory.asked();
    assert_eq!((asked.from_ns, asked.to_ns), (NOON, NOON + 60_000_000_000));
    assert_eq!(asked.limit, 7);
}

#[tokio::test]
async fn a_series_is_of_the_last_five_minutes_if_not_said_otherwise() {
    let server = server().await;
    let before = now_ns();
    assert_eq!(server.get("/api/v1/series?client=web-1&nic=eth0").await.status, 200);
    let asked = server.memory.asked();
    assert!((before..=now_ns()).contains(&asked.to_ns));
    assert_eq!(asked.to_ns - asked.from_ns, 300_000_000_000);
    assert_eq!((asked.limit, asked.resolution), (600, None));
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let server = server().await;
    for (query, part) in [
        ("nic=eth0", "missing field `client`"),
        ("client=web-1", "missing field `nic`"),
        ("client=web-1&nic=", "nic is empty"),
        ("client=web-1&nic=%00", "nic is empty or has a NUL"),
        ("client=a&nic=b&form=1", "unknown field `form`"),
        ("client=a&client=b&nic=c", "duplicate field `client`"),
        ("client=a&nic=b&from=yesterday", "from: \"yesterday\" is no time"),
        ("client=a&nic=b&to=-5", "to: \"-5\" is no time"),
        ("client=a&nic=b&from=20&to=10", "must be before"),
        ("client=a&nic=b&max_points=0", "1 to 10000"),
        ("client=a&nic=b&max_points=10001", "1 to 10000"),
        ("client=a&nic=b&max_points=many", "max_points: invalid digit"),
        ("client=a&nic=b&resolution=1h", "expected one of `auto`, `raw`, `1m`, `5m`"),
    ] {
        let (code, message) = server.error(&format!("/api/v1/series?{query}"), 400).await;
        assert_eq!(code, "bad_parameter", "{query}");
        assert!(message.contains(part), "{query}: {message}");
    }
    for path in ["clients?limit=0", "mix?client=a", "events?nic=b", "live?client=%00"] {
        assert_eq!(server.error(&format!("/api/v1/{path}"), 400).await.0, "bad_parameter");
    }
}

#[tokio::test]
async fn clients_come_in_pages_and_are_searched() {
    let server = server().await;
    let ids = |page: &Value| {
        let clients = page["clients"].as_array().unwrap().iter();
        clients.map(|it| it["client"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = server.get("/api/v1/clients?limit=1").await.json();
    assert_eq!((ids(&first), &first["total"]), (vec!["db-1".to_owned()], &json!(2)));
    assert_eq!(first["next"], "db-1");
    let second = server.get("/api/v1/clients?limit=1&after=db-1").await.json();
    assert_eq!((ids(&second), &second["next"]), (vec!["web-1".to_owned()], &Value::Null));
    let found = server.get("/api/v1/clients?search=WEB").await.json();
    assert_eq!((ids(&found), &found["total"]), (vec!["web-1".to_owned()], &json!(1)));
}

#[tokio::test]
async fn the_95th_percentile_of_a_nic_is_told_with_how_much_was_measured() {
    let server = server().await;
    let range = "from=2024-01-01T00:00:00Z&to=2024-02-01T00:00:00Z";
    let path = format!("/api/v1/percentile?client=web-1&nic=eth0&{range}");
    let found = server.get(&path).await.json();
    assert_eq!((&found["intervals"], &found["measured_intervals"]), (&json!(3), &json!(2)));
    assert_eq!(found["rx_bits_per_second"], 8000);
    assert_eq!(found["tx_bits_per_second"], 9000);
    assert_eq!(found["max_bits_per_second"], 9000);
    assert_eq!(found["from"], "2024-01-01T00:00:00Z");
    let nothing = server.get("/api/v1/percentile?client=web-1&nic=eth0").await.json();
    assert_eq!(nothing["client"], "web-1");
    let together = server.get(&format!("/api/v1/percentile?client=web-1&{range}")).await.json();
    assert_eq!((&together["nic"], &together["rx_bits_per_second"]), (&json!(null), &json!(8000)));
    assert_eq!(server.error("/api/v1/percentile?client=nobody", 404).await.0, "unknown_client");
    server.error("/api/v1/percentile?client=web-1&nic=", 400).await;
}

#[tokio::test]
async fn the_mix_and_the_events_of_a_nic_are_told() {
    let server = server().await;
    let mix = server.get("/api/v1/mix?client=web-1&nic=eth0").await.json();
    assert_eq!(mix["covered_ns"], 10_000_000_000_u64);
    assert_eq!(mix["rx"]["sizes"][1], json!({ "max_bytes": 127, "packets": 2 }));
    assert_eq!(mix["rx"]["sizes"][6], json!({ "max_bytes": null, "packets": 7 }));
    assert_eq!(mix["rx"]["transport"]["tcp_bytes"], 8);
    assert_eq!(mix["rx"]["network"]["ipv6_bytes"], 9);
    let told = server.get("/api/v1/events?client=web-1&nic=eth0").await.json();
    assert_eq!(told["truncated"], false);
    assert_eq!(told["events"][0]["kind"], "started");
    let lost = json!({ "time": "2024-01-01T12:00:00.000000001Z", "interval_ns": 0,
                       "kind": "lost", "packets": 1 });
    assert_eq!(told["events"][1], lost);
    let path = "/api/v1/events?client=web-1&nic=eth0&from=1&to=9999";
    let told = server.get(path).await.json();
    assert_eq!((told["events"].as_array().unwrap().len(), &told["truncated"]), (500, &json!(true)));
    for path in ["mix", "events", "percentile"] {
        let path = format!("/api/v1/{path}?client=web-1&nic=eth9");
        assert_eq!(server.error(&path, 404).await.0, "unknown_nic");
    }
}

#[tokio::test]
async fn what_a_reader_has_is_not_sent_again() {
    let server = server().await;
    let path = "/api/v1/mix?client=web-1&nic=eth0&from=1&to=2";
    let etag = server.get(path).await.header("etag").unwrap().to_owned();
    for (known, status) in [(etag.as_str(), 304), ("\"other\"", 200), ("*", 304)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {known}");
        assert_eq!(send(&server.address, &request).await.status, status, "{known}");
    }
}

#[tokio::test]
async fn json_is_compressed_for_those_who_take_it_and_streams_are_not() {
    let server = server().await;
    let path = "/api/v1/openapi.json";
    let plain = server.get(path).await;
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        (None, Some("accept-encoding"))
    );
    let (head, body) = get_compressed(&server.address, path).await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.contains(plain.header("etag").unwrap()), "{head}");
    assert!(body.len() * 4 < plain.body.len(), "{} of {}", body.len(), plain.body.len());
    assert_eq!(unpacked(&body), plain.body);
    let request = "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";
    let mut stream = Connection::connect(&server.address).await;
    stream.write(request).await;
    let head = stream.head().await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(stream.event().await.0, "snapshot");
}

/// What gzip has packed.
fn unpacked(packed: &[u8]) -> String {
    let mut gzip = std::process::Command::new("gzip");
    let mut gzip = gzip.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let packed = packed.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&packed));
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_api_is_described_whole() {
    let server = server().await;
    let document = server.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    let all = "clients events live mix openapi.json percentile series session version";
    let named = |path: &str| paths.contains(&&format!("/api/v1/{path}"));
    assert!(all.split(' ').all(named), "{paths:?}");
    // Nothing is answered that isn't in it, and what is in it is answered.
    for path in paths {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost");
        assert_ne!(send(&server.address, &request).await.status, 404, "{path}");
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn with_a_token_only_who_knows_it_sees_figures() {
    let token = "0123456789abcdef";
    let server = server_with(None, Access::default().with_token(token)).await;
    let with = async |path: &str, header: &str| {
        send(&server.address, &format!("GET {path} HTTP/1.1\r\nHost: localhost{header}")).await
    };
    for path in ["/api/v1/clients", "/api/v1/live", "/api/v1/version", "/metrics"] {
        let refused = with(path, "").await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(refused.json()["error"]["code"], "token_needed");
        assert_eq!(with(path, "\r\nAuthorization: Bearer 0123456789abcde0").await.status, 401);
    }
    assert_eq!(with("/metrics", &format!("\r\nAuthorization: Bearer {token}")).await.status, 200);
    for path in ["/", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(with(path, "").await.status, 200, "{path}");
    }
    let sign_in = async |token: &str| {
        let body = json!({ "token": token }).to_string();
        let head = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                    Content-Type: application/json";
        let mut connection = Connection::connect(&server.address).await;
        connection.write(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        connection.rest().await
    };
    assert!(sign_in("0123456789abcde0").await.starts_with("HTTP/1.1 401"));
    let answer = sign_in(token).await;
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict;"), "{cookie}");
    assert!(!cookie.contains(token));
    let cookie = format!("\r\nCookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(with("/api/v1/version", &cookie).await.status, 200);
}

#[tokio::test]
async fn behind_a_proxy_only_its_users_see_figures() {
    let proxy = vec!["127.0.0.1".parse().unwrap()];
    let access = Access::default().with_proxy("remote-user".parse().unwrap(), proxy);
    let server = server_with(None, access).await;
    assert_eq!(server.get("/api/v1/version").await.status, 401);
    let request = "GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\nRemote-User: alice";
    assert_eq!(send(&server.address, request).await.status, 200);
}

#[tokio::test]
async fn a_series_of_nothing_known_is_not_found_and_of_silence_is_empty() {
    let server = server().await;
    let at = |client: &str, nic: &str| format!("/api/v1/series?client={client}&nic={nic}&to=9");
    assert_eq!(server.error(&at("nobody", "eth0"), 404).await.0, "unknown_client");
    assert_eq!(server.error(&at("web-1", "eth9"), 404).await.0, "unknown_nic");
    assert_eq!(server.get(&at("web-1", "eth0")).await.json()["points"], json!([]));
    server.observe("new-1", "New", 1);
    assert_eq!(server.get(&at("new-1", "eth0")).await.json()["points"], json!([]));
    server.memory.fail();
    assert_eq!(server.error(&at("web-1", "eth0"), 503).await.0, "store_unavailable");
}

#[tokio::test]
async fn live_updates_begin_with_a_snapshot_and_go_on_with_what_is_observed() {
    let server = server().await;
    server.observe("web-1", "Web", 1);
    let mut stream = Connection::open(&server.address, "/api/v1/live").await;
    let (event, snapshot) = stream.event().await;
    assert_eq!(event, "snapshot");
    assert_eq!(snapshot["clients"][0]["client"], "web-1");
    server.observe("web-1", "Web", 2);
    server.observe("db-1", "Database", 1);
    // The first update may still be about what the snapshot had.
    loop {
        let (event, update) = stream.event().await;
        assert_eq!(event, "update");
        let changed = update["clients"].as_array().unwrap();
        if let Some(db) = changed.iter().find(|client| client["client"] == "db-1") {
            assert_eq!(db["rx"]["bytes_per_second"], 2000.0);
            assert_eq!(db["rx"]["packets_per_second"], 20.0);
            assert_eq!(db["rx"]["peak_1ms_bytes_per_second"], 300_000);
            break;
        }
    }
}

#[tokio::test]
async fn one_client_is_followed_sample_by_sample() {
    let server = server().await;
    let mut stream = Connection::open(&server.address, "/api/v1/live?client=web-1").await;
    let (event, snapshot) = stream.event().await;
    assert_eq!((event.as_str(), &snapshot["client"]), ("snapshot", &Value::Null));
    server.observe("db-1", "Database", 1);
    for seq in 1..=20 {
        server.observe("web-1", "Web", seq);
    }
    let mut seen = 0;
    while seen < 20 {
        let (event, told) = stream.event().await;
        assert!(!told.to_string().contains("db-1"));
        if event == "samples" {
            assert_eq!(told["samples"][0]["rx"]["bytes"], 1000);
            seen += 1;
        }
    }
}

#[tokio::test]
async fn an_alias_with_markup_stays_data() {
    let server = server().await;
    let alias = "<img src=x onerror=\"alert(1)\">\r\n\r\nevent: x\ndata: </script>&";
    server.observe("web-1", alias, 1);
    let mut stream = Connection::open(&server.address, "/api/v1/live").await;
    let (event, snapshot) = stream.event().await;
    assert_eq!((event.as_str(), &snapshot["clients"][0]["alias"]), ("snapshot", &json!(alias)));
    assert!(stream.head.contains("content-type: text/event-stream"));
    assert!(!server.get("/").await.body.contains("onerror"));
    assert!(!server.get("/metrics").await.body.contains("onerror"));
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_gets_a_fresh_snapshot() {
    let server = server().await;
    // Large enough to fill what the kernel holds for a connection that nobody reads from.
    let alias = "x".repeat(1 << 20);
    server.observe("web-1", &alias, 1);
    let mut slow = Connection::open(&server.address, "/api/v1/live").await;
    let mut quick = Connection::open(&server.address, "/api/v1/live").await;
    assert_eq!(quick.event().await.0, "snapshot");
    for seq in 2..50 {
        server.observe("web-1", &alias, seq);
        server.live.publish(now_ns());
        assert_eq!(quick.event().await.0, "update");
        assert_eq!(server.get("/healthz").await.status, 200);
    }
    assert_eq!(slow.event().await.0, "snapshot");
    let deadline = Instant::now() + Duration::from_secs(30);
    while slow.event().await.0 != "snapshot" {
        assert!(Instant::now() < deadline, "the slow reader was not given a new snapshot");
    }
}

#[tokio::test]
async fn a_reader_that_reads_no_more_loses_its_place() {
    let server = server().await;
    let alias = "x".repeat(1 << 20);
    server.observe("web-1", &alias, 1);
    let mut stalled = Connection::open(&server.address, "/api/v1/live").await;
    // Twice as long as it may take.
    for seq in 2..100 {
        server.observe("web-1", &alias, seq);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // It would go on for ever.
    let begun = Instant::now();
    stalled.rest().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "the connection was not given up");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn streams_that_are_open_do_not_hold_up_the_stop() {
    let server = server().await;
    let mut stream = Connection::open(&server.address, "/api/v1/live").await;
    stream.event().await;
    // One that has asked for nothing yet, and one in the middle of its headers.
    let _idle = Connection::connect(&server.address).await;
    let mut half = Connection::connect(&server.address).await;
    half.write("GET / HT").await;
    let begun = Instant::now();
    server.stop.send_replace(true);
    timeout(Duration::from_secs(2), server.task).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(stream.rest().await.ends_with("0\r\n\r\n"), "the stream ends as it should");
}

#[tokio::test]
async fn headers_too_large_or_too_many_are_refused() {
    let server = server().await;
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(20_000));
    assert_eq!(send(&server.address, &large).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost{}", "\r\nX: x".repeat(100));
    assert_eq!(send(&server.address, &many).await.status, 431);
}
