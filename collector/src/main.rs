//! The collector's program.

use std::process::ExitCode;

use collector::cli::{Cli, Command};
use collector::config::{self, PROGRAM};
use collector::{admin, run};
use settings::{Problem, parse_args, report};
use wire::id::ClientId;

fn main() -> ExitCode {
    let cli: Cli = match parse_args(PROGRAM.name) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(PROGRAM.name, error.as_ref()),
    }
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    let loaded = config::load(&cli.options)?;
    let config = &loaded.config;
    let tls = config.tls.files().map_err(|problem| loaded.refuse(problem))?;
    let client =
        |id: &str| ClientId::new(id).map_err(|error| Problem::new("client", error.to_string()));
    match &cli.command {
        Command::Run => {
            settings::start_log(&config.log);
            loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            run::check_database(config).map_err(|problem| loaded.refuse(problem))?;
            let access = config.http.access().map_err(|problem| loaded.refuse(problem))?;
            run::run(config, tls.as_ref(), access)?;
        }
        Command::Token(args) => {
            let bound = args.client.as_deref().map(client).transpose();
            let bound = bound.map_err(|problem| loaded.refuse(problem))?;
            println!("{}", admin::token(config, tls.as_ref(), bound, args.expires.0)?);
        }
        Command::Clients => println!("{}", admin::clients(config, tls.as_ref())?),
        Command::Revoke(args) => {
            let client = client(&args.client).map_err(|problem| loaded.refuse(problem))?;
            println!("{}", admin::revoke(config, tls.as_ref(), &client)?);
        }
        Command::Fsck => admin::fsck(&config.data_dir, |line| println!("{line}"))?,
        Command::CheckConfig => settings::print_config(PROGRAM.name, &loaded, [])?,
    }
    Ok(())
}
