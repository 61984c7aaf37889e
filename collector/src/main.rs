//! The collector's program.

mod commands;

use std::process::ExitCode;

use collector::cli::Cli;
use collector::config::PROGRAM;
use settings::{parse_args, report};

fn main() -> ExitCode {
    let cli: Cli = match parse_args(PROGRAM.name) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match commands::execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(PROGRAM.name, error.as_ref()),
    }
}
