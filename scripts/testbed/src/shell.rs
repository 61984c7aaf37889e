//! Shell commands, and waiting for conditions.

use std::process::Command;
use std::time::{Duration, Instant};

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

/// Waits until a condition holds, up to 20 s.
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_for(what, Duration::from_secs(20), condition);
}

/// Waits until a condition holds, up to `patience`.
pub fn wait_for(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
