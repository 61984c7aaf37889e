//! Reads all of a client's rows.

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use tokio::sync::mpsc;
use wire::Seq;
use wire::id::SessionId;

use super::error::Failure;
use super::lease::Reads;
use super::points::{nic_key, point};
use super::samples::{Merged, SampleReader};
use super::talkers;
use crate::store::port::error::StoreError;
use crate::store::port::export::{Export, ExportPosition, Paused, ROWS};
use crate::store::rows::export::{self, ExportGap, ExportList, ExportRange, ExportRow};
use crate::store::rows::series::Point;

#[async_trait]
impl<T: Reads + Send + Sync + Debug> Export for T {
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError> {
        let client = client.to_owned();
        self.readers().lease(move |db| nic_names(db, &client)).await
    }

    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError> {
        let (range, taken) = (range.clone(), rows.clone());
        tokio::select! {
            done = self.readers().lease(move |db| export(db, &range, &rows, read)) => done,
            () = taken.closed() => Ok(()),
        }
    }

    async fn export_talkers(
        &self,
        range: &ExportRange,
        lists: mpsc::Sender<Vec<ExportList>>,
    ) -> Result<(), StoreError> {
        let (range, taken) = (range.clone(), lists.clone());
        let read = talkers::read_lists;
        tokio::select! {
            done = self.readers().lease(move |db| export(db, &range, &lists, read)) => done,
            () = taken.closed() => Ok(()),
        }
    }
}

fn nic_names(db: &Connection, client: &str) -> Result<Option<Vec<String>>, Failure> {
    let id: Option<i64> = db
        .query_row("SELECT id FROM clients WHERE client_id = ?1", [client], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    let mut select = db.prepare("SELECT name FROM nics WHERE client = ?1 ORDER BY name")?;
    let names = select.query_map([id], |row| row.get(0))?;
    Ok(Some(names.collect::<rusqlite::Result<_>>()?))
}

/// Reads one snapshot.
type Read<R> = fn(
    &Transaction<'_>,
    &ExportRange,
    &mut ExportPosition,
    &mpsc::Sender<Vec<R>>,
) -> Result<Paused<R>, Failure>;

fn export<R>(
    db: &mut Connection,
    range: &ExportRange,
    rows: &mpsc::Sender<Vec<R>>,
    read: Read<R>,
) -> Result<(), Failure> {
    let mut place = ExportPosition::before(range);
    loop {
        place.begin();
        let transaction = db.transaction()?;
        let paused = read(&transaction, range, &mut place, rows)?;
        drop(transaction);
        let (some, last) = paused.waiting();
        if rows.blocking_send(some).is_err() || last {
            return Ok(());
        }
    }
}

fn read(
    transaction: &Transaction<'_>,
    range: &ExportRange,
    place: &mut ExportPosition,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<Paused<ExportRow>, Failure> {
    let mut samples = SampleReader::of(transaction)?;
    let mut gaps = transaction.prepare(&format!(
        "SELECT {} FROM gaps WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4 ORDER BY 1",
        export::columns(true)
    ))?;
    let send = tokio::runtime::Handle::current();
    while let Some((nic, left, skip)) = place.next(range) {
        if let Some(key) = nic_key(transaction, &left)? {
            let of_nic = |point, gap| ExportRow { nic: Some(nic.clone()), point, gap };
            let samples = samples.rows(&key)?.map(|row| Ok(of_nic(row?, None)));
            let gaps =
                gaps.query_map(key.params(), |row| Ok(of_nic(point(row)?, gap(row, 14)?)))?;
            let gaps = gaps.map(|row| row.map_err(Failure::from));
            let mut found = Merged::of(samples, gaps).skip(skip).peekable();
            while found.peek().is_some() {
                let some = found.by_ref().take(ROWS).collect::<Result<_, Failure>>()?;
                if let Some(paused) = send.block_on(place.hand_over(some, rows)) {
                    return Ok(paused);
                }
            }
        }
        place.next_nic(range);
    }
    let mut select = transaction.prepare(
        "SELECT reason, session, first_seq, last_seq FROM gaps
         WHERE nic IS NULL AND client = (SELECT id FROM clients WHERE client_id = ?1)
         ORDER BY session, first_seq",
    )?;
    let found = select.query_map([&range.client], |row| {
        Ok(ExportRow { nic: None, point: Point::default(), gap: gap(row, 0)? })
    })?;
    let unknown: Vec<ExportRow> = found.collect::<rusqlite::Result<_>>()?;
    Ok(Paused::Last(unknown))
}

fn gap(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<ExportGap>> {
    let Some(reason) = row.get(at)? else { return Ok(None) };
    let seq = |at| row.get(at).map(Seq::of_column);
    let session = SessionId::of_column(row.get(at + 1)?);
    let (first_seq, last_seq) = (seq(at + 2)?, seq(at + 3)?);
    Ok(Some(ExportGap { reason, session, first_seq, last_seq }))
}
