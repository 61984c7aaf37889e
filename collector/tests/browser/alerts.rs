//! The inbox with alerts of all kinds, and many of them.

use collector::alerts::{AlertRules, AlertsSection};
use collector::time::now_ns;
use collector::web::Access;
use rusqlite::{Connection, params};
use serde_json::json;

use crate::driver::Browser;
use crate::site::{SECOND, Site, company};

const MINUTE: u64 = 60 * SECOND;

/// Who filled the link.
const TALKERS: &str = "talkers of these 500ms: 10.1.2.9 to 5432/tcp there, container 3f2c9a1be0d4 (postgres) 84 %; \
    203.0.113.77 to 443/tcp here, unit nginx.service (nginx) 3.1 %; 10.1.2.3 to 873/tcp there 1.7 %; \
    2001:db8:40::7 to 443/tcp here, unit nginx.service (nginx) 1.2 %; 198.51.100.8 to 443/tcp here 1 %";

/// What would run if it were taken for a part of the page.
const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// An incident of a rule: what it measures, how bad it is, what it is about, and its figures.
struct Incident {
    rule: &'static str,
    measure: &'static str,
    severity: &'static str,
    subject: [&'static str; 4],
    /// How long ago the condition began, and when it was over.
    since: u64,
    over: Option<u64>,
    figures: [f64; 3],
    detail: &'static str,
    muted: Option<&'static str>,
}

fn of(rule: &'static str, measure: &'static str, subject: [&'static str; 4]) -> Incident {
    let figures = [97.3, 90.0, 98.6];
    let (severity, since, over) = ("warning", 5 * MINUTE, None);
    Incident { rule, measure, severity, subject, since, over, figures, detail: "", muted: None }
}

/// What fires: a full link, lost packets, a host that is down.
fn firing() -> Vec<Incident> {
    let full = of("full", "utilisation", ["cache-1", "eth0", "rx", ""]);
    let lost = of("lost", "loss", ["backup-1", "eth0", "", ""]);
    let down = of("down", "host_down", ["db-2", "", "", ""]);
    vec![
        Incident { severity: "critical", detail: TALKERS, ..full },
        Incident { since: 12 * MINUTE, figures: [12.0, 0.0, 25_574.0], ..lost },
        Incident {
            since: 100 * MINUTE,
            figures: [1.0, 0.5, 1.0],
            muted: Some("silence ab0123456789 of ann: new power supply"),
            ..down
        },
    ]
}

/// What is over, the newest first.
fn past() -> Vec<Incident> {
    let hours = |hours: u64| (hours * 60 * MINUTE, Some(hours * 60 * MINUTE - 7 * MINUTE));
    let over = |n: u64, it: Incident| Incident { since: hours(n).0, over: hours(n).1, ..it };
    vec![
        over(
            3,
            Incident { figures: [2.4, 1.0, 3.1], ..of("clock", "clock", ["vpn-1", "", "", ""]) },
        ),
        over(
            5,
            Incident {
                figures: [9.4e9, 9e9, 9.9e9],
                ..of("burst", "peak_1ms", ["web-2", "eth1", "tx", ""])
            },
        ),
        over(
            9,
            Incident {
                figures: [8e8, 1e9, 6e8],
                detail: MARKUP,
                ..of("space", "disk", ["", "", "", "monitor-1"])
            },
        ),
    ]
}

/// Puts incidents into the store, with what became of their messages.
fn store(site: &Site, incidents: &[Incident]) {
    let db = Connection::open(site.directory.path().join("netmon.sqlite")).unwrap();
    let now = now_ns().get();
    let ns = |ago: u64| i64::try_from(now - ago).unwrap();
    for (n, it) in incidents.iter().enumerate() {
        let id = format!("{:016x}", (it.since << 8) + n as u64);
        let [client, nic, direction, name] = it.subject;
        let [value, bound, worst] = it.figures;
        let fired = ns(it.since - 30 * SECOND);
        let add = "INSERT INTO alerts (id, rule, measure, severity, client, nic, direction, name, since,
                   fired_at, resolved_at, value, bound, worst, worst_at, detail, muted, announced, ended)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                           ?18, ?19)";
        let worst_at = ns(it.since - 60 * SECOND);
        let incident = params![
            id,
            it.rule,
            it.measure,
            it.severity,
            client,
            nic,
            direction,
            name,
            ns(it.since),
            fired,
            it.over.map(ns),
            value,
            bound,
            worst,
            worst_at,
            it.detail,
            it.muted,
            it.muted.is_none(),
            it.over.map(|_| "calm")
        ];
        db.execute(add, incident).unwrap();
        let add =
            "INSERT INTO alert_messages (incident, event, target, body, created_at, held_until,
                   retry_at, attempts, claimed_by, claimed_until, state, ended_at, error)
                   VALUES (?1, ?2, ?3, '{}', ?4, 0, 0, ?5, 0, 0, ?6, ?7, ?8)";
        let message = |event: &str, target: &str, state: &str, tries: i64, error: Option<&str>| {
            let at = ns(it.over.filter(|_| event == "resolved").unwrap_or(it.since - 31 * SECOND));
            let ended = (state != "waiting").then_some(at);
            db.execute(add, params![id, event, target, at, tries, state, ended, error]).unwrap();
        };
        if it.muted.is_some() {
            continue;
        }
        message("firing", "chat", "sent", 1, None);
        if it.severity == "critical" {
            let refused = "mail.example.org:587: connection refused";
            message("firing", "mail", "waiting", 3, Some(refused));
        }
        if it.over.is_some() {
            message("resolved", "chat", "sent", 1, None);
        }
    }
}

fn silence(site: &Site) {
    let db = Connection::open(site.directory.path().join("netmon.sqlite")).unwrap();
    let now = i64::try_from(now_ns().get()).unwrap();
    let hour = i64::try_from(60 * MINUTE).unwrap();
    db.execute(
        "INSERT INTO alert_silences (id, rule, client, tag, from_at, until_at, set_by, reason)
         VALUES ('ab0123456789', '', 'db-*', '', ?1, ?2, 'ann', 'new power supply')",
        [now - 2 * hour, now + hour],
    )
    .unwrap();
}

fn rules() -> AlertRules {
    let section = json!({
        "rules": {
            "burst": { "measure": "peak_1ms", "above": "9Gbit/s" },
            "clock": { "measure": "clock" },
            "down": { "measure": "host_down" },
            "full": { "measure": "utilisation", "severity": "critical" },
            "lost": { "measure": "loss" },
            "space": { "measure": "disk" },
        },
        "targets": {
            "chat": { "kind": "slack", "url": "https://chat.example.org/hook" },
            "mail": { "kind": "smtp", "server": "mail.example.org", "from": "a@example.org",
                      "to": ["b@example.org"] },
        },
    });
    let section: AlertsSection = serde_json::from_value(section).unwrap();
    AlertRules::of(&section).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_says_what_fires_since_when_why_and_who_knows() {
    let site = Site::start(Access::default()).await;
    *site.rules.lock().unwrap() = rules();
    store(&site, &firing());
    store(&site, &past());
    silence(&site);
    let _traffic = company(&site);
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until("document.querySelector('#firing-count').textContent === '3'").await;
    let link = "document.querySelector('#to-alerts').getAttribute('aria-label')";
    assert_eq!(browser.value(link).await, json!("Alerts, 3 firing"));
    browser.click("#to-alerts").await;
    browser.until("document.querySelectorAll('#firing .alert').length === 3").await;
    browser.until("document.querySelectorAll('#past .alert').length === 3").await;
    browser.until("document.querySelector('#firing').textContent.includes('Rule full: ')").await;
    browser.until("document.body.dataset.state === 'live'").await;
    let text = browser.text("#firing").await;
    for said in [
        "critical cache-1 eth0 received 97.3 % of the link's speed, above 90 %",
        "(5 min) · worst: 98.6 % at 2",
        "Rule full: utilisation above 90 % for 30 s; over at 81 % for 1 min.",
        "container 3f2c9a1be0d4 (postgres) 84 %; 203.0.113.77 to 443/tcp here",
        "chat was told at 2",
        "mail could not be told yet (tries: 3): mail.example.org:587: connection refused",
        "warning backup-1 eth0 12 packets lost",
        "worst: 25 574 packets at 2",
        "db-2 (Orders, replica) down",
        "by ann: new power supply",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    let first = "document.querySelector('#firing .alert').dataset.alert";
    assert!(browser.value(first).await.is_string());
    browser.must_be_accessible().await;
    browser.picture("alerts").await;
    // Foreign text is text.
    assert!(browser.text("#past").await.contains(MARKUP));
    assert_eq!(browser.value("document.querySelector('main img')").await, json!(null));
    browser.media("prefers-color-scheme", "dark").await;
    browser.must_be_accessible().await;
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.picture("alerts-phone").await;
    browser.click("#language").await;
    browser.until("document.querySelector('#firing').textContent.includes('达到链路速率的')").await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_chosen_by_time_rule_and_client_and_goes_on_page_by_page() {
    let site = Site::start(Access::default()).await;
    *site.rules.lock().unwrap() = rules();
    let each = |n: u64| {
        let it = of("lost", "loss", ["web-1", "eth0", "", ""]);
        Incident { since: n * 60 * MINUTE, over: Some(n * 60 * MINUTE - MINUTE), ..it }
    };
    // An hour apart, the last one 5 days ago; and the three of the other test.
    store(&site, &(1..=120).map(each).collect::<Vec<_>>());
    store(&site, &past());
    let browser = Browser::start(&site.address).await;
    let listed =
        |number: usize| format!("document.querySelectorAll('#past .alert').length === {number}");
    browser.open("/alerts").await;
    browser.until(&listed(50)).await;
    browser.click("#older").await;
    browser.until(&listed(100)).await;
    browser.click("#older").await;
    browser.until(&listed(123)).await;
    browser.until("document.querySelector('#older').hidden").await;
    // The choice is in the address, and what it holds is shown again.
    let choose = |id: &str, value: &str| {
        format!(
            "void ((it) => {{ it.value = '{value}'; it.dispatchEvent(new Event('change')); }})\
             (document.querySelector('#{id}'))"
        )
    };
    browser.value(&choose("rule", "clock")).await;
    browser.until(&listed(1)).await;
    browser.until("location.hash === '#/alerts?rule=clock'").await;
    browser.open("/alerts?range=86400&client=web-1").await;
    browser.until(&listed(24)).await;
    let chosen =
        "[document.querySelector('#range').value, document.querySelector('#client').value]";
    assert_eq!(browser.value(chosen).await, json!(["86400000", "web-1"]));
    let csv = browser
        .run(
            "const answer = await fetch(document.querySelector('#csv').href);
             return (await answer.text()).trim().split('\\n').length;",
        )
        .await;
    assert_eq!(csv, json!(25), "a head, and a line for each");
    browser.value(&choose("range", "3600000")).await;
    browser.until(&listed(1)).await;
    let last = 48 * 60 * MINUTE / 1_000_000;
    let now = now_ns().get() / 1_000_000;
    browser.open(&format!("/alerts?from={}&to={}", now - last, now - last / 2)).await;
    browser.until(&listed(24)).await;
    browser.open("/alerts?client=nobody").await;
    browser
        .until("document.querySelector('#past-note').textContent === 'None in this range.'")
        .await;
    browser.must_be_content().await;
}
