//! `collector token` and `collector tokens`: their errors and output.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

fn collector(data_dir: &std::path::Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().args(["--data-dir", data_dir.to_str().unwrap()]).args(args);
    command.output().unwrap()
}

#[test]
fn nonsense_is_refused_by_name_with_the_code_of_a_wrong_command_line() {
    let dir = tempfile::tempdir().unwrap();
    for (args, named) in [
        (&["--client", "a", "--match", "b*"][..], ["--client", "--match"]),
        (&["--client", "a", "--uses", "2"], ["--client", "--uses"]),
        (&["--match", "b*", "--replace"], ["--match", "--replace"]),
        (&["--replace"], ["--client", "required"]),
        (&["--match", "web-1"], ["--match", "--client web-1"]),
        (&["--uses", "0"], ["--uses", "1..=100000"]),
        (&["--cancel", "8f3a1c90d2b7", "--uses", "2"], ["--cancel", "--uses"]),
        (&["--clinet", "a"], ["--client", "`collector token --help`"]),
    ] {
        let output = collector(dir.path(), &[&["token"], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(named.iter().all(|it| said.contains(it)), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let unknown = collector(dir.path(), &["token", "--cancel", "8f3a1c90d2b7"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("`collector tokens`"));
}

#[test]
fn a_token_that_replaces_nobody_says_so_and_the_output_is_the_token_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = collector(dir.path(), &["token", "--client", "web-1", "--replace"]);
    let token = String::from_utf8(made.stdout).unwrap();
    assert!(token.starts_with("nmt1_") && token.lines().count() == 1, "{token}");
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains("warning: client web-1 isn't known here yet"), "{said}");
    let list = String::from_utf8(collector(dir.path(), &["tokens"]).stdout).unwrap();
    let line = list.lines().nth(1).unwrap();
    assert!(line.contains("web-1 (replaces it)") && line.contains("1 of 1"), "{list}");
    assert!(!list.contains(&token[5..30]), "{list}");
    // The token itself works too, for people who have nothing else.
    let cancelled = collector(dir.path(), &["token", "--cancel", token.trim()]);
    assert!(cancelled.status.success(), "{cancelled:?}");
    let list = String::from_utf8(collector(dir.path(), &["tokens"]).stdout).unwrap();
    assert!(list.contains("no token can be used"), "{list}");
}
