//! The inbox with the real collector and the real agent: an alert fires, is told, and is over.

#[path = "../alerts/receiver.rs"]
#[allow(dead_code, reason = "the tests of alerts use all of it")]
mod receiver;

use std::fs;

use rusqlite::Connection;
use serde_json::json;
use testbed::{Pair, Running, Site, http, in_namespace, wait_until};

use self::receiver::{OK, Receiver};
use crate::driver::Browser;

/// What would run if it were taken for a part of the page.
const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// A collector with two rules of which one is silenced, and two targets of which one is away.
fn start_collector(site: &Site, receiver: &Receiver) -> Running {
    let config = site.dir().join("collector.yaml");
    let yaml = format!(
        "alerts:
  rules:
    busy: {{measure: rate, above: 4Mbit/s, for: 0s, clear_for: 5s, direction: rx, severity: critical}}
    hushed: {{measure: rate, above: 1Mbit/s, for: 0s, clear_for: 5s, direction: rx}}
  targets:
    ops: {{kind: webhook, url: \"{}\", timeout: 1s}}
    away: {{kind: webhook, url: \"http://127.0.0.1:9/\", timeout: 1s}}",
        receiver.url()
    );
    fs::write(&config, yaml).unwrap();
    let start = || {
        let command = site.collector(&["run", "-c", config.to_str().unwrap()]);
        let collector = Running::start(command, &site.dir().join("c.log"));
        wait_until("the collector", || http::is_ready("127.0.0.1:8083"));
        collector
    };
    let made = start();
    let silence = format!(
        "INSERT INTO alert_silences (id, rule, client, tag, from_at, until_at, set_by, reason)
         VALUES ('ab0123456789', 'hushed', 'host-*', '', 0, 4102444800000000000, 'ann', '{MARKUP}')"
    );
    let store = Connection::open(site.collector_data().join("netmon.sqlite")).unwrap();
    wait_until("the silence", || store.execute(&silence, []).is_ok());
    // It reads silences when it starts, so it knows this one before anything fires.
    made.stop();
    start()
}

fn part(list: &str, rule: &str, part: &str) -> String {
    format!(
        "(plain([...document.querySelectorAll('#{list} .alert')].find((it) => it.querySelector(\
         '[data-part=why]').textContent.includes('{rule}'))?.querySelector('[data-part={part}]'))\
         ?? '')"
    )
}

#[test]
fn an_alert_is_in_the_inbox_while_it_fires_and_in_the_history_after() {
    if !in_namespace() {
        return;
    }
    let (pair, site, receiver) = (Pair::new(), Site::new(), Receiver::start(OK));
    let collector = start_collector(&site, &receiver);
    site.enroll();
    let mut agent = site.agent(&["run"]);
    agent.env("NETMON_AGENT_CLIENT__ALIAS", "<b>web</b>");
    let agent = Running::start(agent, &site.dir().join("a.log"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start("127.0.0.1:8083").await;
        browser.open("/").await;
        browser.until("document.body.dataset.state === 'live'").await;
        browser.click("#to-alerts").await;
        browser.until("document.title.startsWith('Alerts')").await;
        browser
            .until("document.querySelector('#firing-note').textContent === 'Nothing fires.'")
            .await;
        assert_eq!(
            browser.value("document.querySelector('#firing-count').hidden").await,
            json!(true)
        );
        browser.until("document.querySelector('#silences').textContent.includes('ann')").await;

        let mut traffic = pair.there_spawn(
            "while :; do head -c 100000 /dev/zero > /dev/udp/10.9.0.1/9; sleep 0.02; done",
        );
        browser.until("document.querySelectorAll('#firing .alert').length === 2").await;
        assert_eq!(browser.text("#firing-count").await, "2");
        let told = |text: &str| {
            let told = part("firing", "busy", "told");
            format!("{told}.includes('{text}')")
        };
        // The target that is away comes first, by its name.
        browser.until(&told("away could not be told yet (tries: ")).await;
        let all = browser.text("#firing").await;
        assert!(all.contains("ops was told at 2"), "{all}");
        let of = async |list: &str, rule: &str, name: &str| {
            let text = browser.value(&part(list, rule, name)).await;
            text.as_str().unwrap().to_owned()
        };
        assert_eq!(of("firing", "busy", "where").await, "host-1 (<b>web</b>) here received");
        let what = of("firing", "busy", "what").await;
        assert!(what.ends_with("bit/s, above 4.00 Mbit/s"), "{what}");
        let why = of("firing", "busy", "why").await;
        let rule = "Rule busy: rate received above 4.00 Mbit/s; over at 3.60 Mbit/s for 5 s.";
        assert_eq!(why, rule);
        let hushed = of("firing", "hushed", "hushed").await;
        assert_eq!(hushed, format!("Silenced until 2100-01-01 00:00:00 by ann: {MARKUP}"));
        let made = browser.value("document.querySelectorAll('main :is(b, img)').length").await;
        assert_eq!(made, json!(0), "foreign text is text");
        browser.must_be_accessible().await;

        // By keys to the moment, and back.
        browser.value("document.querySelector('#firing [data-part=where]').focus()").await;
        browser.keys(&["\u{e007}"]).await;
        browser.until("location.hash.startsWith('#/client/host-1/here?from=')").await;
        browser.until("Number(document.querySelector('#chart')?.dataset.points) > 6").await;
        browser.value("history.back()").await;
        browser.until("document.querySelectorAll('#firing .alert').length === 2").await;

        traffic.kill().unwrap();
        let _reaped = traffic.wait();
        browser.until("document.querySelectorAll('#past .alert').length === 2").await;
        browser.until("document.querySelector('#firing-count').hidden").await;
        let over = part("past", "busy", "when");
        browser.until(&format!("/^2.* – .* \\(\\d+(\\.\\d)? s\\)/.test({over})")).await;
        let is_told = "document.querySelector('#past').textContent.includes('that it is over')";
        browser.until(is_told).await;
        let nobody = of("past", "hushed", "hushed").await;
        assert_eq!(nobody, format!("Nobody was told: silence ab0123456789 of ann: {MARKUP}"));
        browser.must_be_content().await;
    });
    assert!(receiver.requests().iter().all(|it| !it.body.contains("hushed")), "it was silenced");
    agent.stop();
    collector.stop();
}
