//! The accounts' page: a running cycle near its quota, and a frozen one beside the provider's figure.

use collector::accounts::{Accounts, BilledAccount};
use collector::store::{AccountEntry, EntryKind, KeepCycles};
use collector::time::now_ns;
use collector::web::Access;
use serde_json::json;
use wire::Bytes;
use wire::frame::Sample;

use crate::driver::Browser;
use crate::site::{Agent, NICS, SECOND, Site};

const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 1440 * MINUTE;

/// Three accounts: of which 85 % are used; over quota and commitment, with a member that nobody has seen;
/// without a quota.
fn accounts(used: u64) -> Vec<BilledAccount> {
    let accounts = json!({
        "transit": { "members": ["web-1"], "rule": "rx", "quota": format!("{}B", used * 100 / 85),
                     "commit": "1Gbit/s", "cycle": { "zone": "UTC" } },
        "backup": { "members": ["web-1/eth0", "old-1"], "rule": "max", "basis": "L2+FCS",
                    "unit": "GiB", "quota": format!("{}B", used / 2), "commit": "10Mbit/s" },
        "office": { "members": ["web-1/eth1"], "basis": "L3", "cycle": { "zone": "Asia/Shanghai" } },
    });
    let accounts: Accounts = serde_json::from_value(accounts).unwrap();
    accounts.all().unwrap()
}

/// The one of which 85 % are used.
fn transit(used: u64) -> BilledAccount {
    accounts(used).into_iter().find(|it| it.name.as_str() == "transit").unwrap()
}

/// Two hours of samples of a minute, from the beginning of the running cycle on; bytes received.
async fn busy(site: &Site, from_ns: u64) -> u64 {
    let mut agent = Agent::new("web-1", "edge", 7, 40_000_000);
    agent.enrol(site, from_ns).await;
    let samples = (0..120).flat_map(|n| [0, 1].map(|nic| (n, nic)));
    let samples: Vec<Sample> =
        samples.map(|(n, nic)| agent.sample(nic, from_ns + n * MINUTE, MINUTE)).collect();
    let bytes = samples.iter().map(|sample| sample.rx.bytes.get()).sum();
    let frames = samples.chunks(2 * NICS.len()).map(|some| agent.frame_of(some.to_vec())).collect();
    agent.commit(site, frames).await;
    bytes
}

/// All NICs' tables fit their boxes, so that nothing has to be scrolled sideways.
const FIT: &str = "[...document.querySelectorAll('.account .wide')]\
    .every((it) => it.scrollWidth <= it.clientWidth)";

#[tokio::test(flavor = "multi_thread")]
async fn accounts_show_what_is_used_and_what_was_billed() {
    let site = Site::start(Access::default()).await;
    // The running cycle has two hours of traffic and is two minutes older.
    let current = transit(100).schedule.cycle_at(now_ns());
    let now = current.from_ns + 2 * 60 * MINUTE + 2 * MINUTE;
    let before = transit(100).schedule.cycle_at(current.from_ns - DAY);
    let used = busy(&site, current.from_ns.get()).await;
    site.book().set(accounts(used));
    site.book().renew(before.from_ns + MINUTE).await.unwrap();
    site.book().renew(before.to_ns + 3 * DAY).await.unwrap();
    site.book().renew(now).await.unwrap();
    let entry = AccountEntry {
        account: "transit".into(),
        cycle: before.name.to_string(),
        kind: EntryKind::Provider,
        bytes: Bytes(1_500_000_000),
        reason: String::new(),
        operator: "ann".into(),
        at_s: now / SECOND,
    };
    site.store.add_account_entry(&entry).await.unwrap();

    let browser = Browser::start(&site.address).await;
    browser.open("/").await;
    browser.click("#to-accounts").await;
    browser.until("location.hash === '#/accounts' && document.title.startsWith('Accounts')").await;
    let figure = |id: &str| format!("[data-account=transit] [data-figure={id}]");
    browser.until(&format!("document.querySelector('{}') !== null", figure("used"))).await;
    let told = browser.text(&figure("used")).await;
    let thousandths = (used + 500_000) / 1_000_000;
    let gigabytes = format!("{}.{:03} GB of ", thousandths / 1000, thousandths % 1000);
    assert!(told.starts_with(&gigabytes), "{told}: {gigabytes}");
    assert!(told.ends_with("85.00 %"), "{told}");
    // No line ends between a figure and its unit.
    let last = format!("document.querySelector('{}').textContent.slice(-2)", figure("used"));
    assert_eq!(browser.value(&last).await, json!("\u{a0}%"));
    let kind = format!("document.querySelector('{}').className", figure("used"));
    assert_eq!(browser.value(&kind).await, json!("warn"));
    let bursts = browser.text(&figure("bursts")).await;
    assert!(bursts.ends_with(" left"), "{bursts}");
    assert!(browser.text("[data-account=transit] ul").await.contains("80 % or more"));
    // The cycle before is frozen; nothing of it was measured, and the provider says 1.5 GB.
    let card = browser.text("[data-account=transit]").await;
    assert!(card.contains(&before.name.to_string()) && card.contains("1.500 GB"), "{card}");
    let evidence = browser
        .run(
            "const link = document.querySelector('[data-account=transit] a[download]');
             const answer = await fetch(link.href);
             return [answer.status, (await answer.text()).split(',')[0]];",
        )
        .await;
    assert_eq!(evidence, json!([200, "kind"]));
    browser.until("document.body.dataset.state === 'live'").await;
    browser.must_be_accessible().await;
    browser.picture("accounts").await;
    // A NIC's name leads to its traffic in this cycle.
    let link = "[data-account=transit] th[scope=row] a";
    let begin = current.from_ns / 1_000_000;
    let address = format!("document.querySelector('{link}').getAttribute('href')");
    let address = browser.value(&address).await;
    let wanted = format!("#/client/web-1/eth0?from={begin}&to=");
    assert!(address.as_str().unwrap().starts_with(&wanted), "{address}: {wanted}");
    let over = browser.text("[data-account=backup]").await;
    for said in ["the larger direction", "GiB over", "old-1: no such NIC", " GiB"] {
        assert!(over.contains(said), "{said} is not in {over}");
    }
    browser.media("prefers-color-scheme", "dark").await;
    browser.must_be_accessible().await;
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.until(FIT).await;
    browser.picture("accounts-phone").await;
    browser.click("#language").await;
    browser.until("document.querySelector('.account dt')?.textContent === '已用'").await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.until(FIT).await;
    browser.picture("accounts-phone-zh").await;
    browser.must_be_content().await;
    // An address of its own leads here too.
    browser.value("void (location.href = '/accounts')").await;
    browser.until("location.pathname === '/' && location.hash === '#/accounts'").await;
}

/// Counts the requests for frozen cycles: all of them, and the most at once.
const COUNTED: &str = "
    window.asked = [];
    window.most = 0;
    const before = window.fetch;
    let open = 0;
    window.fetch = async (...args) => {
        if (!String(args[0]).includes('accounts/cycles')) return before(...args);
        window.asked.push(String(args[0]));
        window.most = Math.max(window.most, ++open);
        try { return await before(...args); } finally { open -= 1; }
    };";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_accounts_on_the_screen_are_asked_for_their_past_one_after_another() {
    let site = Site::start(Access::default()).await;
    let now = now_ns();
    let all: serde_json::Map<String, serde_json::Value> =
        (0..40).map(|n| (format!("a{n:02}"), json!({ "members": ["web-1"] }))).collect();
    let all: Accounts = serde_json::from_value(all.into()).unwrap();
    site.book().set(all.all().unwrap());
    site.book().renew(now).await.unwrap();
    let browser = Browser::start(&site.address).await;
    browser.before_pages(COUNTED).await;
    browser.open("/accounts").await;
    browser.until("document.querySelectorAll('.account').length === 40").await;
    let last = "(window.asked.at(-1) ?? '')";
    browser.until(&format!("{last} !== ''")).await;
    browser.value("document.querySelector('[data-account=a39]').scrollIntoView()").await;
    browser.until(&format!("{last}.endsWith('a39')")).await;
    let (asked, most) = (
        browser.value("window.asked.length").await.as_u64().unwrap(),
        browser.value("window.most").await,
    );
    assert!(asked < 30, "{asked} of 40");
    assert_eq!(most, json!(1), "at once");
    browser.must_be_content().await;
}
