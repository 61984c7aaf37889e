//! The common columns of a table in both stores, and the conversion of their values.

use rusqlite::types::ValueRef;
use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;

use crate::store::postgres::copy::CopyRows;
use crate::store::postgres::error::Failure;
use crate::store::sqlite::Dump;

/// Not a row's own: numbers rows with equal start times in SQLite; the stretches of which views say that rows lie in.
const NOT_COPIED: [&str; 3] = ["nth", "stretch_from", "stretch_to"];

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Time,
    Int2,
    Int4,
    Int8,
    Bool,
    Bytes,
    Text,
    Numeric,
}

impl ColumnKind {
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

    /// True if its values can be added up.
    pub const fn is_figure(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8 | Self::Numeric)
    }
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    table: &'static str,
    columns: Vec<(String, ColumnKind)>,
}

impl Columns {
    /// Reads the columns, and fails if any would be lost.
    pub async fn of(client: &Client, dump: &Dump, table: &'static str) -> Result<Self, Failure> {
        let rows = client
            .query_typed(
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
                     AND attname <> ALL ($2) ORDER BY attnum",
                &[(&table, Type::TEXT), (&&NOT_COPIED[..], Type::TEXT_ARRAY)],
            )
            .await?;
        let here = dump.columns(table)?;
        let mut columns = Vec::new();
        for row in rows {
            let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let kind = ColumnKind::parse(&kind).filter(|_| here.contains(&name));
            let kind = kind.ok_or_else(|| differ(table, &name))?;
            columns.push((name, kind));
        }
        let known = |name: &String| columns.iter().any(|(known, _)| known == name);
        match here.iter().find(|name| !known(name) && !NOT_COPIED.contains(&name.as_str())) {
            Some(lost) => Err(differ(table, lost)),
            None => Ok(Self { table, columns }),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
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
            Failure::failed(format!("{table}.{name}: {value:?} doesn't fit; nothing was moved"))
        };
        match (value, kind) {
            (ValueRef::Null, _) => rows.null(),
            (ValueRef::Integer(int), ColumnKind::Time) => {
                rows.time(WallNs(u64::try_from(int).map_err(|_| refused())?));
            }
            (ValueRef::Integer(int), ColumnKind::Int2) => {
                rows.int2(int.try_into().map_err(|_| refused())?);
            }
            (ValueRef::Integer(int), ColumnKind::Int4) => {
                rows.int4(int.try_into().map_err(|_| refused())?);
            }
            (ValueRef::Integer(int), ColumnKind::Int8) => rows.int8(int),
            (ValueRef::Integer(int), ColumnKind::Bool) => rows.bool(int != 0),
            (ValueRef::Text(bytes), ColumnKind::Text)
            | (ValueRef::Blob(bytes), ColumnKind::Bytes) => {
                rows.bytes(bytes)?;
            }
            _ => return Err(refused()),
        }
        Ok(())
    }
}

fn differ(table: &str, column: &str) -> Failure {
    Failure::failed(format!("{table}.{column} is not the same in both stores; nothing was moved"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::Value;

    use super::*;

    static KINDS: [ColumnKind; 8] = [
        ColumnKind::Time,
        ColumnKind::Int2,
        ColumnKind::Int4,
        ColumnKind::Int8,
        ColumnKind::Bool,
        ColumnKind::Bytes,
        ColumnKind::Text,
        ColumnKind::Numeric,
    ];

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (-3..70_000_i64).prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Real),
            ".{0,20}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        ]
    }

    /// The fields of the rows of one column, parsed as the manual of COPY describes.
    fn fields(bytes: &[u8]) -> Vec<Option<&[u8]>> {
        let mut rest = &bytes[b"PGCOPY\n\xff\r\n\0".len() + 8..];
        let mut fields = Vec::new();
        let mut take = |len: usize| {
            let (taken, after) = rest.split_at(len);
            rest = after;
            taken
        };
        loop {
            match i16::from_be_bytes(take(2).try_into().unwrap()) {
                -1 => break,
                columns => assert_eq!(columns, 1),
            }
            let len = i32::from_be_bytes(take(4).try_into().unwrap());
            fields.push(usize::try_from(len).ok().map(&mut take));
        }
        assert!(rest.is_empty(), "nothing follows the end");
        fields
    }

    proptest! {
        /// Any value that a file may hold in a column.
        #[test]
        fn what_a_column_takes_comes_out_and_all_else_is_refused_by_name(
            kind in prop::sample::select(&KINDS[..]),
            value in value(),
        ) {
            let columns = Columns { table: "gaps", columns: vec![("count".to_owned(), kind)] };
            let mut rows = CopyRows::new(1);
            rows.row();
            if let Err(error) = columns.encode(0, (&value).into(), &mut rows) {
                match error {
                    Failure::Failed(why) => {
                        prop_assert!(why.to_string().contains("gaps.count"), "{}", why);
                    }
                    other => panic!("{other:?}"),
                }
                return Ok(());
            }
            let bytes = rows.finish().concat();
            let found = fields(&bytes);
            prop_assert_eq!(found.len(), 1);
            let big = |field: &[u8]| {
                field.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte))
            };
            match (value, kind, found[0]) {
                (Value::Null, _, None) => {}
                (Value::Integer(int), ColumnKind::Time, Some(field)) => {
                    prop_assert_eq!(big(field), int / 1000 - 946_684_800_000_000);
                }
                (Value::Integer(int), ColumnKind::Int2, Some(field)) => {
                    prop_assert_eq!((field.len(), big(field)), (2, int & 0xffff));
                }
                (Value::Integer(int), ColumnKind::Int4, Some(field)) => {
                    prop_assert_eq!((field.len(), big(field)), (4, int & 0xffff_ffff));
                }
                (Value::Integer(int), ColumnKind::Int8, Some(field)) => {
                    prop_assert_eq!((field.len(), big(field)), (8, int));
                }
                (Value::Integer(int), ColumnKind::Bool, Some(field)) => {
                    prop_assert_eq!(field, &[u8::from(int != 0)][..]);
                }
                (Value::Text(text), ColumnKind::Text, Some(field)) => {
                    prop_assert_eq!(field, text.as_bytes());
                }
                (Value::Blob(blob), ColumnKind::Bytes, Some(field)) => prop_assert_eq!(field, &blob[..]),
                (value, kind, field) => panic!("{value:?} as {kind:?} is {field:?}"),
            }
        }
    }
}
