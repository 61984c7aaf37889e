//! `fuzz`: lists the targets, replays inputs, changes them at random, and makes the seeds.
//! `scripts/fuzz` has guidance by coverage.

use std::process::ExitCode;

fn main() -> ExitCode {
    fuzzing::cli::run()
}
