//! `client_days`: what clients carried on days that have ended, packed.

use async_trait::async_trait;
use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, params};
use wire::frame::flags;

use super::error::Failure;
use super::groups::COLUMNS;
use super::known_days::known;
use super::lease::{Reads, Writes};
use super::points::point;
use super::store::SqliteStore;
use crate::store::port::client_days::PackDays;
use crate::store::port::error::StoreError;
use crate::store::rows::client_days::{ClientDay, DaySums, PACKED_MAX, PackedDay, start_of};
use crate::store::rows::client_days_proof::DaysProof;

#[async_trait]
impl PackDays for SqliteStore {
    async fn end_days(&self) -> Result<bool, StoreError> {
        self.writer().lease(end_days).await
    }

    async fn pack_days(&self, before: Option<ClientDay>) -> Result<Option<ClientDay>, StoreError> {
        // Commits go on while rows are read. A day that they change is packed another time.
        let packed = self.readers().lease(move |db| pack(db, before)).await?;
        let last = packed.last().map(|(day, _)| *day);
        if last.is_some() {
            self.writer().lease(move |db| keep(db, &packed)).await?;
        }
        Ok(last)
    }
}

fn end_days(db: &mut Connection) -> Result<bool, Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let days = known(&transaction)?.ended();
    if days.is_empty() {
        return Ok(false);
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO client_days (client, day) SELECT DISTINCT client, ?1 FROM nics WHERE true
         ON CONFLICT (client, day) DO NOTHING",
    )?;
    for day in days.clone() {
        add.execute([day])?;
    }
    drop(add);
    let to = start_of(days.end).to_column();
    transaction.execute("UPDATE retention SET packed_to = ?1", [to])?;
    transaction.commit()?;
    Ok(true)
}

/// Packs the next days.
fn pack(
    db: &mut Connection,
    before: Option<ClientDay>,
) -> Result<Vec<(ClientDay, PackedDay)>, Failure> {
    // One snapshot: rows that came with a later version aren't among them.
    let transaction = db.transaction()?;
    let mut select = transaction.prepare_cached(
        "SELECT day, client, version FROM client_days
         WHERE rates IS NULL AND (day, client) < (?1, ?2)
             AND day * ?3 >= (SELECT rollup_5m_from FROM retention)
         ORDER BY day DESC, client DESC LIMIT ?4",
    )?;
    let (day, client) = before.map_or((u32::MAX, 0), |it| (it.day, it.client));
    let key = params![day, client, start_of(1).to_column(), PACKED_MAX];
    let days = select.query_map(key, |row| {
        Ok(ClientDay { day: row.get(0)?, client: row.get(1)?, version: row.get(2)? })
    })?;
    let mut rows = transaction.prepare_cached(&rows_of())?;
    let mut packed = Vec::new();
    for day in days {
        let day = day?;
        packed.push((day, sums(&mut rows, day.client, day.day)?.pack()));
    }
    Ok(packed)
}

/// A query for the rows of a client's day.
fn rows_of() -> String {
    format!(
        "SELECT b.time, b.covered_ns, {COLUMNS} FROM nics n
         CROSS JOIN bandwidth_5m b ON b.client = n.client AND b.nic = n.id
             AND b.time >= ?2 AND b.time < ?3
         WHERE n.client = ?1 AND b.flags & ?4 = 0"
    )
}

fn sums(rows: &mut Statement<'_>, client: i64, day: u32) -> Result<DaySums, Failure> {
    let mut sums = DaySums::of(day);
    let [from, to] = [day, day.saturating_add(1)].map(|it| start_of(it).to_column());
    let mut rows = rows.query(params![client, from, to, flags::STACKED])?;
    while let Some(row) = rows.next()? {
        sums.add(&point(row)?);
    }
    Ok(sums)
}

/// Checks every packed day against its rows, in the transaction of `fsck`.
pub(super) fn proof(db: &Transaction<'_>) -> Result<DaysProof, Failure> {
    let mut select = db.prepare(
        "SELECT d.client, d.day, c.client_id, d.totals, d.rates, d.figures
         FROM client_days d JOIN clients c ON c.id = d.client
         WHERE d.rates IS NOT NULL AND d.day * ?1 >= (SELECT rollup_5m_from FROM retention)",
    )?;
    let mut rows = db.prepare(&rows_of())?;
    let mut proof = DaysProof::default();
    let mut days = select.query([start_of(1).to_column()])?;
    while let Some(row) = days.next()? {
        let part = |at| row.get::<_, Option<Vec<u8>>>(at).map(Option::unwrap_or_default);
        let packed = PackedDay { totals: part(3)?, rates: part(4)?, figures: part(5)? };
        let (client, day): (i64, u32) = (row.get(0)?, row.get(1)?);
        proof.add(&row.get::<_, String>(2)?, day, &packed, &sums(&mut rows, client, day)?);
    }
    Ok(proof)
}

/// Stores days, unless rows were added to them meanwhile.
fn keep(db: &mut Connection, packed: &[(ClientDay, PackedDay)]) -> Result<(), Failure> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut keep = transaction.prepare_cached(
        "UPDATE client_days SET totals = ?4, rates = ?5, figures = ?6
         WHERE client = ?1 AND day = ?2 AND version = ?3",
    )?;
    for (ClientDay { day, client, version }, PackedDay { rates, figures, totals }) in packed {
        keep.execute(params![client, day, version, totals, rates, figures])?;
    }
    drop(keep);
    Ok(transaction.commit()?)
}
