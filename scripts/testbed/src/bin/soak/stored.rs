//! The contents of the store, read with SQLite's and PostgreSQL's own tools.

use std::path::Path;

use testbed::Cluster;

/// A row of `bandwidth_stats` or `gaps`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The client's id.
    pub client: String,
    /// The NIC's name.
    pub nic: String,
    /// Start, nanoseconds since 1970 (UTC).
    pub start_ns: u64,
    /// Length, nanoseconds.
    pub interval_ns: u64,
    /// Bytes received and transmitted.
    pub bytes: [u64; 2],
    /// Packets received and transmitted.
    pub packets: [u64; 2],
    /// Packets dropped because the ring was full.
    pub drops: u64,
    /// Reason of a gap; 0 for a sample.
    pub gap: u64,
}

impl Row {
    /// Its end, nanoseconds since 1970 (UTC).
    #[must_use]
    pub const fn end_ns(&self) -> u64 {
        self.start_ns + self.interval_ns
    }
}

/// All rows, by time; `TIME` is replaced by the column's expression.
const ROWS: &str = "
    SELECT client_id || '|' || name || '|' || TIME || '|' || interval_ns || '|' || rx_bytes
        || '|' || tx_bytes || '|' || rx_packets || '|' || tx_packets || '|' || drops
        || '|' || gap FROM (
        SELECT client, nic, time, interval_ns, rx_bytes, tx_bytes, rx_packets, tx_packets, drops,
            0 AS gap FROM bandwidth_stats
        UNION ALL
        SELECT client, nic, time, interval_ns, rx_bytes, tx_bytes, rx_packets, tx_packets, drops,
            reason FROM gaps WHERE nic IS NOT NULL) facts
    JOIN clients ON clients.id = facts.client JOIN nics ON nics.id = facts.nic ORDER BY time";

/// Reasons of gaps without a known NIC.
const BARE_GAPS: &str = "SELECT reason FROM gaps WHERE nic IS NULL";

/// All mixes, and those at whose start their NIC has another one; `TIME` as in [`ROWS`].
const MIXES: &str = "
    SELECT count(*) FROM traffic_mix
    UNION ALL SELECT count(*) - count(DISTINCT nic || '|' || TIME) FROM traffic_mix ORDER BY 1 DESC";

/// The contents of the store.
#[derive(Debug, Default)]
pub struct Stored {
    /// Samples and gaps, by time.
    pub rows: Vec<Row>,
    /// Reasons of gaps without a NIC.
    pub bare_gaps: Vec<u64>,
    /// Number of mixes.
    pub mixes: u64,
    /// Number of mixes that are stored twice.
    pub twice: u64,
}

/// Reads SQLite's file.
#[must_use]
pub fn read_sqlite(path: &Path) -> Stored {
    let db = open(path);
    let lines = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).expect("the tables are there");
        let text = |row: &rusqlite::Row<'_>| {
            row.get::<_, rusqlite::types::Value>(0).map(|value| match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
        };
        let rows = statement.query_map([], text).expect("the tables can be read");
        rows.collect::<Result<_, _>>().expect("the tables can be read")
    };
    parse(lines, "time")
}

impl Stored {
    /// Number of gaps with one of these reasons.
    #[must_use]
    pub fn gaps(&self, reasons: &[u64]) -> usize {
        let with_nic = self.rows.iter().map(|row| row.gap);
        let all = with_nic.chain(self.bare_gaps.iter().copied());
        all.filter(|reason| reasons.contains(reason)).count()
    }
}

/// Opens an existing SQLite file.
#[must_use]
pub fn open(path: &Path) -> rusqlite::Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let db = rusqlite::Connection::open_with_flags(path, flags).expect("the file is there");
    db.busy_timeout(std::time::Duration::from_secs(10)).expect("any time will do");
    collector::store::sqlite::add_functions(&db).expect("no function is refused");
    db
}

/// Reads PostgreSQL with psql.
#[must_use]
pub fn read_postgres(cluster: &Cluster, url: &str) -> Stored {
    let lines = |sql: &str| -> Vec<String> {
        cluster.psql(name(url), sql).lines().map(str::to_owned).collect()
    };
    let time = "(extract(epoch FROM time) * 1000000000)::bigint";
    parse(lines, time)
}

/// The database name in a URL.
#[must_use]
pub fn name(url: &str) -> &str {
    url.rsplit('=').next().unwrap_or_default()
}

/// What the lines say that queries give; `time` is an expression for a start in nanoseconds.
fn parse(lines: impl Fn(&str) -> Vec<String>, time: &str) -> Stored {
    let row = |line: String| {
        let fields: Vec<&str> = line.split('|').collect();
        let number = |at: usize| fields[at].parse().expect("a number");
        Row {
            client: fields[0].to_owned(),
            nic: fields[1].to_owned(),
            start_ns: number(2),
            interval_ns: number(3),
            bytes: [number(4), number(5)],
            packets: [number(6), number(7)],
            drops: number(8),
            gap: number(9),
        }
    };
    let numbers = |sql: &str| -> Vec<u64> {
        lines(sql).iter().map(|line| line.parse().expect("a number")).collect()
    };
    let mixes = numbers(&MIXES.replace("TIME", time));
    Stored {
        rows: lines(&ROWS.replace("TIME", time)).into_iter().map(row).collect(),
        bare_gaps: numbers(BARE_GAPS),
        mixes: mixes[0],
        twice: mixes[1],
    }
}
