//! Groups by tag in the overview and over time, and comparisons.

use std::path::Path;
use std::sync::Arc;

use collector::store::Tagging;
use collector::time::now_ns;
use collector::web::Access;
use rusqlite::{Connection, OpenFlags};
use wire::WallNs;
use wire::frame::{Counts, Sample};
use wire::tag::TagSet;
use wire::{Bytes, Packets};

use crate::driver::Browser;
use crate::overview::{says, start};
use crate::pages::row;
use crate::site::{Agent, SECOND, Site};
use crate::values::spaced;

const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 1440 * MINUTE;
/// Length of a sample of history, and of the rollup that it gets into.
const PIECE: u64 = 5 * MINUTE;
/// A point of 30 days.
const STEP: u64 = 180 * MINUTE;

/// JavaScript: a figure in a row.
fn figure(client: &str, column: &str) -> String {
    format!("plain({}.querySelector('.{column}'))", row(client))
}

const ROWS: &str = "document.querySelectorAll('.rows .row:not([hidden])').length";

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_is_filtered_and_grouped_by_tags_and_the_address_keeps_it() {
    let (site, _flow) = start().await;
    let browser = Browser::start(&site.address).await;
    browser.resize(1320, 900).await;
    browser.open("/").await;
    browser.until(&says("db-2", "9.92 Gbit/s within")).await;
    browser
        .value(
            "((by) => { by.value = 'role'; by.dispatchEvent(new Event('change')); })\
             (document.querySelector('#by'))",
        )
        .await;
    browser.until("location.hash === '#/?by=role'").await;
    // The worst of a group is the group's, and leads to whose it is.
    browser.until(&says("role=cache", "need attention: 1")).await;
    browser.until(&format!("{}.includes('9 of 9 up')", figure("role=cache", "state"))).await;
    browser.until(&format!("{}.startsWith('25.6 k')", figure("role=cache", "lost"))).await;
    let link = "document.querySelector('[data-client=\"role=db\"] .peak10 a').hash";
    browser.until(&format!("{link}.startsWith('#/client/db-2/eth0?from=')")).await;
    let sum = format!(
        "(() => {{ const rate = (text) => parseFloat(text) * {{ k: 1e3, M: 1e6, G: 1e9 }}[/[kMG]/.exec(text)[0]]; \
         const rows = ['vpn-1', 'vpn-2'].map((id) => document.querySelector(`[data-client=${{id}}] .rx`)); \
         if (rows.includes(null)) return false; \
         const sum = rows.reduce((sum, it) => sum + rate(it.textContent), 0); \
         return Math.abs(sum / rate({}) - 1) < 0.02; }})()",
        figure("role=vpn", "rx")
    );
    browser.open("/?by=role&search=role%3Dvpn").await;
    browser.until(&format!("{ROWS} === 3")).await;
    browser.until(&sum).await;
    // Totals are of what is filtered, also over time.
    browser.until("document.querySelector('#connected').textContent === '2 of 2'").await;
    browser.until("document.querySelector('.tile').textContent.includes('all: ')").await;
    browser.until("document.querySelector('#over-time').hash === '#/group/role=vpn'").await;
    browser.open("/?by=site").await;
    browser.until(&says("site=ams", " up")).await;
    browser.must_be_accessible().await;
    browser.click("#turn-all").await;
    browser.until(&format!("{ROWS} === 4")).await;
    browser.until("location.hash.includes('closed=')").await;
    let hash = browser.value("location.hash").await;
    browser.open(&hash.as_str().unwrap()[1..]).await;
    browser.until(&format!("{ROWS} === 4")).await;
    // With the keyboard: right opens, left closes.
    browser.value("document.querySelector('[data-client=\"site=ams\"] a').focus()").await;
    browser.keys(&["\u{e014}"]).await;
    browser.until(&format!("{ROWS} > 10")).await;
    browser.keys(&["\u{e012}"]).await;
    browser.until(&format!("{ROWS} === 4")).await;
    browser.click("[data-client=\"site=ams\"] .turn").await;
    browser.until(&format!("{ROWS} > 10")).await;
    browser.picture("overview-groups").await;
    // A tag in its column is searched for.
    browser.open("/?columns=rx,tags").await;
    browser.click("[data-client=backup-1] .tags button").await;
    browser.until("document.querySelector('#search').value === 'role=backup'").await;
    browser.until(&format!("{ROWS} === 2")).await;
    browser.click("#language").await;
    browser.until("document.querySelector('#over-time').textContent === '总量随时间变化'").await;
    browser.click("#language").await;
    browser.open("/?by=role").await;
    browser.resize(390, 844).await;
    browser.until(&says("role=cache", "need attention: 1")).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
    browser.picture("overview-groups-phone").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_are_chosen_in_the_overview_and_the_ninth_is_refused() {
    let (site, _flow) = start().await;
    let browser = Browser::start(&site.address).await;
    browser.open("/?search=web-&by=role").await;
    browser.until(&format!("{ROWS} === 15")).await;
    browser.click("#choose").await;
    let boxes = "[...document.querySelectorAll('.rows .row:not([hidden]) .choose')]";
    browser.until(&format!("{boxes}.filter((box) => !box.hidden).length === 15")).await;
    browser.value(&format!("{boxes}.slice(0, 8).forEach((box) => box.click())")).await;
    browser.until("document.querySelector('#chosen').textContent.includes('8 of 8 chosen')").await;
    browser.must_be_accessible().await;
    browser.value(&format!("{boxes}[8].click()")).await;
    browser.until("document.querySelector('#chosen .bad')?.textContent.includes('No more than 8') === true").await;
    browser.until(&format!("{boxes}.filter((box) => box.checked).length === 8")).await;
    browser.click("#compare-chosen").await;
    browser.until("location.hash.startsWith('#/compare?')").await;
    browser.until("document.querySelectorAll('#compared [data-line]').length === 8").await;
    browser.must_be_content().await;
}

/// History of a host's first NIC in samples of 5 minutes. `bytes`: what it received in a piece that
/// starts at a time; `None`: it was not measured.
async fn remember(
    site: &Site,
    agent: &mut Agent,
    (begin, end): (u64, u64),
    bytes: impl Fn(u64) -> Option<u64>,
) {
    let pieces = (0..(end - begin) / PIECE).map(|n| begin + n * PIECE);
    let samples = pieces.filter_map(|start_ns| {
        let bytes = bytes(start_ns)?;
        let counts = |bytes: u64| Counts {
            bytes: Bytes(bytes),
            packets: Packets(bytes / 900),
            captured: Packets(bytes / 9000),
            peak_1ms_bytes: u32::try_from(bytes / 100_000).unwrap(),
            peak_10ms_bytes: u32::try_from(bytes / 20_000).unwrap(),
            ..Counts::default()
        };
        let (rx, tx) = (counts(bytes), counts(bytes / 3));
        Some(Sample { rx, tx, ..agent.sample(0, start_ns, PIECE) })
    });
    let samples: Vec<Sample> = samples.collect();
    for chunk in samples.chunks(2000) {
        let frame = agent.frame_of(chunk.to_vec());
        agent.commit(site, vec![frame]).await;
    }
}

/// A day's wave with noise, bytes in a piece.
fn wave(start_ns: u64, megabytes: u64, seed: u64) -> u64 {
    let of_day = (start_ns % DAY) / PIECE;
    let noise = ((start_ns / PIECE) ^ (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    megabytes * 300 * (300_000 + 4000 * (144 - of_day.abs_diff(160).min(144)) + 300 * noise)
}

/// Four hosts of a site and one of another over some days. Where there are 30, one of the first was away for
/// three days, and all of them for six hours.
async fn sites(days: u64) -> (Arc<Site>, u64) {
    let site = Arc::new(Site::start(Access::default()).await);
    let end = now_ns().get() / STEP * STEP;
    let hosts = [("cache-1", "site=ams", 9), ("cache-2", "site=ams", 6), ("web-1", "site=ams", 3)];
    let more = [("web-2", "site=ams", 2), ("cache-9", "site=fra", 7)];
    for (session, (id, tag, megabytes)) in (1..).zip(hosts.into_iter().chain(more)) {
        let mut agent = Agent::new(id, "", session, 1_000_000);
        let tags = TagSet::new([tag.parse().unwrap()]).unwrap();
        let at = WallNs(end - (days + 1) * DAY);
        agent.enrol(&site, at.get()).await;
        site.store.record_tags(&agent.id, &tags, at, at).await.unwrap();
        site.live.on_agent_tags(&agent.id, &tags);
        remember(&site, &mut agent, (end - days * DAY, end), |start_ns| {
            let since = start_ns - (end - days * DAY);
            let ams = tag == "site=ams";
            let away = id == "web-2" && (18 * DAY..21 * DAY).contains(&since);
            let dark = ams && (10 * DAY..10 * DAY + 2 * STEP).contains(&since);
            let half = ams && (15 * DAY..15 * DAY + STEP / 2).contains(&since);
            (!away && !dark && !half).then(|| wave(start_ns, megabytes, session))
        })
        .await;
    }
    (site, end)
}

/// The raw rows of a group's clients: bytes received and transmitted of samples that start in a
/// range.
fn raw(database: &Path, tag: &str, from: u64, to: u64) -> [i64; 2] {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(database, flags).unwrap();
    collector::store::sqlite::add_functions(&database).unwrap();
    let select =
        "SELECT coalesce(sum(rx_bytes), 0), coalesce(sum(tx_bytes), 0) FROM bandwidth_stats s
                  JOIN tag_intervals t ON t.client = s.client AND t.key || '=' || t.value = ?1
                  WHERE s.time >= ?2 AND s.time < ?3";
    let range = [from, to].map(u64::cast_signed);
    database
        .query_row(select, rusqlite::params![tag, range[0], range[1]], |row| {
            Ok([row.get(0)?, row.get(1)?])
        })
        .unwrap()
}

/// JavaScript: points at the chart, at a share of its range.
fn point_at(share: f64) -> String {
    format!(
        "((over) => {{ const {{ left, top, width }} = over.getBoundingClientRect(); \
         over.dispatchEvent(new MouseEvent('mousemove', {{ bubbles: true, clientX: left + width * {share}, \
         clientY: top + 60 }})); }})(document.querySelector('#chart .u-over'))"
    )
}

const POINTS: &str = "Number(document.querySelector('#chart')?.dataset.points)";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_over_30_days_has_the_sums_of_the_raw_rows_and_says_what_is_lacking() {
    let (site, end) = sites(30).await;
    let database = site.directory.path().join("netmon.sqlite");
    let browser = Browser::start(&site.address).await;
    browser.zone("UTC").await;
    let (from, to) = ((end - 30 * DAY) / 1_000_000, end / 1_000_000);
    browser.resize(1320, 1250).await;
    browser.open(&format!("/group/site=ams?from={from}&to={to}")).await;
    // 240 steps of 3 hours, two of which nothing is known of.
    browser.until(&format!("{POINTS} === 238")).await;
    browser.until("document.title === 'site=ams – Network Monitor'").await;
    browser.until("document.querySelector('#members [data-member=web-2]') !== null").await;
    let legend = browser.text("#legend").await;
    assert!(legend.contains("238 points of 3 h"), "{legend}");
    // Of 8640 intervals, 72 and 18 are lacking.
    assert!(legend.contains("8550 of 8640 intervals"), "{legend}");
    let lack = browser.text("#lack").await;
    assert!(lack.starts_with("1 of 4 members have fewer measurements"), "{lack}");
    // The largest is first, and has 9 of 20.
    let first = "document.querySelector('#members tbody tr')";
    assert_eq!(browser.value(&format!("{first}.dataset.member")).await, "cache-1");
    let share = browser.value(&format!("plain({first}.cells[1])")).await;
    assert!(share.as_str().unwrap().contains("45 %"), "{share}");
    browser
        .until(&format!("{first}.querySelector('a').hash.startsWith('#/client/cache-1?from=')"))
        .await;
    browser.must_be_accessible().await;
    browser.picture("group").await;
    // What is pointed at is that of the raw rows, and what was measured in part says so.
    for (day, hour) in [(3, 1), (14, 22), (15, 1), (19, 13), (29, 23)] {
        let start = (end - (30 - day) * DAY + hour * 60 * MINUTE) / STEP * STEP;
        let share = f64::from(u32::try_from(24 * day + hour).unwrap()) / 720.0;
        browser.value(&point_at(share)).await;
        browser
            .until(&format!(
                "document.querySelector('#hover').dataset.time === '{}'",
                start / 1_000_000
            ))
            .await;
        let text = browser.text("#hover").await;
        for bytes in raw(&database, "site=ams", start, start + STEP) {
            assert!(text.contains(&format!(" {} B", spaced(bytes))), "{bytes}: {text}");
        }
        assert_eq!(text.contains("measured 90 min of 3 h"), day == 15, "{text}");
    }
    // The other group is a click away, over the same range.
    browser.click("[data-group=\"site=fra\"]").await;
    browser.until(&format!("location.hash === '#/group/site=fra?from={from}&to={to}'")).await;
    browser.until(&format!("{POINTS} === 240")).await;
    // The time that one hour's picture has is a minute long; nothing is known of it.
    browser.open("/group/site=ams?range=3600").await;
    browser.until("document.querySelector('#legend').textContent !== ''").await;
    browser.click("#language").await;
    browser.until("document.querySelector('#facts').textContent.includes('当前已连接')").await;
    browser.click("#language").await;
    browser.open(&format!("/group?from={from}&to={to}")).await;
    browser.until(&format!("{POINTS} === 240")).await;
    browser.until("document.querySelector('#members table')?.rows.length === 6").await;
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.must_be_accessible().await;
    browser.picture("group-phone").await;
    // Of 75 hosts no day is packed yet, and their rows are too many to be read at once: it is said how many
    // days are left out, and there is no percentile.
    browser.until("document.querySelector('#missing').hidden").await;
    browser.until("document.querySelector('#figures').textContent.includes('95th')").await;
    for n in 0..70 {
        let at = end - 31 * DAY;
        Agent::new(&format!("idle-{n}"), "", 100 + n, 1_000_000).enrol(&site, at).await;
    }
    // 576,000 intervals of 36 x 75 each in a step of 3 hours: 213 of 240 steps are told of.
    let days = (end - 213 * STEP - 1) / DAY - (end - 240 * STEP) / DAY + 1;
    let says = |text: &str| {
        format!("plain(document.querySelector('#missing'))?.includes('{text}') === true")
    };
    browser.open(&format!("/group?from={from}&to={to}")).await;
    browser.until(&says(&format!("Left out: {days} days"))).await;
    browser.until(&format!("{POINTS} === 213")).await;
    browser.until("!document.querySelector('#figures').textContent.includes('95th')").await;
    browser.must_be_accessible().await;
    browser.picture("group-missing").await;
    browser.click("#language").await;
    browser.until(&says(&format!("缺少 {days} 天"))).await;
    browser.click("#language").await;
    browser.open(&format!("/compare?from={from}&to={to}&of=/group&of=/client/cache-1")).await;
    browser.until(&says(&format!("Left out: {days} days"))).await;
    browser.open(&format!("/group/site=ams?from={from}&to={to}")).await;
    browser.until(&format!("{POINTS} === 238")).await;
    browser.until("document.querySelector('#missing').hidden").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_nics_and_groups_are_compared_in_one_chart() {
    let (site, end) = sites(7).await;
    let browser = Browser::start(&site.address).await;
    browser.zone("UTC").await;
    let (from, to) = ((end - 7 * DAY) / 1_000_000, end / 1_000_000);
    let range = format!("from={from}&to={to}");
    browser.resize(1320, 900).await;
    browser.open(&format!("/compare?{range}&of=/group/site%3Dams&of=/group/site%3Dfra&of=/client/cache-1&of=/client/web-1/eth0")).await;
    let lines = "document.querySelector('#chart')?.dataset.lines";
    browser.until(&format!("{lines} === '4'")).await;
    browser.until(&format!("{POINTS} === 168")).await;
    let named =
        |line: u32| format!("document.querySelector('[data-line=\"{line}\"]')?.textContent");
    browser.until(&format!("{}.includes('cache-1')", named(3))).await;
    // Each line has its percentile: mean, percentile, highest and peak of both directions, measured time.
    let percentiles = "[...document.querySelectorAll('[data-line]')].map((row) => [...row.querySelectorAll('td')])
        .every((cells) => cells.length === 9 && [1, 5].every((at) => /bit\\/s$/.test(cells[at].textContent)))";
    browser.until(percentiles).await;
    // What has but one NIC is the same as its NIC, and the group is more than each.
    browser.value("document.querySelector('#chart').focus()").await;
    browser.keys(&["\u{e012}"]).await;
    browser.until("document.querySelectorAll('#hover li').length === 4").await;
    browser
        .until(
            "[...document.querySelectorAll('#hover li')].every((it) => /bit/.test(it.textContent))",
        )
        .await;
    browser.must_be_accessible().await;
    browser.picture("compare").await;
    // One more by its name; what there is not is refused, and so is what is there.
    let add = |name: &str| {
        format!(
            "((field) => {{ field.value = '{name}'; field.form.requestSubmit(); }})(document.querySelector('#add'))"
        )
    };
    browser.value(&add("nobody")).await;
    browser.until("document.querySelector('#add-said').textContent.includes('nobody')").await;
    browser.value(&add("cache-1")).await;
    browser
        .until("document.querySelector('#add-said').textContent.includes('there already')")
        .await;
    browser.value(&add("web-2 eth0")).await;
    browser.until(&format!("{lines} === '5'")).await;
    browser.until("location.hash.endsWith('of=%2Fclient%2Fweb-2%2Feth0')").await;
    browser.click("[data-line=\"1\"] button").await;
    browser.until(&format!("{lines} === '4'")).await;
    browser.until("!location.hash.includes('site%3Dams')").await;
    // NICs alone are as fine as on their own pages.
    browser.open(&format!("/compare?{range}&of=/client/web-1/eth0&of=/client/cache-1/eth0")).await;
    browser.until(&format!("{lines} === '2' && {POINTS} > 900")).await;
    // A NIC's page leads here with its NIC.
    browser.open(&format!("/client/web-1/eth0?{range}")).await;
    browser.until(&format!("{POINTS} > 0")).await;
    browser.click("#compare").await;
    browser.until("location.hash.startsWith('#/compare?from=')").await;
    browser.until(&format!("{lines} === '1'")).await;
    // Of nine in the address, the ninth is refused with words.
    let nine: String = ["cache-1", "cache-2", "web-1", "web-2", "cache-9"]
        .map(|id| format!("&of=/client/{id}"))
        .into_iter()
        .chain(["cache-1", "cache-2", "web-1", "web-2"].map(|id| format!("&of=/client/{id}/eth0")))
        .collect();
    browser.open(&format!("/compare?{range}{nine}")).await;
    browser.until(&format!("{lines} === '8'")).await;
    let note = browser.text("#note").await;
    assert_eq!(note, "No more than 8 can be compared. Left out: web-2 eth0");
    browser.picture("compare-eight").await;
    browser.media("prefers-color-scheme", "dark").await;
    browser.until("getComputedStyle(document.body).backgroundColor === 'rgb(15, 20, 26)'").await;
    browser.must_be_accessible().await;
    browser.picture("compare-dark").await;
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.picture("compare-phone").await;
    browser.must_be_content().await;
}
