//! Moves what is kept of accounts: it belongs to no client. What is there already stays.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;

use crate::store::postgres::connect::BEGIN;
use crate::store::postgres::error::Failure;
use crate::store::postgres::session::time;
use crate::store::sqlite::Dump;

/// A table with its columns and the type of each in PostgreSQL.
struct AccountTable {
    name: &'static str,
    columns: &'static [(&'static str, Type)],
    /// What tells whether a row is the same in both.
    same: &'static str,
}

const TABLES: [AccountTable; 3] = [
    AccountTable {
        name: "account_statements",
        columns: &[
            ("account", Type::TEXT),
            ("cycle", Type::TEXT),
            ("starts_at", Type::TIMESTAMPTZ),
            ("ends_at", Type::TIMESTAMPTZ),
            ("as_of", Type::TIMESTAMPTZ),
            ("frozen_at", Type::TIMESTAMPTZ),
            ("rule", Type::TEXT),
            ("basis", Type::TEXT),
            ("rx_bytes", Type::INT8),
            ("tx_bytes", Type::INT8),
            ("rx_packets", Type::INT8),
            ("tx_packets", Type::INT8),
            ("opening_bytes", Type::INT8),
            ("used_bytes", Type::INT8),
            ("used_max_bytes", Type::INT8),
            ("quota_bytes", Type::INT8),
            ("missing_ns", Type::INT8),
            ("p95_bits_per_second", Type::INT8),
            ("commit_bits_per_second", Type::INT8),
            ("statement", Type::TEXT),
            ("evidence", Type::TEXT),
            ("digest", Type::TEXT),
        ],
        same: "account = $1 AND cycle = $2 AND ($6::timestamptz IS NULL OR digest = $22)",
    },
    AccountTable {
        name: "account_entries",
        columns: &[
            ("nth", Type::INT8),
            ("account", Type::TEXT),
            ("cycle", Type::TEXT),
            ("kind", Type::TEXT),
            ("bytes", Type::INT8),
            ("reason", Type::TEXT),
            ("operator", Type::TEXT),
            ("at", Type::TIMESTAMPTZ),
            ("digest", Type::TEXT),
        ],
        same: "nth = $1 AND digest = $9",
    },
    AccountTable {
        name: "account_warnings",
        columns: &[
            ("account", Type::TEXT),
            ("cycle", Type::TEXT),
            ("warning", Type::TEXT),
            ("at", Type::TIMESTAMPTZ),
            ("message", Type::TEXT),
        ],
        same: "account = $1 AND cycle = $2 AND warning = $3",
    },
];

type Value = Box<dyn ToSql + Sync + Send>;

/// Moves the rows; returns how many are new, and what the database has otherwise.
pub(super) async fn copy(db: &Client, dump: &Dump) -> Result<(u64, Vec<String>), Failure> {
    db.batch_execute(&format!("{BEGIN}; LOCK TABLE account_entries IN SHARE ROW EXCLUSIVE MODE"))
        .await?;
    let (mut moved, mut findings) = (0, Vec::new());
    for table in &TABLES {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (name, names) = (table.name, names.join(", "));
        let places: Vec<String> = (1..=table.columns.len()).map(|at| format!("${at}")).collect();
        let places = places.join(", ");
        let insert =
            format!("INSERT INTO {name} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING");
        let same = format!("SELECT 1 FROM {name} WHERE {}", table.same);
        for row in rows(dump, table, &names)? {
            let row: Vec<(&(dyn ToSql + Sync), Type)> = row
                .iter()
                .zip(table.columns)
                .map(|(value, (_, kind))| (&**value as _, kind.clone()))
                .collect();
            let new = db.execute_typed(&insert, &row).await?;
            moved += new;
            if new == 0 && db.query_typed_opt(&same, &row).await?.is_none() {
                findings.push(format!(
                    "{name}: the database has another row in place of one of the file"
                ));
            }
        }
    }
    db.batch_execute("COMMIT").await?;
    Ok((moved, findings))
}

fn rows(dump: &Dump, table: &AccountTable, names: &str) -> Result<Vec<Vec<Value>>, Failure> {
    let mut rows = Vec::new();
    let select = format!("SELECT {names} FROM {}", table.name);
    dump.rows(&select, None, |row| {
        let value = |(at, (_, kind)): (usize, &(&str, Type))| -> rusqlite::Result<Value> {
            Ok(match *kind {
                Type::TIMESTAMPTZ => {
                    let at: Option<i64> = row.get(at)?;
                    Box::new(at.map(|ns| time(WallNs::of_column(ns))))
                }
                Type::INT8 => Box::new(row.get::<_, Option<i64>>(at)?),
                _ => Box::new(row.get::<_, String>(at)?),
            })
        };
        let values = table.columns.iter().enumerate().map(value);
        rows.push(values.collect::<rusqlite::Result<_>>()?);
        Ok::<_, Failure>(())
    })?;
    Ok(rows)
}
