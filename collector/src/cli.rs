//! The collector's commands and flags.

use clap::{Args, Parser, Subcommand};
use settings::{Interval, Options};

/// Collect what agents measure, keep it in a database, and show it
#[derive(Debug, Parser)]
#[command(
    name = "collector",
    version,
    after_help = "Example: collector check-config -c collector.yaml"
)]
pub struct Cli {
    /// Flags of all commands.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the collector can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take in what agents send, keep it and show it, as a service
    #[command(after_help = "Example: collector run -c /etc/network-monitor/collector.yaml")]
    Run,
    /// Make a one-time token with which a host gets its certificate
    Token(TokenArgs),
    /// List the clients
    Clients,
    /// Let a client connect no more
    Revoke(RevokeArgs),
    /// Make the store's tables, or change those of an older version, and say what was done
    Migrate(MigrateArgs),
    /// Prove that the store holds what agents counted, each record once; changes nothing
    Fsck,
    /// Check the config and print it, each value with its source
    #[command(
        after_help = "Example: collector check-config -c /etc/network-monitor/collector.yaml"
    )]
    CheckConfig,
}

/// Arguments of `collector token`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: collector token --client web-1 --expires 1h")]
pub struct TokenArgs {
    /// Good for this client only; default: for any, once
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// How long it is good
    #[arg(long, default_value = "1h")]
    pub expires: Interval,
}

/// Arguments of `collector revoke`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: collector revoke web-1")]
pub struct RevokeArgs {
    /// The client that may no longer connect
    pub client: String,
}

/// Arguments of `collector migrate`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: collector migrate --check")]
pub struct MigrateArgs {
    /// Change nothing, and fail if there is something to do
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
        TokenArgs::augment_args(clap::Command::new("token")).debug_assert();
        RevokeArgs::augment_args(clap::Command::new("revoke")).debug_assert();
        MigrateArgs::augment_args(clap::Command::new("migrate")).debug_assert();
    }
}
