//! The collector's commands and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use settings::{ConfigError, Interval, InvalidInterval, Options, Problem};
use wire::id::ClientId;

use crate::config::{Http, read_token};
use crate::export::{Format, Request};
use crate::identity::{ClientGlob, USES_MAX};
use crate::time::Time;
use crate::top::Source;
use crate::web::own_client;

/// What of the config can change while it runs: [`crate::config::LIVE`].
const RUN_HELP: &str = "SIGHUP (systemctl reload) reads the config again. Taken while running: \
                        http.token_file, http.proxy_header, http.address_header, http.proxies, \
                        http.session_time, http.unprotected, retention.*, log.level; files of certificates and tokens are read anew. \
                        All else that changed is named in the log and in systemctl status, and \
                        holds after a restart. A config that is refused changes nothing.\n\
                        Example: collector run -c /etc/network-monitor/collector.yaml";

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
    #[command(after_help = RUN_HELP)]
    Run,
    /// Show live what all clients carry, on the full screen
    Top(TopArgs),
    /// Make a token with which a host gets its certificate, or cancel one
    Token(TokenArgs),
    /// List the tokens that can still be used
    #[command(after_help = "Example: collector tokens")]
    Tokens,
    /// List the clients
    Clients,
    /// Let a client connect no more
    Revoke(RevokeArgs),
    /// The collector's own CA
    #[command(subcommand)]
    Ca(CaCommand),
    /// Take a client out of everything that lists or shows it, and let it connect no more
    Forget(ForgetArgs),
    /// Make the store's tables, or change those of an older version, and say what was done
    Migrate(MigrateArgs),
    /// Write a client's rows, gaps included, as CSV or JSON
    Export(ExportArgs),
    /// Move an embedded store into the PostgreSQL database that the config names
    Import(ImportArgs),
    /// Examine whether this collector can do its work, and say what to do where it can't
    #[command(after_help = "Example: sudo -u network-monitor-collector collector doctor")]
    Doctor,
    /// Prove that the store holds what agents counted, each record once; changes nothing
    Fsck,
    /// Check the config and print it, each value with its source
    CheckConfig(CheckConfigArgs),
}

/// Arguments of `collector check-config`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: collector check-config -c /etc/network-monitor/collector.yaml")]
pub struct CheckConfigArgs {
    /// Print nothing, and fail if `collector run` would refuse the config
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `collector top`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Keys: q quits, up, down, page up, page down, home and end select a row, enter \
                  shows a client's NICs or hides them, s sorts by the next column, r the other \
                  way round, / searches by client or alias, escape shows all again, space \
                  pauses.\n\
                  Example: collector top --url https://monitor.example.org --token-file token"
)]
pub struct TopArgs {
    /// The collector's HTTP address; default: that of this host's config
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File whose first line is the token that it asks for; default, without --url:
    /// http.token_file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `collector token`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples: collector token --expires 8h\n          \
                  collector token --client web-1 --replace\n          \
                  collector token --uses 50 --expires 1h --match 'web-*'\n          \
                  collector token --cancel 8f3a1c90d2b7\n\nA token makes a new client. A \
                  host that is to go on under an id that is there already (set up anew, replaced, \
                  revoked, its certificate expired) needs one with --client ID --replace. A token \
                  for a client gives the host that id, whatever its name.")]
pub struct TokenArgs {
    /// Good for this client only; default: for any new one, once
    #[arg(long, value_name = "ID", value_parser = client)]
    pub client: Option<ClientId>,
    /// Let the host take the place of the client, whose certificates are revoked then
    #[arg(long, requires = "client", conflicts_with_all = ["matching", "uses"])]
    pub replace: bool,
    /// Good for clients with such ids only: * stands for any text, ? for one character
    #[arg(long = "match", value_name = "GLOB", conflicts_with = "client")]
    pub matching: Option<ClientGlob>,
    /// Good for so many hosts, each a new client of its own
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "client",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX))
    )]
    pub uses: u32,
    /// Make none: cancel the token with this id, as `collector tokens` lists it
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["client", "replace", "matching", "uses", "expires"]
    )]
    pub cancel: Option<String>,
    /// How long it is good: 1 s to 3650 d
    #[arg(long, default_value = "1h", value_parser = expires)]
    pub expires: Interval,
}

/// Arguments of `collector revoke`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: collector revoke web-1")]
pub struct RevokeArgs {
    /// The client that may no longer connect
    #[arg(value_parser = client)]
    pub client: ClientId,
}

/// What can be done with the collector's own CA.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CaCommand {
    /// Make a new CA in place of the present one, which is trusted while certificates of it live
    #[command(
        after_help = "A running collector takes the new CA up within a second. Agents get it with \
                      their next certificates, within 60 days, and need nothing else. Collectors \
                      that share agents need a copy of ca.key from the data directory's identity/ \
                      within 90 days; they take it up by themselves.\nExample: collector ca roll"
    )]
    Roll,
}

/// Arguments of `collector forget`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Clients that stop stay listed, as down, until they are forgotten. Running \
                  collectors of the same store need not be told.\n\
                  With --rows, an agent that is let in again delivers once more what it keeps of the \
                  last minutes (spool.keep_committed, 10 min by default), and a gap (forgotten) for \
                  what it had delivered before.\n\
                  Example: collector forget web-1 --yes"
)]
pub struct ForgetArgs {
    /// The client that is no more
    #[arg(value_parser = client)]
    pub client: ClientId,
    /// Don't ask whether that is meant
    #[arg(long)]
    pub yes: bool,
    /// Delete its rows too; default: they stay to their age
    #[arg(long)]
    pub rows: bool,
}

/// Arguments of `collector migrate`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: collector migrate --check")]
pub struct MigrateArgs {
    /// Change nothing, and fail if there is something to do
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `collector export`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example: collector export --client web-1 --nic eth0 --from 2026-11-01T00:00:00Z \
                  --output web-1.csv\n\nThe columns are those of bandwidth_stats. A line of kind \
                  gap stands for samples that are missing, for its gap_reason: it has exact sums over \
                  all of its time (misdated: it is one sample, dated too far off), or empty cells \
                  where nothing was measured (unmeasured) or nothing is known."
)]
pub struct ExportArgs {
    /// Whose rows
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// Of this NIC only
    #[arg(long, value_name = "NAME")]
    pub nic: Option<String>,
    /// From this time on: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Time>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Time>,
    /// How lines are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
    /// Write texts into CSV as they are; default: one that a spreadsheet would run as a formula
    /// (=, +, -, @, tab) gets a ' before it, and hidden characters are written out
    #[arg(long)]
    pub raw: bool,
    /// Write to FILE, not to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl TopArgs {
    /// The collector to look at. The token of this host's config is for its own collector only.
    ///
    /// # Errors
    /// The address is none, or the token can't be read.
    pub fn source(&self, http: &Http) -> Result<Source, Problem> {
        let (url, (key, file)) = match (&self.url, &self.token_file) {
            (None, None) => (http.url(), ("http.token_file", http.token_file.as_ref())),
            (url, file) => {
                (url.clone().unwrap_or_else(|| http.url()), ("--token-file", file.as_ref()))
            }
        };
        let token = file.map(|file| read_token(file)).transpose();
        let token = token.map_err(|why| Problem::new(key, why))?;
        let source = Source::new(&url, token.as_deref());
        let source = source.map_err(|error| Problem::new("--url", error.to_string()))?;
        // Of this host's own collector the very certificate is known.
        let own = http.tls.files()?.filter(|_| self.url.is_none());
        let own = own.map(|files| own_client(&files)).transpose();
        let own = own.map_err(|error| Problem::new("http.tls.cert", error.to_string()))?;
        Ok(match own {
            Some(tls) => source.with_tls(tls),
            None => source,
        })
    }
}

impl ExportArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// The range is empty.
    pub fn request(&self) -> Result<Request, ConfigError> {
        let Self { client, nic, from, to, format, raw, .. } = self.clone();
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(ConfigError::Key {
                place: "the command line".to_owned(),
                key: "--from".to_owned(),
                why: format!("{from} must be before --to, {to}"),
            });
        }
        let (from_ns, to_ns) = (from.map_or(0, |it| it.0), to.map_or(u64::MAX, |it| it.0));
        Ok(Request { client, nic, from_ns, to_ns, format, raw })
    }
}

/// Arguments of `collector import`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example: collector import /var/lib/network-monitor/collector/netmon.sqlite\n\n\
                  Stop the collector, set database.url, import, and start the collector again: \
                  agents go on where they were. Until then they keep what they measure. Broken \
                  off, it goes on where it was; the file stays as it is."
)]
pub struct ImportArgs {
    /// The embedded store's file
    #[arg(value_name = "PATH")]
    pub file: PathBuf,
}

fn client(text: &str) -> Result<ClientId, String> {
    ClientId::new(text).map_err(|error| error.to_string())
}

/// A token is of use for a while at least, and a secret that lies about not for ever.
fn expires(text: &str) -> Result<Interval, String> {
    let life: Interval = text.parse().map_err(|error: InvalidInterval| error.to_string())?;
    let range = Interval::secs(1)..=Interval::days(3650);
    if range.contains(&life) {
        Ok(life)
    } else {
        Err(format!("a token is good for {} to {}", range.start(), range.end()))
    }
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "write 2026-11-24T12:00:00Z, or seconds since 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
        TokenArgs::augment_args(clap::Command::new("token")).debug_assert();
        TopArgs::augment_args(clap::Command::new("top")).debug_assert();
        RevokeArgs::augment_args(clap::Command::new("revoke")).debug_assert();
        ImportArgs::augment_args(clap::Command::new("import")).debug_assert();
        ExportArgs::augment_args(clap::Command::new("export")).debug_assert();
        MigrateArgs::augment_args(clap::Command::new("migrate")).debug_assert();
    }
}
