//! `/api/v1/accounts`, and the accounts' series.

use std::time::Duration;

use collector::accounts::{Accounts, Statement};
use collector::store::StoreError;
use collector::store::dates::Dates;
use collector::time::boot;
use serde_json::{Value, json};
use wire::WallNs;

use crate::server::{NOON, Server, server, server_by};

const MINUTE: u64 = 60_000_000_000;
const DAY: u64 = 1440 * MINUTE;

/// A server with an account of web-1/eth0: 1000 bytes received in each cycle, of 4000.
async fn with_account() -> Server {
    let server = server().await;
    let accounts = r#"{"transit": {"members": ["web-1/eth0"], "rule": "rx", "quota": "4kB",
        "commit": "1kbit/s", "cycle": {"zone": "Europe/Berlin"}}}"#;
    let accounts: Accounts = serde_json::from_str(accounts).unwrap();
    server.book.set(accounts.all().unwrap());
    server
}

#[tokio::test]
async fn statements_of_all_accounts_are_those_of_the_last_round() {
    let server = with_account().await;
    assert_eq!(server.get("/api/v1/accounts").await.json(), json!({ "accounts": [] }));
    // Noon of 1 January 2024: the cycle began 13 hours ago, by the clocks of Berlin.
    server.book.renew(WallNs(NOON)).await.unwrap();
    let found = server.get("/api/v1/accounts").await.json();
    let it = &found["accounts"][0];
    assert_eq!((&it["account"], &it["cycle"]), (&json!("transit"), &json!("2024-01")));
    assert_eq!(it["from"], "2023-12-31T23:00:00Z");
    assert_eq!(it["to"], "2024-01-31T23:00:00Z");
    assert_eq!((&it["to_told"], &it["state"]), (&json!("2024-02-01 00:00 CET"), &json!("running")));
    assert_eq!((&it["used_bytes"], &it["left_bytes"]), (&json!(1000), &json!(3000)));
    assert_eq!(it["used_percent"], 25.0);
    // 1000 x 8 / 300 s, rounded.
    assert_eq!(it["metered"]["p95"]["bits_per_second"], 27);
    // One interval was measured, 13 h x 12 - 1 are over: 8928 of the cycle less 154 missing, 5 % of them.
    assert_eq!(it["metered"]["commit"]["bursts_left"], (8928 - 154) / 20);
    assert_eq!(it["projected_bytes"], Value::Null, "less than an hour was measured");
}

#[tokio::test]
async fn a_statement_is_asked_for_by_account_and_cycle_and_comes_as_csv_too() {
    let server = with_account().await;
    let of = "/api/v1/accounts?account=transit&cycle=2024-02";
    let found = server.get(of).await.json();
    assert_eq!(found["accounts"][0]["state"], "closed");
    let csv = server.get(&format!("{of}&format=csv")).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<Vec<&str>> = csv.body.lines().map(|line| line.split(',').collect()).collect();
    let cell = |name: &str| lines[1][lines[0].iter().position(|it| *it == name).unwrap()];
    assert_eq!(
        ["account", "cycle", "rule", "used_bytes"].map(cell),
        ["transit", "2024-02", "rx", "1000"]
    );
    for (query, status, code) in [
        ("account=other", 404, "no_such_account"),
        ("account=transit&cycle=2023-10", 404, "no_such_cycle"),
        ("account=transit&cycle=2024", 400, "bad_parameter"),
        ("account=A%20B", 400, "bad_parameter"),
        ("cycle=2024-02", 400, "bad_parameter"),
        ("format=xml", 400, "bad_parameter"),
    ] {
        let path = format!("/api/v1/accounts?{query}");
        assert_eq!(server.error(&path, status).await.0, code, "{query}");
    }
    server.memory.fail();
    assert_eq!(server.error(of, 503).await.0, "store_unavailable");
}

#[tokio::test]
async fn cycles_run_by_the_stores_clock_and_without_it_nothing_is_told() {
    let server = with_account().await;
    let running = "/api/v1/accounts?account=transit";
    let cycle = async || server.get(running).await.json()["accounts"][0]["cycle"].clone();
    // This host's clock is years ahead.
    server.dates.set(WallNs(NOON), boot(), Duration::ZERO);
    assert_eq!(cycle().await, "2024-01");
    server.dates.set(WallNs(NOON + 40 * DAY), boot(), Duration::ZERO);
    assert_eq!(cycle().await, "2024-02");
    let january = "/api/v1/accounts/evidence?account=transit&cycle=2024-01";
    let lines = server.get(january).await.body.lines().count();
    server.dates.set(WallNs(NOON), boot(), Duration::ZERO);
    let before = server.get(january).await.body.lines().count();
    // 13 hours of 12 intervals less the one that may still change, and all 31 days; and a heading.
    assert_eq!((before, lines), (156, 8929));
    let unaware = server_by(Dates::awaited()).await;
    unaware.book.set(server.book.accounts().to_vec());
    assert_eq!(unaware.error(running, 503).await.0, "store_unavailable");
}

#[tokio::test]
async fn a_running_cycle_is_told_from_the_last_round_while_that_is_true() {
    let server = with_account().await;
    let at = |time_ns: u64| server.dates.set(WallNs(time_ns), boot(), Duration::ZERO);
    at(NOON + MINUTE);
    server.book.renew(WallNs(NOON)).await.unwrap();
    // From now on whatever needs the store fails.
    server.memory.fail();
    let running = "/api/v1/accounts?account=transit";
    for path in [running, "/api/v1/accounts?account=transit&cycle=2024-01"] {
        let it = server.get(path).await.json()["accounts"][0].clone();
        assert_eq!((&it["cycle"], &it["used_bytes"]), (&json!("2024-01"), &json!(1000)), "{path}");
        assert_eq!(it["as_of"], "2024-01-01T12:00:00Z");
    }
    server.error("/api/v1/accounts?account=transit&cycle=2023-12", 503).await;
    at(NOON + 6 * MINUTE);
    server.error(running, 503).await;
    at(NOON + 40 * DAY);
    server.error(running, 503).await;
    at(NOON + MINUTE);
    assert_eq!(server.get(running).await.status, 200);
    // Other members: what was metered is no longer asked for.
    let others = r#"{"transit": {"members": ["web-1/eth1"], "rule": "rx", "quota": "4kB",
        "commit": "1kbit/s", "cycle": {"zone": "Europe/Berlin"}}}"#;
    let others: Accounts = serde_json::from_str(others).unwrap();
    server.book.set(others.all().unwrap());
    server.error(running, 503).await;
    assert_eq!(server.get("/api/v1/accounts").await.json(), json!({ "accounts": [] }));
}

#[tokio::test]
async fn accounts_have_series_until_they_are_gone() {
    let server = with_account().await;
    server.book.renew(WallNs(NOON)).await.unwrap();
    let text = server.get("/metrics").await.body;
    for line in [
        "netmon_account_used_bytes{account=\"transit\"} 1000",
        "netmon_account_quota_bytes{account=\"transit\"} 4000",
        "netmon_account_left_bytes{account=\"transit\"} 3000",
        "netmon_account_used_ratio{account=\"transit\"} 0.25",
        "netmon_account_p95_bits_per_second{account=\"transit\"} 27",
        "netmon_account_commit_bits_per_second{account=\"transit\"} 1000",
        "netmon_account_cycle_start_timestamp_seconds{account=\"transit\"} 1704063600",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    server.book.set(vec![]);
    server.book.renew(WallNs(NOON)).await.unwrap();
    assert!(!server.get("/metrics").await.body.contains("netmon_account_"));
}

#[tokio::test]
async fn an_account_that_the_store_fails_for_stays_as_it_was_and_stops_no_other() {
    let server = server().await;
    let accounts = r#"{"hosting": {"members": ["web-1"]}, "transit": {"members": ["web-1/eth0"]}}"#;
    let accounts: Accounts = serde_json::from_str(accounts).unwrap();
    server.book.set(accounts.all().unwrap());
    let hour = 3_600_000_000_000;
    let as_of = || {
        let hours = |it: &Statement| (it.account.clone(), (it.as_of.0.get() - NOON) / hour);
        server.book.latest().iter().map(hours).collect::<Vec<_>>()
    };
    let both =
        |hosting, transit| [("hosting".to_owned(), hosting), ("transit".to_owned(), transit)];
    server.book.renew(WallNs(NOON)).await.unwrap();
    assert_eq!(as_of(), both(0, 0));
    server.memory.fail_for(Some("hosting"));
    let error = server.book.renew(WallNs(NOON + hour)).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    assert_eq!(as_of(), both(0, 1), "the first one fails, and the second is metered");
    server.memory.fail_for(None);
    server.book.renew(WallNs(NOON + 2 * hour)).await.unwrap();
    assert_eq!(as_of(), both(2, 2));
    // One that is gone is not kept because the store fails.
    server.memory.fail_for(Some("transit"));
    let hosting: Accounts = serde_json::from_str(r#"{"hosting": {"members": ["web-1"]}}"#).unwrap();
    server.book.set(hosting.all().unwrap());
    server.book.renew(WallNs(NOON + 3 * hour)).await.unwrap();
    assert_eq!(as_of(), [("hosting".to_owned(), 3)]);
}

#[tokio::test]
async fn frozen_cycles_are_listed_and_their_evidence_is_csv() {
    let server = with_account().await;
    let list = "/api/v1/accounts/cycles?account=transit";
    assert_eq!(server.get(list).await.json(), json!({ "accounts": [] }));
    server.book.renew(WallNs(NOON)).await.unwrap();
    // Three days after the end of January in Berlin.
    let later = 1_706_742_000_000_000_000 + 3 * 86_400_000_000_000;
    server.book.renew(WallNs(later)).await.unwrap();
    let frozen = server.get(list).await.json();
    let it = &frozen["accounts"][0];
    assert_eq!((&it["cycle"], &it["state"]), (&json!("2024-01"), &json!("frozen")));
    assert_eq!(it["digest"].as_str().unwrap().len(), 64);
    let evidence = server.get("/api/v1/accounts/evidence?account=transit&cycle=2024-01").await;
    assert_eq!(evidence.header("content-type"), Some("text/csv; charset=utf-8"));
    let mut lines = evidence.body.lines();
    assert!(lines.next().unwrap().starts_with("kind,time_ns,rx_bytes,"));
    assert_eq!(lines.next(), Some("interval,1704063600000000000,1000,0,10,0,300000000000,0"));
    let now = server.get("/api/v1/accounts/evidence?account=transit&cycle=2024-02").await;
    assert!(now.body.lines().count() > 1, "of an open cycle, as it is now");
    for (path, status) in [
        ("/api/v1/accounts/cycles?account=other", 404),
        ("/api/v1/accounts/cycles", 400),
        ("/api/v1/accounts/evidence?account=other&cycle=2024-01", 404),
        ("/api/v1/accounts/evidence?account=transit&cycle=1", 400),
    ] {
        server.error(path, status).await;
    }
}
