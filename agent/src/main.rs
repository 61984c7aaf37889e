//! The agent's program.

mod commands;

use std::process::ExitCode;

use agent::config::PROGRAM;

fn main() -> ExitCode {
    settings::run(PROGRAM.name, commands::execute)
}
