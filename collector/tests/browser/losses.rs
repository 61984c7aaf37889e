//! Losses and gaps: how they are marked in the overview and where a chart shows them.

use std::sync::Arc;
use std::time::Duration;

use collector::store::Store;
use collector::time::now_ns;
use collector::web::Access;
use wire::frame::Sample;
use wire::message::Inventory;
use wire::{Packets, WallNs};

use crate::driver::Browser;
use crate::pages::row;
use crate::site::{Agent, INTERVAL, SECOND, Site, company};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_loses_packets_is_marked_among_others() {
    let site = Site::start(Access::default()).await;
    let _flow = company(&site);
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    let backup = row("backup-1");
    browser.until(&format!("/\\d lost/.test({backup}?.textContent)")).await;
    browser.until("document.querySelector('#troubled').textContent === '1'").await;
    assert_eq!(browser.text("#connected").await, "12 of 12");
    browser.click("#only").await;
    browser.until("document.querySelectorAll('.rows .row:not([hidden])').length === 1").await;
    browser.must_be_content().await;
}

/// Opacity of the chart just above its zero line, at a share of the range: 0 if it was measured without
/// loss, 255 if nothing was measured, in between if packets were lost. Takes the median of neighbouring
/// pixels, because grid lines lie between them.
fn opacity(share: f64) -> String {
    format!(
        "(() => {{ const canvas = document.querySelector('#chart canvas'); \
         const over = document.querySelector('#chart .u-over').getBoundingClientRect(); \
         const own = canvas.getBoundingClientRect(); \
         const x = Math.round((over.left - own.left + over.width * {share}) * devicePixelRatio); \
         const y = Math.round((over.top - own.top + over.height * 0.75) * devicePixelRatio) - 8; \
         const {{ data }} = canvas.getContext('2d').getImageData(x - 2, y, 5, 1); \
         return [3, 7, 11, 15, 19].map((at) => data[at]).sort((a, b) => a - b)[2]; }})()"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn loss_and_gaps_are_shown_where_they_were() {
    let site = Arc::new(Site::start(Access::default()).await);
    let mut agent = Agent::new("web-1", "Web", 7, 40_000_000);
    let end = now_ns() / SECOND * SECOND;
    let begin = end - 100 * SECOND;
    agent.enrol(&site, begin + SECOND).await;
    // 100 s: no data from second 20 to 30, loss in second 50.
    let mut samples: Vec<Sample> = Vec::new();
    for n in (0..200).filter(|n| !(40..60).contains(n)) {
        let sample = agent.sample(0, begin + n * INTERVAL, INTERVAL);
        samples.push(Sample { drops: if n == 100 { Packets(1234) } else { Packets(0) }, ..sample });
    }
    let frames: Vec<_> = samples.chunks(20).map(|few| agent.frame_of(few.to_vec())).collect();
    agent.commit(&site, frames).await;
    for (up, at) in [(false, 70), (true, 75)] {
        let inventory = Inventory { nics: vec![Agent::nic("eth0", up)] };
        site.store
            .record_inventory(&agent.id, &inventory, WallNs(begin + at * SECOND))
            .await
            .unwrap();
    }
    let browser = Browser::start(&site.address).await;
    let (from, to) = (begin / 1_000_000, end / 1_000_000);
    browser.open(&format!("/client/web-1/eth0?from={from}&to={to}&peaks=0")).await;
    browser.until("document.querySelector('#chart').dataset.points === '180'").await;
    browser.until(&format!("{} === 255", opacity(0.25))).await;
    browser.until(&format!("{} === 0", opacity(0.15))).await;
    browser.until(&format!("((seen) => seen > 40 && seen < 255)({})", opacity(0.5025))).await;
    browser.until(&format!("{} === 0", opacity(0.48))).await;
    for kind in ["lost", "started", "link_down", "link_up"] {
        browser
            .until(&format!("document.querySelector('#events [data-event={kind}]') !== null"))
            .await;
    }
    assert!(browser.text("[data-event=lost]").await.contains("1 234 packets lost"));
    // The NIC's totals of lost, late and inexact packets, and their explanations.
    let mut frame = agent.frame([end]);
    (frame.samples[0].drops, frame.samples[0].late, frame.samples[0].inexact) =
        (Packets(1234), 56, 7);
    site.live.observe(&agent.id, &frame, now_ns());
    for (key, count) in [("drops_total", "1 234"), ("late_total", "56"), ("inexact_total", "7")] {
        let shown = format!("plain(document.querySelector('[data-loss={key}]'))");
        browser.until(&format!("{shown} === '{count}'")).await;
    }
    let meaning = "document.querySelector('#ledger tr:nth-child(3) abbr')?.title";
    browser.until(&format!("{meaning}?.includes('lower bound') === true")).await;
    browser.click("#peaks").await;
    browser.resize(1120, 740).await;
    browser.picture("client").await;
    browser.click("#peaks").await;
    // A click on the event leads there.
    browser.click("[data-event=lost] button").await;
    browser.until("Number(document.querySelector('#chart').dataset.points) < 130").await;
    browser.click("#language").await;
    browser.until(&format!("{meaning}?.includes('下限') === true")).await;
    browser.open("/?columns=drops").await;
    let told = format!("{}?.querySelector('.figure.drops').title", row("web-1"));
    browser.until(&format!("{told}?.startsWith('丢失的数据包：1 234。') === true")).await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_stored_when_a_page_opens_is_on_it_soon() {
    let site = Site::start(Access::default()).await;
    let mut agent = Agent::new("web-1", "Web", 7, 40_000_000);
    let begin = now_ns() / INTERVAL * INTERVAL - 64 * INTERVAL;
    agent.enrol(&site, begin).await;
    let mut frames: Vec<_> = (0..64).map(|n| agent.frame([begin + n * INTERVAL])).collect();
    let waiting = frames.split_off(60);
    agent.commit(&site, frames).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/client/web-1/eth0").await;
    browser.until("document.querySelector('#chart')?.dataset.points === '60'").await;
    agent.commit(&site, waiting).await;
    // Every 10 s the page asks anyway.
    let all = "document.querySelector('#chart').dataset.points === '64'";
    browser.until_within(Duration::from_secs(8), all).await;
}
