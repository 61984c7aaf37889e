//! Keeps `deploy/docs/reference-collector.md` equal to the code.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod meaning;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use collector::accounts::METRICS;
use collector::cli::Cli;
use collector::live::Live;
use collector::metrics::{Metrics, own};
use collector::web;
use serde_json::Value;
use settings::Names;
use testbed::reference::{self, cell};
use testbed::{Cluster, done};
use wire::Bytes;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};
use wire::{Seq, WallNs};

const NOW: u64 = 1_700_000_000_000_000_000;

#[test]
fn the_reference_names_every_key_command_metric_table_and_route() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/collector.yaml");
    let example = std::fs::read_to_string(example).unwrap();
    let page = format!(
        "# Reference of the collector\n\n\
         Rendered from the code by `collector/tests/reference`; don't edit it by hand.\n\n\
         - [Keys](#keys)\n- [Commands](#commands)\n- [Metrics](#metrics)\n- [Tables](#tables)\n\
         - [API](#api)\n\n\
         ## Keys\n\nOf `/etc/network-monitor/collector.yaml`, or the file that `-c` names. \
         [Layers](operations.md#config) says what wins over it.\n\n{}\n\
         ## Commands\n\n{}\n## Metrics\n\n{}\n## Tables\n\n{}\n## API\n\n{}",
        reference::keys(&example),
        reference::commands(Names::Installed.in_help(Cli::command())),
        metrics(),
        tables(),
        api()
    );
    reference::hold("deploy/docs/reference-collector.md", &page);
}

/// All metrics: the collector's own, and those of a client with one NIC.
fn metrics() -> String {
    let mut text = String::from(
        "Served at `/metrics`. The series of each client and NIC:\n\n\
         | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for (name, [kind, labels, help]) in of_clients() {
        let _always = writeln!(text, "| `{name}` | {kind} | {labels} | {} |", cell(&help));
    }
    text.push_str(
        "\nThose of the running cycle of each [account](billing.md), as gauges with the label \
         `account`:\n\n| Metric | Meaning |\n|---|---|\n",
    );
    for (name, help, _) in METRICS {
        let _always = writeln!(text, "| `{name}` | {} |", cell(help));
    }
    text.push_str(
        "\nThe collector's own:\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    let own: BTreeMap<&str, _> = own().into_iter().map(|it| (it.name, it)).collect();
    for it in own.values() {
        let label = it.label.map(|label| format!("`{label}`")).unwrap_or_default();
        let _always =
            writeln!(text, "| `{}` | {} | {label} | {} |", it.name, it.kind, cell(it.help));
    }
    text
}

/// Type, labels and help of each metric of a client, by name.
fn of_clients() -> BTreeMap<String, [String; 3]> {
    let (live, client) = (Live::new(), ClientId::new("web-1").unwrap());
    let nic = NicName::new("eth0").unwrap();
    live.on_connected(&client, "", &Host::default(), WallNs(NOW));
    live.on_clock_offset(&client, 1);
    let nics = vec![Nic { name: nic, speed_bits: 8, kind: "physical".into(), ..Nic::default() }];
    live.on_inventory(&client, &Inventory { nics });
    let rx = Counts { bytes: Bytes(1), total_bytes: Bytes(1), ..Counts::default() };
    let sample = Sample { nic, start_ns: WallNs(NOW), interval_ns: 1, rx, ..Sample::default() };
    let (samples, mixes) = (vec![sample], vec![]);
    let frame = Frame {
        session: SessionId::new(1),
        first_seq: Seq(1),
        last_seq: Seq(1),
        gap: 0,
        samples,
        mixes,
        talkers: vec![],
    };
    live.observe(&client, &frame, WallNs(NOW));
    let shown = Metrics::with_recorder().unwrap().1.render(&live, WallNs(NOW));
    let own: BTreeSet<&str> = own().iter().map(|it| it.name).collect();
    let mut found: BTreeMap<String, [String; 3]> = BTreeMap::new();
    for line in shown.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] if !own.contains(name) => {
                found.entry((*name).to_owned()).or_default()[2] = (*help).to_owned();
            }
            ["#", "TYPE", name, kind] if !own.contains(name) => {
                found.entry((*name).to_owned()).or_default()[0] = (*kind).to_owned();
            }
            _ => {
                let Some((name, labels)) = line.split_once('{') else { continue };
                let Some(metric) = found.get_mut(name) else { continue };
                let labels = labels.split("=\"").filter_map(|it| it.rsplit(['"', ',']).next());
                let labels: Vec<String> =
                    labels.filter(|it| !it.contains('}')).map(|it| format!("`{it}`")).collect();
                metric[1] = labels.join(", ");
            }
        }
    }
    let silent: Vec<_> = found.iter().filter(|(_, [_, labels, _])| labels.is_empty()).collect();
    assert!(silent.is_empty(), "metrics without a series: {silent:?}");
    found
}

/// The columns of a table: name, type in SQLite and in PostgreSQL.
type Columns = Vec<(String, [String; 2])>;

/// Every table and view with its columns in both databases.
fn tables() -> String {
    let sqlite = in_sqlite();
    let postgres = in_postgres();
    let mut text = String::from(
        "SQLite and PostgreSQL have the same tables and views. Times are nanoseconds since 1970 \
         (UTC) in SQLite and `timestamptz` in PostgreSQL, where intervals are named alike. \
         [Figures](figures.md) says what is counted.\n",
    );
    let mut said: BTreeSet<&str> = BTreeSet::new();
    for (table, about) in meaning::TABLES {
        said.insert(table);
        let of = |columns: &BTreeMap<String, Vec<(String, String)>>| {
            columns.get(table).cloned().unwrap_or_default()
        };
        let (mut columns, other) = (Columns::new(), of(&postgres));
        for (name, kind) in of(&sqlite) {
            columns.push((name, [kind, String::new()]));
        }
        for (name, kind) in other {
            match columns.iter_mut().find(|(other, _)| *other == name) {
                Some((_, kinds)) => kinds[1] = kind,
                None => columns.push((name, [String::new(), kind])),
            }
        }
        assert!(!columns.is_empty(), "there is no table {table}");
        let _always = writeln!(text, "\n### `{table}`\n\n{about}\n");
        text.push_str("| Column | SQLite | PostgreSQL | Meaning |\n|---|---|---|---|\n");
        for (name, [one, other]) in columns {
            let meaning = meaning::of(table, &name);
            let meaning = meaning.unwrap_or_else(|| panic!("say what {table}.{name} means"));
            let _always = writeln!(text, "| `{name}` | {one} | {other} | {} |", cell(&meaning));
        }
    }
    for table in sqlite.keys().chain(postgres.keys()) {
        assert!(said.contains(table.as_str()), "say what table {table} is");
    }
    text
}

/// Columns by table of a new file.
fn in_sqlite() -> BTreeMap<String, Vec<(String, String)>> {
    let folder = tempfile::tempdir().unwrap();
    migrate(folder.path(), &[]);
    let db = rusqlite::Connection::open(folder.path().join("netmon.sqlite")).unwrap();
    collector::store::sqlite::add_functions(&db).unwrap();
    let sql = "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c \
               WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%' ORDER BY m.name, c.cid";
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    by_table(rows.unwrap().map(Result::unwrap).map(|(table, column, kind): (_, _, String)| {
        // Computed columns of a view have no type.
        let kind = if kind.is_empty() { "computed".to_owned() } else { kind };
        (table, column, kind)
    }))
}

/// Columns by table of a new database, without partitions.
fn in_postgres() -> BTreeMap<String, Vec<(String, String)>> {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let url = cluster.new_database();
    let key = "NETMON_COLLECTOR_DATABASE__";
    // The test's server runs without fsync.
    let unsafe_too = format!("{key}ALLOW_UNSAFE");
    migrate(folder.path(), &[(&format!("{key}URL"), &url), (&unsafe_too, "true")]);
    let database = url.rsplit('=').next().unwrap();
    let sql = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c \
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') \
               AND NOT c.relispartition ORDER BY c.relname, a.attnum";
    let rows = cluster.psql(database, sql);
    by_table(rows.lines().map(|line| {
        let mut cells = line.split('|').map(str::to_owned);
        (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap())
    }))
}

/// Makes the collector create its tables.
fn migrate(data_dir: &Path, variables: &[(&str, &str)]) {
    let mut collector = Command::new(env!("CARGO_BIN_EXE_collector"));
    collector.env_clear().envs(variables.iter().copied());
    let _made = done(collector.args(["migrate", "--data-dir"]).arg(data_dir).output().unwrap());
}

fn by_table(
    rows: impl Iterator<Item = (String, String, String)>,
) -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    rows.for_each(|(table, column, kind)| {
        tables.entry(table).or_default().push((column, kind));
    });
    tables
}

/// Every route with its parameters and answers, from the API's description.
fn api() -> String {
    let document = serde_json::to_value(web::description()).unwrap();
    let mut text = String::from(
        "`/api/v1/openapi.json` describes it for programs, with the schema of every answer. \
         Errors are `{\"error\": {\"code\": ..., \"message\": ...}}`.\n",
    );
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let said = |key: &str| route[key].as_str().unwrap_or_default();
            let _always = writeln!(text, "\n### `{method} {path}`\n\n{}.", said("summary"));
            if !said("description").is_empty() {
                let _always = writeln!(text, "\n{}", said("description"));
            }
            let none = Vec::new();
            let parameters = route["parameters"].as_array().unwrap_or(&none);
            if !parameters.is_empty() {
                text.push_str("\n| Parameter | Type | Needed | Meaning |\n|---|---|---|---|\n");
            }
            for it in parameters {
                let needed = if it["required"] == true { "yes" } else { "" };
                let _always = writeln!(
                    text,
                    "| `{}` | {} | {needed} | {} |",
                    it["name"].as_str().unwrap(),
                    kind(&it["schema"]),
                    cell(it["description"].as_str().unwrap_or_default())
                );
            }
            text.push_str("\n| Status | Answer |\n|---|---|\n");
            for (status, answer) in route["responses"].as_object().unwrap() {
                let about = answer["description"].as_str().unwrap_or_default();
                let _always = writeln!(text, "| {status} | {} |", cell(about));
            }
        }
    }
    text
}

/// The type of a parameter.
fn kind(schema: &Value) -> String {
    let words = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect::<Vec<_>>(),
    };
    let words: Vec<&str> = words.into_iter().filter(|it| *it != "null").collect();
    words.join(" or ")
}
