//! What is common to samples and mixes that have got old: they are packed a stretch of a NIC in each transaction, and
//! partitions without any left are dropped.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;

use super::citus;
use super::connect::BEGIN;
use super::database::Postgres;
use super::error::Failure;
use super::partition::{self, Partition, Table};
use super::session::{time, time_ns};
use super::tables::nics::NicIds;
use super::unpacked::LOCK;
use crate::store::pack::{PackedSome, pack_each};
use crate::store::rows::packed::stretches::{HOUR, hour_of};
use crate::time::now_ns;

/// How often a stretch is packed again after a lost race.
const RACES_MAX: u32 = 3;

/// Rows that one transaction has packed, and the end of their range.
pub(super) type PackedRows = PackedSome<SystemTime>;

/// A table with a row each, and that of stretches of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packable {
    pub rows: Table,
    pub stretches: Table,
}

/// Packs rows before a time, as far as their hour has ended, in short transactions between which commits run.
/// Each is one of `pack_from`, for a range that begins with a NIC's oldest row and has rows of one hour alone. Returns
/// the number of all.
pub(super) async fn pack(
    database: &Postgres,
    tables: Packable,
    before_ns: WallNs,
    pack_from: impl AsyncFn(&Client, NicIds, [SystemTime; 2]) -> Result<PackedRows, Failure>,
) -> Result<u64, Failure> {
    let until = time(WallNs::of_column(hour_of(before_ns.to_column())));
    let nics = database.lease(async |db| nics_to_pack(db, tables.rows, until).await).await?;
    if nics.is_empty() {
        return Ok(0);
    }
    let pack_some = |nic, from: Option<SystemTime>| {
        let range = [from.unwrap_or(UNIX_EPOCH), until];
        pack_some(database, tables, nic, range, &pack_from)
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
    Packable { rows, stretches }: Packable,
    nic: NicIds,
    range: [SystemTime; 2],
    pack_from: &impl AsyncFn(&Client, NicIds, [SystemTime; 2]) -> Result<PackedRows, Failure>,
) -> Result<Option<PackedRows>, Failure> {
    let oldest = database.lease(async |db| oldest(db, rows, nic, range).await).await?;
    let Some(oldest) = oldest else { return Ok(None) };
    let partition = Partition::of(stretches, time_ns(oldest));
    if partition.is_worth_making(now_ns()) {
        database.make_partitions(BTreeSet::from([partition])).await?;
    }
    let mut races = 0;
    loop {
        let packing =
            async |db: &Client| pack_hour(db, rows, nic, [oldest, range[1]], pack_from).await;
        match database.lease(packing).await {
            // Another collector packed some between the snapshot and the lock, or a client is purged.
            Err(Failure::Raced(_)) if races < RACES_MAX => races += 1,
            packed => return packed,
        }
    }
}

/// Packs the oldest rows of a range, of one hour, in one transaction: rows that come meanwhile are not in its snapshot
/// and stay.
async fn pack_hour(
    db: &Client,
    table: Table,
    nic: NicIds,
    range: [SystemTime; 2],
    pack_from: &impl AsyncFn(&Client, NicIds, [SystemTime; 2]) -> Result<PackedRows, Failure>,
) -> Result<Option<PackedRows>, Failure> {
    // A server that crashes may lose this exchange, which loses nothing: the rows are there again.
    let begin =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = off";
    db.batch_execute(&format!("{BEGIN}; {begin}")).await?;
    let lock = format!("SELECT pg_try_advisory_xact_lock({LOCK})");
    let alone = db.query_typed_one(&lock, &[]).await?.try_get(0)?;
    let first = if alone { oldest(db, table, nic, range).await? } else { None };
    let packed = match first {
        Some(first) => Some(pack_from(db, nic, [first, range[1].min(hour(first)[1])]).await?),
        None => None,
    };
    db.batch_execute("COMMIT").await?;
    Ok(packed)
}

/// Start and end of an hour (UTC).
pub(super) fn hour(of: SystemTime) -> [SystemTime; 2] {
    let start = hour_of(time_ns(of).to_column());
    [start, start.saturating_add(HOUR)].map(|it| time(WallNs::of_column(it)))
}

/// Start of a NIC's oldest row in a range of a table. The range begins behind what was deleted just now: until VACUUM
/// comes, each look from further back walks over all of that.
async fn oldest(
    db: &Client,
    table: Table,
    nic: NicIds,
    [from, to]: [SystemTime; 2],
) -> Result<Option<SystemTime>, Failure> {
    let select = format!(
        "SELECT time FROM {} WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4
         ORDER BY time LIMIT 1",
        table.name()
    );
    let params = [&key(&nic)[..], &[at(&from), at(&to)]].concat();
    let row = db.query_typed_opt(&select, &params).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
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
