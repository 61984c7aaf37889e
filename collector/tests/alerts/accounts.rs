//! Warnings of accounts as alerts.

use std::time::Duration;

use collector::accounts::{AccountBook, Accounts};
use collector::alerts::Judge;
use collector::alerts::watch::{judge_of, look_at_accounts};
use collector::store::{AccountEntry, EntryKind};
use collector::time::now_ns;
use testbed::until;

use crate::parts::{Parts, section, store};
use crate::receiver::{OK, Receiver};

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_an_account_is_told_once_to_the_targets_of_the_rule() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section = section(&format!(
        "alerts:
  rules: {{bill: {{measure: account, accounts: [transit], clear_for: 5s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\"}}}}",
        receiver.url()
    ));
    let store = store(&folder);
    let parts = Parts::start(&section, store.clone(), 1);
    let accounts: Accounts = serde_json::from_str(
        r#"{"transit": {"members": ["web-1"], "quota": "1GB"}, "lab": {"members": ["web-1"], "quota": "1GB"}}"#,
    )
    .unwrap();
    let accounts = accounts.all().unwrap();
    let cycle = accounts[1].schedule.cycle_at(now_ns()).name.to_string();
    let book = AccountBook::new(store.clone(), accounts.clone());
    for account in &accounts {
        // 0.85 of 1 GB: beyond 80 %, and not yet 90 %.
        let entry = AccountEntry {
            account: account.name.to_string(),
            cycle: account.schedule.cycle_at(now_ns()).name.to_string(),
            kind: EntryKind::Opening,
            bytes: wire::Bytes(850_000_000),
            reason: "moved here".into(),
            operator: "me".into(),
            at_s: now_ns() / 1_000_000_000,
        };
        store.add_account_entry(&entry).await.unwrap();
    }
    book.renew(now_ns()).await.unwrap();
    let waiting = receiver.clone();
    until("the message", async || {
        look_at_accounts(&parts.engine, &book);
        !waiting.requests().is_empty()
    })
    .await;
    look_at_accounts(&parts.engine, &book);
    let said = receiver.requests()[0].json();
    let title = said["title"].as_str().unwrap();
    assert!(title.starts_with("transit, cycle 20") && title.ends_with("80 % or more"), "{title}");
    assert_eq!(
        (said["name"].as_str(), said["measure"].as_str()),
        (Some(format!("transit 80% {cycle}").as_str()), Some("account"))
    );
    // A collector that doesn't know the warning yet, because another gave it, doesn't end it.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = AccountBook::new(crate::parts::store(&elsewhere), accounts.clone());
    let judge =
        |account: &str, warning: &str, cycle: &str| judge_of(&other, account, warning, cycle);
    assert_eq!(judge("transit", "80%", &cycle), Judge::Elsewhere, "nothing is known yet");
    other.renew(now_ns()).await.unwrap();
    assert!(other.latest().iter().all(|it| it.warnings.is_empty()));
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        look_at_accounts(&parts.engine, &other);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(receiver.requests().len(), 1, "still one message");
    assert_eq!(judge("transit", "80%", &cycle), Judge::Elsewhere);
    assert_eq!(judge("transit", "80%", "2020-01"), Judge::Each, "its cycle is over");
    // Not of this collector's config.
    assert_eq!(judge("transit", "70%", &cycle), Judge::Others);
    assert_eq!(judge("other", "80%", &cycle), Judge::Others);
    // The next cycle begins without warnings.
    let next = accounts[1].schedule.cycle_at(now_ns()).to_ns;
    book.renew(next + 1).await.unwrap();
    until("the end of the cycle", async || {
        look_at_accounts(&parts.engine, &book);
        tokio::time::sleep(Duration::from_millis(100)).await;
        receiver.requests().len() == 2
    })
    .await;
    let said = receiver.requests()[1].json();
    assert_eq!(said["title"], format!("transit 80% {cycle}: a new cycle has begun"));
}
