//! The pages with simulated agents.

use std::sync::Arc;
use std::time::Duration;

use collector::store::{Forget, Register, Registered};
use collector::time::now_ns;
use collector::web::Access;
use tokio::sync::Mutex;
use wire::WallNs;
use wire::message::Inventory;

use crate::driver::Browser;
use crate::site::{Agent, Flow, INTERVAL, SECOND, Site};
use crate::values::must_agree;

/// A site with one client that has a history and keeps sending.
pub async fn busy(access: Access) -> (Arc<Site>, Flow) {
    let site = Arc::new(Site::start(access).await);
    let mut agent = Agent::new("web-1", "<img src=x onerror=alert(1)>", 7, 40_000_000);
    let intervals = 7200;
    agent.enrol(&site, (now_ns() - (intervals + 10) * INTERVAL).get()).await;
    let end = agent.remember(&site, intervals).await;
    let (delivered_to, agent) = (site.clone(), Arc::new(Mutex::new(agent)));
    let flow = Flow::start(end, move |start_ns| {
        let (site, agent) = (delivered_to.clone(), agent.clone());
        async move {
            let mut agent = agent.lock().await;
            let frame = agent.frame([start_ns]);
            agent.deliver(&site, frame).await;
        }
    });
    (site, flow)
}

pub fn row(id: &str) -> String {
    format!("document.querySelector('[data-client=\"{id}\"]')")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_moves_and_an_alias_is_text() {
    let (site, _flow) = busy(Access::default()).await;
    let mut idle = Agent::new("db-1", "", 8, 1000);
    idle.connect(&site.live);
    let frame = idle.frame([now_ns().get()]);
    site.live.observe(&idle.id, &frame, now_ns());
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    let web = row("web-1");
    browser
        .until(&format!("{web}?.textContent.includes('<img src=x onerror=alert(1)>') === true"))
        .await;
    browser.until("document.querySelector('img') === null").await;
    // The busier client is first, and its figures move.
    browser
        .until("document.querySelector('.rows [aria-rowindex=\"2\"]').dataset.client === 'web-1'")
        .await;
    let figure = format!("{web}.querySelector('.figure.rx').textContent");
    let before = browser.value(&figure).await;
    assert!(before.as_str().unwrap().ends_with("Mbit/s"), "{before}");
    browser.until(&format!("{figure} !== {before}")).await;
    browser.click("#unit").await;
    browser.until(&format!("{figure}.endsWith('MB/s')")).await;
    browser.click("#unit").await;
    // Search and sort order are kept in the address.
    browser.click("[data-sort=client]").await;
    browser
        .until("document.querySelector('.rows [aria-rowindex=\"2\"]').dataset.client === 'web-1'")
        .await;
    browser
        .value(
            "(document.querySelector('#search').value = 'DB-', \
                   document.querySelector('#search').dispatchEvent(new Event('input')))",
        )
        .await;
    browser.until("document.querySelectorAll('.rows .row:not([hidden])').length === 1").await;
    browser.until("location.hash === '#/?search=DB-&sort=client&order=up'").await;
    browser.click("#language").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    browser.until("document.querySelector('#clients').textContent.includes('最近一小时')").await;
    browser.until("document.querySelector('#search').value === 'DB-'").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_looked_into() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.click("[data-client=web-1] a").await;
    browser.until("location.hash.startsWith('#/client/web-1/eth0?range=300')").await;
    let points = "Number(document.querySelector('#chart').dataset.points)";
    browser.until(&format!("{points} > 590")).await;
    browser.until("document.querySelectorAll('#mix table').length === 4").await;
    // It moves.
    let newest = "Number(document.querySelector('#chart').dataset.newest)";
    let before = browser.value(newest).await.as_f64().unwrap();
    browser.until(&format!("{newest} >= {before} + 1000")).await;
    // The other NIC and another range.
    browser.click("#nics [data-nic=eth1]").await;
    browser.until("location.hash.startsWith('#/client/web-1/eth1?')").await;
    browser
        .value(
            "((picker) => { picker.value = '3600000'; \
                   picker.dispatchEvent(new Event('change')); })(document.querySelector('#range'))",
        )
        .await;
    browser.until("location.hash.endsWith('?range=3600')").await;
    browser.until(&format!("{points} > 590")).await;
    browser
        .until(
            "plain(document.querySelector('#figures')).includes('95th percentile of 5 min averages')",
        )
        .await;
    // eth0 carries four times as much as eth1; both carry five times as much.
    let received = |row: &str| {
        format!(
            "parseFloat([...document.querySelectorAll('#figures tr')].find((row) => \
             plain(row).startsWith('{row}'))?.cells[1].textContent)"
        )
    };
    let (one, all) = (received("95th percentile of 5 min"), received("The same of all NICs"));
    browser.until(&format!("Math.abs({all} / {one} - 5) < 0.1")).await;
    // A drag zooms, and the zoomed range stays.
    browser.drag(0.5, 0.75).await;
    browser.until("/from=\\d+&to=\\d+/.test(location.hash)").await;
    let [from, to] = ["from", "to"].map(|name| {
        format!("Number(new URLSearchParams(location.hash.split('?')[1]).get('{name}'))")
    });
    let length = browser.value(&format!("{to} - {from}")).await.as_f64().unwrap();
    assert!((length - 900_000.0).abs() < 60_000.0, "{length}");
    browser.until(&format!("{points} > 500")).await;
    let hash = browser.value("location.hash").await;
    let shown = browser.value("document.querySelector('#figures').textContent").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(browser.value("document.querySelector('#figures').textContent").await, shown);
    // The address restores the view.
    browser.open(&hash.as_str().unwrap()[1..]).await;
    let same = format!("document.querySelector('#figures')?.textContent === {shown}");
    browser.until(&same).await;
    // The shown data can be saved.
    let taken = browser
        .run(
            "const blobs = []; const make = URL.createObjectURL; \
             URL.createObjectURL = (blob) => { blobs.push(blob); return make.call(URL, blob); }; \
             document.querySelector('#csv').click(); document.querySelector('#png').click(); \
             while (blobs.length < 2) await new Promise((done) => setTimeout(done, 20)); \
             return [await blobs[0].text(), blobs[1].type, blobs[1].size]",
        )
        .await;
    let csv: Vec<&str> = taken[0].as_str().unwrap().lines().collect();
    assert!(csv[0].starts_with("time,interval_ns,rx_bytes,rx_packets,"), "{}", csv[0]);
    assert_eq!(browser.value(points).await, csv.len() - 1);
    assert_eq!(taken[1], "image/png");
    assert!(taken[2].as_u64().unwrap() > 5000, "{}", taken[2]);
    // Back to live, and to the overview.
    browser.click("#pause").await;
    // The talkers that the drag has opened stay.
    browser.until("location.hash.endsWith('?range=300&talkers=rx-host-rate')").await;
    browser.until(&format!("{newest} > {before} + 2000")).await;
    browser.click("#back").await;
    browser.until(&format!("{}?.textContent.includes('bit/s') === true", row("web-1"))).await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough_and_what_is_read_out_is_what_the_database_holds() {
    let (site, flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/client/web-1/eth0?range=60").await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 110").await;
    browser.value("document.querySelector('#chart').focus()").await;
    browser.keys(&[" "]).await;
    browser.until("location.hash.includes('from=')").await;
    drop(flow);
    let file = site.directory.path().join("netmon.sqlite");
    must_agree(&browser, &file, "eth0", 20).await;
    // The total equals the database's for the same range.
    let range = browser.value("new URLSearchParams(location.hash.split('?')[1]).get('from')").await;
    let from = range.as_str().unwrap().parse::<i64>().unwrap() * 1_000_000;
    let range = browser.value("new URLSearchParams(location.hash.split('?')[1]).get('to')").await;
    let to = range.as_str().unwrap().parse::<i64>().unwrap() * 1_000_000;
    browser.keys(&["0", " "]).await;
    browser
        .open(&format!("/client/web-1/eth0?from={}&to={}", from / 1_000_000, to / 1_000_000))
        .await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 110").await;
    let database = rusqlite::Connection::open(file).unwrap();
    collector::store::sqlite::add_functions(&database).unwrap();
    let (sum, rows): (i64, i64) = database
        .query_row(
            "SELECT sum(rx_bytes), count(*) FROM bandwidth_stats JOIN nics ON nics.id = nic
             WHERE name = 'eth0' AND time >= ?1 AND time < ?2",
            [from, to],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(
        browser.value("Number(document.querySelector('#chart').dataset.points)").await,
        rows
    );
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let total = format!("{:.2} GB", sum as f64 / 1e9);
    let figures = browser.text("#figures").await;
    assert!(figures.contains(&total), "{total}: {figures}");
    browser.keys(&["\t"]).await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_silent_is_marked_and_so_is_one_that_leaves() {
    let (site, flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    let web = row("web-1");
    browser.until(&format!("{web}?.textContent.includes('Mbit/s') === true")).await;
    assert_eq!(browser.text("#connected").await, "1 of 1");
    assert_eq!(browser.text("#troubled").await, "0");
    drop(flow);
    browser.until(&format!("{web}.textContent.includes('no sample for')")).await;
    browser.until(&format!("{web}.classList.contains('stale')")).await;
    browser.until("document.querySelector('#troubled').textContent === '1'").await;
    let agent = Agent::new("web-1", "", 7, 1);
    site.live.on_inventory(&agent.id, &Inventory { nics: vec![Agent::nic("eth0", false)] });
    browser.until(&format!("{web}.textContent.includes('down: eth0')")).await;
    site.live.on_disconnected(&agent.id, now_ns());
    browser.until(&format!("{web}.textContent.includes('down for ')")).await;
    assert_eq!(browser.text("#connected").await, "0 of 1");
    // Its last figures stay on its own page.
    browser.click("[data-client=web-1] a").await;
    browser.until("document.querySelector('#facts').textContent.startsWith('down since 20')").await;
    browser.until("/bit/.test(document.querySelector('#nics [data-nic=eth0]').textContent)").await;
    browser.click("#back").await;
    browser.until(&format!("{web}?.textContent.includes('down for ') === true")).await;
    // Until it is forgotten.
    site.store.forget(&agent.id, now_ns()).await.unwrap();
    site.live.on_registered(&site.store.registered().await.unwrap(), now_ns());
    browser.until(&format!("{web} === null || {web}.hidden")).await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_clients_the_overview_says_by_which_commands_one_is_added() {
    let site = Site::start(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until("document.querySelector('#waiting')?.checkVisibility() === true").await;
    let commands = browser.text("#waiting pre").await;
    // The README's, which scripts/boot runs word for word.
    let readme = include_str!("../../../README.md");
    for command in commands.lines() {
        assert!(readme.lines().any(|line| line.starts_with(command)), "{command}");
    }
    assert_eq!(commands.lines().count(), 3, "{commands}");
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_the_store_knows_is_shown_as_down_with_its_history() {
    let site = Site::start(Access::default()).await;
    let mut agent = Agent::new("web-1", "Web", 7, 40_000_000);
    agent.enrol(&site, (now_ns() - 60 * SECOND).get()).await;
    agent.remember(&site, 100).await;
    site.live.on_disconnected(&agent.id, now_ns());
    // A restarted collector that has only its store.
    let forgotten = Registered {
        client: "web-1".into(),
        alias: String::new(),
        last_seen_ns: WallNs(0),
        forgotten_ns: Some(WallNs(1)),
    };
    site.live.on_registered(&[forgotten], now_ns());
    site.live.on_registered(&site.store.registered().await.unwrap(), now_ns());
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until(&format!("{}?.textContent.includes('down for ') === true", row("web-1"))).await;
    browser.click("[data-client=web-1] a").await;
    browser.until("location.hash.startsWith('#/client/web-1/eth0?range=300')").await;
    browser.until("Number(document.querySelector('#chart').dataset.points) > 90").await;
    browser.must_be_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_once() {
    let (site, _flow) = busy(Access::default().with_token("0123456789abcdef")).await;
    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.until("document.querySelector('#signin') !== null").await;
    let give = |token: &str| {
        format!(
            "(document.querySelector('#token').value = '{token}', \
         document.querySelector('#signin button').click())"
        )
    };
    browser.value(&give("fedcba9876543210")).await;
    browser
        .until("document.querySelector('#signin [role=alert]').textContent.includes('token')")
        .await;
    browser.value(&give("0123456789abcdef")).await;
    let shown = format!("{}?.textContent.includes('bit/s') === true", row("web-1"));
    browser.until(&shown).await;
    browser.open("/client/web-1").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 500").await;
    // After signing out with the keyboard, the page asks for the token again, and the live stream ends.
    browser.until("!document.querySelector('#signout').hidden").await;
    assert_eq!(browser.text("#signout").await, "Sign out");
    browser.click("#language").await;
    assert_eq!(browser.text("#signout").await, "退出登录");
    browser.click("#language").await;
    browser.value("document.querySelector('#signout').focus()").await;
    browser.keys(&["\u{e007}"]).await;
    browser.until("document.querySelector('#signin') !== null").await;
    browser.until("document.querySelector('#signout').hidden").await;
    browser.value(&give("0123456789abcdef")).await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 500").await;
    // No script can read the session.
    assert_eq!(browser.value("document.cookie").await, "");
    assert_eq!(browser.value("JSON.stringify(localStorage).includes('0123')").await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_looked_at_in_the_dark_on_a_phone_and_in_chinese() {
    let (site, _flow) = busy(Access::default()).await;
    let browser = Browser::start(&site.address).await;
    browser.media("prefers-color-scheme", "dark").await;
    browser.open("/client/web-1/eth0?range=900").await;
    browser.until("Number(document.querySelector('#chart')?.dataset.points) > 500").await;
    browser.until("document.querySelectorAll('#mix table').length === 4").await;
    browser.until("getComputedStyle(document.body).backgroundColor === 'rgb(15, 20, 26)'").await;
    browser.picture("client-dark").await;
    browser.click("#language").await;
    browser.until("document.querySelector('#figures').textContent.includes('平均')").await;
    browser.resize(1320, 1900).await;
    browser.picture("client-chinese").await;
    browser.resize(390, 844).await;
    // Nothing is wider than the phone.
    let fits = "document.documentElement.scrollWidth <= 390";
    browser.until(fits).await;
    browser.picture("client-phone").await;
    browser.open("/").await;
    browser.until(&format!("{}?.textContent.includes('bit/s') === true", row("web-1"))).await;
    browser.until(fits).await;
    browser.must_be_content().await;
}
