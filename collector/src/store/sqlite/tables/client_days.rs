//! `client_days`: notes the days to which rows are added.

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};
use wire::WallNs;

use super::nics::{NicIds, ids};
use crate::store::rows::client_days::{day_of, days_added_to, days_of};
use crate::store::rows::rollups::Rollups;
use crate::store::sqlite::error::Failure;

/// Notes the days to which a commit adds, unless they have yet to end.
pub fn note(
    transaction: &Transaction<'_>,
    rollups: &Rollups,
    nics: &[NicIds],
) -> Result<(), Failure> {
    let packed_to: i64 = transaction
        .prepare_cached("SELECT packed_to FROM retention")?
        .query_row([], |row| row.get(0))?;
    let end = day_of(WallNs::of_column(packed_to));
    let mut days = BTreeSet::new();
    for (nic, day) in days_added_to(rollups).into_iter().filter(|(_, day)| *day < end) {
        days.insert((ids(nics, nic)?.client, day));
    }
    let mut note = transaction.prepare_cached(
        "INSERT INTO client_days (client, day) VALUES (?1, ?2)
         ON CONFLICT (client, day) DO UPDATE
         SET version = version + 1, totals = NULL, rates = NULL, figures = NULL",
    )?;
    for (client, day) in days {
        note.execute(params![client, day])?;
    }
    Ok(())
}

/// Deletes the days of one client that began before a time; returns their number.
pub fn delete_some(transaction: &Transaction<'_>, before: WallNs) -> Result<usize, Failure> {
    let delete = "DELETE FROM client_days WHERE day < ?1 AND client = (
                      SELECT id FROM clients WHERE EXISTS (
                          SELECT 1 FROM client_days WHERE client = clients.id AND day < ?1) LIMIT 1)";
    let end = days_of(WallNs(0), before).end;
    Ok(transaction.prepare_cached(delete)?.execute([end])?)
}
