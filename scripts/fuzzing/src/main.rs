//! `fuzz`: lists targets, replays inputs, mutates them at random, and writes seeds. `scripts/fuzz` adds
//! guidance by coverage.

use std::process::ExitCode;

fn main() -> ExitCode {
    fuzzing::cli::run()
}
