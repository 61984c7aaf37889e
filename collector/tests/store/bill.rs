//! `collector bill`, as operators use it.

use std::path::Path;
use std::process::Command;

use collector::accounts::{AccountBook, Accounts};
use collector::store::sqlite::SqliteStore;
use collector::store::{Commit, CycleRecords, EntryKind, Store};
use collector::time::now_ns;
use std::sync::Arc;

use crate::batches::{Agent, DAY, MINUTE, client, hello};
use crate::suite::rate;

const CONFIG: &str = "accounts:
  transit:
    members: [web/eth0]
    rule: rx
    basis: L2+FCS
    quota: 1MB
    cycle: {zone: UTC}
    freeze_after: 1h
";

/// Runs `bill` with these arguments; its output, error output and exit code.
fn run(folder: &Path, config: &str, args: &[&str]) -> (String, String, Option<i32>) {
    let file = folder.join("collector.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().arg("-c").arg(file).arg("--data-dir").arg(folder).arg("bill");
    let output = command.args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_read_a_bill_and_type_in_what_they_know() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("netmon.sqlite")).unwrap());
    let now = now_ns();
    let accounts: Accounts = serde_json::from_str(
        r#"{"transit": {"members": ["web/eth0"], "rule": "rx", "basis": "L2+FCS", "freeze_after": "1h"}}"#,
    )
    .unwrap();
    let accounts = accounts.all().unwrap();
    // Two months ago, so that the cycle is over; 1000 packets of 100 bytes, with 4 bytes more each.
    let bounds = accounts[0].schedule.cycle_at(now - 62 * DAY);
    let cycle = bounds.name.to_string();
    store.open_sessions(&client("web"), &hello(&[1]), now).await.unwrap();
    let sample = rate(bounds.from_ns.get(), MINUTE, (100_000, 1000), (7, 1));
    store.commit(&Agent::new("web", 1, 1).next(vec![sample])).await.unwrap();

    let bill = |args: &[&str]| {
        let args = [&["transit", "--cycle", &cycle], args].concat();
        run(folder.path(), CONFIG, &args)
    };
    let (text, error, code) = bill(&[]);
    assert_eq!((error.as_str(), code), ("", Some(0)), "{text}");
    assert!(
        text.contains(&format!("transit, cycle {cycle}: ")) && text.contains("(closed)"),
        "{text}"
    );
    assert!(text.contains("0.000 GB (rx, L2+FCS) of 0.001 GB, 10.40 %"), "{text}");
    let (text, _, _) = bill(&["--opening", "50kB", "--reason", "moved here on the 7th"]);
    assert!(text.contains("of 0.001 GB, 15.40 %"), "{text}");
    let (text, _, _) = bill(&["--provider", "160kB", "--format", "csv"]);
    // 160,000 / 154,000 - 1 = 3.89 %.
    assert!(
        text.lines().last().unwrap().contains(",154000,") && text.contains(",160000,3.89,"),
        "{text}"
    );
    let (json, _, _) = bill(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["used_bytes"], &json["entries"][0]["reason"]),
        (&154_000.into(), &"moved here on the 7th".into())
    );
    let kept = store.account_entries("transit").await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].entry.kind == EntryKind::Opening && !kept[0].entry.operator.is_empty());
    let audit = std::fs::read_dir(folder.path().join("audit")).unwrap().count();
    assert_eq!(audit, 2, "for the running collector to log");

    // Frozen: no other opening balance, but the provider's figure.
    let book = AccountBook::new(store.clone(), accounts);
    book.renew(bounds.from_ns + MINUTE).await.unwrap();
    book.renew(now).await.unwrap();
    let (_, error, code) = bill(&["--opening", "1kB", "--reason", "late"]);
    assert!(
        error.contains("is frozen: its opening balance can't change") && code == Some(1),
        "{error}"
    );
    let (text, _, code) = bill(&["--provider", "154kB"]);
    assert!(text.contains("(frozen)") && text.contains("+0.00 %") && code == Some(0), "{text}");
    // Gone from the config, its frozen cycles stay.
    let (text, _, _) = run(folder.path(), "", &["transit", "--cycle", &cycle]);
    assert!(text.contains("(frozen)"), "{text}");
    for (args, words) in [
        (&["other"][..], "no account is named other; the config has transit"),
        (&["transit", "--cycle", "November"], "is no cycle; write the month"),
        (&["transit", "--opening", "1GB"], "--reason"),
        (&["Transit"], "can't name an account"),
    ] {
        let (_, error, code) = run(folder.path(), CONFIG, args);
        assert!(error.contains(words) && code != Some(0), "{args:?}: {error}");
    }
}
