//! The agent's behaviour when its output can't be written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use agent::cli::Cli;
use clap::CommandFactory;
use testbed::output::{assert_all_tried, assert_ended_quietly, assert_told_of_full_disk};
use testbed::{Pair, in_namespace, onto_closed_pipe, onto_full_disk};

/// Every command that prints.
const COMMANDS: [&[&str]; 8] = [
    &["watch", "--nic", "here", "--interval", "50ms"],
    &["watch", "--nic", "here", "--interval", "50ms", "--format", "json"],
    &["watch", "--nic", "here", "--interval", "50ms", "--talkers"],
    &["watch", "--nic", "here", "--interval", "50ms", "--talkers", "--format", "json"],
    &["nics"],
    &["doctor"],
    &["check-config"],
    &["--help"],
];

/// Commands that don't print: services and full-screen ones. `enroll` needs a collector's answer and is
/// tested by `end_to_end`.
const ELSEWHERE: [&str; 3] = ["run", "top", "enroll"];

fn each(onto: impl Fn(&mut Command) -> Output, judge: impl Fn(&[&str], &Output)) {
    let _pair = Pair::new();
    for args in COMMANDS {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
        command.env_clear().args(args).env("NETMON_AGENT_DATA_DIR", directory.path());
        judge(args, &onto(&mut command));
    }
}

#[test]
fn every_command_that_prints_is_tried_here() {
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(clap::Command::get_name);
    assert_all_tried("agent", commands, &COMMANDS, &ELSEWHERE);
}

#[test]
fn a_closed_pipe_ends_every_command_quietly_as_sigpipe_does() {
    if !in_namespace() {
        return;
    }
    each(onto_closed_pipe, assert_ended_quietly);
}

#[test]
fn a_full_disk_is_an_error_of_every_command() {
    if !in_namespace() {
        return;
    }
    each(onto_full_disk, |args, output| assert_told_of_full_disk("agent", args, output));
}
