//! Shell commands.

use std::process::Command;

/// Runs a shell command and returns its output. It must succeed.
pub fn sh(command: &str) -> String {
    run(Command::new("bash").args(["-c", command]), command)
}

/// Runs a command and returns its output. It must succeed. `what` names it in failures.
pub(crate) fn run(command: &mut Command, what: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
