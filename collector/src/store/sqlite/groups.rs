//! Reads the traffic of groups of clients.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use wire::frame::flags;

use super::error::Failure;
use super::known_days::known;
use super::number::bounded;
use super::points::point;
use super::query::{FIVE_MINUTES, MINUTES};
use super::tags::interval;
use crate::store::port::error::StoreError;
use crate::store::rows::client_days::start_of;
use crate::store::rows::groups::{
    CHANGES_MAX, DayFigures, GroupMember, GroupRow, Groups, GroupsFound, GroupsRange,
};
use crate::store::rows::series::Resolution;
use crate::store::rows::tags::TagInterval;

/// Columns of a rollup as [`point`] reads them, after time and measured time. Groups need no flags.
pub(super) const COLUMNS: &str = "b.rx_bytes, b.rx_packets, b.rx_captured, b.rx_peak_1ms_bytes,
     b.rx_peak_10ms_bytes, b.tx_bytes, b.tx_packets, b.tx_captured, b.tx_peak_1ms_bytes,
     b.tx_peak_10ms_bytes, b.drops, 0";

pub(super) fn groups(db: &mut Connection, range: &GroupsRange) -> Result<GroupsFound, Failure> {
    // One snapshot for everything.
    let transaction = db.transaction()?;
    let clients = transaction
        .prepare_cached("SELECT id, client_id FROM clients ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let groups = Groups::of(range, &clients, &tags(&transaction, range)?);
    let mut groups = groups.map_err(StoreError::from)?;
    if groups.are_too_many() {
        add_rates(&transaction, &mut groups)?;
        groups = groups.fold();
    }
    if range.resolution() == Resolution::FiveMinutes {
        days(&transaction, &mut groups)?;
        let members = groups.rows_to_read();
        rows(&transaction, &members, FIVE_MINUTES, |row| groups.add(&row))?;
    } else {
        let members = groups.members.clone();
        rows(&transaction, &members, MINUTES, |row| groups.add(&row))?;
        add_rates(&transaction, &mut groups)?;
    }
    Ok(groups.finish())
}

/// Adds what NICs carried in 5-minute intervals.
fn add_rates(db: &Connection, groups: &mut Groups) -> Result<(), Failure> {
    days(db, groups)?;
    let members = groups.rows_to_read();
    rows(db, &members, FIVE_MINUTES, |row| groups.add_rate(&row))
}

/// Adds the packed days, and notes those that are to be packed.
fn days(db: &Connection, groups: &mut Groups) -> Result<(), Failure> {
    groups.unpacked().set_open(known(db)?.open());
    let days = groups.days();
    for client in groups.clients() {
        let figures = match groups.wanted(client) {
            DayFigures::None => "NULL",
            DayFigures::Intervals => "figures",
            DayFigures::Totals => "totals",
        };
        let mut select = db.prepare_cached(&format!(
            "SELECT day, rates, {figures} FROM client_days
             WHERE client = ?1 AND day >= ?2 AND day < ?3
                 AND day * ?4 >= (SELECT rollup_5m_from FROM retention)"
        ))?;
        let key = params![client, days.start, days.end, start_of(1).to_column()];
        let mut rows = select.query(key)?;
        while let Some(row) = rows.next()? {
            let day = row.get(0)?;
            let rates = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            let Some(rates) = rates else {
                groups.unpacked().note(client, day);
                continue;
            };
            let figures = row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            groups.add_day(client, day, rates, figures);
        }
    }
    Ok(())
}

/// The intervals of the tags that matter, of the clients that matter: these may be few of a large fleet.
fn tags(db: &Connection, range: &GroupsRange) -> rusqlite::Result<Vec<(i64, TagInterval)>> {
    let keys = range.keys();
    let places = vec!["?"; keys.len()].join(", ");
    let within = "valid_from < ? AND coalesce(valid_to, ?) > ?";
    let (from, to) = (bounded(range.from_ns.get()), bounded(range.to_ns.get()));
    let times = [to, i64::MAX, from].map(Value::from);
    let mut having: Vec<String> = Vec::new();
    let mut values: Vec<Value> = keys.into_iter().map(Value::from).collect();
    values.extend(times.clone());
    for tag in &range.having {
        having.push(format!(
            " AND client IN (SELECT client FROM tag_intervals WHERE key = ? AND value = ? AND {within})"
        ));
        values.extend([tag.key().to_string(), tag.value().to_string()].map(Value::from));
        values.extend(times.clone());
    }
    if let Some(client) = &range.client {
        having.push(" AND client = (SELECT id FROM clients WHERE client_id = ?)".to_owned());
        values.push(client.clone().into());
    }
    let mut select = db.prepare_cached(&format!(
        "SELECT key, value, source, valid_from, valid_to, client FROM tag_intervals
         WHERE key IN ({places}) AND {within}{} LIMIT {CHANGES_MAX} + 1",
        having.concat()
    ))?;
    select.query_map(params_from_iter(values), |row| Ok((row.get(5)?, interval(row)?)))?.collect()
}

/// Members as a table: client, from, to, group.
fn json(members: &[GroupMember]) -> String {
    let row = |GroupMember { client, from_ns, to_ns, group }: &GroupMember| {
        format!("[{client},{},{},{group}]", bounded(from_ns.get()), bounded(to_ns.get()))
    };
    format!("[{}]", members.iter().map(row).collect::<Vec<_>>().join(","))
}

/// The members as a table.
const MEMBERS: &str = "WITH members AS MATERIALIZED (
     SELECT value ->> 0 AS client, value ->> 1 AS valid_from, value ->> 2 AS valid_to,
         value ->> 3 AS place FROM json_each(?1))";

/// Passes on the rows of a rollup's table while members were in their groups. NIC by NIC, because the index starts
/// with client, NIC and time. SQLite joins and filters. Adding up happens here, because `GROUP BY` would
/// sort all rows first.
fn rows(
    db: &Connection,
    members: &[GroupMember],
    table: &str,
    mut each: impl FnMut(GroupRow),
) -> Result<(), Failure> {
    let mut select = db.prepare_cached(&format!(
        "{MEMBERS} SELECT b.time, b.covered_ns, {COLUMNS}, m.place FROM members m
         CROSS JOIN nics n ON n.client = m.client
         CROSS JOIN {table} b ON b.client = m.client AND b.nic = n.id
             AND b.time >= m.valid_from AND b.time < m.valid_to
         WHERE b.flags & ?2 = 0"
    ))?;
    let mut rows = select.query(params![json(members), flags::STACKED])?;
    while let Some(row) = rows.next()? {
        each(GroupRow { group: row.get::<_, u32>(14)? as usize, point: point(row)? });
    }
    Ok(())
}
