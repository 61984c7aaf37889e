//! The collector's program.

mod commands;

use std::process::ExitCode;

use collector::config::PROGRAM;

fn main() -> ExitCode {
    settings::run(PROGRAM.name, commands::execute)
}
