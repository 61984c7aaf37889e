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

fn account(quota_bytes: u64) -> BilledAccount {
    let accounts = format!(
        r#"{{"transit": {{"members": ["web-1"], "rule": "rx", "quota": "{quota_bytes}B",
            "commit": "1Gbit/s", "cycle": {{"zone": "UTC"}}}}}}"#
    );
    let accounts: Accounts = serde_json::from_str(&accounts).unwrap();
    accounts.all().unwrap().remove(0)
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

#[tokio::test(flavor = "multi_thread")]
async fn accounts_show_what_is_used_and_what_was_billed() {
    let site = Site::start(Access::default()).await;
    // The running cycle has two hours of traffic and is two minutes older.
    let current = account(1).schedule.cycle_at(now_ns());
    let now = current.from_ns + 2 * 60 * MINUTE + 2 * MINUTE;
    let before = account(1).schedule.cycle_at(current.from_ns - DAY);
    let used = busy(&site, current.from_ns.get()).await;
    let account = account(used * 100 / 85);
    site.book().set(vec![account]);
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
    browser.resize(390, 844).await;
    browser.until("document.documentElement.scrollWidth <= 390").await;
    browser.click("#language").await;
    browser.until("document.querySelector('.account dt')?.textContent === '已用'").await;
    browser.must_be_content().await;
    // An address of its own leads here too.
    browser.value("void (location.href = '/accounts')").await;
    browser.until("location.pathname === '/' && location.hash === '#/accounts'").await;
}
