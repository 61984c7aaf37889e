//! The web side, asked over a real socket.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod web {
    pub mod client;
    pub mod memory;
}

use std::sync::Arc;
use std::time::Duration;

use collector::live::Live;
use collector::metrics::Metrics;
use collector::time::now_ns;
use collector::web::{WebState, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName};
use wire::message::Host;

use web::client::{Answer, Connection, get, send};
use web::memory::Memory;

const NOON: u64 = 1_704_110_400_000_000_000;

/// A running server.
struct Server {
    address: String,
    live: Live,
    memory: Arc<Memory>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn server() -> Server {
    server_with(None).await
}

/// A server whose writer has this to say.
async fn server_with(writer: Option<&'static str>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (live, memory) = (Live::new(), Arc::new(Memory::default()));
    let state = WebState {
        live: live.clone(),
        query: memory.clone(),
        writer: Arc::new(move || writer.map(str::to_owned)),
        metrics: Metrics::with_recorder().unwrap().1,
        version: "1.2.3".into(),
        host_names: vec!["netmon.example".into()],
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, state, stopped));
    Server { address, live, memory, stop, task }
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

    let server = server_with(Some("disk full")).await;
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "disk full\n"));
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
                &to=1704110460&points=7&resolution=raw";
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
        ("nic=eth0", "\"client\" is missing"),
        ("client=web-1", "\"nic\" is missing"),
        ("client=web-1&nic=", "\"nic\" is missing"),
        ("client=a&nic=b&form=1", "\"form\" is unknown"),
        ("client=a&client=b&nic=c", "\"client\" is given twice"),
        ("client=a&nic=b&from=yesterday", "from=\"yesterday\" is no time"),
        ("client=a&nic=b&to=-5", "to=\"-5\" is no time"),
        ("client=a&nic=b&from=20&to=10", "must be before"),
        ("client=a&nic=b&points=0", "1 to 10000"),
        ("client=a&nic=b&points=10001", "1 to 10000"),
        ("client=a&nic=b&resolution=1h", "auto, raw, 1m and 5m"),
    ] {
        let (code, message) = server.error(&format!("/api/v1/series?{query}"), 400).await;
        assert_eq!(code, "bad_parameter", "{query}");
        assert!(message.contains(part), "{query}: {message}");
    }
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
    let twice = json!({ "bytes": 2000, "packets": 20 });
    // The first update may still be about what the snapshot had.
    let nic = loop {
        let (event, update) = stream.event().await;
        assert_eq!(event, "update");
        let changed = update["clients"].as_array().unwrap();
        let nics = changed.iter().filter(|client| client["client"] == "web-1");
        let mut nics = nics.map(|client| &client["nics"][0]);
        if let Some(nic) = nics.find(|nic| nic["total"]["rx"] == twice) {
            break nic.clone();
        }
    };
    assert_eq!(nic["nic"], "eth0");
    assert_eq!(nic["sample"]["rx"]["bytes_per_second"], 2000.0);
    assert_eq!(nic["sample"]["rx"]["packets_per_second"], 20.0);
    assert_eq!(nic["sample"]["rx"]["mean_packet_bytes"], 100.0);
    assert_eq!(nic["sample"]["rx"]["peak_1ms_bytes_per_second"], 300_000);
    assert_eq!(nic["sample"]["tx"]["mean_packet_bytes"], Value::Null);
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

/// Headless Chromium, driven by WebDriver.
struct Browser {
    driver: std::process::Child,
    address: String,
    session: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _gone = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}

impl Browser {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut driver = std::process::Command::new("chromedriver");
        driver.arg(format!("--port={port}")).stdout(std::process::Stdio::null());
        let driver = driver.spawn().unwrap();
        let address = format!("127.0.0.1:{port}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut browser = Self { driver, address, session: String::new() };
        let args = ["--headless=new", "--no-sandbox", "--disable-gpu"];
        let options = json!({ "goog:chromeOptions": { "args": args } });
        let asked = json!({ "capabilities": { "alwaysMatch": options } });
        let made = browser.call("", &asked).await;
        browser.session = format!("/{}", made["sessionId"].as_str().unwrap());
        browser
    }

    async fn call(&self, command: &str, body: &Value) -> Value {
        let (body, session) = (body.to_string(), &self.session);
        let mut connection = Connection::connect(&self.address).await;
        let length = body.len();
        let head = format!("POST /session{session}{command} HTTP/1.1\r\nHost: localhost");
        let rest = format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.write(&format!("{head}\r\n{rest}")).await;
        let body = connection.body().await;
        serde_json::from_str::<Value>(&body).unwrap()["value"].clone()
    }

    async fn open(&self, url: &str) {
        self.call("/url", &json!({ "url": url })).await;
    }

    /// Waits until a script's value is true.
    async fn until(&self, condition: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let script = json!({ "script": format!("return {condition}"), "args": [] });
        while self.call("/execute/sync", &script).await != json!(true) {
            assert!(Instant::now() < deadline, "{condition}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_browser_shows_clients_and_a_nic_and_takes_an_alias_for_text() {
    let server = server().await;
    if named(&server.get("/").await.body).is_empty() {
        println!("built without the dashboard: run scripts/build");
        return;
    }
    let browser = Browser::start().await;
    server.observe("web-1", "<img src=x onerror=alert(1)>", 1);
    browser.open(&format!("http://{}/#/", server.address)).await;
    let row = "document.querySelector('[data-client=web-1]')?.textContent";
    browser.until(&format!("{row}?.includes('<img src=x onerror=alert(1)>') === true")).await;
    browser.until(&format!("{row}?.includes('16.0 kbit/s') === true")).await;
    browser.until("(document.querySelector('[data-client=web-1] a').click(), true)").await;
    browser.until("document.querySelector('#chart')?.dataset.points === '1'").await;
    browser.until("location.hash.includes('/client/web-1/eth0?range=300')").await;
    browser.until("(document.querySelector('#language').click(), true)").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
}
