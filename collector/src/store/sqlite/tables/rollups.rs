//! `bandwidth_1m` and `bandwidth_5m`: sums of samples.

use std::sync::LazyLock;

use rusqlite::Transaction;

use super::insert::execute;
use super::nics::{NicIds, ids};
use crate::store::rows::columns::{
    COUNTS, KERNEL, LOSSES, PEAKS, count_figures, kernel_figures, loss_figures, peak_figures,
};
use crate::store::rows::rollups::{Rollup, Rollups};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::{int, ints};

static MINUTES: LazyLock<String> = LazyLock::new(|| upsert("bandwidth_1m"));
static FIVE_MINUTES: LazyLock<String> = LazyLock::new(|| upsert("bandwidth_5m"));

fn upsert(table: &str) -> String {
    let sums = ["samples", "covered_ns"].iter().chain(&COUNTS).chain(&LOSSES).chain(&KERNEL);
    let columns: Vec<&str> = sums.clone().chain(&PEAKS).copied().chain(["flags"]).collect();
    let places: Vec<String> = (4..4 + columns.len()).map(|at| format!("?{at}")).collect();
    let updates: Vec<String> = sums
        .map(|name| format!("{name} = {name} + excluded.{name}"))
        .chain(PEAKS.map(|name| format!("{name} = max({name}, excluded.{name})")))
        .collect();
    format!(
        "INSERT INTO {table} (client, nic, time, {}) VALUES (?1, ?2, ?3, {})
         ON CONFLICT (client, nic, time) DO UPDATE SET {}, flags = flags | excluded.flags",
        columns.join(", "),
        places.join(", "),
        updates.join(", ")
    )
}

/// Adds to both rollups.
pub fn add(
    transaction: &Transaction<'_>,
    rollups: &Rollups,
    nics: &[NicIds],
) -> Result<(), Failure> {
    add_to(transaction.prepare_cached(&MINUTES)?, &rollups.minutes, nics)?;
    add_to(transaction.prepare_cached(&FIVE_MINUTES)?, &rollups.five_minutes, nics)
}

fn add_to(
    mut upsert: rusqlite::CachedStatement<'_>,
    rollups: &[Rollup],
    nics: &[NicIds],
) -> Result<(), Failure> {
    for rollup in rollups {
        let sum = &rollup.sum;
        let NicIds { client, nic } = ids(nics, rollup.nic)?;
        let mut row = vec![client, nic.get()];
        row.extend([rollup.time_ns.to_column(), int(rollup.samples)?, int(rollup.covered_ns)?]);
        row.extend(ints(count_figures(sum))?);
        row.extend(ints(loss_figures(sum))?);
        row.extend(ints(kernel_figures(sum.kernel))?);
        row.extend(peak_figures(sum).map(i64::from));
        row.push(sum.flags.into());
        execute(&mut upsert, row)?;
    }
    Ok(())
}
