//! The columns that a table has in both stores, and how their values become PostgreSQL's.

use rusqlite::types::ValueRef;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::postgres::copy::CopyRows;
use crate::store::postgres::error::Failure;
use crate::store::sqlite::Dump;

/// Numbers rows that start at the same time, which only SQLite needs.
const ONLY_SQLITE: &str = "nth";

/// How a column keeps its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Int2,
    Int4,
    Int8,
    Bool,
    Bytes,
    Text,
    Numeric,
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "timestamp with time zone" => Self::Time,
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "boolean" => Self::Bool,
            "bytea" => Self::Bytes,
            "text" => Self::Text,
            "numeric" => Self::Numeric,
            _ => return None,
        })
    }

    /// Whether its values can be added up.
    pub const fn is_figure(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8 | Self::Numeric)
    }
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    table: &'static str,
    columns: Vec<(String, Kind)>,
}

impl Columns {
    /// Reads them, and makes sure that none would be lost.
    pub async fn of(client: &Client, dump: &Dump, table: &'static str) -> Result<Self, Failure> {
        let rows = client
            .query_typed(
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
                 ORDER BY attnum",
                &[(&table, Type::TEXT)],
            )
            .await?;
        let here = dump.columns(table)?;
        let mut columns = Vec::new();
        for row in rows {
            let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let kind = Kind::parse(&kind).filter(|_| here.contains(&name));
            let kind = kind.ok_or_else(|| differ(table, &name))?;
            columns.push((name, kind));
        }
        let known = |name: &String| columns.iter().any(|(known, _)| known == name);
        match here.iter().find(|name| !known(name) && *name != ONLY_SQLITE) {
            Some(lost) => Err(differ(table, lost)),
            None => Ok(Self { table, columns }),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.columns.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Their names for a statement.
    pub fn list(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Adds a value to the row.
    pub fn encode(
        &self,
        at: usize,
        value: ValueRef<'_>,
        rows: &mut CopyRows,
    ) -> Result<(), Failure> {
        let Some((name, kind)) = self.columns.get(at) else { return Ok(()) };
        let refused = || {
            let table = self.table;
            Failure::Failed(format!("{table}.{name}: {value:?} doesn't fit; nothing was moved"))
        };
        match (value, kind) {
            (ValueRef::Null, _) => rows.null(),
            (ValueRef::Integer(int), Kind::Time) => {
                rows.time(u64::try_from(int).map_err(|_| refused())?);
            }
            (ValueRef::Integer(int), Kind::Int2) => {
                rows.int2(int.try_into().map_err(|_| refused())?);
            }
            (ValueRef::Integer(int), Kind::Int4) => {
                rows.int4(int.try_into().map_err(|_| refused())?);
            }
            (ValueRef::Integer(int), Kind::Int8) => rows.int8(int),
            (ValueRef::Integer(int), Kind::Bool) => rows.bool(int != 0),
            (ValueRef::Text(bytes), Kind::Text) | (ValueRef::Blob(bytes), Kind::Bytes) => {
                rows.bytes(bytes)?;
            }
            _ => return Err(refused()),
        }
        Ok(())
    }
}

fn differ(table: &str, column: &str) -> Failure {
    Failure::Failed(format!("{table}.{column} is not the same in both stores; nothing was moved"))
}
