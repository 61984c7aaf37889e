//! Rows of talkers and of their owners.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};
use wire::WallNs;
use wire::talkers::TalkerOwner;

use crate::store::rows::talker_entries::{EntryColumns, SEARCHED, UnreadableTalkers};
use crate::store::rows::talker_search::{SearchedRow, TOTALS};
use crate::store::rows::talkers::{LIST, OwnerId, StoredList};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::number;

/// The list of a row of [`crate::store::rows::talkers::columns`].
pub(super) fn list(row: &Row<'_>) -> rusqlite::Result<Result<StoredList, UnreadableTalkers>> {
    let small = |at| row.get::<_, i64>(at).map(|it| u8::try_from(it).unwrap_or(u8::MAX));
    let mut figures = [0; LIST.len()];
    for (at, figure) in (4..).zip(&mut figures) {
        *figure = number(row, at)?;
    }
    let mut entries = EntryColumns::default();
    for (at, column) in (4 + LIST.len()..).zip(&mut entries) {
        *column = row.get_ref(at)?.as_blob_or_null()?;
    }
    let interval = (WallNs::of_column(row.get(0)?), number(row, 1)?);
    Ok(StoredList::of_row(interval, (small(2)?, small(3)?), figures, &entries))
}

/// A row of a NIC and [`crate::store::rows::talker_search::searched_columns`].
pub(super) fn searched<'a>(row: &'a Row<'_>) -> rusqlite::Result<SearchedRow<'a>> {
    let small = |at| row.get::<_, i64>(at).map(|it| u8::try_from(it).unwrap_or(u8::MAX));
    let mut totals = [0; TOTALS];
    for (at, figure) in (5..).zip(&mut totals) {
        *figure = number(row, at)?;
    }
    let mut entries = EntryColumns::default();
    for (at, column) in (5 + TOTALS..).zip(entries.iter_mut().take(SEARCHED)) {
        *column = row.get_ref(at)?.as_blob_or_null()?;
    }
    let (start_ns, interval_ns) = (WallNs::of_column(row.get(1)?), number(row, 2)?);
    let (kind, direction) = (small(3)?, small(4)?);
    Ok(SearchedRow { start_ns, interval_ns, kind, direction, totals, entries })
}

/// The names of a client's owners.
pub(super) fn owners(
    db: &Connection,
    client: i64,
    owners: impl IntoIterator<Item = OwnerId>,
) -> Result<BTreeMap<OwnerId, TalkerOwner>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT kind, name, process FROM talker_owners WHERE client = ?1 AND owner = ?2",
    )?;
    let mut names = BTreeMap::new();
    for owner in owners {
        let named = select.query_row([client, owner.0], |row| {
            let kind = u8::try_from(row.get::<_, i64>(0)?).unwrap_or(u8::MAX);
            Ok(TalkerOwner { kind, name: row.get(1)?, process: row.get(2)? })
        });
        if let Some(named) = named.optional()? {
            names.insert(owner, named);
        }
    }
    Ok(names)
}
