//! The agent's commands and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use settings::{Given, Interval, Options, Secret};

use crate::config::{HostPort, Monitor};
use crate::enroll::TokenSource;
use crate::sampler::{CaptureConfig, TalkersConfig};
use crate::talkers::moment::Thresholds;
use crate::watch::{self, WatchConfig};

/// Names the keys that can change while it runs: [`crate::config::LIVE`].
const RUN_HELP: &str = "SIGHUP (systemctl reload) reads the config again and applies server.*, \
                        client.alias, client.tags and log.level. The log and systemctl status name other \
                        changes, which need a restart. A config that is refused changes nothing. \
                        Certificates are read again for each connection.\n\
                        Example: agent run -c /etc/network-monitor/agent.yaml";

/// Measures the traffic of each NIC as it was on the wire, and reports it to a collector
#[derive(Debug, Parser)]
#[command(name = "agent", version, after_help = "Example: agent watch --nic eth0 --duration 10s")]
pub struct Cli {
    /// Flags of all commands.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The agent's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure and report to the collector (the service)
    #[command(after_help = RUN_HELP)]
    Run,
    /// Get a certificate for this host with a token of the collector
    Enroll(EnrollArgs),
    /// Measure now and print samples, without a collector
    Watch(WatchArgs),
    /// Show the NICs live on the full screen, without a collector
    Top(TopArgs),
    /// List all NICs: which are captured, and why others are not
    #[command(after_help = "Example: agent nics -c /etc/network-monitor/agent.yaml")]
    Nics,
    /// Check whether this host can capture and deliver, and say what to fix
    #[command(after_help = "Example: agent doctor -c /etc/network-monitor/agent.yaml")]
    Doctor,
    /// Check the config and print each value with its source
    CheckConfig(CheckConfigArgs),
}

/// Arguments of `agent check-config`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: agent check-config -c /etc/network-monitor/agent.yaml")]
pub struct CheckConfigArgs {
    /// Print nothing; fail if `agent run` would refuse the config
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `agent enroll`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples: agent enroll -\n          agent enroll --token-file /root/token\n          \
                  agent enroll TOKEN --server collector.example.org\n\nEvery user of this host can read a \
                  command line while the command runs, and the shell's history keeps it. So - asks \
                  for the token, or reads it from a pipe."
)]
pub struct EnrollArgs {
    /// The token that `collector token` printed; - reads it from standard input
    #[arg(value_parser = secret, required_unless_present = "token_file")]
    pub token: Option<Secret>,
    /// File with the token; only its owner may be able to read it
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Address of the collector; default: server.host and server.port, or the token's addresses
    #[arg(long, value_name = "HOST[:PORT]")]
    pub server: Option<HostPort>,
    /// Client id; default: client.id, or the id that the token was made for
    #[arg(long)]
    pub id: Option<String>,
    /// Do nothing if this host has a certificate, even an expired one; for scripts that run again
    #[arg(long)]
    pub unless_enrolled: bool,
}

/// Arguments of `agent watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: agent watch --nic eth0 --duration 10s --format json")]
pub struct WatchArgs {
    /// NIC to measure; repeat it for more; default: the NICs that `agent run` captures
    #[arg(long = "nic", value_name = "NIC")]
    pub nics: Vec<String>,
    /// Length of a sample
    #[arg(long, default_value = "500ms")]
    pub interval: Interval,
    /// Stop after this time; default: at Ctrl-C
    #[arg(long)]
    pub duration: Option<Interval>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: WatchFormat,
    /// Also print sizes and protocols: in the totals, and in every sample of JSON
    #[arg(long)]
    pub mix: bool,
    /// Also print who had the traffic of every sample, and whose it was
    #[arg(long)]
    pub talkers: bool,
}

/// Arguments of `agent top`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Keys: q quits, up and down select a NIC, space pauses, enter shows \
                        talkers or charts.\n\
                        Example: agent top --nic eth0 --interval 100ms")]
pub struct TopArgs {
    /// NIC to show; repeat it for more; default: the NICs that `agent run` captures
    #[arg(long = "nic", value_name = "NIC")]
    pub nics: Vec<String>,
    /// Length of a sample
    #[arg(long, default_value = "500ms")]
    pub interval: Interval,
}

/// How samples are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WatchFormat {
    /// A table for people
    #[default]
    Text,
    /// One JSON object per sample and NIC, and a last one with the totals
    Json,
}

impl EnrollArgs {
    /// Where the token is.
    #[must_use]
    pub fn source(&self) -> TokenSource<'_> {
        match (&self.token, &self.token_file) {
            (_, Some(file)) => TokenSource::File(file),
            (Some(token), None) if token.reveal() != "-" => TokenSource::Given(token.reveal()),
            _ => TokenSource::Input,
        }
    }

    /// The values that the flags give to config keys.
    #[must_use]
    pub fn given(&self) -> Vec<Given> {
        let value = |origin: &'static str, key, value| Given { origin: origin.into(), key, value };
        let server = self.server.as_ref();
        let host = server.map(|server| value("--server", "server.host", server.host.clone()));
        let port = server.and_then(|server| server.port);
        let port = port.map(|port| value("--server", "server.port", port.to_string()));
        let id = self.id.clone().map(|id| value("--id", "client.id", id));
        host.into_iter().chain(port).chain(id).collect()
    }
}

impl WatchArgs {
    /// What is to be watched, on top of how the config says to capture.
    #[must_use]
    pub fn watch(&self, monitor: &Monitor) -> WatchConfig {
        // Asked for here, whatever the service counts.
        let talkers = TalkersConfig { entries: monitor.talkers.entries, on: Thresholds::EVERY };
        let talkers = self.talkers.then_some(talkers);
        WatchConfig {
            capture: CaptureConfig { talkers, ..monitor.capture() },
            nics: self.nics.clone(),
            duration: self.duration.map(|it| it.0),
            mix: self.mix,
            talkers: self.talkers,
            owners: monitor.talkers.owners,
            format: match self.format {
                WatchFormat::Text => watch::SampleFormat::Text,
                WatchFormat::Json => watch::SampleFormat::Json,
            },
        }
    }

    /// The values that the flags give to config keys.
    #[must_use]
    pub fn given(&self, options: &Options) -> Vec<Given> {
        on_screen("agent watch", &self.interval, options)
    }
}

impl TopArgs {
    /// The values that the flags give to config keys.
    #[must_use]
    pub fn given(&self, options: &Options) -> Vec<Given> {
        on_screen("agent top", &self.interval, options)
    }
}

/// Config values of commands that show samples on the screen: `--interval` sets the sample interval
/// and has its range, and logs are reduced to warnings.
fn on_screen(origin: &'static str, interval: &Interval, options: &Options) -> Vec<Given> {
    let value = interval.to_string();
    let interval = Given { origin: "--interval".into(), key: "monitor.sample_interval", value };
    let quiet = options.log_level.is_none();
    let value = "warn".to_owned();
    let level = quiet.then_some(Given { origin: origin.into(), key: "log.level", value });
    std::iter::once(interval).chain(level).collect()
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Debug, Parser)]
    struct Enroll {
        #[command(flatten)]
        args: EnrollArgs,
    }

    #[test]
    fn texts_that_name_any_command_get_the_name_it_is_typed_by() {
        let program = Cli::command();
        for command in program.get_subcommands().map(clap::Command::get_name) {
            assert!(settings::is_known_command(program.get_name(), command), "{command}");
        }
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
        Enroll::command().debug_assert();
        WatchArgs::augment_args(clap::Command::new("watch")).debug_assert();
        TopArgs::augment_args(clap::Command::new("top")).debug_assert();
    }

    #[test]
    fn enroll_flags_become_config_values_and_the_token_stays_secret() {
        let line = ["agent", "s3cret", "--server", "[::1]:9000", "--id", "web-1"];
        let Enroll { args } = Enroll::try_parse_from(line).unwrap();
        let given = args.given();
        let values: Vec<_> = given.iter().map(|given| (given.key, given.value.as_str())).collect();
        let expected = [("server.host", "::1"), ("server.port", "9000"), ("client.id", "web-1")];
        assert_eq!(values, expected);
        assert!(!format!("{args:?}").contains("s3cret"));
    }
}
