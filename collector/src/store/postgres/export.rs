//! Reading all of a client's rows.

use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::error::Failure;
use super::query::{nic_key, point};
use crate::store::export::{self, ExportGap, ExportRange, ExportRow};
use crate::store::query::Point;

pub(super) async fn nic_names(client: &Client, id: &str) -> Result<Option<Vec<String>>, Failure> {
    let select = "SELECT name FROM clients LEFT JOIN nics ON nics.client = clients.id
                  WHERE client_id = $1 ORDER BY name COLLATE \"C\"";
    let rows = client.query_typed(select, &[(&id, Type::TEXT)]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let names = rows.iter().map(|row| row.try_get::<_, Option<String>>(0));
    Ok(Some(names.filter_map(Result::transpose).collect::<Result<_, _>>()?))
}

pub(super) async fn export(
    client: &Client,
    range: &ExportRange,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<(), Failure> {
    // One moment for all of it.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let of_nic = |table: &str| {
        format!(
            "SELECT {} FROM {table}
             WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4",
            export::columns(table == "gaps")
        )
    };
    let both = format!("{} UNION ALL {} ORDER BY 1", of_nic("bandwidth_stats"), of_nic("gaps"));
    for nic in &range.nics {
        let Some(key) = nic_key(client, &range.of(nic)).await? else { continue };
        let row = |row: &Row| {
            Ok(ExportRow { nic: Some(nic.clone()), point: point(row)?, gap: gap(row, 14)? })
        };
        if !hand_over(client, &both, &key.params(), row, rows).await? {
            return Ok(());
        }
    }
    let unknown = "SELECT CAST(reason AS bigint), session, first_seq, last_seq FROM gaps
         WHERE nic IS NULL AND client = (SELECT id FROM clients WHERE client_id = $1)
         ORDER BY session, first_seq";
    let row = |row: &Row| Ok(ExportRow { nic: None, point: Point::default(), gap: gap(row, 0)? });
    hand_over(client, unknown, &[(&range.client, Type::TEXT)], row, rows).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

fn gap(row: &Row, at: usize) -> Result<Option<ExportGap>, Error> {
    let Some(reason) = row.try_get::<_, Option<i64>>(at)? else { return Ok(None) };
    let number = |at| row.try_get::<_, i64>(at).map(i64::cast_unsigned);
    let (session, first_seq, last_seq) = (number(at + 1)?, number(at + 2)?, number(at + 3)?);
    let reason = u8::try_from(reason).unwrap_or_default();
    Ok(Some(ExportGap { reason, session, first_seq, last_seq }))
}

/// False once nobody takes the rows any more.
async fn hand_over(
    client: &Client,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
    read: impl Fn(&Row) -> Result<ExportRow, Error>,
    rows: &mpsc::Sender<Vec<ExportRow>>,
) -> Result<bool, Failure> {
    let mut found = std::pin::pin!(client.query_typed_raw(sql, params.iter().cloned()).await?);
    let mut some = Vec::with_capacity(export::ROWS);
    while let Some(row) = found.try_next().await? {
        some.push(read(&row)?);
        if some.len() == export::ROWS && rows.send(std::mem::take(&mut some)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(some.is_empty() || rows.send(some).await.is_ok())
}
