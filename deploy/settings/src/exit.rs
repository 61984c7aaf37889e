//! How a program ends: 0 when all went well, 2 for a usage or config error, 1 for all others,
//! with one line that says why; 141 without a word when nobody reads its output any more.

use std::env;
use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::error::ErrorKind as Usage;
use clap::{CommandFactory, Parser};

use crate::causes::causes;
use crate::error::{ConfigError, Problem};
use crate::output::{Output, complain};

/// Exit code of usage and config errors.
const USAGE: u8 = 2;

/// What shells give for a program that SIGPIPE ended: 128 and the signal's number.
const CLOSED_PIPE: u8 = 128 + 13;

/// Runs a program: reads its command line, does what that asks for, and tells how it ended.
pub fn run<P, E>(program: &str, execute: impl FnOnce(&P, &mut Output) -> Result<(), E>) -> ExitCode
where
    P: Parser,
    E: AsRef<dyn Error + Send + Sync>,
{
    let mut out = Output::standard();
    let result = match P::try_parse() {
        Ok(args) => execute(&args, &mut out),
        Err(error) => return end(program, usage::<P>(program, &error, &mut out), out),
    };
    let code = match &result {
        Ok(()) => ExitCode::SUCCESS,
        // That its output could not be written is said by `end`.
        Err(error) if out.has_caused(error.as_ref()) => ExitCode::FAILURE,
        Err(error) => report(program, error.as_ref()),
    };
    end(program, code, out)
}

/// The last of it: an output that could not be written decides.
fn end(program: &str, code: ExitCode, out: Output) -> ExitCode {
    match out.finish() {
        None => code,
        Some(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(CLOSED_PIPE),
        Some(error) => {
            complain(program, &format!("can't write to the standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints what the command line asks for or lacks.
fn usage<P: CommandFactory>(program: &str, error: &clap::Error, out: &mut Output) -> ExitCode {
    match error.kind() {
        Usage::DisplayHelp | Usage::DisplayVersion => {
            out.remember(error.print());
            ExitCode::SUCCESS
        }
        Usage::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody left to read it: the code says it still.
            let _nobody = error.print();
            ExitCode::from(USAGE)
        }
        _ => {
            let why = usage_line(&error.render().to_string());
            let args = env::args_os().skip(1).filter_map(|arg| arg.into_string().ok());
            let command = subcommand(&P::command(), args)
                .map_or_else(|| program.to_owned(), |subcommand| format!("{program} {subcommand}"));
            complain(program, &format!("{why}; see `{command} --help`"));
            ExitCode::from(USAGE)
        }
    }
}

/// The subcommand that a command line names.
fn subcommand(all: &clap::Command, mut args: impl Iterator<Item = String>) -> Option<String> {
    args.find(|arg| all.get_subcommands().any(|known| known.get_name() == arg))
}

/// The one line of clap's message: what is wrong and what is nearest, without usage.
fn usage_line(message: &str) -> String {
    let said = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let parts: Vec<&str> = said.collect();
    let line = parts.join(" ").replace(" tip: ", "; ");
    line.trim_start_matches("error: ").to_owned()
}

/// Prints an error with all its causes as one line and gives the code to exit with.
fn report(program: &str, error: &(dyn Error + 'static)) -> ExitCode {
    let usage = causes(error).any(|error| error.is::<ConfigError>() || error.is::<Problem>());
    complain(program, &one_line(error));
    if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Error and causes, each once: many an error names its cause itself.
fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error).map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line.replace('\n', " ")
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

    #[test]
    fn a_cause_that_the_error_names_itself_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("can't bind: {0}")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("in use"));
        assert_eq!(one_line(&outer), "can't bind: in use");
    }
}
