//! The collector's behaviour when its output can't be written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory;
use collector::cli::Cli;
use testbed::output::{assert_all_tried, assert_ended_quietly, assert_told_of_full_disk};
use testbed::{onto_closed_pipe, onto_full_disk};

/// Every command that prints, with arguments that make it print something.
const COMMANDS: [&[&str]; 17] = [
    &["token"],
    &["tokens"],
    &["ca", "roll"],
    &["clients"],
    &["tag", "web-1", "site=ams"],
    &["silence", "add", "--for", "1h", "--reason", "works"],
    &["bill", "transit", "-c", "accounts.yaml"],
    &["revoke", "web-1"],
    &["forget", "web-1", "--yes"],
    &["migrate"],
    &["migrate", "--check"],
    &["doctor"],
    &["fsck"],
    &["check-config"],
    &["backup", "copy.sqlite"],
    &["sql", "SELECT client_id, alias FROM clients"],
    &["--help"],
];

/// Commands that don't print (services and full-screen ones), and those that `store/` tests with rows.
const ELSEWHERE: [&str; 4] = ["run", "top", "export", "import"];

fn collector(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().args(args).env("NETMON_COLLECTOR_DATA_DIR", data_dir);
    command.current_dir(data_dir.parent().unwrap());
    if args == ["revoke", "web-1"] {
        // An operator with an own PKI may revoke a client that it has never seen.
        for (key, file) in [("CA", "ca"), ("CERT", "cert"), ("KEY", "key")] {
            command.env(format!("NETMON_COLLECTOR_TLS__{key}"), data_dir.join(file));
        }
    }
    command
}

/// Runs each command with an output and checks the result.
fn each(onto: impl Fn(&mut Command) -> Output, judge: impl Fn(&[&str], &Output)) {
    for args in COMMANDS {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        know("", &data_dir);
        own_pki(&data_dir);
        let accounts = "accounts:\n  transit:\n    members: [web-1]\n    rule: sum\n";
        std::fs::write(directory.path().join("accounts.yaml"), accounts).unwrap();
        if args == ["ca", "roll"] {
            // The token that the new one replaces.
            assert!(collector(&data_dir, &["token"]).status().unwrap().success());
        }
        let output = onto(&mut collector(&data_dir, args));
        judge(args, &output);
    }
}

/// Makes the store with the client `web-1` and this alias.
fn know(alias: &str, data_dir: &Path) {
    let made = collector(data_dir, &["migrate"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let database = rusqlite::Connection::open(data_dir.join("netmon.sqlite")).unwrap();
    let insert = "INSERT INTO clients (client_id, alias, created_at, last_seen_at, agent_version, \
                  os, kernel, cpus, sample_interval_ns) VALUES ('web-1', ?1, 1, 1, '', '', '', 1, 1)";
    database.execute(insert, [alias]).unwrap();
}

fn own_pki(data_dir: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["collector.example.org".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    for (file, text) in
        [("ca", certificate.pem()), ("cert", certificate.pem()), ("key", key.serialize_pem())]
    {
        wire::private_file::write(&data_dir.join(file), text.as_bytes()).unwrap();
    }
}

#[test]
fn every_command_that_prints_is_tried_here() {
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(clap::Command::get_name);
    assert_all_tried("collector", commands, &COMMANDS, &ELSEWHERE);
}

#[test]
fn a_closed_pipe_ends_every_command_quietly_as_sigpipe_does() {
    each(onto_closed_pipe, assert_ended_quietly);
}

#[test]
fn a_full_disk_is_an_error_of_every_command() {
    each(onto_full_disk, |args, output| assert_told_of_full_disk("collector", args, output));
}

#[test]
fn a_standard_error_that_takes_nothing_changes_no_exit_code() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_collector")).arg("rnu").stderr(full).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn a_hostile_alias_is_one_cell_of_the_list_and_steers_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    know("a\u{1b}[2J\nforged \u{202e}b", &data_dir);
    let output = collector(&data_dir, &["clients"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("a\\u001b[2J\\u000aforged \\u202eb"), "{text:?}");
    assert_eq!(text.lines().filter(|line| line.contains("forged")).count(), 1, "{text:?}");
    assert!(text.lines().all(|line| !line.starts_with("forged")), "{text:?}");
    assert!(text.chars().all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '), "{text:?}");
}

#[test]
fn a_log_on_a_full_disk_ends_no_service() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = collector(&directory.path().join("data"), &["run"]);
    command.env("NETMON_COLLECTOR_SERVER__PORT", "0").env("NETMON_COLLECTOR_HTTP__PORT", "0");
    // It tells systemd that it is ready although its log could not be written.
    let notified = directory.path().join("notify");
    let ready = std::os::unix::net::UnixDatagram::bind(&notified).unwrap();
    ready.set_read_timeout(Some(testbed::PATIENCE)).unwrap();
    let mut child = command.env("NOTIFY_SOCKET", notified).stderr(full).spawn().unwrap();
    let mut said = [0; 64];
    let len = ready.recv(&mut said).unwrap();
    assert!(said[..len].starts_with(b"READY=1"), "{said:?}");
    testbed::sh(&format!("kill -TERM {}", child.id()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
