//! Who had the traffic: the panel of a NIC's page, and the search across all hosts.

use std::sync::Arc;

use collector::time::now_ns;
use collector::web::Access;
use serde_json::json;
use wire::frame::{Counts, Frame};
use wire::id::NicName;
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
    address_bytes,
};
use wire::{Bytes, Packets, WallNs};

use crate::driver::Browser;
use crate::site::{Agent, INTERVAL, NICS, SECOND, Site};

const MINUTE: u64 = 60 * SECOND;
/// Minutes with samples and talkers.
pub const MINUTES: u64 = 12;
/// Minutes of an hour.
const HOUR: u64 = 60;

/// Address, kind of key, port, owner (0: unknown), and share of the traffic in percent.
const TALKERS: [(&str, KeyKind, u16, u16, u64); 11] = [
    ("203.0.113.77", KeyKind::LocalService, 443, 1, 31),
    ("10.1.2.3", KeyKind::RemoteService, 873, 2, 17),
    ("2001:db8:40::7", KeyKind::LocalService, 443, 1, 12),
    ("10.1.2.9", KeyKind::RemoteService, 5432, 3, 9),
    ("198.51.100.8", KeyKind::LocalService, 443, 1, 7),
    ("10.1.7.1", KeyKind::RemoteService, 2049, 4, 5),
    ("192.0.2.66", KeyKind::LocalService, 22, 0, 4),
    ("10.1.2.53", KeyKind::RemoteService, 53, 0, 3),
    ("198.51.100.200", KeyKind::LocalService, 80, 1, 2),
    ("203.0.113.5", KeyKind::LocalService, 443, 1, 2),
    ("10.1.9.9", KeyKind::NoPort, 0, 0, 1),
];

fn list(counts: &Counts, first: usize) -> TalkerList {
    let mut talkers: Vec<Talker> = TALKERS
        .iter()
        .map(|(address, kind, port, owner, share)| {
            let key = TalkerKey {
                kind: *kind as u8,
                protocol: 6,
                port: *port,
                address: address_bytes(address.parse().unwrap()),
                other: [0; 16],
            };
            let bytes = counts.bytes.get() * share / 100;
            let packets = counts.packets.get() * share / 100;
            Talker { key, bytes: Bytes(bytes), packets: Packets(packets), owner: *owner }
        })
        .collect();
    // The one that bursts.
    let rest = counts.bytes.get() * 7 / 100;
    let (own, others) = (talkers[first].bytes.get(), counts.bytes.get() * 93 / 100);
    if first > 0 {
        talkers.iter_mut().for_each(|it| it.bytes = Bytes(it.bytes.get() / 10));
        talkers[first].bytes = Bytes(others * 9 / 10 + own / 10);
    }
    talkers.sort_by_key(|it| std::cmp::Reverse(it.bytes));
    TalkerList {
        total_bytes: counts.bytes,
        total_packets: counts.packets,
        error_bytes: Bytes(rest / 20),
        unlisted_bytes: Bytes(rest / 10),
        distinct: 61,
        distinct_error: 2,
        talkers,
    }
}

/// The record of samples that begin at these times.
fn record(agent: &Agent, kind: TalkersKind, starts: &[u64], first: usize) -> Talkers {
    let (mut rx, mut tx) = (Counts::default(), Counts::default());
    for start in starts {
        let sample = agent.sample(0, *start, INTERVAL);
        for (sum, counts) in [(&mut rx, sample.rx), (&mut tx, sample.tx)] {
            sum.bytes = sum.bytes.saturating_add(counts.bytes);
            sum.packets = sum.packets.saturating_add(counts.packets);
        }
    }
    let owner = |kind: OwnerKind, name: &str, process: &str| TalkerOwner {
        kind: kind as u8,
        name: name.into(),
        process: process.into(),
    };
    Talkers {
        nic: NicName::new(NICS[0]).unwrap(),
        start_ns: WallNs(starts[0]),
        interval_ns: starts.len() as u64 * INTERVAL,
        kind: kind as u8,
        rx: list(&rx, first),
        tx: list(&tx, first),
        owners: vec![
            owner(OwnerKind::Unit, "nginx.service", "nginx"),
            owner(OwnerKind::Unit, "backup.service", "rsync"),
            owner(OwnerKind::Container, "3f2c9a1be0d4", "<img src=x onerror=alert(1)>"),
            owner(OwnerKind::Kernel, "", ""),
        ],
    }
}

/// The record of a minute.
fn minute(agent: &Agent, start: u64) -> Talkers {
    let starts: Vec<u64> = (0..MINUTE / INTERVAL).map(|n| start + n * INTERVAL).collect();
    record(agent, TalkersKind::Minute, &starts, 0)
}

/// A site with a client, what it carried up to now, and the talkers of all minutes but the newest.
pub struct Made {
    pub site: Arc<Site>,
    agent: Agent,
    /// Start of the first minute with talkers, and end of the last, nanoseconds.
    pub minutes: (u64, u64),
    /// Start of the sample that broke a threshold.
    moment: u64,
    /// What was received in each minute.
    received: Vec<(Bytes, Packets)>,
}

pub async fn made() -> Made {
    let site = Arc::new(Site::start(Access::default()).await);
    let mut agent = Agent::new("web-1", "Frontend", 7, 40_000_000);
    let intervals = MINUTES * MINUTE / INTERVAL;
    agent.enrol(&site, (now_ns() - (intervals + 10) * INTERVAL).get()).await;
    let end = agent.remember(&site, intervals).await;
    let last = end / MINUTE * MINUTE;
    let first = last - (MINUTES - 1) * MINUTE;
    let moment = last - 3 * MINUTE + 20 * SECOND;
    let mut frames: Vec<Frame> = Vec::new();
    let mut received = Vec::new();
    let mut add = |agent: &mut Agent, record: Talkers| {
        let frame = agent.frame_of(vec![]);
        frames.push(Frame { talkers: vec![record], ..frame });
    };
    for start in (first..last).step_by(usize::try_from(MINUTE).unwrap()) {
        let minute = minute(&agent, start);
        received.push((minute.rx.total_bytes, minute.rx.total_packets));
        add(&mut agent, minute);
    }
    let burst = record(&agent, TalkersKind::Moment, &[moment], 3);
    add(&mut agent, burst);
    // The first sample of a minute too.
    let early = record(&agent, TalkersKind::Moment, &[first + MINUTE], 5);
    add(&mut agent, early);
    agent.commit(&site, frames).await;
    Made { site, agent, minutes: (first, last), moment, received }
}

pub const PANEL: &str = "document.querySelector('#talkers')";

/// JavaScript: the text of a line of the panel's table.
pub fn line(kind: &str) -> String {
    format!("plain(document.querySelector('#talkers [data-talker=\"{kind}\"]'))")
}

/// JavaScript: the panel's total has so many packets.
fn has_packets(packets: u64) -> String {
    let digits = packets.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).unwrap()).collect();
    format!("{}?.includes('{}') === true", line("total"), groups.join(" "))
}

pub fn millis(ns: u64) -> u64 {
    ns / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_a_spike_or_a_range_shows_who_made_it_and_the_address_keeps_it() {
    let made = made().await;
    let browser = Browser::start(&made.site.address).await;
    browser.resize(1320, 1500).await;
    let (first, last) = made.minutes;
    let range = format!("from={}&to={}", millis(first), millis(last));
    browser.open(&format!("/client/web-1/eth0?{range}")).await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 100").await;
    browser.until(&format!("{PANEL}.hidden")).await;
    // All of the range: what is shown adds up to what the samples carried.
    browser.click("#talkers-open").await;
    browser.until(&format!("{}?.startsWith('1. 203.0.113.77') === true", line("1"))).await;
    let told = browser
        .run(&format!(
            "const answer = await fetch('api/v1/talkers?client=web-1&nic=eth0&from={}&to={}'); \
             return answer.json();",
            first / SECOND,
            last / SECOND
        ))
        .await;
    let received: u64 = made.received.iter().map(|(bytes, _)| bytes.get()).sum();
    assert_eq!(told["total"]["bytes"], received);
    let parts = told["talkers"].as_array().unwrap().iter().map(|it| &it["bytes"]);
    let parts = parts.chain([&told["unattributed"]["bytes"], &told["rest"]["bytes"]]);
    assert_eq!(parts.map(|it| it.as_u64().unwrap()).sum::<u64>(), received);
    browser.until(&format!("{}.includes('100 %')", line("total"))).await;
    browser.until(&format!("{}.includes('at most ')", line("1"))).await;
    let bars = "document.querySelectorAll('#talkers .stack button').length";
    browser.until(&format!("{bars} === {}", MINUTES - 1)).await;
    browser
        .until("document.querySelectorAll('#talkers .stack li:first-child i').length === 9")
        .await;
    browser.until("location.hash.endsWith('&talkers=rx-host-rate')").await;
    // Whose: units, containers, the kernel, and what nobody knows.
    browser
        .value(
            "((by) => { by.value = 'owner'; by.dispatchEvent(new Event('change')); })\
             (document.querySelector('#talkers-by'))",
        )
        .await;
    browser
        .until(&format!("{}?.startsWith('1. unit nginx.service (nginx)') === true", line("1")))
        .await;
    browser.until(&format!("{}?.startsWith('Unattributed') === true", line("unattributed"))).await;
    browser.until(&format!("{PANEL}.textContent.includes('<img src=x onerror=alert(1)>')")).await;
    browser.until("document.querySelector('img') === null").await;
    browser.must_be_accessible().await;
    browser.picture("talkers-owners").await;
    // A click on a bar shows its minute; the address restores it.
    browser.click("#talkers .stack li:nth-child(2) button").await;
    let [from, to] = [1, 2].map(|minutes| millis(first + minutes * MINUTE));
    browser.until(&format!("location.hash.endsWith('&at={from}-{to}')")).await;
    browser.until(&format!("{PANEL}.textContent.includes('The minute ')")).await;
    // Though its first sample broke a threshold.
    browser.until(&has_packets(made.received[1].1.get())).await;
    let hash = browser.value("location.hash").await;
    let shown = browser.text("#talkers-table").await;
    browser.open(&hash.as_str().unwrap()[1..]).await;
    browser
        .until(&format!("plain(document.querySelector('#talkers-table')) === {}", json!(shown)))
        .await;
    browser.click("#talkers-all").await;
    browser.until("!location.hash.includes('&at=')").await;
    // A drag over the chart looks into the range.
    browser.click("#talkers-close").await;
    browser.until(&format!("{PANEL}.hidden && !location.hash.includes('talkers')")).await;
    browser.drag(0.3, 0.6).await;
    browser.until("/from=\\d+&to=\\d+&talkers=rx-host-rate/.test(location.hash)").await;
    browser.until(&format!("{bars} >= 4 && {bars} <= 5")).await;
    // In Chinese.
    browser.click("#language").await;
    browser.until(&format!("{PANEL}?.textContent.includes('流量大户') === true")).await;
    browser.until(&format!("{}?.startsWith('其余') === true", line("rest"))).await;
    browser.click("#language").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_of_many_minutes_shows_all_of_them_and_figures_of_before_a_failure_say_so() {
    let mut made = made().await;
    let (first, last) = made.minutes;
    // With the hour before, bars have two minutes. One minute of the second bar was not measured.
    let first = first - HOUR * MINUTE;
    let (mut frames, mut received) = (Vec::new(), Vec::new());
    for n in 0..HOUR {
        let minute = minute(&made.agent, first + n * MINUTE);
        received.push(if n == 2 { 0 } else { minute.rx.total_packets.get() });
        if n != 2 {
            let frame = made.agent.frame_of(vec![]);
            frames.push(Frame { talkers: vec![minute], ..frame });
        }
    }
    made.agent.commit(&made.site, frames).await;
    // Of a bar; the first is 1.
    let packets_of = |bar: usize| received[2 * bar - 2] + received[2 * bar - 1];
    let browser = Browser::start(&made.site.address).await;
    browser.resize(1320, 1500).await;
    let range = format!("from={}&to={}", millis(first), millis(last));
    browser.open(&format!("/client/web-1/eth0?{range}&talkers=rx-host-rate")).await;
    let bar = |nth: u64| format!("#talkers .stack li:nth-child({nth}) button");
    browser.until(&format!("document.querySelector('{}') !== null", bar(36))).await;
    browser.click(&bar(2)).await;
    let [from, to] = [2, 4].map(|minutes| millis(first + minutes * MINUTE));
    browser.until(&format!("location.hash.endsWith('&at={from}-{to}')")).await;
    browser.until(&has_packets(packets_of(2))).await;
    browser.until(&format!("{PANEL}.textContent.includes('The minute ')")).await;
    browser.click(&bar(3)).await;
    browser.until(&has_packets(packets_of(3))).await;
    browser.until(&format!("{PANEL}.textContent.includes('Minutes from ')")).await;
    browser.until(&format!("document.querySelector('{}').ariaPressed === 'true'", bar(3))).await;
    let csv =
        browser.run("return (await fetch(document.querySelector('#talkers-csv').href)).text()");
    let csv = csv.await;
    let mut lines = csv.as_str().unwrap().lines();
    let column = lines.next().unwrap().split(',').position(|it| it == "packets").unwrap();
    let total = lines.find(|line| line.starts_with("total,")).unwrap().split(',').nth(column);
    assert_eq!(total.unwrap(), packets_of(3).to_string(), "{csv}");
    // The same asked for without an answer: what is shown says that it is old.
    made.site.stop().await;
    browser
        .value(
            "((by) => { by.value = 'nic'; by.dispatchEvent(new Event('change')); })\
             (document.querySelector('#talkers-scale'))",
        )
        .await;
    let old = "The collector gives no answer. The figures shown are older. Minutes from ";
    browser.until(&format!("{PANEL}.textContent.includes('{old}')")).await;
    browser.until(&has_packets(packets_of(3))).await;
    let color = "getComputedStyle(document.querySelector('#talkers tbody td')).color";
    assert_eq!(browser.value(color).await, "rgb(93, 107, 122)");
    browser.must_be_accessible().await;
    browser.picture("talkers-old").await;
    // Figures of something else than asked for are not shown.
    browser.click(&bar(4)).await;
    browser.until("document.querySelector('#talkers-table').textContent === ''").await;
    browser.until("document.querySelector('#talkers-chart').childElementCount === 0").await;
    browser.until(&format!("{PANEL}.textContent.includes('The collector gives no answer.')")).await;
    // Once it is heard again, it is asked again.
    made.site.start_again(Access::default()).await;
    browser.until(&has_packets(packets_of(4))).await;
    browser.until(&format!("{PANEL}.dataset.failed === undefined")).await;
    assert_ne!(browser.value(color).await, "rgb(93, 107, 122)");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_that_broke_a_threshold_names_its_sender_also_by_keyboard_and_on_a_phone() {
    let made = made().await;
    let browser = Browser::start(&made.site.address).await;
    let moment = millis(made.moment);
    // Around the burst, samples are shown one by one.
    let range = format!("from={}&to={}", moment - 19_750, moment + 20_250);
    browser.open(&format!("/client/web-1/eth0?{range}")).await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 70").await;
    browser.value("document.querySelector('#chart').focus()").await;
    let hovered = "Number(document.querySelector('#hover').dataset.time)";
    for _ in 0..90 {
        let before = browser.value(hovered).await;
        if before == json!(moment) {
            break;
        }
        browser.keys(&["\u{e012}"]).await;
        browser.until(&format!("{hovered} !== {before}")).await;
    }
    assert_eq!(browser.value(hovered).await, json!(moment));
    browser.keys(&["\u{e007}"]).await;
    browser.until(&format!("{PANEL}.dataset.kind === 'moment'")).await;
    browser.until(&format!("{}?.startsWith('1. 10.1.2.9') === true", line("1"))).await;
    browser.until(&format!("plain({PANEL}).includes('The 500 ms that broke a threshold')")).await;
    browser.until("document.activeElement.id === 'talkers-title'").await;
    browser.keys(&["\u{e00c}"]).await;
    browser.until(&format!("{PANEL}.hidden && document.activeElement.id === 'talkers-open'")).await;
    // A click does the same: here on the middle, which is the burst.
    browser.click("#chart .u-over").await;
    browser.until(&format!("{PANEL}.dataset.kind === 'moment'")).await;
    browser.until(&format!("{}?.startsWith('1. 10.1.2.9') === true", line("1"))).await;
    browser.resize(1320, 1250).await;
    browser.value("window.scrollTo(0, 0)").await;
    browser.picture("talkers").await;
    // Whatever is clicked next to it is of another sample, so of the minute.
    browser
        .open(&format!("/client/web-1/eth0?{range}&talkers=rx-host-nic&at={}", moment + 5000))
        .await;
    browser.until(&format!("{PANEL}?.dataset.kind === 'minute'")).await;
    browser.until(&format!("{}?.startsWith('1. 203.0.113.77') === true", line("1"))).await;
    // On a phone, in the dark.
    browser.media("prefers-color-scheme", "dark").await;
    browser.resize(390, 844).await;
    browser.open(&format!("/client/web-1/eth0?{range}&talkers=rx-key-link&at={moment}")).await;
    browser.until(&format!("{}?.includes('postgresql 5432/tcp there') === true", line("1"))).await;
    browser.until("document.documentElement.dataset.theme === 'dark'").await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
    browser.value(&format!("{PANEL}.scrollIntoView()")).await;
    browser.picture("talkers-phone").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talked_to_an_address_is_found_across_the_fleet() {
    let made = made().await;
    let mut other = Agent::new("db-1", "Orders", 8, 9_000_000);
    other.enrol(&made.site, made.minutes.0).await;
    let frame = other.frame_of(vec![]);
    let starts: Vec<u64> = (0..120).map(|n| made.minutes.0 + n * INTERVAL).collect();
    let talkers = vec![record(&other, TalkersKind::Minute, &starts, 0)];
    other.commit(&made.site, vec![Frame { talkers, ..frame }]).await;
    let browser = Browser::start(&made.site.address).await;
    browser.open("/").await;
    browser.click("#to-talkers").await;
    browser.until("location.hash === '#/talkers'").await;
    browser.value("document.querySelector('#address').value = ' 10.1.2.3 '").await;
    browser.click("#find").await;
    browser.until("location.hash === '#/talkers?address=10.1.2.3'").await;
    let found = |id: &str| format!("document.querySelector('[data-found=\"{id}\"]')");
    browser
        .until(&format!(
            "{}?.textContent.includes('web-1 (Frontend)') === true",
            found("web-1 eth0 rx")
        ))
        .await;
    browser.until("document.querySelectorAll('[data-found]').length === 4").await;
    browser.until("document.querySelector('[data-found]').dataset.found === 'web-1 eth0 rx'").await;
    browser.must_be_accessible().await;
    browser.picture("talkers-search").await;
    let csv =
        browser.run("return (await fetch(document.querySelector('#found-csv').href)).text()").await;
    let csv: Vec<&str> = csv.as_str().unwrap().lines().collect();
    assert!(csv[0].starts_with("client,alias,nic,") && csv.len() == 5, "{csv:?}");
    // What is found leads to the NIC.
    browser.click("[data-found='db-1 eth0 tx'] a").await;
    browser.until("location.hash.startsWith('#/client/db-1/eth0?from=')").await;
    browser.until("location.hash.endsWith('&talkers=tx-host-rate')").await;
    browser.until(&format!("{}?.startsWith('1. 203.0.113.77') === true", line("1"))).await;
    for (address, says) in
        [("192.0.2.0%2F29", "No talker of any client"), ("db-1", "give an address as 10.1.2.3")]
    {
        browser.open(&format!("/talkers?address={address}")).await;
        let note = "document.querySelector('#found-note')?.textContent";
        browser.until(&format!("{note}?.includes({}) === true", json!(says))).await;
    }
    browser.resize(390, 844).await;
    browser.open("/talkers?address=10.0.0.0%2F8").await;
    browser.until("document.querySelectorAll('[data-found]').length === 4").await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
}
