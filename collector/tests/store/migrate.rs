//! `collector migrate`, as operators run it.

use std::process::{Command, Output};

use crate::postgres::{Postgres, fresh};
use crate::suite::Place;

fn collector(place: &Postgres, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().env("NETMON_COLLECTOR_DATABASE__URL", &place.url).args(args);
    command
}

/// Its output and exit code.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (text.concat(), output.status.code())
}

pub fn run(place: &Postgres, args: &[&str]) -> (String, Option<i32>) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_collector_is_named_and_left_alone() {
    let place = fresh().await;
    let (text, code) = run(&place, &["migrate"]);
    assert_eq!(code, Some(0), "{text}");
    place.execute("INSERT INTO netmon_schema VALUES (99)").await;
    for args in [&["migrate"][..], &["migrate", "--check"], &["fsck"], &["clients"]] {
        let (text, code) = run(&place, args);
        assert!(text.contains("newer collector") && text.contains("99"), "{args:?}: {text}");
        assert_eq!(code, Some(1), "{text}");
    }
}
