//! What each command does.

use std::io::stdout;

use agent::cli::{Cli, Command};
use agent::config::{self, PROGRAM};
use agent::doctor::{self, DoctorConfig, Level};
use agent::{enroll, nics, run, top, watch};
use settings::{Given, interrupted};

/// Does what the command line asks for.
pub fn execute(cli: &Cli) -> anyhow::Result<()> {
    let load = |given: &[Given]| config::load(&cli.options, given);
    match &cli.command {
        Command::Run => {
            let loaded = load(&[])?;
            settings::start_log(&loaded.config.log);
            loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            let ship = run::ship_config(&loaded.config).map_err(|it| loaded.refuse(it))?;
            run::run(&loaded.config, ship)?;
        }
        Command::Enroll(args) => {
            let loaded = load(&args.given())?;
            let config = &loaded.config;
            let client = config.client_id().map_err(|it| loaded.refuse(it))?;
            // Without a host in the config, the token knows its collector.
            let (token, servers) = (args.token.reveal(), config.collectors().unwrap_or_default());
            println!("{}", enroll::enroll(token, &servers, &client, &config.data_dir)?);
        }
        Command::Watch(args) => {
            let loaded = load(&args.given(&cli.options))?;
            settings::start_log(&loaded.config.log);
            let watch = args.watch(&loaded.config.monitor);
            watch::watch(watch, &interrupted()?, &mut stdout())?;
        }
        Command::Top(args) => {
            let monitor = load(&args.given(&cli.options))?.config.monitor;
            top::top(monitor.capture(), &args.nics, &interrupted()?)?;
        }
        Command::Nics => nics::nics(&load(&[])?.config.monitor.capture(), &mut stdout())?,
        Command::Doctor => {
            let loaded = load(&[])?;
            let config = DoctorConfig::of(&loaded.config).map_err(|it| loaded.refuse(it))?;
            let sound = doctor::doctor(&config, &mut stdout())? < Level::Fail;
            anyhow::ensure!(sound, "the agent can't do its work as things are");
        }
        Command::CheckConfig => {
            let loaded = load(&[])?;
            let needed =
                loaded.config.collectors().err().map(|it| format!("{it} before `agent run`"));
            settings::print_config(PROGRAM.name, &loaded, needed)?;
        }
    }
    Ok(())
}
