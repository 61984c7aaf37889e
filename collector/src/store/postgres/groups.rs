//! Reads the traffic of groups of clients.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::frame::flags;

use super::error::Failure;
use super::known_days::open;
use super::resolution::rollup;
use super::session::time;
use super::tags::interval;
use super::values::{point, sum};
use crate::store::port::error::StoreError;
use crate::store::rows::groups::{
    CHANGES_MAX, DayFigures, GroupMember, GroupRow, Groups, GroupsFound, GroupsRange, Window,
    windows,
};
use crate::store::rows::series::Resolution;
use crate::store::rows::tags::TagInterval;

pub(super) async fn groups(db: &Client, range: &GroupsRange) -> Result<GroupsFound, Failure> {
    let clients = db.query_typed("SELECT id, client_id FROM clients ORDER BY id", &[]).await?;
    let client = |row: &Row| Ok((row.try_get::<_, i32>(0)?.into(), row.try_get(1)?));
    let clients: Result<Vec<(i64, String)>, tokio_postgres::Error> =
        clients.iter().map(client).collect();
    let clients = clients?;
    let groups = Groups::of(range, &clients, &tags(db, range).await?);
    let mut groups = groups.map_err(StoreError::from)?;
    if groups.are_too_many() {
        add_rates(db, &mut groups).await?;
        groups = groups.fold();
    }
    if range.resolution() == Resolution::FiveMinutes {
        days(db, &mut groups).await?;
        let members = groups.rows_to_read();
        rows(db, &members, Resolution::FiveMinutes, |row| groups.add(&row)).await?;
    } else {
        let members = groups.members.clone();
        rows(db, &members, Resolution::Minute, |row| groups.add(&row)).await?;
        add_rates(db, &mut groups).await?;
    }
    Ok(groups.finish())
}

/// Adds what NICs carried in 5-minute intervals.
async fn add_rates(db: &Client, groups: &mut Groups) -> Result<(), Failure> {
    days(db, groups).await?;
    let members = groups.rows_to_read();
    rows(db, &members, Resolution::FiveMinutes, |row| groups.add_rate(&row)).await
}

/// Adds the packed days, and notes those that are to be packed.
async fn days(db: &Client, groups: &mut Groups) -> Result<(), Failure> {
    groups.unpacked().set_open(open(db).await?);
    let days = groups.days();
    let (first, end) = (i64::from(days.start), i64::from(days.end));
    for wanted in [DayFigures::None, DayFigures::Intervals, DayFigures::Totals] {
        let figures = match wanted {
            DayFigures::None => "NULL::bytea",
            DayFigures::Intervals => "figures",
            DayFigures::Totals => "totals",
        };
        let clients = groups.clients().into_iter().filter(|it| groups.wanted(*it) == wanted);
        let clients: Vec<i32> = clients.map(number_of).collect();
        if clients.is_empty() {
            continue;
        }
        let select = format!(
            "SELECT client, day, rates, {figures} FROM client_days
             WHERE client = ANY ($1) AND day >= $2 AND day < $3
                 AND day >= (SELECT ceil(extract(epoch FROM rollup_5m_from) / 86400) FROM retention)"
        );
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&clients, Type::INT4_ARRAY), (&first, Type::INT8), (&end, Type::INT8)];
        let mut rows = std::pin::pin!(db.query_typed_raw(&select, params).await?);
        while let Some(row) = rows.try_next().await? {
            let (client, day) = (row.try_get::<_, i32>(0)?.into(), day(&row, 1)?);
            match row.try_get(2)? {
                Some(rates) => groups.add_day(client, day, rates, row.try_get(3)?),
                None => groups.unpacked().note(client, day),
            }
        }
    }
    Ok(())
}

/// The number of a row's day.
pub(super) fn day(row: &Row, at: usize) -> Result<u32, Failure> {
    Ok(row.try_get::<_, i32>(at)?.unsigned_abs())
}

fn number_of(client: i64) -> i32 {
    i32::try_from(client).unwrap_or(i32::MAX)
}

/// The intervals of the tags that matter, of the clients that matter: these may be few of a large fleet.
async fn tags(db: &Client, range: &GroupsRange) -> Result<Vec<(i64, TagInterval)>, Failure> {
    let within = "valid_from < $2 AND (valid_to IS NULL OR valid_to > $3)";
    let (keys, to, from) = (range.keys(), time(range.to_ns), time(range.from_ns));
    let wanted = range.having.iter().flat_map(|it| [it.key().to_string(), it.value().to_string()]);
    let wanted: Vec<String> = wanted.chain(range.client.clone()).collect();
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&keys, Type::TEXT_ARRAY), (&to, Type::TIMESTAMPTZ), (&from, Type::TIMESTAMPTZ)];
    let mut having: Vec<String> = Vec::new();
    for _ in &range.having {
        let (key, value) = (params.len() + 1, params.len() + 2);
        having.push(format!(
            " AND client IN (SELECT client FROM tag_intervals
                  WHERE key = ${key} AND value = ${value} AND {within})"
        ));
        params.extend(wanted.iter().skip(key - 4).take(2).map(|it| (it as _, Type::TEXT)));
    }
    if let Some(client) = wanted.last().filter(|_| range.client.is_some()) {
        params.push((client, Type::TEXT));
        let at = params.len();
        having.push(format!(" AND client = (SELECT id FROM clients WHERE client_id = ${at})"));
    }
    let select = format!(
        "SELECT key, value, source, valid_from, valid_to, client FROM tag_intervals
         WHERE key = ANY ($1) AND {within}{} LIMIT {CHANGES_MAX} + 1",
        having.concat()
    );
    let mut tags = Vec::new();
    for row in db.query_typed(&select, &params).await? {
        tags.push((row.try_get::<_, i32>(5)?.into(), interval(&row)?));
    }
    Ok(tags)
}

/// Sums over a rollup `b` as [`point`] reads them, after the time. Groups need no flags.
pub(super) fn sums(length: &str) -> String {
    format!(
        "max(b.{length}), {}, {}, {}, max(b.rx_peak_1ms_bytes), max(b.rx_peak_10ms_bytes), {}, {}, {},
         max(b.tx_peak_1ms_bytes), max(b.tx_peak_10ms_bytes), {}, 0",
        sum("b.rx_bytes"),
        sum("b.rx_packets"),
        sum("b.rx_captured"),
        sum("b.tx_bytes"),
        sum("b.tx_packets"),
        sum("b.tx_captured"),
        sum("b.drops"),
    )
}

/// Passes on the sums of a rollup's rows while members were in their groups, in any order.
async fn rows(
    db: &Client,
    members: &[GroupMember],
    resolution: Resolution,
    mut each: impl FnMut(GroupRow),
) -> Result<(), Failure> {
    let Some(table) = rollup(resolution) else { return Ok(()) };
    let select = format!(
        "SELECT b.time, {}, m.place FROM {table} b
         JOIN unnest($1, $2, $3, $4) AS m (client, valid_from, valid_to, place)
             ON b.client = m.client AND b.time >= m.valid_from AND b.time < m.valid_to
         WHERE b.time >= $5 AND b.time < $6 AND b.flags & $7 = 0 GROUP BY m.place, b.time",
        sums("covered_ns")
    );
    for Window { from_ns, to_ns, members } in windows(members) {
        let clients: Vec<i32> = members.iter().map(|it| number_of(it.client)).collect();
        let from: Vec<SystemTime> = members.iter().map(|it| time(it.from_ns)).collect();
        let to: Vec<SystemTime> = members.iter().map(|it| time(it.to_ns)).collect();
        let place = |it: &GroupMember| i32::try_from(it.group).unwrap_or(i32::MAX);
        let places: Vec<i32> = members.iter().map(place).collect();
        let range = [from_ns, to_ns].map(time);
        let stacked = flags::STACKED.cast_signed();
        let params: [(&(dyn ToSql + Sync), Type); 7] = [
            (&clients, Type::INT4_ARRAY),
            (&from, Type::TIMESTAMPTZ_ARRAY),
            (&to, Type::TIMESTAMPTZ_ARRAY),
            (&places, Type::INT4_ARRAY),
            (&range[0], Type::TIMESTAMPTZ),
            (&range[1], Type::TIMESTAMPTZ),
            (&stacked, Type::INT4),
        ];
        let mut rows = std::pin::pin!(db.query_typed_raw(&select, params).await?);
        while let Some(row) = rows.try_next().await? {
            let group = usize::try_from(row.try_get::<_, i32>(14)?).unwrap_or_default();
            each(GroupRow { group, point: point(&row)? });
        }
    }
    Ok(())
}
