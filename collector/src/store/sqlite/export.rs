//! Reading all of a client's rows.

use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::mpsc;

use super::error::Failure;
use super::query::{nic_key, point};
use crate::store::export::{self, ExportGap, ExportRange, ExportRow};
use crate::store::query::Point;

pub(super) fn nic_names(db: &Connection, client: &str) -> Result<Option<Vec<String>>, Failure> {
    let id: Option<i64> = db
        .query_row("SELECT id FROM clients WHERE client_id = ?1", [client], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    let mut select = db.prepare("SELECT name FROM nics WHERE client = ?1 ORDER BY name")?;
    let names = select.query_map([id], |row| row.get(0))?;
    Ok(Some(names.collect::<rusqlite::Result<_>>()?))
}

pub(super) fn export(
    db: &mut Connection,
    range: &ExportRange,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<(), Failure> {
    // One moment for all of it.
    let transaction = db.transaction()?;
    let of_nic = |table: &str| {
        format!(
            "SELECT {} FROM {table}
             WHERE client = ?1 AND nic = ?2 AND time >= ?3 AND time < ?4",
            export::columns(table == "gaps")
        )
    };
    let both = format!("{} UNION ALL {} ORDER BY 1", of_nic("bandwidth_stats"), of_nic("gaps"));
    let mut select = transaction.prepare(&both)?;
    for nic in &range.nics {
        let Some(key) = nic_key(&transaction, &range.of(nic))? else { continue };
        let found = select.query_map(key, |row| {
            Ok(ExportRow { nic: Some(nic.clone()), point: point(row)?, gap: gap(row, 14)? })
        })?;
        if !hand_over(found, rows)? {
            return Ok(());
        }
    }
    let mut select = transaction.prepare(
        "SELECT reason, session, first_seq, last_seq FROM gaps
         WHERE nic IS NULL AND client = (SELECT id FROM clients WHERE client_id = ?1)
         ORDER BY session, first_seq",
    )?;
    let found = select.query_map([&range.client], |row| {
        Ok(ExportRow { nic: None, point: Point::default(), gap: gap(row, 0)? })
    })?;
    hand_over(found, rows)?;
    Ok(())
}

fn gap(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<ExportGap>> {
    let Some(reason) = row.get(at)? else { return Ok(None) };
    let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let (session, first_seq, last_seq) = (number(at + 1)?, number(at + 2)?, number(at + 3)?);
    Ok(Some(ExportGap { reason, session, first_seq, last_seq }))
}

/// False once nobody takes the rows any more.
fn hand_over(
    found: impl Iterator<Item = rusqlite::Result<ExportRow>>,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<bool, Failure> {
    let mut some = Vec::with_capacity(export::ROWS);
    for row in found {
        some.push(row?);
        if some.len() == export::ROWS && rows.blocking_send(std::mem::take(&mut some)).is_err() {
            return Ok(false);
        }
    }
    Ok(some.is_empty() || rows.blocking_send(some).is_ok())
}
