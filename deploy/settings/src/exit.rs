//! How a program ends: 0 when all went well, 2 for a usage or config error, 1 for all others,
//! with one line that says why.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::error::ConfigError;

/// Exit code of usage and config errors.
const USAGE: u8 = 2;

/// Reads the command line. Help and version are printed.
///
/// # Errors
/// The code to exit with; why has been said.
pub fn parse_args<P: Parser>(program: &str) -> Result<P, ExitCode> {
    P::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody left to read it: the code says it still.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
        }
        _ => {
            let why = usage_line(&error.render().to_string());
            eprintln!("{program}: {why}; `{program} --help` lists what there is");
            ExitCode::from(USAGE)
        }
    })
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
pub fn report(program: &str, error: &(dyn Error + 'static)) -> ExitCode {
    let usage = causes(error).any(|error| error.is::<ConfigError>());
    eprintln!("{program}: {}", one_line(error));
    if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
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
    fn a_cause_that_the_error_names_itself_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("can't bind: {0}")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("in use"));
        assert_eq!(one_line(&outer), "can't bind: in use");
    }
}
