//! What a statement says of a quota, and which warnings it gives reason for.

use super::*;
use crate::store::{AccountEntry, AccountWarning, EntryKind, KeptEntry};

/// An account with a quota of 1 MB and a commitment of 1000 bit/s, from one day of April to the next.
fn account(keys: &str) -> BilledAccount {
    let keys = format!(r#"{{"a": {{"members": ["web/eth0"], "rule": "rx", {keys}}}}}"#);
    serde_json::from_str::<Accounts>(&keys).unwrap().all().unwrap().remove(0)
}

fn entry(nth: u64, kind: EntryKind, bytes: u64) -> KeptEntry {
    let entry = AccountEntry {
        account: "a".into(),
        cycle: "2026-04".into(),
        kind,
        bytes: Bytes(bytes),
        reason: "as agreed".into(),
        operator: "ann".into(),
        at_s: 0,
    };
    KeptEntry { nth, entry, digest: String::new() }
}

/// The statement of April 2026 after so many days with these bytes in each interval.
fn after(account: &BilledAccount, days: u64, each: u64, entries: &[KeptEntry]) -> Statement {
    let cycle = month("2026-04");
    let as_of = cycle.from_ns + days * DAY + 2 * MINUTES;
    let rows = (0..days * 288).map(|n| row(cycle, n, each, 0)).collect();
    let metered = metered_as_of(account.terms, cycle, as_of.get(), &[history(rows)]);
    Statement::new(account, cycle, as_of, (metered, vec![]), entries)
}

/// Cells of a statement as CSV.
fn cells<const N: usize>(statement: &Statement, names: [&str; N]) -> [String; N] {
    let csv = csv(from_ref(statement));
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    names.map(|name| lines[1][lines[0].iter().position(|it| *it == name).unwrap()].to_owned())
}

#[test]
fn what_is_left_goes_below_zero_and_the_providers_figure_is_compared_with_what_was_used() {
    // 10 days x 288 x 400 = 1,152,000 bytes, and 98,000 before: 1,250,000 of 1,000,000 are 125 %, 250,000 over.
    // At its end: 30 days x 288 x 400 + 98,000 = 3,554,000: 355.4 %. The provider counted 1,200,000:
    // -50,000 / 1,250,000 = -4 %.
    let account = account(r#""quota": "1MB""#);
    let entries = [
        entry(1, EntryKind::Opening, 7),
        entry(2, EntryKind::Provider, 1_200_000),
        entry(3, EntryKind::Opening, 98_000),
    ];
    let it = after(&account, 10, 400, &entries);
    assert_eq!((it.used_bytes, it.opening_bytes), (Bytes(1_250_000), Bytes(98_000)));
    assert_eq!((it.left_bytes, it.used_percent), (Some(-250_000), Some(125.0)));
    assert_eq!((it.projected_bytes, it.projected_percent), (Some(Bytes(3_554_000)), Some(355.4)));
    assert_eq!((it.provider_bytes, it.provider_percent), (Some(Bytes(1_200_000)), Some(-4.0)));
    assert_eq!(it.entries.len(), 3, "all are kept");
    let names = ["used_bytes", "left_bytes", "used_percent", "projected_bytes", "provider_percent"];
    assert_eq!(cells(&it, names), ["1250000", "-250000", "125", "3554000", "-4"]);
    let none = after(&account, 10, 300, &[]);
    // 864,000: 13.6 % are left.
    assert_eq!((none.left_bytes, none.used_percent), (Some(136_000), Some(86.4)));
    assert_eq!((none.provider_bytes, none.provider_percent), (None, None));
}

#[test]
fn warnings_are_due_at_percents_once_the_outlook_is_over_and_once_too_many_intervals_are() {
    let due = |account: &BilledAccount, days: u64, each: u64| {
        let warnings = due_warnings(account, &after(account, days, each, &[]));
        warnings.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    let quota = account(r#""quota": "1MB", "warn": ["50", "80", "100"]"#);
    // 5 days x 288 x 100 = 144,000; at the end 864,000.
    assert_eq!(due(&quota, 5, 100), [""; 0]);
    // 17 days x 288 x 100 = 489,600; 18: 518,400.
    assert_eq!(due(&quota, 17, 100), [""; 0]);
    assert_eq!(due(&quota, 18, 100), ["50%"]);
    // 5 days x 288 x 120 = 172,800; at the end 1,036,800. After less than a day, nothing is said of it.
    assert_eq!(due(&quota, 5, 120), ["projected"]);
    assert_eq!(due(&quota, 1, 120), ["projected"]);
    assert_eq!(due(&quota, 0, 120), [""; 0]);
    let calm = account(r#""quota": "1MB", "warn": [], "warn_projected": false"#);
    assert_eq!(due(&calm, 30, 120), [""; 0]);
    // 37,538 bytes in 300 s are 1001 bit/s. 432 of 8640 intervals may have more than 1000: 1 day has 288, 2 days
    // have 576.
    let commit = account(r#""commit": "1kbit/s""#);
    // After a day, the rest looks like it; not where that is not to be warned of.
    assert_eq!(due(&commit, 0, 37_538), [""; 0]);
    assert_eq!(due(&commit, 1, 37_538), ["commit_projected"]);
    let message = &due_warnings(&commit, &after(&commit, 1, 37_538, &[]))[0].message;
    let told = "will end at 1.00 kbit/s, over 1kbit/s, if the rest is as all so far";
    assert!(message.ends_with(told), "{message}");
    let series = exposition(&[after(&commit, 1, 37_538, &[])]);
    let projected = "netmon_account_p95_projected_bits_per_second{account=\"a\"} 1001";
    assert!(series.lines().any(|it| it == projected), "{series}");
    let calm = account(r#""commit": "1kbit/s", "warn_projected": false"#);
    assert_eq!(due(&calm, 1, 37_538), [""; 0]);
    assert_eq!(due(&commit, 2, 37_538), ["commit"]);
    assert_eq!(due(&commit, 2, 37_500), [""; 0], "1000 bit/s are within it");
}

#[test]
fn the_percentile_at_the_end_takes_the_last_week_for_what_is_to_come_and_says_so() {
    // 30 days have 8640 intervals, of which 432 are dropped. 4 days at 37,500 bytes per interval (1000 bit/s),
    // then 7 days with `high` intervals a day at 75,000 bytes (2000 bit/s). 20 of 288: so far 140 of 3168 are
    // high, and 158 are dropped: 1000 bit/s. At the end, 140 + 19 x 20 = 520 are: more than 432, so 2000 bit/s.
    // 16 a day: 112 + 19 x 16 = 416, which are dropped.
    let cycle = month("2026-04");
    let found = |days: u64, high: u64, rule: BillingRule| {
        let is_high = |n: u64| n >= 4 * 288 && n % 288 < high;
        let bytes = |n| if is_high(n) { 75_000 } else { 37_500 };
        let rows = (0..days * 288).map(|n| match rule {
            BillingRule::Max => row(cycle, n, 1000, bytes(n)),
            _ => row(cycle, n, bytes(n), 0),
        });
        let as_of = cycle.from_ns + days * DAY + 2 * MINUTES;
        metered_as_of(terms(rule), cycle, as_of.get(), &[history(rows.collect())])
    };
    let (rx, week) = (BillingRule::Rx, PercentileMethod::AsLastSevenDays);
    let outlook = |bits_per_second, method| Some(PercentileOutlook { bits_per_second, method });
    assert_eq!(found(11, 20, rx).p95.bits_per_second, Some(1000));
    assert_eq!(found(11, 20, rx).p95_outlook, outlook(2000, week));
    assert_eq!(found(11, 20, BillingRule::Max).p95_outlook, outlook(2000, week));
    assert_eq!(found(11, 16, rx).p95_outlook, outlook(1000, week));
    // 6 days, 2 of them with 40 high: 80 of 1728 by then. At the end 80 x 8640 / 1728 = 400 are.
    assert_eq!(found(6, 40, rx).p95_outlook, outlook(1000, PercentileMethod::AsSoFar));
    // With 50 a day 100 x 5 = 500.
    assert_eq!(found(6, 50, rx).p95_outlook, outlook(2000, PercentileMethod::AsSoFar));
    // It says nothing yet, and nothing is to come.
    assert_eq!((found(0, 0, rx).p95_outlook, found(31, 0, rx).p95_outlook), (None, None));
}

#[test]
fn csv_has_the_percentile_at_the_end_beside_that_so_far_as_the_page_does() {
    // As above, 20 high intervals a day of the last 7: 1000 bit/s so far, 2000 at the end. Before an hour was
    // measured, and of a cycle that is over, there is none.
    let account = account(r#""quota": "1MB""#);
    let cycle = month("2026-04");
    let of = |days: u64| {
        let bytes = |n| if n >= 4 * 288 && n % 288 < 20 { 75_000 } else { 37_500 };
        let rows = (0..days * 288).map(|n| row(cycle, n, bytes(n), 0)).collect();
        let as_of = cycle.from_ns + days * DAY + 2 * MINUTES;
        let metered = metered_as_of(account.terms, cycle, as_of.get(), &[history(rows)]);
        let statement = Statement::new(&account, cycle, as_of, (metered, vec![]), &[]);
        cells(&statement, ["p95_bits_per_second", "p95_projected_bits_per_second"])
    };
    assert_eq!(of(11), ["1000", "2000"]);
    assert_eq!(of(0), ["", ""]);
    assert_eq!(of(31), ["2000", ""]);
}

#[test]
fn warnings_of_the_same_time_are_ordered_by_percent() {
    let warning = |(at, warning): (u64, &str)| AccountWarning {
        account: "a".into(),
        cycle: "2026-04".into(),
        warning: warning.into(),
        at_ns: WallNs(at),
        message: String::new(),
    };
    // As the stores order them, by time and text.
    let stored = [(1, "50%"), (2, "100%"), (2, "80%"), (2, "95%"), (2, "projected"), (3, "120%")];
    let statement = after(&account(r#""quota": "1MB""#), 1, 0, &[]);
    let statement = statement.with_warnings(stored.map(warning).into());
    let names: Vec<_> = statement.warnings.iter().map(|it| it.warning.as_str()).collect();
    assert_eq!(names, ["50%", "80%", "95%", "100%", "projected", "120%"]);
}
