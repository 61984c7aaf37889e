//! A client's sums per table, in the file and in the database.

use std::sync::Arc;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::columns::Columns;
use super::source::{CopiedTable, ImportSource, TABLES};
use crate::store::port::error::StoreError;
use crate::store::postgres::error::Failure;
use crate::store::postgres::store::PostgresStore;
use crate::store::sqlite::Dump;

/// The number of a client's rows in a table, and the sums of all its figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSums {
    /// The table.
    pub table: &'static str,
    /// In the file: number of rows, and the sum of each figure's column.
    pub file: Vec<i128>,
    /// In the database.
    pub database: Vec<i128>,
}

impl TableSums {
    /// Rows in the file.
    #[must_use]
    pub fn rows(&self) -> i128 {
        self.file.first().copied().unwrap_or_default()
    }
}

impl PostgresStore {
    /// Adds up a client's rows in the file and in the database.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if one of them can't be read.
    pub async fn sums(
        &self,
        dump: &Arc<Dump>,
        source: &ImportSource,
    ) -> Result<Vec<TableSums>, StoreError> {
        self.lease(async |db| {
            let mut sums = Vec::new();
            for table in TABLES {
                sums.push(sums_of(db, dump, source, table).await?);
            }
            Ok(sums)
        })
        .await
    }
}

async fn sums_of(
    client: &Client,
    dump: &Arc<Dump>,
    source: &ImportSource,
    copied: CopiedTable,
) -> Result<TableSums, Failure> {
    let CopiedTable { table, of } = copied;
    let columns = Columns::of(client, dump, table).await?;
    // Numbers of clients and NICs differ, and the epoch grows with each connection.
    let figures = columns.iter().filter(|(name, kind)| {
        kind.is_figure() && !["client", "nic", "session", "epoch"].contains(name)
    });
    let figures: Vec<&str> = figures.map(|(name, _)| name).collect();
    // SQLite's own sum has only 64 bits.
    let select = |sum: &str| {
        let sum = |name: &&str| format!("CAST(coalesce({sum}({name}), 0) AS text)");
        let sums = figures.iter().map(sum);
        let sums: Vec<_> =
            std::iter::once("CAST(count(*) AS text)".to_owned()).chain(sums).collect();
        format!("SELECT {} FROM {table}", sums.join(", "))
    };
    let mut file = Vec::new();
    dump.rows(&format!("{} WHERE {of}", select("wide_sum")), Some(source.id), |row| {
        for at in 0..=figures.len() {
            file.push(number(&row.get::<_, String>(at)?)?);
        }
        Ok::<_, Failure>(())
    })?;
    // Query its number first: on Citus it selects the node.
    let id = "SELECT coalesce((SELECT id FROM clients WHERE client_id = $1), -1)";
    let id = client.query_typed_one(id, &[(&source.client, Type::TEXT)]).await?;
    let id: i32 = id.try_get(0)?;
    let sums = format!("{} WHERE {}", select("sum"), of.replace("?1", "$1"));
    let row = client.query_typed_one(&sums, &[(&id, Type::INT4)]).await?;
    let mut database = Vec::new();
    for at in 0..=figures.len() {
        database.push(number(row.try_get(at)?)?);
    }
    Ok(TableSums { table, file, database })
}

fn number(text: &str) -> Result<i128, Failure> {
    text.parse().map_err(|_| Failure::failed(format!("{text:?} is not a whole number")))
}
