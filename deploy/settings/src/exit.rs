//! Exit codes: 0 on success, 2 for a usage or config error, 1 for all others, with one line of
//! explanation; 141 silently if nobody reads the output any more.

use std::env;
use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as Usage;
use wire::causes::{InFull as _, causes};

use crate::error::{ConfigError, Problem};
use crate::names::Names;
use crate::output::{Output, complain};

/// Exit code of usage and config errors.
const USAGE: u8 = 2;

/// Exit code that shells report for a program ended by SIGPIPE: 128 and the signal's number.
const CLOSED_PIPE: u8 = 128 + 13;

/// Runs a program: parses its command line, executes it, and reports the result.
pub fn run<P, E>(program: &str, execute: impl FnOnce(&P, &mut Output) -> Result<(), E>) -> ExitCode
where
    P: Parser,
    E: AsRef<dyn Error + Send + Sync>,
{
    let mut out = Output::standard();
    let command = Names::here().in_help(P::command());
    let parsed = command.clone().try_get_matches();
    let result = match parsed.and_then(|it| P::from_arg_matches(&it)) {
        Ok(args) => execute(&args, &mut out),
        Err(error) => return end(program, usage(program, &command, &error, &mut out), out),
    };
    let code = match &result {
        Ok(()) => ExitCode::SUCCESS,
        // `end` reports an output that could not be written.
        Err(error) if out.has_caused(error.as_ref()) => ExitCode::FAILURE,
        Err(error) => report(program, error.as_ref()),
    };
    end(program, code, out)
}

/// Decides the exit code at the end: a failed output overrides it.
fn end(program: &str, code: ExitCode, out: Output) -> ExitCode {
    match out.finish() {
        None => code,
        Some(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(CLOSED_PIPE),
        Some(error) => {
            complain(program, &format!("can't write to the standard output: {}", error.in_full()));
            ExitCode::FAILURE
        }
    }
}

/// Prints what the command line requests or lacks.
fn usage(
    program: &str,
    command: &clap::Command,
    error: &clap::Error,
    out: &mut Output,
) -> ExitCode {
    match error.kind() {
        Usage::DisplayHelp | Usage::DisplayVersion => {
            out.remember(error.print());
            ExitCode::SUCCESS
        }
        Usage::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody may be left to read it; the exit code remains.
            let _nobody = error.print();
            ExitCode::from(USAGE)
        }
        _ => {
            let why = usage_line(&error.render().to_string());
            let args = env::args_os().skip(1).filter_map(|arg| arg.into_string().ok());
            let command = subcommand(command, args).map_or_else(
                || command.get_name().to_owned(),
                |subcommand| format!("{} {subcommand}", command.get_name()),
            );
            complain(program, &format!("{why}; see `{command} --help`"));
            ExitCode::from(USAGE)
        }
    }
}

/// The subcommand named by a command line.
fn subcommand(all: &clap::Command, mut args: impl Iterator<Item = String>) -> Option<String> {
    args.find(|arg| all.get_subcommands().any(|known| known.get_name() == arg))
}

/// The essential line of clap's message, without usage: the fault and the nearest match.
fn usage_line(message: &str) -> String {
    let said = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let parts: Vec<&str> = said.collect();
    let line = parts.join(" ").replace(" tip: ", "; ");
    line.trim_start_matches("error: ").to_owned()
}

/// Prints an error with its causes as one line, and returns the exit code.
fn report(program: &str, error: &(dyn Error + 'static)) -> ExitCode {
    let usage = causes(error).any(|error| error.is::<ConfigError>() || error.is::<Problem>());
    complain(program, &error.in_full().to_string());
    if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line_with_what_is_nearest() {
        let message = "error: unrecognized subcommand 'rnu'\n\n  tip: a similar subcommand \
                       exists: 'run'\n\nUsage: agent <COMMAND>\n\nFor more information, try \
                       '--help'.\n";
        assert_eq!(
            usage_line(message),
            "unrecognized subcommand 'rnu'; a similar subcommand exists: 'run'"
        );
    }

    #[test]
    fn the_help_named_is_that_of_the_subcommand() {
        let all = clap::Command::new("agent")
            .subcommands([clap::Command::new("run"), clap::Command::new("enroll")]);
        let named = |line: &str| subcommand(&all, line.split(' ').map(str::to_owned));
        assert_eq!(named("-c agent.yaml enroll --tokne-file x").as_deref(), Some("enroll"));
        assert_eq!(named("rnu --help"), None);
    }
}
