//! The agent's program.

use std::process::ExitCode;

use agent::cli::{Cli, Command};
use agent::config::{self, PROGRAM};
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
            let loaded = config::load(&cli.options, &[])?;
            let needed = loaded.config.collectors().err();
            let needed = needed.map(|problem| format!("{problem} before `agent run`"));
            settings::print_config(PROGRAM.name, &loaded, needed)?;
        }
    }
    Ok(())
}
