//! Reads the traffic of groups of clients.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::frame::flags;

use super::error::Failure;
use super::key::table;
use super::session::time;
use super::tags::interval;
use super::values::{number, point, sum};
use crate::store::port::error::StoreError;
use crate::store::rows::groups::{CHANGES_MAX, Group, GroupMember, GroupRow, Groups, GroupsRange};
use crate::store::rows::series::Resolution;
use crate::store::rows::tags::TagInterval;

pub(super) async fn groups(db: &Client, range: &GroupsRange) -> Result<Vec<Group>, Failure> {
    let clients = db.query_typed("SELECT id, client_id FROM clients ORDER BY id", &[]).await?;
    let client = |row: &Row| Ok((row.try_get::<_, i32>(0)?.into(), row.try_get(1)?));
    let clients: Result<Vec<(i64, String)>, tokio_postgres::Error> =
        clients.iter().map(client).collect();
    let clients = clients?;
    let groups = Groups::of(range, &clients, &tags(db, range).await?);
    let mut groups = groups.map_err(StoreError::from)?;
    if let Some(count) = groups.too_many() {
        let bytes = MemberRows::of(range, &groups.members).bytes(db, count).await?;
        groups = groups.fold(&bytes);
    }
    let members = MemberRows::of(range, &groups.members);
    let resolution = range.resolution();
    members.rows(db, resolution, |row| groups.push(row)).await?;
    if resolution != Resolution::FiveMinutes {
        let push = |GroupRow { group, point }| groups.push_five_minutes(group, &point);
        members.rows(db, Resolution::FiveMinutes, push).await?;
    }
    Ok(groups.finish())
}

/// The intervals of the tags that matter, with the client's number.
async fn tags(db: &Client, range: &GroupsRange) -> Result<Vec<(i64, TagInterval)>, Failure> {
    let select = format!(
        "SELECT key, value, source, valid_from, valid_to, client FROM tag_intervals
         WHERE key = ANY ($1) AND valid_from < $2 AND (valid_to IS NULL OR valid_to > $3)
         LIMIT {CHANGES_MAX} + 1"
    );
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&range.keys(), Type::TEXT_ARRAY),
        (&time(range.to_ns), Type::TIMESTAMPTZ),
        (&time(range.from_ns), Type::TIMESTAMPTZ),
    ];
    let mut tags = Vec::new();
    for row in db.query_typed(&select, &params).await? {
        tags.push((row.try_get::<_, i32>(5)?.into(), interval(&row)?));
    }
    Ok(tags)
}

/// Members as a table, by column, and what else selects their rows.
#[derive(Debug)]
struct MemberRows {
    clients: Vec<i32>,
    from: Vec<SystemTime>,
    to: Vec<SystemTime>,
    places: Vec<i32>,
    range: [SystemTime; 2],
    stacked: i32,
}

/// The rows `b` of a rollup while members `m` were in their groups.
fn of_members(table: &str) -> String {
    format!(
        "FROM {table} b
         JOIN unnest($1, $2, $3, $4) AS m (client, valid_from, valid_to, place)
             ON b.client = m.client AND b.time >= m.valid_from AND b.time < m.valid_to
         WHERE b.time >= $5 AND b.time < $6 AND b.flags & $7 = 0"
    )
}

impl MemberRows {
    fn of(range: &GroupsRange, members: &[GroupMember]) -> Self {
        let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        let place = |place: usize| i32::try_from(place).unwrap_or(i32::MAX);
        Self {
            clients: members.iter().map(|it| number(it.client)).collect(),
            from: members.iter().map(|it| time(it.from_ns)).collect(),
            to: members.iter().map(|it| time(it.to_ns)).collect(),
            places: members.iter().map(|it| place(it.group)).collect(),
            range: [time(range.from_ns), time(range.to_ns)],
            stacked: flags::STACKED.cast_signed(),
        }
    }

    fn params(&self) -> [(&(dyn ToSql + Sync), Type); 7] {
        [
            (&self.clients, Type::INT4_ARRAY),
            (&self.from, Type::TIMESTAMPTZ_ARRAY),
            (&self.to, Type::TIMESTAMPTZ_ARRAY),
            (&self.places, Type::INT4_ARRAY),
            (&self.range[0], Type::TIMESTAMPTZ),
            (&self.range[1], Type::TIMESTAMPTZ),
            (&self.stacked, Type::INT4),
        ]
    }

    /// The bytes of each of `count` groups over all their time.
    async fn bytes(&self, db: &Client, count: usize) -> Result<Vec<u64>, Failure> {
        let select = format!(
            "SELECT m.place, {}, {} {} GROUP BY m.place",
            sum("b.rx_bytes"),
            sum("b.tx_bytes"),
            of_members("bandwidth_5m")
        );
        let mut sums = vec![0_u64; count];
        for row in db.query_typed(&select, &self.params()).await? {
            let place = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default();
            if let Some(sum) = sums.get_mut(place) {
                *sum = number(&row, 1)?.saturating_add(number(&row, 2)?);
            }
        }
        Ok(sums)
    }

    /// The sums of each group and interval, by group and time.
    async fn rows(
        &self,
        db: &Client,
        resolution: Resolution,
        mut each: impl FnMut(GroupRow),
    ) -> Result<(), Failure> {
        let (table, length) = table(resolution);
        let select = format!(
            "SELECT b.time, max(b.{length}), {}, {}, {}, max(b.rx_peak_1ms_bytes),
                 max(b.rx_peak_10ms_bytes), {}, {}, {}, max(b.tx_peak_1ms_bytes),
                 max(b.tx_peak_10ms_bytes), {}, 0, m.place {}
             GROUP BY m.place, b.time ORDER BY m.place, b.time",
            sum("b.rx_bytes"),
            sum("b.rx_packets"),
            sum("b.rx_captured"),
            sum("b.tx_bytes"),
            sum("b.tx_packets"),
            sum("b.tx_captured"),
            sum("b.drops"),
            of_members(table)
        );
        let mut rows = std::pin::pin!(db.query_typed_raw(&select, self.params()).await?);
        while let Some(row) = rows.try_next().await? {
            let group = usize::try_from(row.try_get::<_, i32>(14)?).unwrap_or_default();
            each(GroupRow { group, point: point(&row)? });
        }
        Ok(())
    }
}
