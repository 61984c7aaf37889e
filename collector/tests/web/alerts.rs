//! `/api/v1/alerts`, its rules and silences.

use async_trait::async_trait;
use collector::store::{
    AlertDelivery, AlertEvent, AlertIncident, AlertPage, AlertRange, AlertReader, AlertSilence,
    AlertSubject, StoreError,
};
use serde_json::{Value, json};
use wire::WallNs;

use crate::memory::Memory;
use crate::server::{NOON, server};

const SECOND: u64 = 1_000_000_000;

/// Incidents of the rule `many`.
const MANY: u64 = 1234;

/// Incidents of web-1, a second apart: the newest fires, the others are over.
fn incidents(rule: &str, number: u64) -> Vec<AlertIncident> {
    let incident = |n: u64| AlertIncident {
        id: format!("{n:016x}"),
        rule: rule.into(),
        measure: "utilisation".into(),
        severity: "critical".into(),
        subject: AlertSubject {
            client: "web-1".into(),
            nic: "=eth0".into(),
            direction: "rx".into(),
            name: String::new(),
        },
        since_ns: WallNs(NOON + (n - 1) * SECOND),
        fired_ns: WallNs(NOON + n * SECOND),
        resolved_ns: (n < number).then(|| WallNs(NOON + (n + 1) * SECOND)),
        value: 97.25,
        bound: 90.0,
        worst: 98.5,
        worst_ns: WallNs(NOON + n * SECOND),
        detail: String::new(),
        muted: (n == 2).then(|| "silence ab of me: new switch".into()),
        announced: n != 2,
        ended: (n < number).then(|| "calm".into()),
    };
    (1..=number).rev().map(incident).collect()
}

#[async_trait]
impl AlertReader for Memory {
    async fn alerts(&self, range: &AlertRange) -> Result<AlertPage, StoreError> {
        self.check()?;
        let mut incidents = match range.rule.as_deref() {
            Some("many") => incidents("many", MANY),
            _ => incidents("full", 3),
        };
        incidents.retain(|it| {
            it.fired_ns < range.to_ns
                && it.resolved_ns.is_none_or(|resolved| resolved >= range.from_ns)
                && range.firing.is_none_or(|firing| it.resolved_ns.is_none() == firing)
                && range.rule.as_ref().is_none_or(|rule| it.rule == *rule)
                && range.client.as_ref().is_none_or(|client| it.subject.client == *client)
                && range.after.as_ref().is_none_or(|after| it.fired_ns < after.fired_ns)
        });
        incidents.truncate(range.limit);
        let delivery = AlertDelivery {
            incident: format!("{:016x}", 3),
            event: AlertEvent::Firing,
            target: "ops".into(),
            state: "waiting".into(),
            attempts: 2,
            ended_ns: None,
            error: Some("503 Service Unavailable".into()),
        };
        Ok(AlertPage { incidents, deliveries: vec![delivery] })
    }

    async fn silences(&self, _: WallNs) -> Result<Vec<AlertSilence>, StoreError> {
        self.check()?;
        Ok(vec![AlertSilence {
            id: "abcdef012345".into(),
            rule: String::new(),
            client: "web-*".into(),
            nic: String::new(),
            tag: "site=ams".into(),
            from_ns: WallNs(NOON),
            until_ns: WallNs(NOON + SECOND),
            by: "me".into(),
            reason: "new switch".into(),
        }])
    }
}

fn ids(answer: &Value) -> Vec<u64> {
    let id = |it: &Value| u64::from_str_radix(it["id"].as_str().unwrap(), 16).unwrap();
    answer["alerts"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn an_incident_says_what_happened_in_figures_and_what_became_of_its_messages() {
    let server = server().await;
    server.observe("web-1", "the web server", 1);
    let found = server.get("/api/v1/alerts?state=firing").await.json();
    assert_eq!(
        found["alerts"],
        json!([{
            "id": "0000000000000003", "state": "firing",
            "title": "web-1 =eth0 rx: 97.2 % of the link, above 90 %",
            "rule": "full", "measure": "utilisation", "severity": "critical",
            "client": "web-1", "alias": "the web server", "nic": "=eth0", "direction": "rx",
            "name": null,
            "since": "2024-01-01T12:00:02Z", "fired": "2024-01-01T12:00:03Z",
            "resolved": null, "ended": null,
            "value": 97.25, "bound": 90.0, "side": "above", "worst": 98.5,
            "worst_at": "2024-01-01T12:00:03Z", "unit": "percent",
            "detail": "", "muted": null, "announced": true,
            "deliveries": [{
                "event": "firing", "target": "ops", "state": "waiting", "attempts": 2,
                "ended": null, "error": "503 Service Unavailable",
            }],
        }])
    );
    let over = server.get("/api/v1/alerts?state=resolved").await.json();
    let it = &over["alerts"][0];
    assert_eq!((&it["state"], &it["ended"]), (&json!("resolved"), &json!("calm")));
    assert_eq!(
        (&it["muted"], &it["announced"]),
        (&json!("silence ab of me: new switch"), &json!(false))
    );
    assert_eq!(it["title"], "web-1 =eth0 rx: utilisation is no longer above 90 %");
}

#[tokio::test]
async fn history_is_asked_for_by_time_rule_and_client_and_comes_page_by_page() {
    let server = server().await;
    let first = server.get("/api/v1/alerts?limit=2").await.json();
    assert_eq!(ids(&first), [3, 2]);
    let cursor = first["next"].as_str().unwrap();
    let second = server.get(&format!("/api/v1/alerts?limit=2&cursor={cursor}")).await.json();
    assert_eq!((ids(&second), &second["next"]), (vec![1], &Value::Null));
    let noon = NOON / SECOND;
    for (query, expected) in [
        (format!("from={}", noon + 3), vec![3, 2]),
        (format!("to={}", noon + 3), vec![2, 1]),
        (format!("from={}&to={}", noon + 3, noon + 3 + 1), vec![3, 2]),
        ("rule=other".to_owned(), vec![]),
        ("client=web-1&rule=full".to_owned(), vec![3, 2, 1]),
        ("client=web-2".to_owned(), vec![]),
    ] {
        let found = server.get(&format!("/api/v1/alerts?{query}")).await.json();
        assert_eq!(ids(&found), expected, "{query}");
    }
    for query in [
        "state=both",
        "limit=0",
        "limit=501",
        "cursor=x",
        "cursor=-1-a",
        "cursor=1-%27",
        "from=5&to=5",
        "rule=",
        "client=%00",
        "before=1",
        "format=xml",
    ] {
        let path = format!("/api/v1/alerts?{query}");
        assert_eq!(server.error(&path, 400).await.0, "bad_parameter", "{query}");
    }
    server.memory.fail();
    for path in ["/api/v1/alerts", "/api/v1/alerts/silences"] {
        assert_eq!(server.error(path, 503).await.0, "store_unavailable");
    }
}

#[tokio::test]
async fn csv_has_a_line_for_each_incident_and_no_cell_that_a_spreadsheet_runs() {
    let server = server().await;
    let csv = server.get("/api/v1/alerts?format=csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<Vec<&str>> = csv.body.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 4);
    let cell = |name: &str| lines[2][lines[0].iter().position(|it| *it == name).unwrap()];
    assert_eq!(
        ["id", "nic", "fired", "resolved", "value", "unit", "muted"].map(cell),
        [
            "0000000000000002",
            "'=eth0",
            "2024-01-01T12:00:02Z",
            "2024-01-01T12:00:03Z",
            "97.25",
            "percent",
            "silence ab of me: new switch",
        ]
    );
}

#[tokio::test]
async fn csv_has_the_whole_range_however_many_there_are() {
    let server = server().await;
    let ids = async |query: &str| -> Vec<String> {
        let csv = server.get(&format!("/api/v1/alerts?rule=many&format=csv{query}")).await;
        csv.body.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    let all = ids("").await;
    assert_eq!((all.len() as u64, all[0].as_str()), (MANY + 1, "id"));
    let expected = (1..=MANY).rev().map(|n| format!("{n:016x}"));
    assert!(all[1..].iter().cloned().eq(expected), "each once, the newest first");
    assert_eq!(ids("&limit=500").await.len(), 501, "no more than asked for");
    assert_eq!(ids("&limit=1").await.len(), 2);
    // 1000 incidents: the last page is full.
    assert_eq!(ids(&format!("&to={}", NOON / SECOND + 1001)).await.len(), 1001);
}

#[tokio::test]
async fn rules_and_silences_are_listed() {
    let server = server().await;
    assert_eq!(
        server.get("/api/v1/alerts/rules").await.json(),
        json!({
            "time_zone": "Europe/Berlin",
            "rules": [{
                "name": "full", "measure": "utilisation", "severity": "warning", "side": "above",
                "bound": 90.0, "clear": 81.0, "unit": "percent", "for_seconds": 30,
                "clear_for_seconds": 60, "direction": null, "targets": [], "quiet_until": null,
            }],
        })
    );
    assert_eq!(
        server.get("/api/v1/alerts/silences").await.json(),
        json!({ "silences": [{
            "id": "abcdef012345", "rule": null, "client": "web-*", "nic": null, "tag": "site=ams",
            "from": "2024-01-01T12:00:00Z", "until": "2024-01-01T12:00:01Z", "by": "me",
            "reason": "new switch",
        }] })
    );
}
