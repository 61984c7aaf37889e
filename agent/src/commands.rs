//! Executes the commands.

use agent::cli::{Cli, Command};
use agent::config::{self, Config, PROGRAM};
use agent::doctor::{self, DoctorConfig, Level};
use agent::enroll::{self, EnrollCommandError, ServerChoice};
use agent::sampler::allowed_cpus;
use agent::{nics, run, top, watch};
use settings::{Given, InFull, Output, Problem, interrupted};

/// Does what the command line asks for.
pub fn execute(cli: &Cli, out: &mut Output) -> anyhow::Result<()> {
    let load = |given: &[Given]| config::load(&cli.options, given);
    match &cli.command {
        Command::Run => {
            let loaded = load(&[])?;
            settings::start_log(&loaded.config.log);
            loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            let notes = run::other_identity(&loaded.config).into_iter();
            notes.chain(no_such_cpu(&loaded.config)).for_each(|note| tracing::warn!("{note}"));
            let ship = run::ship_config(&loaded.config).map_err(|it| loaded.refuse(it))?;
            run::run(&loaded.config, ship, || load(&[]))?;
        }
        Command::Enroll(args) => {
            // The collector of an earlier enrolment may not be this token's.
            let loaded = config::load_explicit(&cli.options, &args.given())?;
            let config = &loaded.config;
            if args.unless_enrolled {
                let tls = config.tls.files().map_err(|it| loaded.refuse(it))?;
                if let Some(client) = enroll::enrolled(&config.data_dir, tls.as_ref())? {
                    out.say(&format!("this host is enrolled as {client}; nothing was changed"));
                    return Ok(());
                }
            }
            let client = enroll::wanted(&loaded).map_err(|it| loaded.refuse(it))?;
            // If the config names no host, the token does.
            let servers = config.collectors().unwrap_or_default();
            let place = ServerChoice { servers: &servers, origin: &loaded.source("server.host") };
            let token = args.source().read().map_err(|error| match error {
                // An invalid token is a command-line error, wherever it comes from.
                EnrollCommandError::Token(error) => {
                    Problem::new("TOKEN", error.in_full().to_string()).into()
                }
                error => anyhow::Error::from(error),
            })?;
            out.say(&enroll::enroll(&token, &place, &client, &config.data_dir)?);
        }
        Command::Watch(args) => {
            let loaded = load(&args.given(&cli.options))?;
            settings::start_log(&loaded.config.log);
            let watch = args.watch(&loaded.config.monitor);
            watch::watch(watch, &interrupted()?, out)?;
        }
        Command::Top(args) => {
            let monitor = load(&args.given(&cli.options))?.config.monitor;
            let owners = monitor.talkers.owners;
            top::top(monitor.capture(), &args.nics, owners, &interrupted()?)?;
        }
        Command::Nics => nics::nics(&load(&[])?.config.monitor.capture(), out)?,
        Command::Doctor => {
            let loaded = load(&[])?;
            let config = DoctorConfig::of(&loaded.config).map_err(|it| loaded.refuse(it))?;
            let sound = doctor::doctor(&config, out)? < Level::Fail;
            anyhow::ensure!(sound, "something keeps the agent from working; see above");
        }
        Command::CheckConfig(args) if args.quiet => {
            let loaded = load(&[])?;
            run::ship_config(&loaded.config).map_err(|it| loaded.refuse(it))?;
        }
        Command::CheckConfig(_) => {
            let loaded = load(&[])?;
            let needed = loaded
                .config
                .collectors()
                .err()
                .map(|it| format!("{} before `agent run`", it.in_full()));
            let notes = needed.into_iter().chain(run::other_identity(&loaded.config));
            let notes = notes.chain(no_such_cpu(&loaded.config));
            settings::print_config(PROGRAM.name, &loaded, notes, out)?;
        }
    }
    Ok(())
}

/// A warning about CPUs that this process may not use. Hosts may lose CPUs, so it is not an error.
fn no_such_cpu(config: &Config) -> Option<String> {
    let problem = config.monitor.check_cpus(&allowed_cpus()).err();
    problem.map(|problem| format!("{problem}; readers run on CPUs that the kernel chooses"))
}
