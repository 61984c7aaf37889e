//! The answers of the API.

use std::io::Write;
use std::process::Stdio;

use collector::store::{ClientTags, SecondHostRecord, TaggedClient};
use collector::time::now_ns;
use collector::web::Access;
use serde_json::{Value, json};
use testbed::until;
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::TagSet;

use crate::client::{Connection, get_compressed, send};
use crate::server::{NOON, server, server_with};

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
    until("the failure", async || server.get("/readyz").await.status != 200).await;
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
async fn the_overview_has_the_last_hour_of_all_clients_also_without_a_store() {
    let server = server().await;
    server.memory.fail();
    server.observe("web-1", "Web", 1);
    let told = server.get("/api/v1/overview").await.json();
    assert_eq!(told["interval_ns"], 60_000_000_000_u64);
    let client = &told["clients"][0];
    assert_eq!(client["client"], "web-1");
    assert_eq!(client["rx"].as_array().unwrap().len(), 61);
    // The sample began in this minute, or in the one before.
    assert!([&client["rx"][60], &client["rx"][59]].contains(&&json!(2000)), "{client}");
    assert_eq!((&client["rx"][0], &client["lost"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn clients_are_listed_with_what_the_live_table_knows() {
    let server = server().await;
    server.observe("web-1", "Web", 1);
    server.live.on_clock_offset(&ClientId::new("web-1").unwrap(), 77);
    let second = SecondHostRecord {
        client: "web-1".to_owned(),
        since_ns: now_ns() - 60_000_000_000,
        told_ns: now_ns(),
        kept: [10, 0, 0, 1].into(),
        refused: [10, 0, 0, 2].into(),
        what: "this is another machine".to_owned(),
    };
    let told = SecondHostRecord { client: "db-1".to_owned(), told_ns: WallNs(0), ..second.clone() };
    server.live.on_second_hosts(&[second, told], now_ns());
    let clients = server.get("/api/v1/clients").await.json();
    let web = &clients["clients"][1];
    assert_eq!((&web["client"], &web["up"]), (&json!("web-1"), &json!(true)));
    assert_eq!(web["clock_offset_ns"], 77);
    assert_eq!(
        (&web["second_host"]["kept"], &web["second_host"]["refused"]),
        (&json!("10.0.0.1"), &json!("10.0.0.2"))
    );
    assert_eq!(web["created"], "2024-01-01T12:00:00Z");
    let nic = &web["nics"][0];
    assert_eq!((&nic["nic"], &nic["mac"]), (&json!("eth0"), &json!("02:00:00:00:00:0a")));
    assert_eq!(nic["speed_bits_per_second"], 10_000_000_000_u64);
    let db = &clients["clients"][0];
    assert_eq!((&db["up"], &db["clock_offset_ns"]), (&json!(false), &Value::Null));
    assert_eq!(db["second_host"], Value::Null, "no second host for half an hour");
    server.memory.fail();
    assert_eq!(server.error("/api/v1/clients", 503).await.0, "store_unavailable");
}

#[tokio::test]
async fn clients_have_their_tags_and_can_be_found_by_them() {
    let server = server().await;
    server.observe("web-1", "Web", 1);
    let set = |text: &str| TagSet::new(text.split(' ').map(|it| it.parse().unwrap())).unwrap();
    let (agent, collector) = (set("site=ams role=cache"), set("site=fra"));
    let web = ClientId::new("web-1").unwrap();
    assert_eq!(server.live.on_agent_tags(&web, &agent), agent);
    // What a connected agent says is newer than what the store has.
    let tags = ClientTags { agent: set("role=old"), collector };
    server.live.on_tagged(&[TaggedClient { client: "web-1".to_owned(), tags }]);
    let clients = server.get("/api/v1/clients").await.json();
    assert_eq!(clients["clients"][1]["tags"], json!({ "role": "cache", "site": "fra" }));
    assert_eq!(clients["clients"][0]["tags"], json!({}));
    for (wanted, found) in [("site=fra", 1), ("site=fra,role=cache", 1), ("site=ams", 0)] {
        let clients = server.get(&format!("/api/v1/clients?tag={wanted}")).await.json();
        assert_eq!(clients["total"], found, "{wanted}");
    }
    let (code, message) = server.error("/api/v1/clients?tag=site", 400).await;
    assert!(code == "bad_parameter" && message.contains("key=value"), "{message}");
    let mut page = Connection::open(&server.address, "/api/v1/live").await;
    let (_, snapshot) = page.event().await;
    let web = snapshot["clients"].as_array().unwrap().iter().find(|it| it["client"] == "web-1");
    assert_eq!(web.unwrap()["tags"], json!({ "role": "cache", "site": "fra" }));
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
    assert_eq!((asked.from_ns, asked.to_ns), (WallNs(NOON), WallNs(NOON + 60_000_000_000)));
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

/// Unpacks a gzip body.
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
    let all = "clients events groups live mix openapi.json percentile series session version";
    let named = |path: &str| paths.contains(&&format!("/api/v1/{path}"));
    assert!(all.split(' ').all(named), "{paths:?}");
    // Every answered path is described, and every described path is answered.
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
