//! `client_days`: notes the days to which rows are added.
//!
//! Commits take a lock together before they look up to which time days are packed, and who moves that time
//! takes it alone. So each commit either ends before, or notes the days to which it adds.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;

use super::nics::{NicIds, ids};
use crate::store::postgres::error::Failure;
use crate::store::postgres::figures::FigureRows;
use crate::store::rows::client_days::{days_added_to, days_of};
use crate::store::rows::rollups::Rollups;

/// Key of the advisory lock: "NDAY".
pub const LOCK: i64 = 0x4e44_4159;

/// Begins what adds to `bandwidth_5m`.
pub fn share() -> String {
    format!("SELECT pg_advisory_xact_lock_shared({LOCK})")
}

/// A statement that notes days as to be packed again. `days`: a SELECT of client and day, each once and in
/// their order, so that concurrent statements lock rows in the same order.
fn noted(days: &str) -> String {
    format!(
        "INSERT INTO client_days (client, day) {days} ON CONFLICT (client, day) DO UPDATE
         SET version = client_days.version + 1, totals = NULL, rates = NULL, figures = NULL"
    )
}

/// The number of the first day that has yet to end.
const FIRST_OPEN: &str = "(SELECT extract(epoch FROM packed_to)::bigint / 86400 FROM retention)";

/// Notes the days to which a commit adds, unless they have yet to end. The transaction has [`share`]d the
/// lock.
pub async fn note(client: &Client, rollups: &Rollups, nics: &[NicIds]) -> Result<(), Failure> {
    let mut days: BTreeSet<[i64; 2]> = BTreeSet::new();
    for (nic, day) in days_added_to(rollups) {
        days.insert([ids(nics, nic)?.client.into(), day.into()]);
    }
    if days.is_empty() {
        return Ok(());
    }
    let days = FigureRows::new(["client", "day"], days.into_iter().collect());
    let select = format!(
        "SELECT client, day FROM ({}) AS new WHERE day < {FIRST_OPEN} ORDER BY client, day",
        days.select()
    );
    client.execute_typed(&noted(&select), &days.params()).await?;
    Ok(())
}

/// Notes all days of a client that have rows. The transaction has [`share`]d the lock. Grouped, because Citus takes
/// no DISTINCT with an order here.
pub async fn note_all(client: &Client, number: i32) -> Result<(), Failure> {
    let select = format!(
        "SELECT client, extract(epoch FROM time)::bigint / 86400 FROM bandwidth_5m
         WHERE client = $1 AND extract(epoch FROM time)::bigint / 86400 < {FIRST_OPEN}
         GROUP BY 1, 2 ORDER BY 1, 2"
    );
    client.execute_typed(&noted(&select), &[(&number, Type::INT4)]).await?;
    Ok(())
}

/// Deletes days that began before a time; returns their number.
pub async fn delete(client: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    let end = i64::from(days_of(WallNs(0), before_ns).end);
    let delete = "DELETE FROM client_days WHERE day < $1";
    Ok(client.execute_typed(delete, &[(&end, Type::INT8)]).await?)
}
