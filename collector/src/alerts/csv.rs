//! Incidents as CSV: one line each.

use super::measure::Measure;
use super::message::title;
use crate::spreadsheet::{guarded, lines, table};
use crate::store::{AlertIncident, AlertSubject};
use crate::time::Time;

/// The columns. Empty: none.
const COLUMNS: [&str; 20] = [
    "id",
    "rule",
    "measure",
    "severity",
    "client",
    "nic",
    "direction",
    "name",
    "since",
    "fired",
    "resolved",
    "ended",
    "value",
    "bound",
    "worst",
    "worst_at",
    "unit",
    "title",
    "detail",
    "muted",
];

/// A part of incidents as CSV, the `first` one with a head. No text runs in a spreadsheet.
#[must_use]
pub fn csv(incidents: &[AlertIncident], first: bool) -> String {
    let cells = incidents.iter().map(cells);
    if first { table(COLUMNS, cells) } else { lines(cells) }
}

fn cells(it: &AlertIncident) -> [String; COLUMNS.len()] {
    let AlertSubject { client, nic, direction, name } = &it.subject;
    let unit = Measure::of_name(&it.measure).map_or("", |measure| measure.unit().name());
    [
        it.id.clone(),
        it.rule.clone(),
        it.measure.clone(),
        it.severity.clone(),
        guarded(client),
        guarded(nic),
        direction.clone(),
        guarded(name),
        Time(it.since_ns).to_string(),
        Time(it.fired_ns).to_string(),
        it.resolved_ns.map(|ns| Time(ns).to_string()).unwrap_or_default(),
        it.ended.clone().unwrap_or_default(),
        it.value.to_string(),
        it.bound.to_string(),
        it.worst.to_string(),
        Time(it.worst_ns).to_string(),
        unit.to_owned(),
        guarded(&title(it)),
        guarded(&it.detail),
        guarded(it.muted.as_deref().unwrap_or_default()),
    ]
}
