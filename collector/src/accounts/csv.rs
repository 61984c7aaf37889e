//! Statements as CSV: one line each.

use super::statement::Statement;
use crate::spreadsheet::table;

/// The columns. Bytes and bits are whole numbers; empty: none, or no bound is known.
const COLUMNS: [&str; 32] = [
    "account",
    "cycle",
    "from",
    "to",
    "as_of",
    "state",
    "rule",
    "basis",
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "opening_bytes",
    "used_bytes",
    "used_max_bytes",
    "quota_bytes",
    "left_bytes",
    "used_percent",
    "projected_bytes",
    "intervals",
    "measured_intervals",
    "missing_seconds",
    "p95_bits_per_second",
    "p95_min_bits_per_second",
    "p95_max_bits_per_second",
    "p95_projected_bits_per_second",
    "commit_bits_per_second",
    "bursts_left",
    "provider_bytes",
    "provider_percent",
    "late_bytes",
    "digest",
];

/// Statements as CSV, with a head.
#[must_use]
pub fn csv(statements: &[Statement]) -> String {
    table(COLUMNS, statements.iter().map(cells))
}

fn cells(statement: &Statement) -> [String; COLUMNS.len()] {
    fn some<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let Statement { metered, terms, .. } = statement;
    [
        statement.account.clone(),
        statement.cycle.to_string(),
        statement.from.to_string(),
        statement.to.to_string(),
        statement.as_of.to_string(),
        statement.state.name().to_owned(),
        terms.rule.name().to_owned(),
        terms.basis.name().to_owned(),
        metered.rx_bytes.to_string(),
        metered.tx_bytes.to_string(),
        metered.rx_packets.to_string(),
        metered.tx_packets.to_string(),
        statement.opening_bytes.to_string(),
        statement.used_bytes.to_string(),
        some(statement.used_max_bytes),
        some(terms.quota_bytes),
        some(statement.left_bytes),
        some(statement.used_percent),
        some(statement.projected_bytes),
        metered.intervals.to_string(),
        metered.measured_intervals.to_string(),
        (metered.missing_ns / 1_000_000_000).to_string(),
        some(metered.p95.bits_per_second),
        some(metered.p95.min_bits_per_second),
        some(metered.p95.max_bits_per_second),
        some(metered.p95_outlook.map(|outlook| outlook.bits_per_second)),
        some(terms.commit_bits_per_second),
        some(metered.commit.map(|commit| commit.bursts_left)),
        some(statement.provider_bytes),
        some(statement.provider_percent),
        some(statement.late_bytes),
        statement.digest.clone().unwrap_or_default(),
    ]
}
