//! Rows of talkers and of their owners.

use std::collections::BTreeMap;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use wire::talkers::TalkerOwner;

use crate::store::postgres::error::Failure;
use crate::store::postgres::values::{instant, number};
use crate::store::rows::talker_entries::{EntryColumns, SEARCHED, UnreadableTalkers};
use crate::store::rows::talker_search::{SearchedRow, TOTALS};
use crate::store::rows::talkers::{LIST, OwnerId, StoredList};

/// The list of a row of [`crate::store::rows::talkers::columns`].
pub(super) fn list(row: &Row) -> Result<Result<StoredList, UnreadableTalkers>, Error> {
    let small = |at| row.try_get::<_, i16>(at).map(|it| u8::try_from(it).unwrap_or(u8::MAX));
    let mut figures = [0; LIST.len()];
    for (at, figure) in (4..).zip(&mut figures) {
        *figure = number(row, at)?;
    }
    let mut entries = EntryColumns::default();
    for (at, column) in (4 + LIST.len()..).zip(&mut entries) {
        *column = row.try_get(at)?;
    }
    let interval = (instant(row, 0)?, number(row, 1)?);
    Ok(StoredList::of_row(interval, (small(2)?, small(3)?), figures, &entries))
}

/// A row of a NIC and [`crate::store::rows::talker_search::searched_columns`].
pub(super) fn searched(row: &Row) -> Result<SearchedRow<'_>, Error> {
    let small = |at| row.try_get::<_, i16>(at).map(|it| u8::try_from(it).unwrap_or(u8::MAX));
    let mut totals = [0; TOTALS];
    for (at, figure) in (5..).zip(&mut totals) {
        *figure = number(row, at)?;
    }
    let mut entries = EntryColumns::default();
    for (at, column) in (5 + TOTALS..).zip(entries.iter_mut().take(SEARCHED)) {
        *column = row.try_get(at)?;
    }
    let (start_ns, interval_ns) = (instant(row, 1)?, number(row, 2)?);
    let (kind, direction) = (small(3)?, small(4)?);
    Ok(SearchedRow { start_ns, interval_ns, kind, direction, totals, entries })
}

/// The names of a client's owners.
pub(super) async fn owners(
    db: &Client,
    client: i32,
    owners: &[OwnerId],
) -> Result<BTreeMap<OwnerId, TalkerOwner>, Failure> {
    let numbers: Vec<i64> = owners.iter().map(|owner| owner.0).collect();
    let select = "SELECT owner, kind, name, process FROM talker_owners
                  WHERE client = $1 AND owner = ANY ($2)";
    let keys = [(&client as &(dyn ToSql + Sync), Type::INT4), (&numbers, Type::INT8_ARRAY)];
    let mut names = BTreeMap::new();
    for row in db.query_typed(select, &keys).await? {
        let kind = u8::try_from(row.try_get::<_, i16>(1)?).unwrap_or(u8::MAX);
        let owner = TalkerOwner { kind, name: row.try_get(2)?, process: row.try_get(3)? };
        names.insert(OwnerId(row.try_get(0)?), owner);
    }
    Ok(names)
}
