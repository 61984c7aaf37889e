//! Selects the rows of a NIC.

use std::time::SystemTime;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::error::Failure;
use super::session::time;
use crate::store::rows::nics::NicId;
use crate::store::rows::series::NicRange;

/// The numbers that identify a NIC's rows. `None` if there is no such NIC.
pub(super) async fn nic_key(db: &Client, range: &NicRange) -> Result<Option<RowKey>, Failure> {
    let ids = db
        .query_typed_opt(
            "SELECT clients.id, nics.id FROM clients JOIN nics ON nics.client = clients.id
             WHERE client_id = $1 AND name = $2",
            &[(&range.client, Type::TEXT), (&range.nic, Type::TEXT)],
        )
        .await?;
    let Some(ids) = ids else { return Ok(None) };
    Ok(Some(RowKey {
        client: ids.try_get(0)?,
        nic: ids.try_get(1)?,
        from: time(range.from_ns),
        to: time(range.to_ns),
    }))
}

/// Number of rows of a table, `None` if more than `most`.
pub(super) async fn count(
    db: &Client,
    key: &RowKey,
    table: &str,
    most: usize,
) -> Result<Option<u64>, Failure> {
    let most = i64::try_from(most).unwrap_or(i64::MAX - 1);
    let count = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE client = $1 AND nic = $2
             AND time >= $3 AND time < $4 LIMIT {most} + 1) AS few"
    );
    let count: i64 = db.query_typed_one(&count, &key.params()).await?.try_get(0)?;
    Ok((count <= most).then_some(count.unsigned_abs()))
}

/// The selected rows of a table.
#[derive(Debug)]
pub(super) struct RowKey {
    pub client: i32,
    pub nic: NicId,
    pub from: SystemTime,
    pub to: SystemTime,
}

impl RowKey {
    pub fn params(&self) -> [(&(dyn ToSql + Sync), Type); 4] {
        [
            (&self.client, Type::INT4),
            (&self.nic, Type::INT4),
            (&self.from, Type::TIMESTAMPTZ),
            (&self.to, Type::TIMESTAMPTZ),
        ]
    }
}
