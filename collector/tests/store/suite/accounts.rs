//! Accounts: what they are metered at, against SQL over the raw rows.

use std::sync::Arc;
use std::time::Duration;

use collector::accounts::{
    AccountBook, Accounts, BillError, BilledAccount, CycleState, Statement, bill,
};
use collector::store::{AccountCycle, AccountEntry, Commit, Database, EntryKind, RetentionLimits};
use wire::WallNs;
use wire::frame::{Gap, Sample, flags};
use wire::message::{Inventory, Nic};
use wire::{Bytes, Packets};

use super::place::{Place, assert_sound, opened};
use super::views::rate;
use crate::batches::{Agent, DAY, MINUTE, SECOND, START, batch, client, hello, nic};

/// An account of these keys (JSON), whose cycle begins with [`START`].
pub fn account(keys: &str) -> BilledAccount {
    let cycle = r#""cycle": {"day": 15, "time": "00:00", "zone": "UTC"}"#;
    let accounts = format!(r#"{{"transit": {{{keys}, {cycle}}}}}"#);
    let accounts: Accounts = serde_json::from_str(&accounts).unwrap();
    accounts.all().unwrap().remove(0)
}

async fn billed(store: &Arc<dyn Database>, keys: &str, as_of_ns: u64) -> Statement {
    bill(&**store, &account(keys), None, WallNs(as_of_ns)).await.unwrap()
}

/// Samples of both NICs from before the cycle to 6 hours into it, of 20 s each, uneven and partly
/// stacked. Those that start before the cycle are 21 s long, so that SQL can tell them apart.
fn uneven() -> Vec<Sample> {
    let mut noise = 99_u64;
    let mut samples = Vec::new();
    for n in 0..1100 {
        for name in ["eth0", "eth1", "bond0"] {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let (start_ns, length) = match n {
                0..20 => (START - (20 - n) * 21 * SECOND, 21 * SECOND),
                n => (START + (n - 20) * 20 * SECOND, 20 * SECOND),
            };
            let (rx, tx) = ((noise >> 20, noise >> 50), (noise >> 31, noise >> 55));
            let flags = if name == "bond0" { flags::STACKED } else { 0 };
            let sample = rate(start_ns, length, rx, tx);
            samples.push(Sample { nic: nic(name), flags, ..sample });
        }
    }
    samples
}

pub async fn account_totals_are_what_sql_says_over_raw_rows(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for some in uneven().chunks(600) {
        store.commit(&agent.next(some.to_vec())).await.unwrap();
    }
    let as_of = START + 7 * 60 * MINUTE;
    let sum = async |figure: &str, of: &str| {
        let sql = format!(
            "SELECT CAST(sum({figure}) AS bigint) FROM bandwidth_stats s JOIN nics n ON n.id = s.nic
             WHERE s.interval_ns = 20000000000 AND {of}"
        );
        u64::try_from(place.numbers(&sql).await[0]).unwrap()
    };
    let unstacked = "s.flags = 0";
    for (members, of) in [
        (r#"["web"]"#, unstacked),
        (r#"["web/eth0", "web/eth1"]"#, unstacked),
        (r#"["web/eth1", "web/eth1"]"#, "n.name = 'eth1'"),
        // A NIC that is named counts in any case, and no other of its host twice.
        (r#"["web", "web/bond0", "web/eth0"]"#, "s.flags < 2"),
    ] {
        for (basis, packets) in [("L2", 0), ("L2+FCS", 4), ("L3", -14)] {
            let billed = async |rule: &str| {
                let keys = format!(r#""members": {members}, "rule": "{rule}", "basis": "{basis}""#);
                billed(&store, &keys, as_of).await
            };
            let rx = sum(&format!("rx_bytes + {packets} * rx_packets"), of).await;
            let tx = sum(&format!("tx_bytes + {packets} * tx_packets"), of).await;
            for (rule, used) in [("rx", rx), ("tx", tx), ("sum", rx + tx), ("max", rx.max(tx))] {
                assert_eq!(billed(rule).await.used_bytes, Bytes(used), "{members} {rule} {basis}");
            }
            let metered = billed("sum").await.metered;
            assert_eq!(metered.rx_bytes, Bytes(sum("rx_bytes", of).await));
            assert_eq!(metered.tx_packets, Packets(sum("tx_packets", of).await));
        }
    }
    // The cycle before has the rest.
    let keys = r#""members": ["web/eth0"], "rule": "rx""#;
    let before =
        bill(&*store, &account(keys), Some("2026-12".parse().unwrap()), WallNs(as_of)).await;
    let sql =
        "SELECT CAST(sum(rx_bytes) AS bigint) FROM bandwidth_stats s JOIN nics n ON n.id = s.nic
               WHERE s.interval_ns = 21000000000 AND n.name = 'eth0'";
    let before = i64::try_from(before.unwrap().used_bytes.get()).unwrap();
    assert_eq!(place.numbers(sql).await, [before]);
}

pub async fn an_account_knows_what_was_not_measured(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let eth0 = Nic { name: nic("eth0"), index: 2, speed_bits: 1_000_000_000, ..Nic::default() };
    let nics = vec![Nic { kind: "physical".into(), up: true, ..eth0 }];
    let inventory = Inventory { nics };
    store.record_inventory(&client("web"), &inventory, WallNs(START - DAY)).await.unwrap();
    // An hour of minutes with 1000 bytes each, without 00:20 to 00:40: in that time, 00:20 to 00:30 is a
    // gap with 5000 bytes, and of 00:30 to 00:40 nothing is known.
    let samples = (0..60).filter(|n| !(20..40).contains(n));
    let samples = samples.map(|n| rate(START + n * MINUTE, MINUTE, (1000, 1), (0, 0)));
    let before = rate(START - MINUTE, MINUTE, (9, 1), (0, 0));
    let frame = agent.frame(std::iter::once(before).chain(samples).collect());
    let gap = rate(START + 20 * MINUTE, 10 * MINUTE, (5000, 5), (0, 0));
    let gap = agent.record(10, Gap::SpoolFull as u8, vec![gap]);
    let nothing = rate(START + 30 * MINUTE, 10 * MINUTE, (0, 0), (0, 0));
    let unmeasured = agent.record(1, Gap::Unmeasured as u8, vec![nothing]);
    store.commit(&batch([agent.batch(vec![frame, gap, unmeasured])])).await.unwrap();
    let keys = r#""members": ["web/eth0", "web/eth9", "db"], "rule": "rx""#;
    let of = billed(&store, keys, START + 62 * MINUTE).await;
    // 40 x 1000 + 5000 bytes, and at most 10 minutes x 60 s x 125,000,000 bytes/s.
    assert_eq!((of.used_bytes, of.metered.missing_ns), (Bytes(45_000), 10 * MINUTE));
    assert_eq!(of.used_max_bytes, Some(Bytes(45_000 + 75_000_000_000)));
    assert_eq!((of.metered.elapsed_intervals, of.metered.measured_intervals), (12, 8));
    assert_eq!(of.unknown_members, ["web/eth9", "db"]);
    // Down since 00:30: nothing can have passed until 00:40, when it is up.
    let down = Inventory { nics: vec![Nic { up: false, ..inventory.nics[0].clone() }] };
    store.record_inventory(&client("web"), &down, WallNs(START + 30 * MINUTE)).await.unwrap();
    store.record_inventory(&client("web"), &inventory, WallNs(START + 40 * MINUTE)).await.unwrap();
    let of = billed(&store, keys, START + 62 * MINUTE).await;
    assert_eq!((of.metered.missing_ns, of.used_max_bytes), (0, Some(Bytes(45_000))));
}

pub async fn an_account_counts_forgotten_clients_until_their_rows_go(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let sample = |bytes| rate(START, MINUTE, (bytes, 1), (0, 0));
    store.commit(&agent.next(vec![sample(1000)])).await.unwrap();
    store.open_sessions(&client("db"), &hello(&[2]), WallNs(START)).await.unwrap();
    store.commit(&Agent::new("db", 2, 1).next(vec![sample(500)])).await.unwrap();
    let keys = r#""members": ["web", "db"], "rule": "rx""#;
    let used = async || billed(&store, keys, START + 60 * MINUTE).await;
    assert_eq!(used().await.used_bytes, Bytes(1500));
    store.forget(&client("web"), WallNs(START + 60 * MINUTE)).await.unwrap();
    assert_eq!(used().await.used_bytes, Bytes(1500), "it carried them all the same");
    store.purge(&client("web")).await.unwrap();
    let left = used().await;
    assert_eq!((left.used_bytes, left.unknown_members), (Bytes(500), vec!["web".to_owned()]));
}

pub async fn a_cycle_of_which_sums_were_deleted_has_no_statement(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let sample = |at| rate(at, MINUTE, (1000, 1), (0, 0));
    store.commit(&agent.next(vec![sample(START), sample(START + 40 * DAY)])).await.unwrap();
    let kept = Duration::from_secs(34 * 86_400);
    let limits = RetentionLimits { rollup_5m: kept, ..RetentionLimits::default() };
    let now = START + 41 * DAY;
    let of = async |cycle: &str| {
        let account = account(r#""members": ["web"]"#);
        bill(&*store, &account, Some(cycle.parse().unwrap()), WallNs(now)).await
    };
    assert_eq!(of("2027-01").await.unwrap().used_bytes, Bytes(1000));
    store.retain(&limits, WallNs(now)).await.unwrap();
    assert!(matches!(of("2027-01").await, Err(BillError::Deleted(_))));
    assert_eq!(of("2027-02").await.unwrap().used_bytes, Bytes(1000));
}

/// A book of one account of web/eth0, in which an hour of 60 samples carried 1000 bytes each, and its
/// store.
async fn book(place: &impl Place, keys: &str) -> (Arc<dyn Database>, Agent, AccountBook) {
    let (store, mut agent) = opened(place).await;
    let samples = (0..60).map(|n| rate(START + n * MINUTE, MINUTE, (1000, 1), (0, 0)));
    store.commit(&agent.next(samples.collect())).await.unwrap();
    let keys = format!(r#""members": ["web/eth0"], "rule": "rx", {keys}"#);
    let book = AccountBook::new(store.clone(), vec![account(&keys)]);
    (store, agent, book)
}

fn entry(kind: EntryKind, cycle: &str, bytes: u64) -> AccountEntry {
    AccountEntry {
        account: "transit".into(),
        cycle: cycle.into(),
        kind,
        bytes: Bytes(bytes),
        reason: "as agreed".into(),
        operator: "ann".into(),
        at_s: START / SECOND,
    }
}

pub async fn a_frozen_cycle_never_changes_and_tells_what_came_late(place: &impl Place) {
    let (store, mut agent, book) = book(place, r#""freeze_after": "1d", "quota": "1MB""#).await;
    let transit = "transit".parse().unwrap();
    let of = async |cycle: &str, now_ns| {
        book.statement(&transit, Some(cycle.parse().unwrap()), WallNs(now_ns)).await.unwrap()
    };
    // 2027-01 goes from START, 15 January, to 15 February: 31 days.
    let end = START + 31 * DAY;
    book.renew(WallNs(START + 62 * MINUTE)).await.unwrap();
    store.add_account_entry(&entry(EntryKind::Opening, "2027-01", 500)).await.unwrap();
    // Corrected: the last one holds, and both are kept.
    store.add_account_entry(&entry(EntryKind::Opening, "2027-01", 400)).await.unwrap();
    book.renew(WallNs(end + DAY - 1)).await.unwrap();
    let closed = of("2027-01", end + DAY - 1).await;
    // 60 x 1000 + 400.
    assert_eq!((closed.state, closed.used_bytes), (CycleState::Closed, Bytes(60_400)));
    assert_eq!((closed.opening_bytes, closed.entries.len()), (Bytes(400), 2));
    assert_eq!(of("2027-02", end).await.opening_bytes, Bytes(0), "it is for one cycle");

    book.renew(WallNs(end + DAY)).await.unwrap();
    let frozen = of("2027-01", end + DAY).await;
    assert_eq!(
        (frozen.state, frozen.used_bytes, frozen.late_bytes),
        (CycleState::Frozen, Bytes(60_400), Some(0))
    );
    let sql = "SELECT used_bytes FROM account_cycles WHERE frozen_at IS NOT NULL";
    assert_eq!(place.numbers(sql).await, [60_400]);
    let evidence = book.evidence(&transit, frozen.cycle, WallNs(end + DAY)).await.unwrap();
    assert!(evidence.contains(&format!("\ninterval,{START},5000,0,5,0,{},0\n", 5 * MINUTE)));

    // It stays, and who tries again knows that.
    let kept = store.account_cycles("transit").await.unwrap();
    let kept: Vec<_> = kept.iter().filter(|it| it.frozen_ns.is_some()).collect();
    assert_eq!(kept.len(), 1);
    assert!(!store.keep_account_cycle(kept[0]).await.unwrap());
    let open = AccountCycle { cycle: "2027-03".into(), frozen_ns: None, ..kept[0].clone() };
    assert!(store.keep_account_cycle(&open).await.unwrap(), "the first of its cycle");
    assert!(store.keep_account_cycle(&open).await.unwrap(), "in place of an open one");
    place.execute("DELETE FROM account_statements WHERE cycle = '2027-03'").await;

    // 700 bytes arrive late, and an operator corrects the opening balance behind the command's back.
    let late = rate(START + 2 * DAY, MINUTE, (700, 1), (0, 0));
    store.commit(&agent.next(vec![late])).await.unwrap();
    store.add_account_entry(&entry(EntryKind::Opening, "2027-01", 0)).await.unwrap();
    store.add_account_entry(&entry(EntryKind::Provider, "2027-01", 66_440)).await.unwrap();
    book.renew(WallNs(end + 2 * DAY)).await.unwrap();
    let same = of("2027-01", end + 2 * DAY).await;
    assert_eq!((same.used_bytes, same.late_bytes), (Bytes(60_400), Some(700)));
    assert_eq!((&same.digest, &same.metered), (&frozen.digest, &frozen.metered));
    // Of 1 MB 6.04 %, in SQL too.
    let sql = "SELECT CAST(round(used_percent * 100) AS bigint) FROM account_cycles WHERE cycle = '2027-01'";
    assert_eq!(place.numbers(sql).await, [604]);
    let sql = "SELECT provider_bytes FROM account_cycles WHERE cycle = '2027-01'";
    assert_eq!(place.numbers(sql).await, [66_440]);
    // 66,440 / 60,400 = 1.1.
    assert_eq!((same.provider_bytes, same.provider_percent), (Some(Bytes(66_440)), Some(10.0)));
    assert_sound(&store).await;

    // Its figures outlive its rows, and other terms.
    store.purge(&client("web")).await.unwrap();
    book.set(vec![account(r#""members": ["db"], "rule": "tx", "basis": "L3""#)]);
    let left = of("2027-01", end + 3 * DAY).await;
    assert_eq!(
        (left.used_bytes, left.late_bytes),
        (Bytes(60_400), Some(-60_000)),
        "what went is told too"
    );
    assert_eq!(left.terms, frozen.terms);
    assert_eq!(book.frozen(&transit).await.unwrap().len(), 1);
}

pub async fn what_is_changed_in_frozen_cycles_and_entries_is_found(place: &impl Place) {
    let (store, _, book) = book(place, r#""freeze_after": "1d""#).await;
    for bytes in [1, 2, 3] {
        let entry = entry(EntryKind::Provider, "2027-01", bytes);
        store.add_account_entry(&entry).await.unwrap();
    }
    book.renew(WallNs(START + 60 * MINUTE)).await.unwrap();
    book.renew(WallNs(START + 32 * DAY)).await.unwrap();
    assert_sound(&store).await;
    for (sql, words) in [
        (
            "UPDATE account_statements SET used_bytes = used_bytes + 1",
            "changed after it was frozen",
        ),
        ("UPDATE account_entries SET bytes = 9 WHERE nth = 2", "entry 2 was changed"),
        ("DELETE FROM account_entries WHERE nth = 1", "entry 2 was changed, or one before"),
    ] {
        place.execute(sql).await;
        let findings = store.check().await.unwrap().findings;
        assert!(findings.iter().any(|it| it.contains(words)), "{sql}: {findings:?}");
    }
}

pub async fn a_warning_is_given_once_per_cycle_by_one_of_several_collectors(place: &impl Place) {
    // 60,000 bytes of 70,000 are 85.7 %.
    let keys = r#""quota": "70kB", "warn": ["80", "85", "90"]"#;
    let (store, mut agent, book) = book(place, keys).await;
    let other = AccountBook::new(store.clone(), book.accounts().to_vec());
    let now = START + 62 * MINUTE;
    let (one, two) = tokio::join!(book.renew(WallNs(now)), other.renew(WallNs(now)));
    one.and(two).unwrap();
    let names = async |cycle: &str| {
        let given = store.account_warnings("transit", cycle).await.unwrap();
        given.into_iter().map(|it| it.warning).collect::<Vec<_>>()
    };
    assert_eq!(names("2027-01").await, ["80%", "85%"]);
    let first = store.account_warnings("transit", "2027-01").await.unwrap();
    assert!(first[0].message.contains("0.000 GB of 0.000 GB are used, 80 % or more"), "{first:?}");
    // The opening balance counts: 60,000 + 5000 = 92.9 %.
    store.add_account_entry(&entry(EntryKind::Opening, "2027-01", 5000)).await.unwrap();
    book.renew(WallNs(now + 60 * MINUTE)).await.unwrap();
    assert_eq!(names("2027-01").await, ["80%", "85%", "90%"]);
    let given = store.account_warnings("transit", "2027-01").await.unwrap();
    assert_eq!(given[..2], first[..], "no second time");
    assert_eq!(book.latest()[0].warnings.len(), 3);
    // The next cycle warns anew.
    let more = rate(START + 31 * DAY, MINUTE, (60_000, 1), (0, 0));
    store.commit(&agent.next(vec![more])).await.unwrap();
    book.renew(WallNs(START + 32 * DAY)).await.unwrap();
    assert_eq!(names("2027-02").await, ["80%", "85%"]);
}

pub async fn cycles_in_which_no_collector_ran_are_frozen_after_it(place: &impl Place) {
    let (store, mut agent, book) = book(place, r#""freeze_after": "1d""#).await;
    let march = rate(START + 60 * DAY, MINUTE, (700, 1), (0, 0));
    store.commit(&agent.next(vec![march])).await.unwrap();
    book.renew(WallNs(START + 62 * MINUTE)).await.unwrap();
    // 15 January + 31 + 28 + 31 days = 15 April.
    book.renew(WallNs(START + 91 * DAY + 60 * MINUTE)).await.unwrap();
    let frozen = book.frozen(&"transit".parse().unwrap()).await.unwrap();
    let used: Vec<_> =
        frozen.iter().map(|it| (it.cycle.to_string(), it.used_bytes.get())).collect();
    let expected = [("2027-03", 700), ("2027-02", 0), ("2027-01", 60_000)];
    assert_eq!(used, expected.map(|(cycle, bytes)| (cycle.to_owned(), bytes)));
    // Of 2027-02, nothing was measured: that is no zero, but without a link speed there is no bound.
    assert_eq!((frozen[1].used_max_bytes, frozen[1].metered.missing_ns), (None, 28 * DAY));
}
