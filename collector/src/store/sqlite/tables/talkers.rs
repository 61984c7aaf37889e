//! `talkers`: one row per list, and `talker_owners`: the owners that the lists refer to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::types::Value;
use rusqlite::{Transaction, params};
use wire::WallNs;
use wire::talkers::Talkers;

use super::nics::{NicIds, ids};
use crate::store::rows::facts::NicIndex;
use crate::store::rows::talker_entries::ENTRIES;
use crate::store::rows::talkers::{LIST, SEEN_NS, StoredList, owners_of};
use crate::store::sqlite::error::Failure;
use crate::store::sqlite::number::int;

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = [&LIST[..], &ENTRIES[..]].concat();
    format!(
        "INSERT INTO talkers (client, nic, time, interval_ns, kind, direction, {})
         VALUES (?, ?, ?, ?, ?, ?, {})",
        columns.join(", "),
        vec!["?"; columns.len()].join(", ")
    )
});

pub fn add(
    transaction: &Transaction<'_>,
    talkers: &[(NicIndex, &Talkers)],
    nics: &[NicIds],
    now: i64,
) -> Result<(), Failure> {
    if talkers.is_empty() {
        return Ok(());
    }
    let mut owners = BTreeMap::new();
    let mut insert = transaction.prepare_cached(&INSERT)?;
    for (nic, record) in talkers {
        let NicIds { client, nic } = ids(nics, *nic)?;
        for (owner, seen_ns, who) in owners_of(record) {
            let known = owners.entry((client, owner)).or_insert((seen_ns, who));
            known.0 = known.0.max(seen_ns);
        }
        for stored in StoredList::both(record) {
            let plain = [client, nic.get(), stored.start_ns.to_column(), int(stored.interval_ns)?];
            let kinds = [stored.kind.into(), i64::from(stored.direction as u8)];
            let mut row: Vec<Value> = plain.into_iter().chain(kinds).map(Value::from).collect();
            for figure in stored.figures() {
                row.push(int(figure)?.into());
            }
            row.extend(stored.entries().map(|column| column.map_or(Value::Null, Value::Blob)));
            insert.execute(rusqlite::params_from_iter(row))?;
        }
    }
    let mut note = transaction.prepare_cached(
        "INSERT INTO talker_owners (client, owner, seen, kind, name, process)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (client, owner) DO UPDATE SET seen = excluded.seen
         WHERE seen < excluded.seen",
    )?;
    let today = WallNs::of_column(now).floor(SEEN_NS);
    for ((client, owner), (seen_ns, who)) in owners {
        let seen = seen_ns.max(today).to_column();
        note.execute(params![client, owner.0, seen, who.kind, who.name, who.process])?;
    }
    Ok(())
}
