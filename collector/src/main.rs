//! The collector's program.

use std::process::ExitCode;

use collector::cli::{Cli, Command};
use collector::config::{self, PROGRAM};
use settings::{parse_args, report};

fn main() -> ExitCode {
    let cli: Cli = match parse_args(PROGRAM.name) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(PROGRAM.name, error.as_ref()),
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::CheckConfig => {
            settings::print_config(PROGRAM.name, &config::load(&cli.options)?, [])?;
        }
    }
    Ok(())
}
