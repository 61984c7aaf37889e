//! Reads what accounts are metered from.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use wire::frame::{Gap, flags};
use wire::tag::Tag;
use wire::{Bytes, Packets, WallNs};

use super::error::Failure;
use super::session::time;
use super::store::PostgresStore;
use super::values::{instant, number};
use crate::store::port::accounts::Metering;
use crate::store::port::error::StoreError;
use crate::store::rows::accounts::{
    CountedGap, KnownNic, LinkTurn, MeterRow, NicBefore, NicHistory, TagStay, Volume,
};
use crate::store::rows::nics::NicId;
use crate::store::rows::rollups::FIVE_MINUTES_NS;

/// Statements on their way at the same time: each is of one client, which Citus keeps on one node.
const PIPELINED: usize = 16;

#[async_trait]
impl Metering for PostgresStore {
    async fn known_nics(&self, clients: &[String]) -> Result<Vec<KnownNic>, StoreError> {
        self.lease(async |db| known_nics(db, clients).await).await
    }

    async fn tag_stays(
        &self,
        tag: &Tag,
        range: (WallNs, WallNs),
    ) -> Result<Vec<TagStay>, StoreError> {
        self.lease(async |db| tag_stays(db, tag, range).await).await
    }

    async fn nic_histories(
        &self,
        nics: &[KnownNic],
        range: (WallNs, WallNs),
    ) -> Result<Vec<NicHistory>, StoreError> {
        self.lease(async |db| histories(db, nics, range).await).await
    }

    async fn nics_before(
        &self,
        nics: &[KnownNic],
        time_ns: WallNs,
    ) -> Result<Vec<NicBefore>, StoreError> {
        self.lease(async |db| nics_before(db, nics, time_ns).await).await
    }

    async fn complete_from(&self) -> Result<WallNs, StoreError> {
        self.lease(async |db| {
            let select = "SELECT rollup_5m_from FROM retention";
            Ok(instant(&db.query_typed_one(select, &[]).await?, 0)?)
        })
        .await
    }
}

async fn known_nics(db: &Client, clients: &[String]) -> Result<Vec<KnownNic>, Failure> {
    let select = "SELECT client_id, name, kind, speed_bits FROM clients
                  JOIN nics ON client = clients.id WHERE client_id = ANY ($1)
                  ORDER BY client_id COLLATE \"C\", name COLLATE \"C\"";
    let rows = db.query_typed(select, &[(&clients, Type::TEXT_ARRAY)]).await?;
    let nic = |row: &Row| {
        let (client, nic, kind) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok::<_, Error>(KnownNic { client, nic, kind, speed_bits: number(row, 3)? })
    };
    Ok(rows.iter().map(nic).collect::<Result<_, _>>()?)
}

async fn tag_stays(
    db: &Client,
    tag: &Tag,
    (from_ns, to_ns): (WallNs, WallNs),
) -> Result<Vec<TagStay>, Failure> {
    let select = "SELECT client_id, greatest(valid_from, $3), least(valid_to, $4)
                  FROM tag_intervals JOIN clients ON clients.id = client
                  WHERE key = $1 AND value = $2 AND valid_from < $4 AND coalesce(valid_to, $4) > $3
                  ORDER BY client_id COLLATE \"C\", valid_from";
    let (key, value, from, to) = (tag.key().as_str(), tag.value(), time(from_ns), time(to_ns));
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&key, Type::TEXT),
        (&value, Type::TEXT),
        (&from, Type::TIMESTAMPTZ),
        (&to, Type::TIMESTAMPTZ),
    ];
    let rows = db.query_typed(select, &params).await?;
    let stay = |row: &Row| {
        let (from_ns, to_ns) = (instant(row, 1)?, instant(row, 2)?);
        Ok::<_, Error>(TagStay { client: row.try_get(0)?, from_ns, to_ns })
    };
    Ok(rows.iter().map(stay).collect::<Result<_, _>>()?)
}

/// NICs as a table, by column: their numbers, and their places in the answer.
#[derive(Debug, Default)]
struct NicRows {
    clients: Vec<i32>,
    nics: Vec<NicId>,
    places: Vec<i32>,
}

impl NicRows {
    async fn of(db: &Client, nics: &[KnownNic]) -> Result<Self, Failure> {
        let select = "SELECT clients.id, nics.id, client_id, name FROM clients
                      JOIN nics ON nics.client = clients.id WHERE client_id = ANY ($1)";
        let places: HashMap<(&str, &str), usize> =
            (0..).zip(nics).map(|(at, nic)| ((&*nic.client, &*nic.nic), at)).collect();
        let clients: BTreeSet<&str> = nics.iter().map(|nic| &*nic.client).collect();
        let clients: Vec<&str> = clients.into_iter().collect();
        let mut rows = Self::default();
        for row in db.query_typed(select, &[(&clients, Type::TEXT_ARRAY)]).await? {
            if let Some(at) = places.get(&(row.try_get(2)?, row.try_get(3)?)) {
                rows.clients.push(row.try_get(0)?);
                rows.nics.push(row.try_get(1)?);
                rows.places.push(i32::try_from(*at).unwrap_or(i32::MAX));
            }
        }
        Ok(rows)
    }

    fn params(&self) -> [(&(dyn ToSql + Sync), Type); 3] {
        [
            (&self.clients, Type::INT4_ARRAY),
            (&self.nics, Type::INT4_ARRAY),
            (&self.places, Type::INT4_ARRAY),
        ]
    }
}

async fn nics_before(
    db: &Client,
    nics: &[KnownNic],
    time_ns: WallNs,
) -> Result<Vec<NicBefore>, Failure> {
    let rows = NicRows::of(db, nics).await?;
    let select =
        "SELECT EXISTS (SELECT 1 FROM bandwidth_5m WHERE client = $1 AND nic = $2 AND time < $3),
                      coalesce((SELECT NOT up FROM link_changes WHERE client = $1 AND nic = $2
                                    AND time < $3 ORDER BY time DESC LIMIT 1), false)";
    let at = time(time_ns);
    let one = async |((client, nic), place): ((&i32, &NicId), &i32)| {
        let key: [(&(dyn ToSql + Sync), Type); 3] =
            [(client, Type::INT4), (nic, Type::INT4), (&at, Type::TIMESTAMPTZ)];
        let row = db.query_typed_one(select, &key).await?;
        Ok::<_, Failure>((*place, NicBefore { measured: row.try_get(0)?, down: row.try_get(1)? }))
    };
    let keys = rows.clients.iter().zip(&rows.nics).zip(&rows.places);
    let mut found = std::pin::pin!(stream::iter(keys.map(one)).buffer_unordered(PIPELINED));
    let mut all = vec![NicBefore::default(); nics.len()];
    while let Some((place, before)) = found.try_next().await? {
        if let Some(it) = usize::try_from(place).ok().and_then(|at| all.get_mut(at)) {
            *it = before;
        }
    }
    Ok(all)
}

/// Each statement has a snapshot of its own: what is committed meanwhile may be in some only, until the
/// next reading.
async fn histories(
    db: &Client,
    nics: &[KnownNic],
    (from_ns, to_ns): (WallNs, WallNs),
) -> Result<Vec<NicHistory>, Failure> {
    let keys = NicRows::of(db, nics).await?;
    let mut all = vec![NicHistory::default(); nics.len()];
    let [before, from, to] = [from_ns.saturating_sub(FIVE_MINUTES_NS), from_ns, to_ns].map(time);
    let select = "SELECT k.place, b.time, covered_ns, rx_bytes, rx_packets, tx_bytes, tx_packets, drops, flags
                  FROM bandwidth_5m b
                  JOIN unnest($1, $2, $3) AS k (client, nic, place)
                      ON b.client = k.client AND b.nic = k.nic
                  WHERE b.time >= $4 AND b.time < $5 ORDER BY k.place, b.time";
    each(db, select, &keys, [&before, &to], &mut all, |it, row| {
        it.rows.push(MeterRow {
            start_ns: instant(row, 1)?,
            covered_ns: number(row, 2)?,
            rx: volume(row, 3)?,
            tx: volume(row, 5)?,
            drops: Packets(number(row, 7)?),
            stacked: row.try_get::<_, i32>(8)?.cast_unsigned() & flags::STACKED != 0,
        });
        Ok(())
    })
    .await?;
    let select = format!(
        "SELECT k.place, g.time, interval_ns, rx_bytes, rx_packets, tx_bytes, tx_packets
         FROM gaps g JOIN sessions s ON s.session = g.session
         JOIN unnest($1, $2, $3) AS k (client, nic, place)
             ON s.client = k.client AND g.nic = k.nic
         WHERE g.time < $5 AND g.time + interval_ns / 1000 * interval '1 microsecond' > $4
             AND reason <> {} ORDER BY k.place, g.time",
        Gap::Unmeasured as u8
    );
    each(db, &select, &keys, [&from, &to], &mut all, |it, row| {
        let (start_ns, interval_ns) = (instant(row, 1)?, number(row, 2)?);
        let (rx, tx) = (volume(row, 3)?, volume(row, 5)?);
        it.gaps.push(CountedGap { start_ns, interval_ns, rx, tx });
        Ok(())
    })
    .await?;
    let select = "SELECT k.place, l.time, up FROM link_changes l
                  JOIN unnest($1, $2, $3) AS k (client, nic, place)
                      ON l.client = k.client AND l.nic = k.nic
                  WHERE l.time >= $4 AND l.time < $5 ORDER BY k.place, l.time";
    each(db, select, &keys, [&from, &to], &mut all, |it, row| {
        it.links.push(LinkTurn { time_ns: instant(row, 1)?, up: row.try_get(2)? });
        Ok(())
    })
    .await?;
    Ok(all)
}

/// Gives each row of a selection to the history at its place.
async fn each(
    db: &Client,
    select: &str,
    keys: &NicRows,
    times: [&SystemTime; 2],
    all: &mut [NicHistory],
    mut take: impl FnMut(&mut NicHistory, &Row) -> Result<(), Error>,
) -> Result<(), Failure> {
    let times = times.map(|time| (time as &(dyn ToSql + Sync), Type::TIMESTAMPTZ));
    let params = keys.params().into_iter().chain(times);
    let mut rows = std::pin::pin!(db.query_typed_raw(select, params).await?);
    while let Some(row) = rows.try_next().await? {
        let place = usize::try_from(row.try_get::<_, i32>(0)?).ok();
        if let Some(history) = place.and_then(|at| all.get_mut(at)) {
            take(history, &row)?;
        }
    }
    Ok(())
}

fn volume(row: &Row, at: usize) -> Result<Volume, Error> {
    Ok(Volume { bytes: Bytes(number(row, at)?), packets: Packets(number(row, at + 1)?) })
}
