//! PostgreSQL: sizes of rows, and the rate beside psql's own copy.

use std::time::{Duration, Instant};

use collector::store::Commit;
use collector::store::postgres::{Authorities, PostgresConfig, PostgresStore};
use testbed::{Cluster, wait_until};

use super::agents::Agents;
use super::ways::{Options, Taken, Ways};
use crate::process::{children, cpu_ns_with_ended};
use crate::table::Table;

/// Hosts and days of the estimate.
const HOSTS: f64 = 1000.0;
const DAYS: f64 = 7.0;

/// A server with a database, without fsync: this compares work, not disks.
struct Database {
    cluster: Cluster,
    name: String,
    store: PostgresStore,
}

impl Database {
    fn new() -> anyhow::Result<Self> {
        let cluster = Cluster::start_plain();
        let _set = cluster.psql("postgres", "ALTER SYSTEM SET max_wal_size = '8GB'");
        let _told = cluster.psql("postgres", "SELECT pg_reload_conf()");
        let url = cluster.new_database();
        let config = PostgresConfig::new(url.parse()?, Authorities::System)?.with_unsafe_commits();
        let name = url.rsplit('=').next().unwrap_or_default().to_owned();
        Ok(Self { cluster, name, store: PostgresStore::new(config) })
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.name, sql).trim().to_owned()
    }

    fn empty(&self) {
        let _emptied = self.sql(&format!("TRUNCATE {}; CHECKPOINT", FILLED.join(", ")));
    }

    fn number(&self, sql: &str) -> anyhow::Result<f64> {
        Ok(self.sql(sql).parse()?)
    }
}

/// Prints the size of a row in each table, and of a week of many hosts.
pub async fn sizes(options: &Options) -> anyhow::Result<()> {
    let database = Database::new()?;
    let agents = Agents::new(&database.store, options.clients, 1, true).await?;
    for batch in agents.batches(options.minutes) {
        database.store.commit(&*batch?).await?;
    }
    let columns =
        ["PostgreSQL", "rows", "heap B/row", "index B/row", "rows/NIC/day", "1000 hosts, a week"];
    let mut table = Table::new(&columns);
    let mut week = 0.0;
    for (name, per_day) in [
        ("hot_samples", 172_800.0),
        ("hot_mixes", 8640.0),
        ("bandwidth_1m", 1440.0),
        ("bandwidth_5m", 288.0),
    ] {
        let _settled = database.sql(&format!("VACUUM {name}"));
        let of = |size: &str| {
            let parts = "SELECT inhrelid AS part FROM pg_inherits WHERE inhparent = ";
            database.number(&format!("SELECT sum({size}(part)) FROM ({parts}'{name}'::regclass) p"))
        };
        let rows = database.number(&format!("SELECT count(*) FROM {name}"))?;
        // Leave out the empty pages of partitions made ahead.
        let empty = 8192.0
            * database.number(&format!(
                "SELECT count(*) - 1 FROM pg_inherits WHERE inhparent = '{name}'::regclass"
            ))?;
        let heap = of("pg_table_size")? / rows;
        let index = (of("pg_indexes_size")? - empty) / rows;
        let bytes = (heap + index) * per_day * 2.0 * HOSTS * DAYS;
        week += bytes;
        let cells = [
            name.to_owned(),
            format!("{rows:.0}"),
            format!("{heap:.1}"),
            format!("{index:.1}"),
            format!("{per_day:.0}"),
            format!("{:.1} GB", bytes / 1e9),
        ];
        table.row(cells);
    }
    table.print();
    println!(
        "a week of 1000 hosts with 2 NICs at 500 ms: {:.0} GB (from the rows above; rollups are kept \
         longer)\n",
        week / 1e9
    );
    Ok(())
}

/// Tables whose rows commits add.
pub const FILLED: [&str; 4] = ["hot_samples", "bandwidth_1m", "bandwidth_5m", "session_nics"];

/// Prints the rate of commits, and of `\copy` of the same rows into the same tables.
pub async fn rates(options: &Options) -> anyhow::Result<()> {
    let database = Database::new()?;
    let rows = Agents::rows(options.clients, options.minutes);
    let mut ways = Ways::new(vec![
        "commits of 20,000 rows, with rollups, ledgers and cursors",
        "psql \\copy (format binary), rows alone",
        "psql \\copy (format binary), rows, rollups and ledgers",
    ]);
    let server = database.cluster.pid();
    let cpu = || cpu_ns_with_ended(server);
    let mut backends = 0;
    for round in 1..=options.rounds {
        let agents = Agents::new(&database.store, options.clients, round.into(), false).await?;
        let batches = agents.batches(options.minutes).collect::<anyhow::Result<Vec<_>>>()?;
        let parts = batches.len() as u64;
        let (begun, used) = (Instant::now(), cpu());
        for batch in batches {
            database.store.commit(&batch).await?;
        }
        let mut round = vec![Taken::new(rows, begun.elapsed(), cpu().saturating_sub(used))];
        backends = backends.max(children(server).len());
        let copies = Copies::of(&database, parts)?;
        for tables in [&FILLED[..1], &FILLED] {
            database.empty();
            let used = cpu();
            let time = copies.time(&database, tables)?;
            // The server counts the CPU time of psql's backend only after it ends.
            wait_until("psql's backend to end", || children(server).len() <= backends);
            round.push(Taken::new(rows, time, cpu().saturating_sub(used)));
            anyhow::ensure!(
                database.number("SELECT count(*) FROM bandwidth_stats")? == rows as f64
            );
        }
        database.empty();
        ways.rounds.push(round);
    }
    ways.print("PostgreSQL", "server CPU us/row");
    Ok(())
}

/// The contents of the tables, in files of equal size, one for each commit.
struct Copies {
    directory: tempfile::TempDir,
    parts: u64,
}

impl Copies {
    fn of(database: &Database, parts: u64) -> anyhow::Result<Self> {
        let copies = Self { directory: tempfile::tempdir()?, parts };
        for table in FILLED {
            let rows: u64 = database.sql(&format!("SELECT count(*) FROM {table}")).parse()?;
            let part = rows.div_ceil(parts);
            for n in 0..parts {
                let file = copies.file(table, n);
                let first = n * part;
                let rows = format!(
                    "SELECT * FROM {table} ORDER BY tableoid, ctid OFFSET {first} LIMIT {part}"
                );
                let _copied = database.sql(&format!("\\copy ({rows}) TO '{file}' (FORMAT binary)"));
            }
        }
        Ok(copies)
    }

    fn file(&self, table: &str, part: u64) -> String {
        self.directory.path().join(format!("{table}-{part}")).display().to_string()
    }

    /// How long psql takes to copy all parts of some tables, one transaction per part, without psql's
    /// start.
    fn time(&self, database: &Database, tables: &[&str]) -> anyhow::Result<Duration> {
        let script = self.directory.path().join("script");
        let transaction = |part: u64| {
            let copy = |table: &&str| {
                format!("\\copy {table} FROM '{}' (FORMAT binary)\n", self.file(table, part))
            };
            format!("BEGIN;\n{}COMMIT;\n", tables.iter().map(copy).collect::<String>())
        };
        let run = |text: &str| -> anyhow::Result<Duration> {
            std::fs::write(&script, text)?;
            let begun = Instant::now();
            let _done = database.cluster.psql_file(&database.name, &script);
            Ok(begun.elapsed())
        };
        let start = run("SELECT;")?;
        let all: String = (0..self.parts).map(transaction).collect();
        Ok(run(&all)?.saturating_sub(start))
    }
}
