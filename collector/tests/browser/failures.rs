//! The page's messages about failures, with the time since when.

use collector::web::Access;
use serde_json::json;

use crate::driver::Browser;
use crate::pages::{busy, row};

/// JavaScript: the banner shows this text for a kind of problem.
fn problem(kind: &str, text: &str) -> String {
    format!("plain(document.querySelector('[data-problem={kind}]'))?.includes('{text}') === true")
}

/// JavaScript: the overview shows figures.
fn shown() -> String {
    format!("{}?.textContent.includes('bit/s') === true", row("web-1"))
}

const LIVE: &str = "document.querySelector('#connection').dataset.state === 'live'";
const NO_BANNER: &str = "document.querySelector('#banner').hidden";

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_an_unreachable_collector_stay_grey_and_are_of_then() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until(&shown()).await;
    browser.until(LIVE).await;
    browser.until(NO_BANNER).await;
    site.stop().await;
    browser.until(&problem("unreachable", "The collector has been unreachable since 20")).await;
    browser.until("document.querySelector('#connection').dataset.state === 'lost'").await;
    // Longer than the silence after which a client needs attention.
    browser
        .until("/\\(([6-9]|\\d\\d)\\ss\\)|min/.test(document.querySelector('#banner').textContent)")
        .await;
    browser.until(&shown()).await;
    assert_eq!(browser.text("#connected").await, "1 of 1");
    assert_eq!(browser.text("#troubled").await, "0");
    assert!(browser.text("#total-rx").await.ends_with("Mbit/s"));
    let grey = "getComputedStyle(document.querySelector('#total-rx')).color";
    assert_eq!(browser.value(grey).await, "rgb(93, 107, 122)");
    browser.must_be_accessible().await;
    browser.picture("banner-unreachable").await;
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
    browser.resize(1320, 1100).await;
    browser.click("#language").await;
    browser.until(&problem("unreachable", "起无法连接收集器")).await;
    browser.click("#language").await;
    // It recovers by itself.
    site.start_again(Access::default()).await;
    browser.until(LIVE).await;
    browser.until(NO_BANNER).await;
    assert_ne!(browser.value(grey).await, "rgb(93, 107, 122)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_an_unreachable_collector_stands_still() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/client/web-1/eth0?range=60").await;
    let points = "Number(document.querySelector('#chart')?.dataset.points)";
    browser.until(&format!("{points} > 110")).await;
    site.stop().await;
    browser.until(&problem("unreachable", "since 20")).await;
    let before = browser.value(points).await;
    browser
        .until(
            "/\\((1[1-9]|[2-9]\\d)\\ss\\)|min/.test(document.querySelector('#banner').textContent)",
        )
        .await;
    assert_eq!(browser.value(points).await, before);
    assert_eq!(browser.text("#note").await, "");
    assert!(browser.text("#facts").await.starts_with("connected"));
    browser.must_be_accessible().await;
    site.start_again(Access::default()).await;
    browser.until(NO_BANNER).await;
    browser.until(&format!("{points} > 110")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_a_collector_is_live_only() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until(&shown()).await;
    *site.writer.lock().unwrap() = Some("connection refused".into());
    browser.until(&problem("storeAway", "unavailable since 20")).await;
    browser.until(&problem("storeAway", "Reason: connection refused.")).await;
    assert_eq!(browser.text("#connection").await, "live only");
    assert_eq!(browser.value("document.body.dataset.state").await, "liveOnly");
    browser.must_be_accessible().await;
    browser.picture("banner-live-only").await;
    // A new page doesn't know the start of the failure.
    browser.open("/").await;
    browser.until(&problem("storeAway", "or longer")).await;
    browser.click("#language").await;
    assert_eq!(browser.text("#connection").await, "仅实时");
    browser.click("#language").await;
    *site.writer.lock().unwrap() = None;
    browser.until(NO_BANNER).await;
    browser.until(LIVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_out_is_asked_to_sign_in_and_nothing_is_called_lost() {
    let access = |token: &str| Access::default().with_token(token);
    let (site, _flow) = busy(access("0123456789abcdef")).await;
    let browser = Browser::start(&site.address).await;
    let sign_in = |token: &str| {
        format!(
            "(document.querySelector('#token').value = '{token}', \
             document.querySelector('#signin button').click())"
        )
    };
    browser.open("/").await;
    browser.until("document.querySelector('#signin') !== null").await;
    assert_eq!(browser.text("#connection").await, "signed out");
    assert_eq!(browser.value("document.querySelector('#signin [role=status]')").await, json!(null));
    browser.value(&sign_in("0123456789abcdef")).await;
    browser.until(&shown()).await;
    // The operator changes the token.
    site.stop().await;
    site.start_again(access("fedcba9876543210")).await;
    browser.until("document.querySelector('#signin') !== null").await;
    browser.until("document.querySelector('#connection').textContent === 'signed out'").await;
    browser.until(NO_BANNER).await;
    assert!(browser.text("#signin").await.contains("The session has ended."));
    browser.must_be_accessible().await;
    browser.picture("signed-out").await;
    browser.value(&sign_in("fedcba9876543210")).await;
    browser.until(&shown()).await;
    browser.until(LIVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_whose_clock_is_off_shows_the_collectors_time() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    // Ten minutes slow.
    let slow = "{ const Real = Date; const off = -600000;
        globalThis.Date = class extends Real {
            constructor(...given) { super(...(given.length ? given : [Real.now() + off])); }
            static now() { return Real.now() + off; }
        }; }";
    browser.before_pages(slow).await;
    browser.open("/").await;
    browser.until(&shown()).await;
    browser.until(&problem("clock", "clock is 10 min behind the collector")).await;
    browser.until(LIVE).await;
    // No client counts as silent or as being in the future.
    assert_eq!(browser.text("#troubled").await, "0");
    browser.must_be_accessible().await;
    browser.picture("banner-clock").await;
    browser.click("[data-client=web-1] a").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 590").await;
    browser.must_be_content().await;
}
