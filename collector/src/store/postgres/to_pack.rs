//! What is common to samples and mixes that have got old: they are packed a stretch of a NIC in each transaction, and
//! partitions without any left are dropped.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;

use super::citus;
use super::connect::BEGIN;
use super::database::Postgres;
use super::error::Failure;
use super::partition::{self, Partition, Table};
use super::session::{time, time_ns};
use super::tables::nics::NicIds;
use super::unpacked::LOCK;
use super::values::number;
use crate::store::pack::{PackedSome, pack_each};
use crate::store::rows::packed::stretches::{HOUR, hour_of};
use crate::time::now_ns;

/// How often a stretch is packed again after a lost race.
const RACES_MAX: u32 = 3;

/// Shortest range of a transaction, unless it has too many rows: intervals said to be shorter tell nothing.
const RANGE_MIN: Duration = Duration::from_secs(60);

/// Times are whole microseconds in PostgreSQL.
const TICK: Duration = Duration::from_micros(1);

/// Rows that one transaction has packed, and the end of their range.
pub(super) type PackedRows = PackedSome<SystemTime>;

/// A table with a row each, and that of stretches of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packable {
    pub rows: Table,
    pub stretches: Table,
    /// Rows packed in a transaction, by the interval of the first one. Twice as many are too many.
    pub most: u32,
}

/// Rows to be packed in a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToPack {
    pub nic: NicIds,
    /// It begins with the oldest row and lies within an hour.
    pub range: [SystemTime; 2],
    /// Most rows of it.
    pub limit: usize,
}

/// Packs rows before a time, as far as their hour has ended, in short transactions between which commits run.
/// Each is one of `pack_rows`, which gives `None` if they are too many. Returns the number of all.
pub(super) async fn pack(
    database: &Postgres,
    tables: Packable,
    before_ns: WallNs,
    pack_rows: impl AsyncFn(&Client, ToPack) -> Result<Option<PackedRows>, Failure>,
) -> Result<u64, Failure> {
    let until = time(WallNs::of_column(hour_of(before_ns.to_column())));
    let nics = database.lease(async |db| nics_to_pack(db, tables.rows, until).await).await?;
    if nics.is_empty() {
        return Ok(0);
    }
    let pack_some = |nic, from: Option<SystemTime>| {
        let range = [from.unwrap_or(UNIX_EPOCH), until];
        pack_some(database, tables, nic, range, &pack_rows)
    };
    let packed = pack_each(nics, pack_some).await;
    drop_empty(database, tables.rows, time_ns(until)).await?;
    packed
}

/// The NICs with rows before a time in a table. None on Citus, whose nodes can't unpack.
async fn nics_to_pack(
    db: &Client,
    table: Table,
    until: SystemTime,
) -> Result<Vec<NicIds>, Failure> {
    if citus::is_there(db).await? {
        return Ok(Vec::new());
    }
    let select = format!(
        "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM {} hot
             WHERE hot.client = nics.client AND hot.nic = nics.id AND hot.time < $1)",
        table.name()
    );
    let rows = db.query_typed(&select, &[at(&until)]).await?;
    rows.iter().map(|row| Ok(NicIds { client: row.try_get(0)?, nic: row.try_get(1)? })).collect()
}

/// Packs the oldest rows of a NIC in a range. `None` if there are none.
async fn pack_some(
    database: &Postgres,
    tables: Packable,
    nic: NicIds,
    [from, until]: [SystemTime; 2],
    pack_rows: &impl AsyncFn(&Client, ToPack) -> Result<Option<PackedRows>, Failure>,
) -> Result<Option<PackedRows>, Failure> {
    let oldest = database.lease(async |db| oldest(db, tables.rows, nic, [from, until]).await);
    let Some((first, interval)) = oldest.await? else { return Ok(None) };
    let partition = Partition::of(tables.stretches, time_ns(first));
    if partition.is_worth_making(now_ns()) {
        database.make_partitions(BTreeSet::from([partition])).await?;
    }
    let length = interval.saturating_mul(tables.most).max(RANGE_MIN);
    let mut to = first.checked_add(length).unwrap_or(until).min(until).min(hour(first)[1]);
    let mut races = 0;
    loop {
        let length = to.duration_since(first).unwrap_or_default();
        // Those that start at the same time stay together.
        let limit = if length > TICK { 2 * tables.most as usize } else { usize::MAX };
        let rows = ToPack { nic, range: [first, to], limit };
        match database.lease(async |db| pack_at_once(db, rows, pack_rows).await).await {
            // Another collector packed some between the snapshot and the lock, or a client is purged.
            Err(Failure::Raced(_)) if races < RACES_MAX => races += 1,
            Ok(AtOnce::TooMany) => to = first + (length / 2).max(TICK),
            Ok(AtOnce::NotAlone) => return Ok(None),
            Ok(AtOnce::Packed(packed)) => return Ok(Some(packed)),
            Err(failure) => return Err(failure),
        }
    }
}

/// What became of rows that were to be packed in a transaction.
enum AtOnce {
    Packed(PackedRows),
    /// Nothing: another collector packs.
    NotAlone,
    /// Nothing: they are too many.
    TooMany,
}

/// Packs rows in one transaction: those that come meanwhile are not in its snapshot and stay.
async fn pack_at_once(
    db: &Client,
    rows: ToPack,
    pack_rows: &impl AsyncFn(&Client, ToPack) -> Result<Option<PackedRows>, Failure>,
) -> Result<AtOnce, Failure> {
    // A server that crashes may lose this exchange, which loses nothing: the rows are there again.
    let begin =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = off";
    db.batch_execute(&format!("{BEGIN}; {begin}")).await?;
    let lock = format!("SELECT pg_try_advisory_xact_lock({LOCK})");
    let alone = db.query_typed_one(&lock, &[]).await?.try_get(0)?;
    let packed = if alone { pack_rows(db, rows).await? } else { None };
    db.batch_execute(if packed.is_some() { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(match packed {
        Some(packed) => AtOnce::Packed(packed),
        None if alone => AtOnce::TooMany,
        None => AtOnce::NotAlone,
    })
}

/// Deletes the rows of a range by a statement that returns them. `None` if they are more than the limit. What it
/// returns is what is packed, so that nothing can come in between.
pub(super) async fn take<R>(
    db: &Client,
    delete: &str,
    ToPack { nic, range: [from, to], limit }: ToPack,
    read: impl Fn(&Row) -> Result<R, Failure>,
) -> Result<Option<Vec<R>>, Failure> {
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let mut rows = pin!(db.query_typed_raw(delete, params).await?);
    let mut taken = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if taken.len() == limit {
            return Ok(None);
        }
        taken.push(read(&row)?);
    }
    Ok(Some(taken))
}

/// Start and end of an hour (UTC).
pub(super) fn hour(of: SystemTime) -> [SystemTime; 2] {
    let start = hour_of(time_ns(of).to_column());
    [start, start.saturating_add(HOUR)].map(|it| time(WallNs::of_column(it)))
}

/// Start and length of a NIC's oldest row in a range of a table. The range begins behind what was deleted just now:
/// until VACUUM comes, each look from further back walks over all of that.
async fn oldest(
    db: &Client,
    table: Table,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Option<(SystemTime, Duration)>, Failure> {
    let select = format!(
        "SELECT time, interval_ns FROM {} WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         ORDER BY time LIMIT 1",
        table.name()
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let row = db.query_typed_opt(&select, &params).await?;
    let first = |row: Row| Ok((row.try_get(0)?, Duration::from_nanos(number(&row, 1)?)));
    row.map(first).transpose()
}

/// Drops partitions that end by a time and whose rows are all packed, if nobody uses them just now.
async fn drop_empty(database: &Postgres, table: Table, until_ns: WallNs) -> Result<(), Failure> {
    let all = database.lease(async |db| partition::all(db, table).await).await?;
    for partition in all.into_iter().filter(|it| it.ends_by(until_ns)) {
        match database.lease(async |db| drop_if_empty(db, partition).await).await {
            Err(failure @ Failure::Unreachable(_)) => return Err(failure),
            Ok(true) => database.partitions().clear(),
            // The next look tries again, and retention in the end.
            Err(_) | Ok(false) => {}
        }
    }
    Ok(())
}

/// Drops a partition without rows. Commits and readers wait for no more than a moment: it is looked through
/// before, because that may take long while deleted rows are not yet cleaned away.
async fn drop_if_empty(db: &Client, partition: Partition) -> Result<bool, Failure> {
    const MOMENT: &str = "SET LOCAL statement_timeout = '500ms'";
    db.batch_execute(&format!("{BEGIN}; {MOMENT}")).await?;
    let used = partition.has_rows(db).await?;
    db.batch_execute("COMMIT").await?;
    if used || !partition.take(db, "20ms").await? {
        return Ok(false);
    }
    db.batch_execute(MOMENT).await?;
    let empty = !partition.has_rows(db).await?;
    if empty {
        db.batch_execute(&format!("DROP TABLE {}", partition.name())).await?;
    }
    db.batch_execute("COMMIT").await?;
    Ok(empty)
}

pub(super) fn key(nic: &NicIds) -> [(&(dyn ToSql + Sync), Type); 2] {
    [(&nic.client, Type::INT4), (&nic.nic, Type::INT4)]
}

pub(super) fn at(time: &SystemTime) -> (&(dyn ToSql + Sync), Type) {
    (time, Type::TIMESTAMPTZ)
}
