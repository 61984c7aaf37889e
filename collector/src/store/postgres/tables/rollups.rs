//! `bandwidth_1m` and `bandwidth_5m`: sums of samples.

use tokio_postgres::Client;

use super::nics::{NicIds, ids};
use crate::store::postgres::error::Failure;
use crate::store::postgres::figures::{FigureRows, array};
use crate::store::postgres::number::int8s;
use crate::store::rows::columns::{
    COUNTS, KERNEL, LOSSES, PEAKS, count_figures, kernel_figures, loss_figures, peak_figures,
};
use crate::store::rows::rollups::{Rollup, Rollups};

/// Nanoseconds per second.
const SECOND_NS: u64 = 1_000_000_000;

/// Adds to both rollups.
pub async fn add(client: &Client, rollups: &Rollups, nics: &[NicIds]) -> Result<(), Failure> {
    let (minutes, five_minutes) = tokio::join!(
        add_to(client, "bandwidth_1m", &rollups.minutes, nics),
        add_to(client, "bandwidth_5m", &rollups.five_minutes, nics),
    );
    minutes.and(five_minutes)
}

/// Number of columns of a rollup besides its key: sums, peaks, flags.
const ROLLED_UP: usize = 2 + COUNTS.len() + LOSSES.len() + KERNEL.len() + PEAKS.len() + 1;

/// Adds to a rollup.
async fn add_to(
    client: &Client,
    table: &str,
    rollups: &[Rollup],
    nics: &[NicIds],
) -> Result<(), Failure> {
    if rollups.is_empty() {
        return Ok(());
    }
    let row = |rollup: &Rollup| {
        let sum = &rollup.sum;
        let NicIds { client, nic } = ids(nics, rollup.nic)?;
        let mut row = vec![i64::from(client), nic.get()];
        row.extend(int8s([rollup.time_ns / SECOND_NS, rollup.samples, rollup.covered_ns])?);
        row.extend(int8s(count_figures(sum))?);
        row.extend(int8s(loss_figures(sum))?);
        row.extend(int8s(kernel_figures(sum.kernel))?);
        row.extend(peak_figures(sum).map(i64::from));
        row.push(sum.flags.into());
        array(row)
    };
    let rows = rollups.iter().map(row).collect::<Result<_, _>>()?;
    let names: Vec<&str> = summed().chain(PEAKS).chain(["flags"]).collect();
    let columns = ["client", "nic", "second"].into_iter().chain(names.iter().copied());
    let figures = FigureRows::new(array::<_, { 3 + ROLLED_UP }>(columns.collect())?, rows);
    let rows = format!(
        "SELECT to_timestamp(second), client, nic, {} FROM ({}) AS new",
        names.join(", "),
        figures.select()
    );
    client.execute_typed(&add_rows(table, &names, &rows), &figures.params()).await?;
    Ok(())
}

/// The summed columns of rollups.
fn summed() -> impl Iterator<Item = &'static str> {
    ["samples", "covered_ns"].into_iter().chain(COUNTS).chain(LOSSES).chain(KERNEL)
}

/// Adds rows to a rollup: `rows` selects time, client, NIC, and the columns `names`.
pub fn add_rows(table: &str, names: &[&str], rows: &str) -> String {
    let updates: Vec<String> = summed()
        .map(|name| format!("{name} = {table}.{name} + excluded.{name}"))
        .chain(PEAKS.map(|name| format!("{name} = greatest({table}.{name}, excluded.{name})")))
        .collect();
    format!(
        "INSERT INTO {table} (time, client, nic, {}) {rows}
         ON CONFLICT (client, nic, time) DO UPDATE SET {}, flags = {table}.flags | excluded.flags",
        names.join(", "),
        updates.join(", ")
    )
}
