//! The page with the real collector and the real agent.

use serde_json::Value;
use testbed::{Pair, Running, Site, in_namespace, quick_once, until, wait_until};

use crate::driver::Browser;
use crate::values::{committed_until_ms, must_agree};

/// For 5 s, milliseconds from the end of each sample until the page has drawn it.
const LATENCIES: &str = "
    const chart = document.querySelector('#chart');
    const seen = [];
    let last = chart.dataset.newest;
    new MutationObserver(() => {
        const { newest } = chart.dataset;
        if (newest && newest !== last) seen.push(Date.now() - Number(newest));
        last = newest;
    }).observe(chart, { attributes: true, attributeFilter: ['data-newest'] });
    await new Promise((done) => setTimeout(done, 5000));
    return seen;";

#[test]
fn a_sample_is_on_the_page_soon_and_says_what_the_database_holds() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let mut agent = site.agent(&["run"]);
    agent.env("NETMON_AGENT_MONITOR__SAMPLE_INTERVAL", "500ms");
    agent.env("NETMON_AGENT_MONITOR__REPORT_INTERVAL", "500ms");
    let agent = Running::start(agent, &site.dir().join("a.log"));
    let stored = site.dir().join("collector/netmon.sqlite");
    let mut traffic = pair.there_spawn(
        "while :; do head -c 100000 /dev/zero > /dev/udp/10.9.0.1/9; sleep 0.02; done",
    );
    wait_until("the collector's file", || stored.exists());

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start("127.0.0.1:8083").await;
        browser.open("/").await;
        browser.until("document.querySelector('[data-client=\"host-1\"]')?.textContent.includes('Mbit/s') === true").await;
        browser.click("[data-client=\"host-1\"] a").await;
        browser.until("Number(document.querySelector('#chart')?.dataset.points) > 6").await;
        // One interval and 200 ms, in the best of several tries: the machine may be busy with other tests.
        quick_once("samples that are drawn soon", async || {
            let seen = browser.run(LATENCIES).await;
            let mut seen: Vec<f64> =
                seen.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            seen.sort_by(f64::total_cmp);
            println!("from the end of a sample to the page, ms: {seen:?}");
            seen.len() > 5 && seen[seen.len() / 2] < 700.0
        })
        .await;
        browser.value("document.querySelector('#chart').focus()").await;
        browser.keys(&[" "]).await;
        browser.until("location.hash.includes('from=')").await;
        // Everything that the page shows is committed a moment later.
        let newest = browser.value("Number(document.querySelector('#chart').dataset.newest)").await;
        until("the commit of the page's samples", async || {
            committed_until_ms(&stored, "here") >= newest.as_f64().unwrap()
        })
        .await;
        must_agree(&browser, &stored, "here", 10).await;
        browser.picture("real").await;
        browser.must_be_content().await;
    });
    traffic.kill().unwrap();
    let _reaped = traffic.wait();
    agent.stop();
    collector.stop();
}
