//! The overview: who is in trouble, why, and when it was.

use std::sync::Arc;

use collector::store::{ClientRange, Query};
use collector::time::now_ns;
use collector::web::Access;
use testbed::until;
use tokio::sync::Mutex;
use wire::WallNs;
use wire::frame::{Counts, Sample};
use wire::tag::{Tag, TagSet};
use wire::{Bytes, Packets};

use crate::driver::Browser;
use crate::pages::row;
use crate::site::{Agent, Flow, INTERVAL, SECOND, Site};

const MINUTE: u64 = 60 * SECOND;

/// Bytes per second of a link of 10 Gbit/s.
const LINK: u64 = 1_250_000_000;

/// Packets that `cache-3` loses once, and what `db-2` carries within 10 ms once.
const LOST: u64 = 25_574;
const BURST: u64 = 12_400_000;

/// Fifty hosts of a company, with what each receives, bytes per second.
fn fleet() -> Vec<Agent> {
    let roles = [("cache", 9, 90), ("web", 14, 40), ("db", 6, 18), ("build", 8, 9), ("mail", 5, 1)];
    let more = [("dns", 4, 1), ("vpn", 2, 12), ("backup", 2, 55)];
    let mut agents = Vec::new();
    for (role, count, megabytes) in roles.into_iter().chain(more) {
        for n in 1..=count {
            let session = 100 + agents.len() as u64;
            let rate = megabytes * 1_000_000 * (3 + session % 5) / 4;
            agents.push(Agent::new(&format!("{role}-{n}"), "", session, rate));
        }
    }
    assert_eq!(agents.len(), 50);
    agents
}

/// Where an agent's host is and what it does; `vpn-2` says nothing of where.
fn tags(agent: &Agent) -> TagSet {
    let id = agent.id.as_str();
    let (role, n) = id.split_once('-').unwrap();
    let site = ["ams", "fra", "nyc"][n.parse::<usize>().unwrap() % 3];
    let mut tags = vec![Tag::new("role", role).unwrap()];
    if id != "vpn-2" {
        tags.push(Tag::new("site", site).unwrap());
    }
    TagSet::new(tags).unwrap()
}

/// What `agent` carried in an interval, with the trouble of three.
fn samples(agent: &Agent, start_ns: u64, length_ns: u64, now_ns: u64) -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        [0, 1].map(|nic| agent.sample(nic, start_ns, length_ns)).to_vec();
    let within = |ago: u64| (start_ns..start_ns + length_ns).contains(&(now_ns - ago));
    let first = &mut samples[0];
    match agent.id.as_str() {
        // Full for ten minutes.
        "backup-1" if start_ns + 10 * MINUTE > now_ns => {
            let bytes = LINK * length_ns / SECOND * 96 / 100;
            first.tx = Counts {
                bytes: Bytes(bytes),
                packets: Packets(bytes / 1500),
                peak_1ms_bytes: 1_240_000,
                peak_10ms_bytes: 12_300_000,
                ..first.tx
            };
        }
        // A loss six minutes ago, and a small one long before.
        "cache-3" if within(6 * MINUTE) => first.drops = Packets(LOST),
        "cache-3" if within(41 * MINUTE) => first.drops = Packets(9),
        // A burst four minutes ago.
        "db-2" if within(4 * MINUTE) => {
            (first.rx.peak_1ms_bytes, first.rx.peak_10ms_bytes) =
                (1_245_000, u32::try_from(BURST).unwrap());
        }
        _ => {
            for counts in [&mut first.rx, &mut first.tx] {
                counts.peak_10ms_bytes = counts.peak_1ms_bytes.saturating_mul(4);
            }
        }
    }
    samples
}

/// The fleet with an hour in the store, of which the collector knew nothing when it started, and with
/// live traffic.
pub async fn start() -> (Arc<Site>, Flow) {
    let site = Arc::new(Site::start(Access::default()).await);
    let mut agents = fleet();
    let now = now_ns() / INTERVAL * INTERVAL;
    let first = now / MINUTE * MINUTE - 60 * MINUTE;
    for agent in &mut agents {
        agent.enrol(&site, first).await;
        site.live.on_agent_tags(&agent.id, &tags(agent));
        let mut history = Vec::new();
        let mut start = first;
        let troubled = ["backup-1", "cache-3", "db-2"].contains(&agent.id.as_str());
        let piece = if troubled { 5 * SECOND } else { MINUTE };
        while start < now {
            let length = piece.min(now - start);
            history.extend(samples(agent, start, length, now));
            start += length;
        }
        let frames: Vec<_> = history.chunks(200).map(|few| agent.frame_of(few.to_vec())).collect();
        agent.commit(&site, frames).await;
    }
    // As the collector does after its start.
    let wanting = site.live.wanting_minutes(WallNs(now));
    assert_eq!(wanting.len(), 50);
    let stored = site.store.minutes(&wanting).await.unwrap();
    site.live.on_minutes(&wanting, &stored, WallNs(now));
    let (delivered, agents) = (site.clone(), Arc::new(Mutex::new(agents)));
    let flow = Flow::start(now, move |start_ns| {
        let (site, agents) = (delivered.clone(), agents.clone());
        async move {
            for agent in agents.lock().await.iter_mut() {
                let frame = agent.frame_of(samples(agent, start_ns, INTERVAL, start_ns));
                site.live.observe(&agent.id, &frame, now_ns());
            }
        }
    });
    (site, flow)
}

/// JavaScript: the client of a row.
fn client_at(index: u32) -> String {
    format!("document.querySelector('.rows [aria-rowindex=\"{}\"]')?.dataset.client", index + 2)
}

/// JavaScript: a row contains a text.
pub fn says(client: &str, text: &str) -> String {
    format!("plain({})?.includes('{text}') === true", row(client))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_hosts_those_in_trouble_come_first_say_why_and_lead_to_the_moment() {
    let (site, _flow) = start().await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    // Full is what lasts for 5 s.
    for (index, client) in ["cache-3", "backup-1", "db-2"].into_iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        browser.until(&format!("{} === '{client}'", client_at(index))).await;
    }
    browser.until(&says("cache-3", "25 583 lost, last at ")).await;
    browser.until(&says("backup-1", "eth0 transmitted at 9")).await;
    browser.until(&says("db-2", "9.92 Gbit/s within 10 ms, eth0 received")).await;
    assert_eq!(browser.text("#troubled").await, "3");
    assert_eq!(browser.text("#total-lost").await, "25.6 k");
    // The last hour is there though the page has just been opened.
    let drawn = "document.querySelector('.rows canvas').getContext('2d')\
                 .getImageData(3, 11, 1, 1).data[3] > 0";
    browser.until(drawn).await;
    browser.must_be_accessible().await;
    browser.resize(1320, 900).await;
    browser.picture("overview").await;
    browser.click("#language").await;
    browser.until(&says("db-2", "10 毫秒内 9.92 Gbit/s")).await;
    browser.picture("overview-chinese").await;
    browser.click("#language").await;
    // 40 rows on 900 pixels.
    browser.click("#dense").await;
    browser.until("location.hash === '#/?rows=dense'").await;
    let whole = "(() => { const box = document.querySelector('.scroll').getBoundingClientRect(); \
         return box.bottom <= innerHeight && [...document.querySelectorAll('.rows .row:not([hidden])')]\
         .filter((row) => row.getBoundingClientRect().bottom <= box.bottom + 1).length; })()";
    browser.picture("overview-dense").await;
    browser.until(&format!("{whole} >= 40")).await;
    let one_line = "[...document.querySelectorAll('.rows .mark')].every((mark) => mark.getClientRects().length === 1)";
    browser.until(one_line).await;
    browser.must_be_accessible().await;
    // Columns are chosen, and the address keeps it all.
    browser.click("#columns").await;
    browser.picture("overview-columns").await;
    browser.click("[data-column=recent]").await;
    browser.click("[data-column=drops]").await;
    browser.until("location.hash.includes('columns=utilisation%2Crx')").await;
    browser.until("document.querySelector('[data-sort=drops]') !== null").await;
    let hash = browser.value("location.hash").await;
    browser.open(&hash.as_str().unwrap()[1..]).await;
    browser.until("document.querySelector('[data-sort=drops]') !== null").await;
    browser.until("document.querySelector('#dense').getAttribute('aria-pressed') === 'true'").await;
    // Dark.
    browser.media("prefers-color-scheme", "dark").await;
    browser.open("/").await;
    browser.until(&says("db-2", "9.92 Gbit/s within")).await;
    browser.must_be_accessible().await;
    browser.picture("overview-dark").await;
    browser.media("prefers-color-scheme", "light").await;
    // A phone.
    browser.open("/").await;
    browser.resize(390, 844).await;
    browser.until(&says("db-2", "9.92 Gbit/s within")).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.until("document.querySelector('[data-sort=utilisation]') !== null").await;
    browser.until(drawn_tiles()).await;
    browser.until(NOTHING_CUT).await;
    browser
        .until("document.querySelector('[data-sort=tx]').parentNode.title === 'Transmitted'")
        .await;
    browser.must_be_accessible().await;
    browser.picture("overview-phone").await;
    // The head that rows are sorted by has a sign.
    for column in ["utilisation", "rx", "tx", "client"] {
        browser.click(&format!("[data-sort={column}]")).await;
        browser.until(&format!("location.hash.includes('sort={column}')")).await;
        browser.until(NOTHING_CUT).await;
    }
    browser.open("/").await;
    browser.click("#language").await;
    browser.until(&says("db-2", "10 毫秒内 9.92 Gbit/s")).await;
    browser.until(NOTHING_CUT).await;
    browser.picture("overview-phone-chinese").await;
    browser.click("#language").await;
    browser.resize(1320, 900).await;
    // Totals of what is filtered.
    browser.open("/?search=db-").await;
    browser.until("document.querySelector('.tile').textContent.includes('all: ')").await;
    browser.until("document.querySelector('#connected').textContent === '6 of 6'").await;
    browser.picture("overview-filtered").await;
    // A click on the loss opens that moment.
    browser.open("/").await;
    browser.until(&says("cache-3", "25 583 lost")).await;
    browser.click("[data-client=cache-3] .marks a").await;
    browser.until("location.hash.startsWith('#/client/cache-3/eth0?from=')").await;
    browser.until("plain(document.querySelector('[data-event=lost]'))?.includes('25 574 packets lost') === true").await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 5").await;
    browser.picture("moment").await;
    browser.value("history.back()").await;
    // And so does one on the peak in its column.
    browser.click("[data-client=db-2] .peak10 a").await;
    browser.until("location.hash.startsWith('#/client/db-2/eth0?from=')").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 5").await;
    let [from, to] = ["from", "to"].map(|name| {
        format!("Number(new URLSearchParams(location.hash.split('?')[1]).get('{name}'))")
    });
    let from = browser.value(&from).await.as_u64().unwrap() * 1_000_000;
    let to = browser.value(&to).await.as_u64().unwrap() * 1_000_000;
    let range = ClientRange { client: "db-2".into(), from_ns: WallNs(from), to_ns: WallNs(to) };
    let minutes = site.store.minutes(&[range]).await.unwrap();
    let highest = minutes.iter().flat_map(|nic| &nic.minutes).map(|it| it.rx.peak_10ms_bytes).max();
    assert_eq!(highest.map(u64::from), Some(BURST), "what is shown has the burst in it");
    browser.must_be_content().await;
}

/// JavaScript: all of the table's heads, figures and marks are to be seen, and marks are within their rows.
const NOTHING_CUT: &str = "[...document.querySelectorAll('#clients .head :is(span, button), .row:not([hidden]) :is(.figure, .mark)')]\
     .every((it) => it.scrollWidth <= it.clientWidth) && \
     [...document.querySelectorAll('.rows .row:not([hidden]) .mark')].every((mark) => { \
     const [own, all] = [mark, mark.closest('.row')].map((it) => it.getBoundingClientRect()); \
     return own.right <= all.right && own.bottom <= all.bottom; })";

/// JavaScript: the totals over time are drawn.
const fn drawn_tiles() -> &'static str {
    "(() => { const canvas = document.querySelector('.tile canvas'); const { width, height } = canvas; \
     return canvas.getContext('2d').getImageData(0, 0, width, height).data.some((it) => it > 0); })()"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_goes_from_row_to_row_and_keeps_its_row() {
    let (site, _flow) = start().await;
    let browser = Browser::start(&site.address).await;
    browser.open("/?sort=client&order=up").await;
    browser.until(&format!("{} === 'backup-1'", client_at(0))).await;
    let focused = "document.activeElement.closest('.row')?.dataset.client";
    browser.value("document.querySelector('.rows [aria-rowindex=\"2\"] a').focus()").await;
    browser.keys(&["\u{e015}"]).await;
    browser.until(&format!("{focused} === 'backup-2'")).await;
    browser.keys(&["\u{e010}"]).await;
    browser.until(&format!("{focused} === 'web-14'")).await;
    browser.keys(&["\u{e013}"]).await;
    browser.until(&format!("{focused} === 'web-13'")).await;
    browser.keys(&["\u{e011}"]).await;
    browser.until(&format!("{focused} === 'backup-1'")).await;
    browser.keys(&["\u{e007}"]).await;
    browser.until("location.hash.startsWith('#/client/backup-1/')").await;
    until("the page", async || browser.text("#title").await.contains("backup-1")).await;
}
