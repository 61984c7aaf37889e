//! Lists of talkers for an export.

use rusqlite::Transaction;
use tokio::sync::mpsc;
use wire::WallNs;

use super::rows::{list, owners};
use crate::store::port::export::{ExportPosition, Paused, ROWS};
use crate::store::rows::export::{ExportList, ExportRange, ReadList, owners_of};
use crate::store::rows::talkers::columns;
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::points::nic_key;

/// Reads one snapshot.
pub(in crate::store::sqlite) fn read_lists(
    transaction: &Transaction<'_>,
    range: &ExportRange,
    place: &mut ExportPosition,
    lists: &mpsc::Sender<Vec<ExportList>>,
) -> Result<Paused<ExportList>, Failure> {
    let mut select = transaction.prepare(&format!(
        "SELECT {} FROM talkers t WHERE t.client = ?1 AND t.nic = ?2 AND t.time >= ?3 AND t.time < ?4
         ORDER BY t.time, t.kind, t.direction, t.interval_ns",
        columns()
    ))?;
    let send = tokio::runtime::Handle::current();
    while let Some((nic, left, skip)) = place.next(range) {
        if let Some(key) = nic_key(transaction, &left)? {
            let found = select
                .query_map(key.params(), |row| Ok((WallNs::of_column(row.get(0)?), list(row)?)))?;
            let mut found = found.skip(skip).peekable();
            while found.peek().is_some() {
                let some: Vec<ReadList> =
                    found.by_ref().take(ROWS).collect::<rusqlite::Result<_>>()?;
                let names = owners(transaction, key.client, owners_of(&some))?;
                let some = ExportList::named(nic, some, &names);
                if let Some(paused) = send.block_on(place.hand_over(some, lists)) {
                    return Ok(paused);
                }
            }
        }
        place.next_nic(range);
    }
    Ok(Paused::Last(vec![]))
}
