//! Reads the traffic of groups of clients.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use wire::frame::flags;

use super::error::Failure;
use super::number::{bounded, number};
use super::query::{point, table};
use super::tags::interval;
use crate::store::port::error::StoreError;
use crate::store::rows::groups::{CHANGES_MAX, Group, GroupMember, GroupRow, Groups, GroupsRange};
use crate::store::rows::series::Resolution;
use crate::store::rows::tags::TagInterval;

pub(super) fn groups(db: &mut Connection, range: &GroupsRange) -> Result<Vec<Group>, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    let clients = transaction
        .prepare_cached("SELECT id, client_id FROM clients ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let groups = Groups::of(range, &clients, &tags(&transaction, range)?);
    let mut groups = groups.map_err(StoreError::from)?;
    if let Some(count) = groups.too_many() {
        let bytes = bytes(&transaction, &json(&groups.members), count)?;
        groups = groups.fold(&bytes);
    }
    let members = json(&groups.members);
    let resolution = range.resolution();
    rows(&transaction, &groups, &members, resolution)?.for_each(|row| groups.push(row));
    if resolution != Resolution::FiveMinutes {
        rows(&transaction, &groups, &members, Resolution::FiveMinutes)?
            .for_each(|GroupRow { group, point }| groups.push_five_minutes(group, &point));
    }
    Ok(groups.finish())
}

/// The intervals of the tags that matter, with the client's number.
fn tags(db: &Connection, range: &GroupsRange) -> rusqlite::Result<Vec<(i64, TagInterval)>> {
    let keys = range.keys();
    let places = vec!["?"; keys.len()].join(", ");
    let mut select = db.prepare_cached(&format!(
        "SELECT key, value, source, valid_from, valid_to, client FROM tag_intervals
         WHERE key IN ({places}) AND valid_from < ? AND coalesce(valid_to, ?) > ? LIMIT {CHANGES_MAX} + 1"
    ))?;
    let (from, to) = (bounded(range.from_ns.get()), bounded(range.to_ns.get()));
    let times = [to, i64::MAX, from].map(Value::from);
    let values = keys.into_iter().map(Value::from).chain(times);
    select.query_map(params_from_iter(values), |row| Ok((row.get(5)?, interval(row)?)))?.collect()
}

/// Members as a table: client, from, to, group.
fn json(members: &[GroupMember]) -> String {
    let row = |GroupMember { client, from_ns, to_ns, group }: &GroupMember| {
        format!("[{client},{},{},{group}]", bounded(from_ns.get()), bounded(to_ns.get()))
    };
    format!("[{}]", members.iter().map(row).collect::<Vec<_>>().join(","))
}

/// The bytes of each of `count` groups over all their time.
fn bytes(db: &Connection, members: &str, count: usize) -> Result<Vec<u64>, Failure> {
    let select =
        format!("{MEMBERS} SELECT m.place, b.rx_bytes, b.tx_bytes {}", of_members("bandwidth_5m"));
    let mut select = db.prepare_cached(&select)?;
    let mut sums = vec![0_u64; count];
    let mut rows = select.query(params![members, flags::STACKED])?;
    while let Some(row) = rows.next()? {
        if let Some(sum) = sums.get_mut(row.get::<_, u32>(0)? as usize) {
            *sum = sum.saturating_add(number(row, 1)?).saturating_add(number(row, 2)?);
        }
    }
    Ok(sums)
}

/// The members as a table.
const MEMBERS: &str = "WITH members AS MATERIALIZED (
     SELECT value ->> 0 AS client, value ->> 1 AS valid_from, value ->> 2 AS valid_to,
         value ->> 3 AS place FROM json_each(?1))";

/// The rows of a rollup while members were in their groups. NIC by NIC, because the index starts with
/// client, NIC and time.
fn of_members(table: &str) -> String {
    format!(
        "FROM members m
         CROSS JOIN nics n ON n.client = m.client
         CROSS JOIN {table} b ON b.client = m.client AND b.nic = n.id
             AND b.time >= m.valid_from AND b.time < m.valid_to
         WHERE b.flags & ?2 = 0"
    )
}

/// The sums of each group and interval, by group and time. SQLite joins and filters. Adding up
/// happens here, because `GROUP BY` would sort all rows first.
fn rows(
    db: &Connection,
    groups: &Groups,
    members: &str,
    resolution: Resolution,
) -> Result<impl Iterator<Item = GroupRow> + use<>, Failure> {
    let (table, length) = table(resolution);
    let mut select = db.prepare_cached(&format!(
        "{MEMBERS} SELECT b.time, b.{length}, b.rx_bytes, b.rx_packets, b.rx_captured,
             b.rx_peak_1ms_bytes, b.rx_peak_10ms_bytes, b.tx_bytes, b.tx_packets, b.tx_captured,
             b.tx_peak_1ms_bytes, b.tx_peak_10ms_bytes, b.drops, 0, m.place {}",
        of_members(table)
    ))?;
    let mut sums = groups.unordered_sums();
    let mut rows = select.query(params![members, flags::STACKED])?;
    while let Some(row) = rows.next()? {
        sums.add(&GroupRow { group: row.get::<_, u32>(14)? as usize, point: point(row)? });
    }
    Ok(sums.rows())
}
