//! Copies rows of the embedded store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use rusqlite::types::ValueRef;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;

use super::columns::{ColumnKind, Columns};
use super::source::{ImportSource, Numbers};
use crate::store::postgres::copy::CopyRows;
use crate::store::postgres::error::Failure;
use crate::store::postgres::partition::{Partition, Table};
use crate::store::postgres::session::time;
use crate::store::rows::nics::NicId;
use crate::store::sqlite::Dump;
use crate::time::Time;

/// Chunks that may wait for sending.
const WAITING: usize = 4;

/// Most partitions made per table: more than any retention needs.
const PARTITIONS_MAX: u64 = 500;

/// The committed numbers of a client's sessions in the file.
pub(super) fn sessions(dump: &Dump, source: &ImportSource) -> Result<Vec<(i64, i64)>, Failure> {
    let mut sessions = Vec::new();
    let select = "SELECT session, committed_seq FROM sessions WHERE client = ?1";
    dump.rows(select, Some(source.id), |row| {
        sessions.push((row.get(0)?, row.get(1)?));
        Ok::<_, Failure>(())
    })?;
    Ok(sessions)
}

/// The partitions that a client's rows need.
pub(super) fn partitions(
    dump: &Dump,
    source: &ImportSource,
) -> Result<BTreeSet<Partition>, Failure> {
    let mut partitions = BTreeSet::new();
    // What is packed in the file comes as a row each.
    for table in Table::ALL.into_iter().filter(|table| !Table::STRETCHES.contains(table)) {
        let select = format!(
            "SELECT min(time), max(time) FROM {} WHERE client = ?1 HAVING count(*) > 0",
            table.prefix()
        );
        dump.rows(&select, Some(source.id), |row| {
            let [first, last] = [row.get(0)?, row.get(1)?].map(WallNs::of_column);
            let length = table.length_ns();
            let from = first.max(last.saturating_sub(PARTITIONS_MAX * length)) / length;
            let each =
                (from..=last / length).map(|number| Partition::of(table, WallNs(number * length)));
            partitions.extend(each);
            Ok::<_, Failure>(())
        })?;
    }
    Ok(partitions)
}

/// Creates a client and its NICs with their facts.
pub(super) async fn introduce(
    client: &Client,
    dump: &Dump,
    source: &ImportSource,
) -> Result<Numbers, Failure> {
    let columns = Columns::of(client, dump, "clients").await?;
    let select = "SELECT FIELDS FROM clients WHERE id = ?1";
    let row = texts(dump, &columns, select, source)?.pop();
    let row = row.ok_or_else(|| Failure::failed(format!("no client {}", source.client)))?;
    let conflict = "ON CONFLICT (client_id) DO UPDATE SET
        created_at = least(clients.created_at, excluded.created_at),
        last_seen_at = greatest(clients.last_seen_at, excluded.last_seen_at) RETURNING id";
    let number = insert(client, &columns, "clients", &row.values, conflict).await?;
    let columns = Columns::of(client, dump, "nics").await?;
    let expired = columns.names().filter(|name| name.starts_with("expired_"));
    let expired: Vec<String> =
        expired.map(|name| format!("{name} = nics.{name} + excluded.{name}")).collect();
    let conflict =
        format!("ON CONFLICT (client, name) DO UPDATE SET {} RETURNING id", expired.join(", "));
    let select = "SELECT FIELDS FROM nics WHERE client = ?1";
    let mut nics = HashMap::new();
    for mut row in texts(dump, &columns, select, source)? {
        for ((name, _), value) in columns.iter().zip(&mut row.values) {
            if name == "client" {
                *value = Some(number.to_string());
            }
        }
        let id = insert(client, &columns, "nics", &row.values, &conflict).await?;
        nics.insert(NicId(row.id), NicId(id.into()));
    }
    Ok(Numbers { client: number, nics })
}

/// A row as text, and its number in the file.
#[derive(Debug)]
struct TextRow {
    id: i64,
    values: Vec<Option<String>>,
}

fn texts(
    dump: &Dump,
    columns: &Columns,
    select: &str,
    source: &ImportSource,
) -> Result<Vec<TextRow>, Failure> {
    let mut rows = Vec::new();
    let select = select.replace("FIELDS", &format!("id, {}", columns.list()));
    dump.rows(&select, Some(source.id), |row| {
        let mut values = Vec::new();
        for (at, (_, kind)) in (1..).zip(columns.iter()) {
            values.push(text(row.get_ref(at)?, kind));
        }
        rows.push(TextRow { id: row.get(0)?, values });
        Ok::<_, Failure>(())
    })?;
    Ok(rows)
}

/// A value in PostgreSQL's text format.
fn text(value: ValueRef<'_>, kind: ColumnKind) -> Option<String> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => return None,
        (ValueRef::Integer(int), ColumnKind::Time) => {
            Time(WallNs::of_column(int).floor(1000)).to_string()
        }
        (ValueRef::Integer(int), _) => int.to_string(),
        (ValueRef::Real(real), _) => real.to_string(),
        (ValueRef::Text(text), _) => String::from_utf8_lossy(text).replace('\0', "\u{fffd}"),
        (ValueRef::Blob(bytes), _) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
    })
}

/// Inserts a row given as text, except its number, and returns its new number.
async fn insert(
    client: &Client,
    columns: &Columns,
    table: &str,
    values: &[Option<String>],
    conflict: &str,
) -> Result<i32, Failure> {
    let (mut names, mut places) = (Vec::new(), Vec::new());
    let mut params: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
    for ((name, kind), value) in columns.iter().zip(values).filter(|((name, _), _)| *name != "id") {
        names.push(name);
        params.push((value, Type::TEXT));
        let cast = match kind {
            ColumnKind::Time => "timestamptz",
            ColumnKind::Int2 | ColumnKind::Int4 | ColumnKind::Int8 => "bigint",
            ColumnKind::Bool => "boolean",
            ColumnKind::Bytes => "bytea",
            ColumnKind::Text => "text",
            ColumnKind::Numeric => "numeric",
        };
        places.push(format!("CAST(${} AS {cast})", params.len()));
    }
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({}) {conflict}",
        names.join(", "),
        places.join(", ")
    );
    Ok(client.query_typed_one(&sql, &params).await?.try_get(0)?)
}

/// Copies the rows of `select` into a table; returns their number. A separate thread reads the file
/// some chunks ahead.
pub(super) async fn copy(
    client: &Client,
    dump: &Arc<Dump>,
    select: &str,
    columns: &Columns,
    into: &str,
    source: &ImportSource,
    numbers: &Numbers,
) -> Result<u64, Failure> {
    let (sender, mut chunks) = mpsc::channel(WAITING);
    let reading = {
        let (dump, select, columns) = (dump.clone(), select.to_owned(), columns.clone());
        let (source, numbers) = (source.clone(), numbers.clone());
        tokio::task::spawn_blocking(move || {
            read(&dump, &select, &columns, &source, &numbers, &sender)
        })
    };
    let sql = format!("COPY {into} ({}) FROM STDIN BINARY", columns.list());
    let mut sink = std::pin::pin!(client.copy_in::<_, Bytes>(&sql).await?);
    while let Some(chunk) = chunks.recv().await {
        sink.send(chunk).await?;
    }
    let read = reading.await.map_err(Failure::failed)?;
    let read = read?;
    let copied = sink.finish().await?;
    if copied == read {
        return Ok(copied);
    }
    Err(Failure::failed(format!("{into} took {copied} rows of {read}; nothing was moved")))
}

/// Reads rows and encodes them; returns their number.
fn read(
    dump: &Dump,
    select: &str,
    columns: &Columns,
    source: &ImportSource,
    numbers: &Numbers,
    chunks: &mpsc::Sender<Bytes>,
) -> Result<u64, Failure> {
    let width = i16::try_from(columns.len()).unwrap_or(i16::MAX);
    let mut rows = CopyRows::new(width);
    let mut count = 0;
    let gone = |_| Failure::failed("the database closed the connection");
    dump.rows(select, Some(source.id), |row| {
        rows.row();
        for (at, (name, _)) in columns.iter().enumerate() {
            match (name, row.get_ref(at)?) {
                ("client", _) => rows.int4(numbers.client),
                ("nic", ValueRef::Integer(nic)) => {
                    let number = numbers.nics.get(&NicId(nic)).copied();
                    let unknown = || Failure::failed(format!("no NIC has the number {nic}"));
                    rows.nic(number.ok_or_else(unknown)?)?;
                }
                (_, value) => columns.encode(at, value, &mut rows)?,
            }
        }
        count += 1;
        for chunk in rows.take_full() {
            chunks.blocking_send(chunk).map_err(gone)?;
        }
        Ok::<_, Failure>(())
    })?;
    for chunk in rows.finish() {
        chunks.blocking_send(chunk).map_err(gone)?;
    }
    Ok(count)
}

/// Stores the file's start times of complete rows.
pub(super) async fn keep_cut_offs(client: &Client, dump: &Dump) -> Result<(), Failure> {
    let mut from = [0; 3];
    let select = "SELECT raw_from, rollup_1m_from, rollup_5m_from FROM retention";
    dump.rows(select, None, |row| {
        from = [row.get(0)?, row.get(1)?, row.get(2)?];
        Ok::<_, Failure>(())
    })?;
    let [raw, minutes, five] = from.map(|from: i64| time(WallNs::of_column(from)));
    client
        .execute_typed(
            "UPDATE retention SET raw_from = greatest(raw_from, $1),
                 rollup_1m_from = greatest(rollup_1m_from, $2),
                 rollup_5m_from = greatest(rollup_5m_from, $3)",
            &[(&raw, Type::TIMESTAMPTZ), (&minutes, Type::TIMESTAMPTZ), (&five, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(())
}
