//! Packs samples that have got old, a stretch in each transaction.

use std::collections::BTreeSet;
use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;

use super::stretch::{self, PackedRow};
use super::unpacked::LOCK;
use crate::store::postgres::citus;
use crate::store::postgres::connect::BEGIN;
use crate::store::postgres::database::Postgres;
use crate::store::postgres::error::Failure;
use crate::store::postgres::partition::{Partition, Table};
use crate::store::postgres::session::{time, time_ns};
use crate::store::postgres::tables::nics::NicIds;
use crate::store::postgres::values::point;
use crate::store::rows::export;
use crate::store::rows::packed::stretches::{HOUR, hour_of, join, stretches, sums_of};
use crate::store::rows::proof::Sums;
use crate::store::rows::series::Point;
use crate::time::now_ns;

/// Most samples of a stretch: half an hour at two a second. A row with its indexes and the last of its chunks
/// (TOAST) takes 2 to 3 KB besides the samples, so shorter ones take more room; but reading one sample in SQL takes
/// as long as its stretch.
const STRETCH_ROWS: usize = 3600;

/// How often a stretch is packed again after a lost race.
const RACES_MAX: u32 = 3;

/// The NICs with samples before a time that are not packed. None on Citus, whose nodes can't unpack.
pub async fn nics_to_pack(db: &Client, until: SystemTime) -> Result<Vec<NicIds>, Failure> {
    if citus::is_there(db).await? {
        return Ok(Vec::new());
    }
    let select = "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM hot_samples hot
                      WHERE hot.client = nics.client AND hot.nic = nics.id AND hot.time < $1)";
    let rows = db.query_typed(select, &[(&until, Type::TIMESTAMPTZ)]).await?;
    rows.iter().map(|row| Ok(NicIds { client: row.try_get(0)?, nic: row.try_get(1)? })).collect()
}

/// Packs the oldest samples of a NIC. Returns their number, `None` if none were.
pub async fn pack_some(
    database: &Postgres,
    nic: NicIds,
    until: SystemTime,
) -> Result<Option<u64>, Failure> {
    let oldest = database.lease(async |db| oldest(db, nic, until).await).await?;
    let Some(oldest) = oldest else { return Ok(None) };
    let partition = Partition::of(Table::Packed, time_ns(oldest));
    if partition.is_worth_making(now_ns()) {
        database.make_partitions(BTreeSet::from([partition])).await?;
    }
    let mut races = 0;
    loop {
        match database.lease(async |db| pack_stretch(db, nic, until).await).await {
            // Another collector packed some between the snapshot and the lock, or a client is purged.
            Err(Failure::Raced(_)) if races < RACES_MAX => races += 1,
            packed => return packed,
        }
    }
}

/// Start of a NIC's oldest sample that is not packed.
async fn oldest(
    db: &Client,
    nic: NicIds,
    until: SystemTime,
) -> Result<Option<SystemTime>, Failure> {
    let select = "SELECT time FROM hot_samples WHERE client = $1 AND nic = $2 AND time < $3
                  ORDER BY time LIMIT 1";
    let row = db.query_typed_opt(select, &[&key(&nic)[..], &[at(&until)]].concat()).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Packs up to [`STRETCH_ROWS`] samples within an hour, proves that what is packed is the same, and deletes them,
/// all in one transaction: samples that come meanwhile are not in its snapshot and stay.
///
/// Samples that come late join the stretch in which they lie, or the one before them if it has room.
async fn pack_stretch(db: &Client, nic: NicIds, until: SystemTime) -> Result<Option<u64>, Failure> {
    // A server that crashes may lose this exchange, which loses nothing: the rows are there again.
    let begin =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = off";
    db.batch_execute(&format!("{BEGIN}; {begin}")).await?;
    let lock = format!("SELECT pg_try_advisory_xact_lock({LOCK})");
    let alone = db.query_typed_one(&lock, &[]).await?.try_get(0)?;
    let first = if alone { oldest(db, nic, until).await? } else { None };
    let Some(first) = first else {
        db.batch_execute("COMMIT").await?;
        return Ok(None);
    };
    let hour = hour_of(time_ns(first).to_column());
    let hour = [hour, hour.saturating_add(HOUR)].map(|it| time(WallNs::of_column(it)));
    let (before, next) = neighbours(db, nic, first, hour).await?;
    let to = next.unwrap_or(hour[1]).min(hour[1]).min(until);
    let to = end(db, nic, [first, to]).await?.unwrap_or(to);
    let sums = sums(db, nic, [first, to]).await?;
    let mut rows = take(db, nic, [first, to]).await?;
    let differs = || Failure::failed("packed samples differ from what was packed");
    if sums != sums_of(&rows) {
        return Err(differs());
    }
    let (samples, _) = sums;
    let from = time_ns(first).to_column();
    let joined = before
        .filter(|it| join(it.sums(), it.sums().last_ns.to_column(), from, samples, STRETCH_ROWS));
    if let Some(stretch) = joined {
        rows.splice(..0, stretch.rows()?);
        stretch.delete(db, nic).await?;
    }
    for packed in stretches(rows, STRETCH_ROWS).ok_or_else(differs)? {
        stretch::insert(db, nic, &packed).await?;
    }
    db.batch_execute("COMMIT").await?;
    Ok(Some(samples))
}

/// Within an hour, the last stretch that starts until `first`, and the start of the next one.
async fn neighbours(
    db: &Client,
    nic: NicIds,
    first: SystemTime,
    [from, to]: [SystemTime; 2],
) -> Result<(Option<PackedRow>, Option<SystemTime>), Failure> {
    let params = [&key(&nic)[..], &[at(&from), at(&to), at(&first)]].concat();
    let last = format!(
        "SELECT {} FROM packed_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
             AND first <= $5 ORDER BY first DESC, time DESC LIMIT 1",
        stretch::COLUMNS
    );
    let before = db.query_typed_opt(&last, &params).await?;
    let before = before.map(|row| PackedRow::read(&row)).transpose()?;
    let next = "SELECT min(first) FROM packed_samples WHERE client = $1 AND nic = $2 AND time >= $3
                    AND time < $4 AND first > $5";
    Ok((before, db.query_typed_one(next, &params).await?.try_get(0)?))
}

/// The end of the first samples of a range, if there are more: those that start at the same time stay together.
async fn end(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Option<SystemTime>, Failure> {
    let select = format!(
        "SELECT time + interval '1 microsecond' FROM hot_samples
         WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         ORDER BY time OFFSET {} LIMIT 1",
        STRETCH_ROWS - 1
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    Ok(db.query_typed_opt(&select, &params).await?.map(|row| row.try_get(0)).transpose()?)
}

/// Number and sums of the samples of a range.
async fn sums(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<(u64, Sums), Failure> {
    let select =
        "SELECT count(*), coalesce(sum(rx_bytes), 0)::text, coalesce(sum(tx_bytes), 0)::text,
             coalesce(sum(rx_packets), 0)::text, coalesce(sum(tx_packets), 0)::text
         FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4";
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let row = db.query_typed_one(select, &params).await?;
    let count: i64 = row.try_get(0)?;
    let sum = |at| {
        let text: &str = row.try_get(at)?;
        text.parse().map_err(|_| Failure::failed(format!("{text:?} is no sum of samples")))
    };
    Ok((count.unsigned_abs(), Sums::from_array([sum(1)?, sum(2)?, sum(3)?, sum(4)?])))
}

/// Deletes the samples of a range and returns them, by start.
async fn take(
    db: &Client,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Vec<Point>, Failure> {
    let delete = format!(
        "DELETE FROM hot_samples WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         RETURNING {}",
        export::columns(false)
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let rows = db.query_typed(&delete, &params).await?;
    let mut rows: Vec<Point> = rows.iter().map(|row: &Row| point(row)).collect::<Result<_, _>>()?;
    rows.sort_by_key(|row| row.start_ns);
    Ok(rows)
}

fn key(nic: &NicIds) -> [(&(dyn ToSql + Sync), Type); 2] {
    [(&nic.client, Type::INT4), (&nic.nic, Type::INT4)]
}

fn at(time: &SystemTime) -> (&(dyn ToSql + Sync), Type) {
    (time, Type::TIMESTAMPTZ)
}
