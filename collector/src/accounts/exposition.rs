//! Statements in the text format of Prometheus. They are written straight from the statements, so that
//! an account that is gone has no series.

use std::fmt::Write;

use wire::Bytes;

use super::statement::Statement;

/// A gauge of each account: its name, its help, and its value, if there is one.
pub type AccountMetric = (&'static str, &'static str, fn(&Statement) -> Option<f64>);

/// All gauges, with the label `account`.
pub const METRICS: [AccountMetric; 17] = [
    (
        "netmon_account_used_bytes",
        "Billed bytes of the running cycle, as far as they were measured.",
        |it| Some(it.used_bytes.as_f64()),
    ),
    (
        "netmon_account_used_max_bytes",
        "The most that may have been used: links were full while nothing was measured. Absent if no bound is known.",
        |it| it.used_max_bytes.map(Bytes::as_f64),
    ),
    (
        "netmon_account_projected_bytes",
        "Billed bytes at the end of the running cycle, as it looks.",
        |it| it.projected_bytes.map(Bytes::as_f64),
    ),
    (
        "netmon_account_provider_bytes",
        "What the provider says was used in the running cycle, if it was typed in.",
        |it| it.provider_bytes.map(Bytes::as_f64),
    ),
    ("netmon_account_warnings", "Warnings given in the running cycle.", |it| {
        Some(float(it.warnings.len() as u64))
    }),
    ("netmon_account_quota_bytes", "The volume of a cycle.", |it| {
        it.terms.quota_bytes.map(Bytes::as_f64)
    }),
    (
        "netmon_account_left_bytes",
        "What is left of the quota in the running cycle; below 0 over it.",
        |it| it.left_bytes.map(signed),
    ),
    ("netmon_account_used_ratio", "Used part of the quota: 1 is all of it.", |it| {
        Some(it.used_bytes.as_f64() / it.terms.quota_bytes?.as_f64())
    }),
    (
        "netmon_account_projected_ratio",
        "Part of the quota that the running cycle will have used at its end, as it looks.",
        |it| Some(it.projected_bytes?.as_f64() / it.terms.quota_bytes?.as_f64()),
    ),
    (
        "netmon_account_p95_bits_per_second",
        "The 95th percentile of the running cycle so far.",
        |it| it.metered.p95.bits_per_second.map(float),
    ),
    (
        "netmon_account_p95_projected_bits_per_second",
        "The 95th percentile at the end of the running cycle, as it looks.",
        |it| it.metered.p95_outlook.map(|outlook| float(outlook.bits_per_second)),
    ),
    ("netmon_account_commit_bits_per_second", "The committed 95th percentile.", |it| {
        it.terms.commit_bits_per_second.map(float)
    }),
    (
        "netmon_account_bursts_left",
        "How many more 5-minute intervals of this cycle may exceed the committed rate; below 0, the percentile lies over it.",
        |it| it.metered.commit.map(|commit| signed(commit.bursts_left)),
    ),
    (
        "netmon_account_missing_seconds",
        "Time of the running cycle that was not measured, of all NICs together.",
        |it| Some(float(it.metered.missing_ns) / 1e9),
    ),
    ("netmon_account_cycle_start_timestamp_seconds", "When the running cycle began.", |it| {
        Some(float(it.from.0.get()) / 1e9)
    }),
    ("netmon_account_cycle_end_timestamp_seconds", "When the running cycle ends.", |it| {
        Some(float(it.to.0.get()) / 1e9)
    }),
    ("netmon_account_metered_timestamp_seconds", "As of when these figures are.", |it| {
        Some(float(it.as_of.0.get()) / 1e9)
    }),
];

/// The series of all accounts.
#[must_use]
pub fn exposition(statements: &[Statement]) -> String {
    let mut text = String::new();
    for (name, help, value) in METRICS {
        let mut values =
            statements.iter().filter_map(|it| Some((&it.account, value(it)?))).peekable();
        if values.peek().is_none() {
            continue;
        }
        // Writing to a String can't fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (account, value) in values {
            let _ = writeln!(text, "{name}{{account=\"{account}\"}} {value}");
        }
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus' numbers")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus' numbers")]
const fn signed(number: i64) -> f64 {
    number as f64
}
