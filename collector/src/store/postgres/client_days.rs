//! `client_days`: what clients carried on days that have ended, packed.
//!
//! A day is packed from rows read after its version, and stored only with that version.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use wire::frame::flags;

use super::connect::BEGIN;
use super::error::Failure;
use super::groups::{day, sums};
use super::known_days::known;
use super::partition::Table;
use super::retention::oldest;
use super::session::time;
use super::store::PostgresStore;
use super::tables::client_days::LOCK;
use super::values::point;
use crate::store::port::client_days::PackDays;
use crate::store::port::error::StoreError;
use crate::store::rows::client_days::{ClientDay, DaySums, PACKED_MAX, PackedDay, start_of};
use crate::store::rows::client_days_proof::DaysProof;

#[async_trait]
impl PackDays for PostgresStore {
    async fn end_days(&self) -> Result<bool, StoreError> {
        self.lease(async |db| end_days(db).await).await
    }

    async fn pack_days(&self, before: Option<ClientDay>) -> Result<Option<ClientDay>, StoreError> {
        self.lease(async |db| pack(db, before).await).await
    }
}

/// How long the lock is waited for, milliseconds: commits that begin meanwhile queue behind, and most that
/// run end within this. An import, or a stalled collector, holds it much longer.
const WAIT_MS: u32 = 100;

async fn end_days(client: &Client) -> Result<bool, Failure> {
    let oldest_ns = oldest(client, Table::FiveMinutes).await?;
    client.batch_execute(&format!("{BEGIN}; SET LOCAL lock_timeout = {WAIT_MS}")).await?;
    let ended = !known(client, oldest_ns).await?.ended().is_empty();
    if ended {
        let locked = client.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await;
        if locked.as_ref().is_err_and(|it| it.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)) {
            client.batch_execute("ROLLBACK").await?;
            tracing::debug!("days of clients are noted later: something adds rows for long");
            return Ok(false);
        }
        locked?;
        // Another collector may have been first.
        let days = known(client, oldest_ns).await?.ended();
        let (first, end) = (i64::from(days.start), i64::from(days.end));
        let add = "INSERT INTO client_days (client, day)
                   SELECT client, day FROM (SELECT DISTINCT client FROM nics) AS known,
                       generate_series($1, $2 - 1) AS day ORDER BY client, day
                   ON CONFLICT (client, day) DO NOTHING";
        client.execute_typed(add, &[(&first, Type::INT8), (&end, Type::INT8)]).await?;
        let to = time(start_of(days.end));
        let keep = "UPDATE retention SET packed_to = greatest(packed_to, $1)";
        client.execute_typed(keep, &[(&to, Type::TIMESTAMPTZ)]).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(ended)
}

/// Packs the next days.
async fn pack(client: &Client, before: Option<ClientDay>) -> Result<Option<ClientDay>, Failure> {
    let before = before.map_or([i64::MAX, 0], |it| [it.day.into(), it.client]);
    let select = format!(
        "SELECT day, client, version FROM client_days
         WHERE rates IS NULL AND (day, client) < ($1, $2)
             AND day >= (SELECT ceil(extract(epoch FROM rollup_5m_from) / 86400) FROM retention)
         ORDER BY day DESC, client DESC LIMIT {PACKED_MAX}"
    );
    let [before_day, number] = &before;
    let before = [(before_day as _, Type::INT8), (number as _, Type::INT8)];
    let noted = client.query_typed(&select, &before).await?;
    let mut days: BTreeMap<u32, BTreeMap<i32, (i64, DaySums)>> = BTreeMap::new();
    let mut last = None;
    for row in noted {
        let (day, number, version) = (day(&row, 0)?, row.try_get(1)?, row.try_get(2)?);
        days.entry(day).or_default().insert(number, (version, DaySums::of(day)));
        last = Some(ClientDay { day, client: number.into(), version });
    }
    for (day, clients) in &mut days {
        read(client, *day, clients).await?;
        keep(client, *day, clients).await?;
    }
    Ok(last)
}

/// Adds up the rows of a day.
async fn read(
    client: &Client,
    day: u32,
    clients: &mut BTreeMap<i32, (i64, DaySums)>,
) -> Result<(), Failure> {
    let select = format!(
        "SELECT b.time, {}, b.client FROM bandwidth_5m b
         WHERE b.client = ANY ($1) AND b.time >= $2 AND b.time < $3 AND b.flags & $4 = 0
         GROUP BY b.client, b.time",
        sums("covered_ns")
    );
    let numbers: Vec<i32> = clients.keys().copied().collect();
    let [from, to] = [day, day.saturating_add(1)].map(|it| time(start_of(it)));
    let stacked = flags::STACKED.cast_signed();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&numbers, Type::INT4_ARRAY),
        (&from, Type::TIMESTAMPTZ),
        (&to, Type::TIMESTAMPTZ),
        (&stacked, Type::INT4),
    ];
    for row in client.query_typed(&select, &params).await? {
        if let Some((_, sums)) = clients.get_mut(&row.try_get(14)?) {
            sums.add(&point(&row)?);
        }
    }
    Ok(())
}

/// Stores a day, unless rows were added to it meanwhile.
async fn keep(
    client: &Client,
    day: u32,
    clients: &BTreeMap<i32, (i64, DaySums)>,
) -> Result<(), Failure> {
    let (numbers, versions): (Vec<i32>, Vec<i64>) =
        clients.iter().map(|(number, (version, _))| (*number, *version)).unzip();
    let packed: Vec<PackedDay> = clients.values().map(|(_, sums)| sums.pack()).collect();
    let of = |column: fn(&PackedDay) -> &Vec<u8>| packed.iter().map(column).collect::<Vec<_>>();
    let (totals, rates) = (of(|it| &it.totals), of(|it| &it.rates));
    let (figures, day) = (of(|it| &it.figures), i64::from(day));
    let keep = "UPDATE client_days d
                SET totals = new.totals, rates = new.rates, figures = new.figures
                FROM unnest($2, $3, $4, $5, $6) AS new (client, version, totals, rates, figures)
                WHERE d.client = new.client AND d.day = $1 AND d.version = new.version";
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&day, Type::INT8),
        (&numbers, Type::INT4_ARRAY),
        (&versions, Type::INT8_ARRAY),
        (&totals, Type::BYTEA_ARRAY),
        (&rates, Type::BYTEA_ARRAY),
        (&figures, Type::BYTEA_ARRAY),
    ];
    client.execute_typed(keep, &params).await?;
    Ok(())
}

/// Packed days that are checked at a time: their sums take some 40 MB.
const PROVEN: u32 = 1000;

/// Checks every packed day against its rows, in the transaction of `fsck`.
pub(super) async fn proof(client: &Client) -> Result<DaysProof, Failure> {
    let select = format!(
        "SELECT d.day, d.client, c.client_id, d.totals, d.rates, d.figures
         FROM client_days d JOIN clients c ON c.id = d.client
         WHERE d.rates IS NOT NULL AND (d.day, d.client) > ($1, $2)
             AND d.day >= (SELECT ceil(extract(epoch FROM rollup_5m_from) / 86400) FROM retention)
         ORDER BY d.day, d.client LIMIT {PROVEN}"
    );
    let (mut proof, mut after) = (DaysProof::default(), [i64::MIN; 2]);
    loop {
        let [last_day, last_client] = &after;
        let keys = [(last_day as _, Type::INT8), (last_client as _, Type::INT8)];
        let packed = client.query_typed(&select, &keys).await?;
        let mut days: BTreeMap<u32, BTreeMap<i32, (i64, DaySums)>> = BTreeMap::new();
        for row in &packed {
            let (day, number) = (day(row, 0)?, row.try_get::<_, i32>(1)?);
            days.entry(day).or_default().insert(number, (0, DaySums::of(day)));
            after = [day.into(), number.into()];
        }
        for (day, clients) in &mut days {
            read(client, *day, clients).await?;
        }
        for row in &packed {
            let part = |at| row.try_get::<_, Option<Vec<u8>>>(at).map(Option::unwrap_or_default);
            let stored = PackedDay { totals: part(3)?, rates: part(4)?, figures: part(5)? };
            let (day, number) = (day(row, 0)?, row.try_get::<_, i32>(1)?);
            if let Some((_, sums)) = days.get(&day).and_then(|it| it.get(&number)) {
                proof.add(row.try_get(2)?, day, &stored, sums);
            }
        }
        if packed.is_empty() {
            return Ok(proof);
        }
    }
}
