//! Executes the commands.

use std::io::{self, IsTerminal};

use settings::{Output, Problem};

use collector::admin::Made;
use collector::cli::{CaCommand, Cli, Command};
use collector::config::{self, PROGRAM};
use collector::doctor::{self, Level};
use collector::store_location::StoreLocation;
use collector::{admin, run, top};

/// Executes the command line.
///
/// # Errors
/// The command's error.
pub fn execute(cli: &Cli, out: &mut Output) -> anyhow::Result<()> {
    let loaded = config::load(&cli.options)?;
    let config = &loaded.config;
    let tls = config.tls.files().map_err(|problem| loaded.refuse(problem))?;
    let tls = tls.as_ref();
    let location = || StoreLocation::of(config).map_err(|problem| loaded.refuse(problem));
    match &cli.command {
        Command::Run => {
            let location = location()?;
            settings::start_log(&config.log);
            loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            let access = config.http.access().map_err(|problem| loaded.refuse(problem))?;
            let otlp = config.export.otlp.target().map_err(|problem| loaded.refuse(problem))?;
            run::run(config, &location, tls, access, otlp, || config::load(&cli.options))?;
        }
        Command::Top(args) => {
            let source = args.source(&config.http).map_err(|problem| loaded.refuse(problem))?;
            top::top(source, args.chosen(), &settings::interrupted()?)?;
        }
        Command::Token(args) => {
            if let Some(named) = &args.cancel {
                out.say(&admin::cancel(config, &location()?, tls, named)?);
                return Ok(());
            }
            let Made { token, note, warning } = admin::token(config, &location()?, tls, args)?;
            warning.iter().for_each(|warning| settings::warn(PROGRAM.name, warning));
            out.say(&token);
            settings::hint(&note);
        }
        Command::Tokens => out.say(&admin::tokens(config, &location()?, tls)?),
        Command::Clients => out.say(&admin::clients(config, &location()?)?),
        Command::Tag(args) => out.say(&admin::tag(config, &location()?, args)?),
        Command::Silence(command) => out.say(&admin::silence(config, &location()?, command)?),
        Command::Revoke(args) => out.say(&admin::revoke(config, &location()?, tls, &args.client)?),
        Command::Ca(CaCommand::Roll) => out.say(&admin::roll_ca(config, tls)?),
        Command::Forget(args) => {
            let confirm = |plan: &str| if args.yes { Some(true) } else { confirmed(plan, out) };
            let done = admin::forget(config, &location()?, &args.client, args.rows, confirm)?;
            out.say(&done);
        }
        Command::Migrate(args) => admin::migrate(&location()?, args.check, |line| out.say(line))?,
        Command::Export(args) => {
            let file = args.output.as_deref();
            let done = admin::export(&location()?, &args.request()?, file, out)?;
            if let Some(file) = file {
                out.say(&format!("{}: {} rows", file.display(), done.rows));
            }
            done.warning().iter().for_each(|warning| settings::warn(PROGRAM.name, warning));
        }
        Command::Sql(args) => admin::sql(&location()?, &args.query, out)?,
        Command::Bill(args) => out.say(&admin::bill(config, &location()?, args)?),
        Command::Import(args) => match location()? {
            StoreLocation::Postgres(postgres) => {
                admin::import(&postgres, &args.file, |line| out.say(line))?;
            }
            StoreLocation::Sqlite(_) => {
                let why = "not set; name the database to import into";
                return Err(loaded.refuse(Problem::new("database.url", why)).into());
            }
        },
        Command::Backup(args) => {
            out.say(&admin::backup(config, &location()?, &args.file, &settings::interrupted()?)?);
        }
        Command::Doctor => {
            let sound = doctor::doctor(config, &location()?, tls, out)? < Level::Fail;
            anyhow::ensure!(sound, "something keeps the collector from working; see above");
        }
        Command::Fsck => admin::fsck(&location()?, |line| out.say(line))?,
        Command::CheckConfig(args) => {
            location()?;
            config.http.access().map_err(|problem| loaded.refuse(problem))?;
            config.export.otlp.target().map_err(|problem| loaded.refuse(problem))?;
            if !args.quiet {
                settings::print_config(PROGRAM.name, &loaded, [], out)?;
            }
        }
    }
    Ok(())
}

/// Asks on the terminal; `None` without one.
fn confirmed(plan: &str, out: &mut Output) -> Option<bool> {
    if !io::stdin().is_terminal() {
        return None;
    }
    out.say(&format!("{plan}? [y/N]"));
    let mut answer = String::new();
    // An unreadable answer means no.
    let _read = io::stdin().read_line(&mut answer);
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}
