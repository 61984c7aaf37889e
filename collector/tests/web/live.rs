//! Live streams.

use std::time::Duration;

use collector::time::now_ns;
use collector::web::{Access, WebLimits};
use serde_json::{Value, json};
use testbed::{PATIENCE, in_time, until};
use tokio::time::sleep;

use crate::client::Connection;
use crate::server::{server, server_within};

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
    // The first update may still be about the snapshot's contents.
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
    // The slow reader keeps its place however long this test takes.
    let limits = WebLimits { send_time: 10 * PATIENCE, ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    // Large enough to fill the kernel's buffers of a connection that nobody reads.
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
    until("a new snapshot for the slow reader", async || slow.event().await.0 == "snapshot").await;
}

#[tokio::test]
async fn a_reader_that_reads_no_more_loses_its_place() {
    let limits = WebLimits { send_time: Duration::from_secs(1), ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let alias = "x".repeat(1 << 20);
    server.observe("web-1", &alias, 1);
    let mut stalled = Connection::open(&server.address, "/api/v1/live").await;
    // Three times the allowed time.
    for seq in 2..17 {
        server.observe("web-1", &alias, seq);
        sleep(Duration::from_millis(200)).await;
    }
    // It would continue for ever.
    stalled.rest().await;
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn streams_that_are_open_do_not_hold_up_the_stop() {
    // Whoever waits for any of these is not done in time.
    let long = 10 * PATIENCE;
    let limits = WebLimits { header_time: long, idle_time: long, ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let mut stream = Connection::open(&server.address, "/api/v1/live").await;
    stream.event().await;
    // A connection that has sent nothing yet, and one in the middle of its headers.
    let _idle = Connection::connect(&server.address).await;
    let mut half = Connection::connect(&server.address).await;
    half.write("GET / HT").await;
    server.stop.send_replace(true);
    in_time("the stop", server.task).await.unwrap().unwrap();
    assert!(stream.rest().await.ends_with("0\r\n\r\n"), "the stream ends properly");
}
