//! Times, dates and zones on the page, and ways to share a chart.

use collector::time::now_ns;
use collector::web::Access;
use serde_json::json;
use wire::Packets;

use crate::driver::Browser;
use crate::pages::busy;
use crate::site::{Agent, INTERVAL, Site};

/// Midnight in Berlin before the clocks go back, milliseconds since 1970: 2025-10-25 22:00 UTC.
const AUTUMN: u64 = 1_761_429_600_000;
const HOUR: u64 = 3_600_000;

fn when(text: &str) -> String {
    format!("plain(document.querySelector('#when')) === '{text}'")
}

/// Fills in both dates and submits them.
fn choose(from: &str, to: &str) -> String {
    format!(
        "(document.querySelector('#from').value = '{from}', \
          document.querySelector('#to').value = '{to}', document.querySelector('#go').click())"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn days_when_clocks_change_are_shown_and_chosen_right() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.zone("Europe/Berlin").await;
    browser.open(&format!("/client/web-1/eth0?from={AUTUMN}&to={}", AUTUMN + 25 * HOUR)).await;
    let berlin = "2025-10-26 00:00:00 UTC+02:00 – 2025-10-27 00:00:00 UTC+01:00 · 1 d";
    browser.until(&when(berlin)).await;
    assert_eq!(browser.value("document.querySelector('#range').value").await, "");
    browser.click("#zone").await;
    browser.until(&when("2025-10-25 22:00:00 – 2025-10-26 23:00:00 UTC · 1 d")).await;
    // The choice persists.
    browser.open(&format!("/client/web-1/eth0?from={AUTUMN}&to={}", AUTUMN + HOUR)).await;
    browser.until(&when("2025-10-25 22:00:00 – 23:00:00 UTC · 60 min")).await;
    browser.click("#zone").await;
    browser.until(&when("2025-10-26 00:00:00 – 01:00:00 UTC+02:00 · 60 min")).await;
    // Two hours by the wall clock around the spring change are one hour.
    browser.click("#when").await;
    browser.until("document.querySelector('#from').value === '2025-10-26T00:00'").await;
    browser.must_be_accessible().await;
    browser.value(&choose("2025-03-30T03:30", "2025-03-30T01:30")).await;
    assert_eq!(browser.value("document.querySelector('#to').validity.customError").await, true);
    browser.value(&choose("2025-03-30T01:30", "2025-03-30T03:30")).await;
    browser
        .until(&when("2025-03-30 01:30:00 UTC+01:00 – 2025-03-30 03:30:00 UTC+02:00 · 60 min"))
        .await;
    browser.until("location.hash.endsWith('?from=1743294600000&to=1743298200000')").await;
    browser
        .until("document.title === '<img src=x onerror=alert(1)> · eth0 – Network Monitor'")
        .await;
    browser.click("#back").await;
    browser.until("document.title === 'Network Monitor'").await;
    browser.must_be_content().await;
}

/// JavaScript: the first and last columns and the last row of the chart are blank. Cut labels would
/// reach into them.
const EDGES_BLANK: &str = "((canvas) => { const { width, height } = canvas; \
     const context = canvas.getContext('2d'); \
     const blank = (...area) => context.getImageData(...area).data.every((value) => value === 0); \
     return blank(0, 0, 1, height) && blank(width - 1, 0, 1, height) \
         && blank(0, height - 1, width, 1); })(document.querySelector('#chart canvas'))";

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_not_cut_and_nothing_overflows() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.zone("America/St_Johns").await;
    browser.open("/client/web-1/eth0?range=60").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 110").await;
    browser.click("#when").await;
    for language in ["en", "zh"] {
        for width in [390, 1320] {
            browser.resize(width, 1400).await;
            for range in [60, 3600, 21_600, 86_400, 604_800, 34_560_000] {
                browser
                    .value(&format!(
                        "((picker) => {{ picker.value = '{range}000'; \
                         picker.dispatchEvent(new Event('change')); }})\
                         (document.querySelector('#range'))"
                    ))
                    .await;
                browser.until(&format!("location.hash.endsWith('?range={range}')")).await;
                // Wait until the chart is drawn.
                let frames = "await new Promise((done) => \
                     requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))));";
                browser.run(frames).await;
                let blank = browser.value(EDGES_BLANK).await;
                assert_eq!(blank, true, "{language} {width} {range}: cut");
                let wide = browser.value("document.documentElement.scrollWidth").await;
                assert!(wide.as_u64().unwrap() <= u64::from(width), "{language} {width}: {wide}");
            }
        }
        browser.click("#language").await;
    }
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_can_be_linked_to_and_fills_the_screen_in_either_theme() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.allow_clipboard().await;
    browser.open("/client/web-1/eth0?range=300&scale=log").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 590").await;
    assert_eq!(
        browser.value("document.querySelector('#log').getAttribute('aria-pressed')").await,
        "true"
    );
    browser.click("#link").await;
    browser.until("document.querySelector('#link').textContent === 'Copied'").await;
    let link = browser.run("return await navigator.clipboard.readText()").await;
    let link = link.as_str().unwrap();
    let (page, hash) = link.split_once('#').unwrap();
    assert_eq!(page, format!("http://{}/", site.address));
    assert!(hash.starts_with("/client/web-1/eth0?from=") && hash.ends_with("&scale=log"), "{hash}");
    browser.open(hash).await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 590").await;
    browser.until("!document.querySelector('#when').textContent.endsWith('live')").await;
    // The chart fills the screen, and returns. Without a given size the browser's screen is small.
    browser.resize(1320, 1100).await;
    let height = "document.querySelector('#chart canvas').clientHeight";
    browser.until(&format!("{height} === 380")).await;
    browser.click("#full").await;
    browser.until("document.fullscreenElement?.id === 'view'").await;
    browser.until(&format!("{height} > 420")).await;
    browser.click("#full").await;
    browser.until("document.fullscreenElement === null").await;
    browser.until(&format!("{height} === 380")).await;
    // Dark although the system is light, also after reopening.
    let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(15, 20, 26)'";
    browser.until(&format!("!({dark})")).await;
    browser.must_be_accessible().await;
    browser.click("#theme").await;
    browser.until(dark).await;
    browser.open(hash).await;
    browser.until(dark).await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 590").await;
    browser.must_be_accessible().await;
    // Light although the system is dark, then like the system.
    browser.media("prefers-color-scheme", "dark").await;
    browser.click("#theme").await;
    browser.until(&format!("!({dark})")).await;
    browser.click("#theme").await;
    browser.until(dark).await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_in_the_chart_and_among_events_at_once() {
    let site = Site::start(Access::default()).await;
    let mut agent = Agent::new("web-1", "Web", 7, 40_000_000);
    agent.enrol(&site, (now_ns() - 130 * INTERVAL).get()).await;
    let end = agent.remember(&site, 120).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/client/web-1/eth0?range=300").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 100").await;
    browser.until("document.querySelector('[data-event=started]') !== null").await;
    assert_eq!(browser.value("document.querySelector('[data-event=lost]')").await, json!(null));
    // Shown live, and not stored yet.
    let mut frame = agent.frame([end]);
    frame.samples[0].drops = Packets(9);
    site.live.observe(&agent.id, &frame, now_ns());
    let told =
        "document.querySelector('[data-event=lost]')?.textContent.includes('9 packets lost')";
    browser.until(&format!("{told} === true")).await;
    browser.until("document.querySelector('#figures .bad')?.textContent === '9'").await;
    browser.must_be_content().await;
}
