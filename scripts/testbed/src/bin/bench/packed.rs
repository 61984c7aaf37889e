//! `bench packed`: bytes and time that packed rows take, beside byte planes, for NICs of three kinds or for
//! the rows of a store. Sizes are all in: of files of SQLite and tables of PostgreSQL, with what compresses
//! in there, pages, keys and sums.

mod planes;
pub mod traffic;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use collector::store::sqlite::add_functions;
use collector::store::{PACKED_ROWS_MAX, Packed, Point, unpack};
use rusqlite::{Connection, OpenFlags, params};
use testbed::Cluster;
use wire::{Bytes, Packets, WallNs};

use self::traffic::KINDS;
use crate::table::{Table, met};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// NICs of each kind
    #[arg(long, default_value_t = 12)]
    nics: u64,
    /// Samples of each NIC, one every 500 ms
    #[arg(long, default_value_t = 7200)]
    samples: u64,
    /// Instead, the rows of this store: a file that `collector backup` has made
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// Most bytes of a row in SQLite.
const SQLITE_TARGET: f64 = 25.0;

/// Rows of NICs, and what may be taken for them.
struct Sort {
    name: &'static str,
    nics: Vec<Vec<Point>>,
    /// Most bytes of a row in PostgreSQL.
    target: f64,
}

/// Packs rows and stores what is packed.
///
/// # Errors
/// Fails if a database fails, or if rows don't come back.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let sorts = match &options.store {
        Some(path) => vec![Sort { name: "stored", nics: stored(path)?, target: f64::INFINITY }],
        None => KINDS
            .map(|kind| Sort {
                name: kind.name,
                nics: (0..options.nics).map(|nic| kind.rows(nic, options.samples)).collect(),
                target: kind.target,
            })
            .into(),
    };
    let cluster = Cluster::start_plain();
    let mut table = Table::new(&[
        "rows",
        "number",
        "planes, B",
        "packed, B",
        "packing, ns",
        "unpacking, ns",
        "PostgreSQL, planes + lz4, B",
        "PostgreSQL, packed, B",
        "target",
        "SQLite, packed, B",
        "target 25",
    ]);
    for sort in &sorts {
        table.row(measure(sort, &cluster)?);
    }
    table.print();
    println!("bytes and times are of one row; those in databases are all in, after VACUUM");
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn measure(sort: &Sort, cluster: &Cluster) -> anyhow::Result<[String; 11]> {
    let stretches = || sort.nics.iter().flat_map(|rows| rows.chunks(PACKED_ROWS_MAX));
    let rows: usize = stretches().map(<[Point]>::len).sum();
    anyhow::ensure!(rows > 0, "there are no rows");
    let begun = Instant::now();
    let packed = stretches().map(|rows| Packed::of(rows).context("rows are not packed"));
    let packed: Vec<Packed> = packed.collect::<anyhow::Result<_>>()?;
    let packing = begun.elapsed();
    let begun = Instant::now();
    let read: Vec<_> = packed.iter().map(|it| unpack(&it.columns)).collect();
    let unpacking = begun.elapsed();
    anyhow::ensure!(read.iter().map(Option::as_deref).eq(stretches().map(Some)), "rows differ");
    let planes: Vec<Vec<u8>> = stretches().map(planes::of).collect();
    let columns: Vec<&[u8]> = packed.iter().map(|it| it.columns.as_slice()).collect();
    let planes_of: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    let per_row = |bytes: usize| bytes as f64 / rows as f64;
    let sum = |of: &[&[u8]]| per_row(of.iter().map(|it| it.len()).sum());
    let in_postgres = |of| Ok::<_, anyhow::Error>(per_row(in_postgres(cluster, of)?));
    let (ours, file) = (in_postgres(&columns)?, per_row(in_sqlite(&columns)?));
    Ok([
        sort.name.to_owned(),
        rows.to_string(),
        format!("{:.1}", sum(&planes_of)),
        format!("{:.1}", sum(&columns)),
        format!("{:.0}", packing.as_nanos() as f64 / rows as f64),
        format!("{:.0}", unpacking.as_nanos() as f64 / rows as f64),
        format!("{:.1}", in_postgres(&planes_of)?),
        format!("{ours:.1}"),
        format!("{} {}", sort.target, met(ours <= sort.target)),
        format!("{file:.1}"),
        met(file <= SQLITE_TARGET).to_owned(),
    ])
}

/// Columns beside what is packed: keys, number, span, sums, largest values.
const BESIDE: [&str; 18] = [
    "client",
    "nic",
    "hour",
    "nth",
    "row_count",
    "first",
    "last",
    "interval_ns",
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "rx_captured",
    "tx_captured",
    "drops",
    "flags",
    "rx_peaks",
    "tx_peaks",
];

/// A table for packed rows.
fn table(number: &str, bytes: &str) -> String {
    let beside = BESIDE.map(|name| format!("{name} {number} NOT NULL")).join(", ");
    format!(
        "CREATE TABLE packed ({beside}, columns {bytes} NOT NULL, PRIMARY KEY (client, nic, hour, nth))"
    )
}

/// A statement that adds a row of it: `bytes` is its last column.
fn insert(n: usize, bytes: &str) -> String {
    let beside = [n.to_string()].into_iter().chain((1..BESIDE.len()).map(|at| {
        // As large as sums are.
        (1_700_000_000_000 + at).to_string()
    }));
    format!("INSERT INTO packed VALUES ({}, {bytes})", beside.collect::<Vec<_>>().join(", "))
}

fn in_sqlite(packed: &[&[u8]]) -> anyhow::Result<usize> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(&table("INTEGER", "BLOB"))?;
    for (n, bytes) in packed.iter().enumerate() {
        db.execute(&insert(n, "?1"), params![bytes])?;
    }
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    Ok(usize::try_from(db.query_row(size, [], |row| row.get::<_, i64>(0))?)?)
}

fn in_postgres(cluster: &Cluster, packed: &[&[u8]]) -> anyhow::Result<usize> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script");
    let rows: Vec<String> = packed
        .iter()
        .enumerate()
        .map(|(n, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            insert(n, &format!("'\\x{hex}'"))
        })
        .collect();
    let text = format!(
        "DROP TABLE IF EXISTS packed; SET default_toast_compression = 'lz4'; {};\n{};\nVACUUM packed;",
        table("bigint", "bytea"),
        rows.join(";\n")
    );
    std::fs::write(&script, text)?;
    let _done = cluster.psql_file("postgres", &script);
    let size = cluster.psql("postgres", "SELECT pg_total_relation_size('packed')");
    Ok(size.trim().parse()?)
}

/// The samples of a store, by NIC.
fn stored(path: &PathBuf) -> anyhow::Result<Vec<Vec<Point>>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    add_functions(&db)?;
    let mut nics: Vec<Vec<Point>> = Vec::new();
    let mut select = db.prepare(
        "SELECT time, interval_ns, rx_bytes, rx_packets, rx_captured, rx_peak_1ms_bytes, rx_peak_10ms_bytes,
             tx_bytes, tx_packets, tx_captured, tx_peak_1ms_bytes, tx_peak_10ms_bytes, drops, flags, nic
         FROM bandwidth_stats ORDER BY client, nic, time, nth",
    )?;
    let (mut rows, mut last) = (select.query([])?, None);
    while let Some(row) = rows.next()? {
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let mut point =
            Point { start_ns: WallNs(number(0)?), interval_ns: number(1)?, ..Point::default() };
        for (counts, at) in [(&mut point.rx, 2), (&mut point.tx, 7)] {
            counts.bytes = Bytes(number(at)?);
            counts.packets = Packets(number(at + 1)?);
            counts.captured = Packets(number(at + 2)?);
            counts.peak_1ms_bytes = row.get(at + 3)?;
            counts.peak_10ms_bytes = row.get(at + 4)?;
        }
        (point.drops, point.flags) = (Packets(number(12)?), row.get(13)?);
        let nic = Some(number(14)?);
        if last != nic {
            nics.push(Vec::new());
        }
        last = nic;
        nics.last_mut().context("no NIC")?.push(point);
    }
    Ok(nics)
}
