//! `collector migrate`, as an operator runs it.

use std::process::{Command, Output};

use crate::cluster;
use crate::postgres::{Postgres, fresh};
use crate::suite::Place;

fn collector(place: &Postgres, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().env("NETMON_COLLECTOR_DATABASE__URL", &place.url).args(args);
    command
}

/// What it printed, with its exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (text.concat(), output.status.code())
}

fn run(place: &Postgres, args: &[&str]) -> (String, Option<i32>) {
    said(&collector(place, args).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_says_what_it_does_and_a_check_changes_nothing() {
    let place = fresh().await;
    let (text, code) = run(&place, &["migrate", "--check"]);
    assert!(text.contains("to be brought from nothing to schema") && code == Some(1), "{text}");
    assert!(text.contains("run `collector migrate`"), "{text}");
    assert_eq!(place.numbers("SELECT count(*) FROM pg_class WHERE relname = 'clients'").await, [0]);
    let (text, code) = run(&place, &["fsck"]);
    assert!(text.contains("collector migrate") && code == Some(1), "{text}");
    let (text, code) = run(&place, &["migrate"]);
    assert!(text.contains(": brought from nothing to schema") && code == Some(0), "{text}");
    for args in [&["migrate", "--check"][..], &["migrate"]] {
        let (text, code) = run(&place, args);
        assert!(text.contains("the newest") && code == Some(0), "{text}");
    }
    let (text, code) = run(&place, &["fsck"]);
    assert!(text.contains("0 sessions") && code == Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_that_run_at_once_make_one_schema() {
    let place = fresh().await;
    let start = |_| collector(&place, &["migrate"]).stdout(std::process::Stdio::piped()).spawn();
    let started: Vec<_> = (0..4).map(start).collect();
    let ended = started.into_iter().map(|child| child.unwrap().wait_with_output().unwrap());
    let ended: Vec<_> = ended.map(|output| said(&output)).collect();
    assert!(ended.iter().all(|(_, code)| *code == Some(0)), "{ended:?}");
    let makers = ended.iter().filter(|(text, _)| text.contains("from nothing")).count();
    assert_eq!(makers, 1, "{ended:?}");
    let versions = place.numbers("SELECT version FROM netmon_schema ORDER BY version").await;
    assert!(versions.iter().copied().eq(1..=versions.len() as i64), "{versions:?}");
}

/// What the migration uses of Citus: a catalogue, and a function that checks as Citus does.
const CITUS: &str = "
    CREATE TABLE pg_dist_partition (logicalrel regclass PRIMARY KEY, partkey text, beside text);
    CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
        distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default') RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM pg_attribute
            WHERE attrelid = table_name AND attname = distribution_column AND attnotnull;
        IF NOT FOUND THEN RAISE 'no column % in %', distribution_column, table_name; END IF;
        -- Keys must hold the column by which a table is distributed.
        IF EXISTS (SELECT FROM pg_index i WHERE indrelid = table_name AND indisunique AND NOT EXISTS
            (SELECT FROM pg_attribute a WHERE a.attrelid = table_name
             AND a.attname = distribution_column AND a.attnum = ANY (i.indkey)))
        THEN RAISE 'a key of % lacks %', table_name, distribution_column; END IF;
        -- Nor may distributed tables refer to others.
        IF EXISTS (SELECT FROM pg_constraint WHERE contype = 'f'
            AND (conrelid = table_name OR confrelid = table_name))
        THEN RAISE 'foreign keys of %', table_name; END IF;
        IF colocate_with NOT IN ('none', 'default') AND NOT EXISTS
            (SELECT FROM pg_dist_partition WHERE logicalrel = colocate_with::regclass)
        THEN RAISE '% is not distributed', colocate_with; END IF;
        INSERT INTO pg_dist_partition VALUES (table_name, distribution_column, colocate_with);
    END $$";

#[tokio::test(flavor = "multi_thread")]
async fn where_citus_is_the_fact_tables_are_distributed_by_client_once() {
    let place = fresh().await;
    place.execute(CITUS).await;
    let (text, code) = run(&place, &["migrate"]);
    assert!(text.contains("Citus, tables brought") && code == Some(0), "{text}");
    let distributed = cluster::client(&place.url).await;
    let select = "SELECT logicalrel::text, partkey, beside FROM pg_dist_partition ORDER BY 1";
    let rows = distributed.query(select, &[]).await.unwrap();
    let rows: Vec<[String; 3]> =
        rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
    let rows: Vec<[&str; 3]> = rows.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    assert_eq!(
        rows,
        [
            ["bandwidth_1m", "client", "bandwidth_stats"],
            ["bandwidth_5m", "client", "bandwidth_stats"],
            ["bandwidth_stats", "client", "none"],
            ["traffic_mix", "client", "bandwidth_stats"],
        ]
    );
    let (text, code) = run(&place, &["migrate"]);
    assert!(!text.contains("Citus") && code == Some(0), "{text}");
}
