//! Limits of size and time on requests.

use std::time::Duration;

use collector::web::{Access, WebLimits};
use testbed::{in_time, until};
use tokio::time::{sleep, timeout};

use crate::client::{Connection, send};
use crate::server::{Server, server, server_within};

/// A query that is answered unless the store is held.
const SERIES: &str = "/api/v1/series?client=web-1&nic=eth0";

const SLOW_BODY: &str = "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n\
    Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";

/// Fails unless health is answered and the page is served.
async fn must_answer(server: &Server) {
    for path in ["/healthz", "/readyz", "/", "/api/v1/version"] {
        assert_eq!(in_time(path, server.get(path)).await.status, 200, "{path}");
    }
}

/// Waits until the server ends a connection that writes a piece now and then.
async fn trickle(server: &Server, head: &str, piece: &str) {
    let mut connection = Connection::connect(&server.address).await;
    connection.write(head).await;
    let trickle = async {
        while connection.try_write(piece).await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    in_time("the end of what trickles", trickle).await;
}

#[tokio::test]
async fn slow_bodies_and_heads_and_silence_keep_nobody_out() {
    let limits = WebLimits { connections: 24, connections_per_address: 20, ..WebLimits::default() };
    let server =
        server_within(None, Access::default().with_token("0123456789abcdef"), limits).await;
    let mut held = Vec::new();
    for n in 0..60 {
        let mut connection = Connection::connect(&server.address).await;
        connection.write(["", "GET / HT", SLOW_BODY][n % 3]).await;
        held.push(connection);
    }
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(in_time(path, server.get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn each_part_of_a_request_has_its_time_however_it_trickles() {
    let short = Duration::from_secs(1);
    let limits = WebLimits { header_time: short, body_time: short, ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let [head, body] = [("GET / HTTP/1.1\r\nHost: localhost\r\n", "X: x\r\n"), (SLOW_BODY, " ")]
        .map(|(head, piece)| trickle(&server, head, piece));
    tokio::join!(head, body);
    // A connection in use stays.
    let mut connection = Connection::connect(&server.address).await;
    for _ in 0..8 {
        connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(connection.body().await, "ok\n");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_ends() {
    let limits = WebLimits { idle_time: Duration::from_millis(300), ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let mut connection = Connection::connect(&server.address).await;
    connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(connection.body().await, "ok\n");
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn a_stream_whose_reader_takes_a_byte_now_and_then_ends() {
    let limits = WebLimits { send_time: Duration::from_millis(500), ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let alias = "x".repeat(8 << 20);
    server.observe("web-1", &alias, 1);
    let mut stream = Connection::open(&server.address, "/api/v1/live").await;
    for _ in 0..100 {
        stream.read_some(1 << 10).await;
        sleep(Duration::from_millis(20)).await;
    }
    // Data already in flight, and no more.
    let rest = stream.rest().await;
    assert!(rest.len() < alias.len(), "{} bytes", rest.len());
    must_answer(&server).await;
}

#[tokio::test]
async fn of_one_address_few_queries_run_some_wait_and_more_are_told_when_to_come_again() {
    let limits = WebLimits { queries_waiting_per_address: 3, ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    server.memory.hold(true);
    let mut asked = Vec::new();
    for _ in 0..5 {
        let mut connection = Connection::connect(&server.address).await;
        connection.write(&format!("GET {SERIES} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        asked.push(connection);
    }
    until("two run", async || server.memory.running() == 2).await;
    let mut refused = None;
    until("the refusal", async || {
        let answer = send(&server.address, "GET /metrics HTTP/1.1\r\nHost: localhost");
        // Until all have arrived, it must wait itself.
        refused = timeout(Duration::from_millis(200), answer).await.ok();
        refused.is_some()
    })
    .await;
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.json()["error"]["code"], "too_many_queries");
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(in_time(path, server.get(path)).await.status, 200);
    }
    server.memory.hold(false);
    for mut connection in asked {
        assert!(connection.head().await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_query_ends_with_its_connection_and_the_next_one_runs() {
    let server = server().await;
    server.memory.hold(true);
    let ask = async || {
        let mut connection = Connection::connect(&server.address).await;
        connection.write(&format!("GET {SERIES} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        connection
    };
    for _ in 0..10 {
        let asked = [ask().await, ask().await];
        until("they run", async || server.memory.running() == 2).await;
        drop(asked);
        until("they end", async || server.memory.running() == 0).await;
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_ends_and_says_so() {
    let limits = WebLimits { query_time: Duration::from_millis(300), ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    server.memory.hold(true);
    let answer = server.get(SERIES).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.body.contains("no answer within 300ms"), "{}", answer.body);
    assert_eq!(server.memory.running(), 0);
}

#[tokio::test]
async fn streams_of_one_address_are_bounded_and_leave_their_places() {
    let limits = WebLimits { streams_per_address: 2, ..WebLimits::default() };
    let server = server_within(None, Access::default(), limits).await;
    let streams = [
        Connection::open(&server.address, "/api/v1/live").await,
        Connection::open(&server.address, "/api/v1/live").await,
    ];
    let refused = server.get("/api/v1/live").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    drop(streams);
    until("the places are free again", async || {
        let again = Connection::open(&server.address, "/api/v1/live").await;
        again.head.starts_with("HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn headers_too_large_or_too_many_are_refused() {
    let server = server().await;
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(20_000));
    assert_eq!(send(&server.address, &large).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: localhost{}", "\r\nX: x".repeat(100));
    assert_eq!(send(&server.address, &many).await.status, 431);
}
