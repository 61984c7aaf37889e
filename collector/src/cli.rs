//! The collector's commands and flags.

mod export;
mod silence;
mod values;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use settings::{InFull, Interval, InvalidInterval, Options, Problem, Size};
use wire::id::ClientId;
use wire::tag::{Tag, TagError, TagKey};

pub use self::export::ExportArgs;
pub use self::silence::{SilenceAdd, SilenceCommand, SilenceEnd};
use self::values::reason;
use crate::accounts::{AccountName, CycleName};
use crate::config::{Http, read_token};
use crate::identity::{ClientGlob, USES_MAX};
use crate::store::TagChange;
use crate::top::{Chosen, Source};
use crate::web::own_client;

/// Names the keys that can change while it runs: [`crate::config::LIVE`].
const RUN_HELP: &str = "SIGHUP (systemctl reload) reads the config again and applies \
                        http.token_file, http.proxy_header, http.address_header, http.proxies, \
                        http.session_time, http.unprotected, retention.*, accounts.*, alerts.* \
                        and log.level; it also reads the files of certificates and tokens again. \
                        The log and systemctl status name other changes, which need a restart. A \
                        config that is refused changes nothing.\n\
                        Example: collector run -c /etc/network-monitor/collector.yaml";

/// Collects what agents measure, stores it in a database, and shows it
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
    /// Receive, store and show what agents measure (the service)
    #[command(after_help = RUN_HELP)]
    Run,
    /// Show all clients live on the full screen
    Top(TopArgs),
    /// Make a token with which a host can enrol, or cancel one
    Token(TokenArgs),
    /// List the tokens that can still be used
    #[command(after_help = "Example: collector tokens")]
    Tokens,
    /// List the clients and their state
    Clients,
    /// Set, remove or list a client's tags
    Tag(TagArgs),
    /// Manage silences: times without messages of alerts
    #[command(subcommand)]
    Silence(SilenceCommand),
    /// Revoke a client's certificates; open connections end within a second
    Revoke(RevokeArgs),
    /// Manage the collector's own CA
    #[command(subcommand)]
    Ca(CaCommand),
    /// Remove a client from all lists and revoke its certificates
    Forget(ForgetArgs),
    /// Create the tables, or migrate those of an older version, and say what was done
    Migrate(MigrateArgs),
    /// Write a client's samples and gaps, or talkers, as CSV or JSON
    Export(ExportArgs),
    /// Ask the embedded store in SQL, and write the answer as CSV (read-only)
    Sql(SqlArgs),
    /// Show what an account used in a cycle, what is left, and how it looks
    Bill(BillArgs),
    /// Copy an embedded store into the PostgreSQL database of the config
    Import(ImportArgs),
    /// Copy the embedded store into a file, also while the collector runs, and check the copy
    Backup(BackupArgs),
    /// Check whether this collector can store and serve, and say what to fix
    #[command(after_help = "Example: sudo -u network-monitor-collector collector doctor")]
    Doctor,
    /// Prove that the store holds what agents counted, each record once (read-only)
    Fsck,
    /// Check the config and print each value with its source
    CheckConfig(CheckConfigArgs),
}

/// Arguments of `collector check-config`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: collector check-config -c /etc/network-monitor/collector.yaml")]
pub struct CheckConfigArgs {
    /// Print nothing; fail if `collector run` would refuse the config
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `collector top`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Keys: q quits, up, down, page up, page down, home and end select a row, enter \
                  shows or hides a client's NICs, s sorts by the next column, r reverses the \
                  order, / searches by client or alias, escape ends the search, space pauses.\n\
                  Examples: collector top --url https://monitor.example.org --token-file token\n          \
                  collector top --tag role=cache --group-by site"
)]
pub struct TopArgs {
    /// The collector's HTTP address; default: the one in this host's config
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File whose first line is the token to send; default, without --url: http.token_file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Only clients with this tag; with all of them, if repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag::<Tag>)]
    pub tags: Vec<Tag>,
    /// Show the sums of the clients with each value of this tag
    #[arg(long, value_name = "KEY", value_parser = tag::<TagKey>)]
    pub group_by: Option<TagKey>,
}

/// Arguments of `collector token`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples: collector token --expires 8h\n          \
                  collector token --client web-1 --replace\n          \
                  collector token --uses 50 --expires 1h --match 'web-*'\n          \
                  collector token --cancel 8f3a1c90d2b7\n\nA token makes a new client. If \
                  a host should continue under an existing id (it was set up again, replaced or \
                  revoked, or its certificate expired), use --client ID --replace. A token for a \
                  client gives the host that id, whatever its name.")]
pub struct TokenArgs {
    /// Valid for this client only; default: for any new client, once
    #[arg(long, value_name = "ID", value_parser = client)]
    pub client: Option<ClientId>,
    /// Let the host take over an existing client; revokes its earlier certificates
    #[arg(long, requires = "client", conflicts_with_all = ["matching", "uses"])]
    pub replace: bool,
    /// Valid for ids that match only: * stands for any text, ? for one character
    #[arg(long = "match", value_name = "GLOB", conflicts_with = "client")]
    pub matching: Option<ClientGlob>,
    /// Number of hosts that may use it, each as a new client
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "client",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX))
    )]
    pub uses: u32,
    /// Make no token; cancel the one with this id from `collector tokens`
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["client", "replace", "matching", "uses", "expires"]
    )]
    pub cancel: Option<String>,
    /// How long it is valid: 1 s to 3650 d
    #[arg(long, default_value = "1h", value_parser = expires)]
    pub expires: Interval,
}

/// Arguments of `collector tag`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples: collector tag web-1 site=ams role=cache\n          \
                  collector tag web-1 role-\n          \
                  collector tag web-1\n\n\
                  key=value sets a tag of the collector's, which goes before the agent's with the \
                  same key (client.tags of agent.yaml). key- removes it, and the agent's counts \
                  again. Without changes the tags are listed, with their past.\n\
                  A change counts from the 5-minute mark (UTC) before it. What was measured before \
                  keeps its tags.")]
pub struct TagArgs {
    /// Client to tag
    #[arg(value_parser = client)]
    pub client: ClientId,
    /// Tags to set (key=value) or to remove (key-)
    #[arg(value_name = "KEY=VALUE|KEY-", value_parser = tag::<TagChange>)]
    pub changes: Vec<TagChange>,
}

/// Arguments of `collector revoke`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: collector revoke web-1")]
pub struct RevokeArgs {
    /// Client to revoke
    #[arg(value_parser = client)]
    pub client: ClientId,
}

/// What can be done with the collector's own CA.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CaCommand {
    /// Make a new CA; the old one stays trusted while certificates of it are valid
    #[command(
        after_help = "A running collector uses the new CA within a second. Agents get it with \
                      their next certificates, within 60 days, and need nothing else. Copy ca.key \
                      from identity/ in the data directory to the other collectors of these \
                      agents within 90 days; they use it without a restart.\nExample: collector ca roll"
    )]
    Roll,
}

/// Arguments of `collector forget`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A client that stops reporting stays listed as down until it is forgotten. This \
                  applies to all collectors of the database at once.\n\
                  If its agent is let in again after --rows, it delivers the last minutes again \
                  (spool.keep_committed, 10 min by default), and a gap (forgotten) for everything \
                  before.\n\
                  Example: collector forget web-1 --yes"
)]
pub struct ForgetArgs {
    /// Client to forget
    #[arg(value_parser = client)]
    pub client: ClientId,
    /// Don't ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Also delete its rows; default: they stay until they expire
    #[arg(long)]
    pub rows: bool,
}

/// Arguments of `collector migrate`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "Example: collector migrate --check")]
pub struct MigrateArgs {
    /// Change nothing; fail if there is something to do
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `collector sql`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example: collector sql \"SELECT timestamp, upload_speed, download_speed FROM \
                  bandwidth_report WHERE client_id = 'web-1' AND nic = 'eth0' AND time >= \
                  unixepoch('now', '-1 hour') * 1000000000\"\n\n\
                  Samples and mixes older than retention.hot are packed. bandwidth_stats, \
                  bandwidth_samples, bandwidth_report and traffic_mix unpack them here; other SQLite \
                  programs fail on these views (no such function: only_collector_sql_unpacks) rather than \
                  leave rows out. Those find newer samples in hot_samples, newer mixes in hot_mixes. A \
                  PostgreSQL database is asked with psql."
)]
pub struct SqlArgs {
    /// Query in SQLite's SQL
    #[arg(value_name = "QUERY")]
    pub query: String,
}

/// Arguments of `collector bill`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples: collector bill transit --cycle 2026-11\n          \
                  collector bill transit --opening 120GB --reason 'moved here on the 7th'\n          \
                  collector bill transit --cycle 2026-10 --provider 1234GB\n\n\
                  Accounts are defined under accounts in the config. What was not measured makes a \
                  range: from what was counted to what the links can carry.")]
pub struct BillArgs {
    /// Account, by its name in the config
    pub account: AccountName,
    /// Cycle, by the month in which it begins; default: the running one
    #[arg(long, value_name = "YYYY-MM")]
    pub cycle: Option<CycleName>,
    /// Output format
    #[arg(long, value_enum, default_value_t = BillFormat::Text)]
    pub format: BillFormat,
    /// Start the cycle with this volume, measured elsewhere, in place of an earlier --opening. It is
    /// kept with who gave it, when and why
    #[arg(long, value_name = "SIZE", requires = "reason", conflicts_with = "provider")]
    pub opening: Option<Size>,
    /// Keep what the provider says was used, to compare with
    #[arg(long, value_name = "SIZE")]
    pub provider: Option<Size>,
    /// Why, for --opening and --provider
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

/// How a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BillFormat {
    /// For people
    Text,
    /// As the API answers
    Json,
    /// One line with a head
    Csv,
}

impl TopArgs {
    /// Which clients to show, and how.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        Chosen { having: self.tags.clone(), by: self.group_by.clone() }
    }

    /// The collector to connect to. The token in this host's config is only for its own collector.
    ///
    /// # Errors
    /// The address is invalid, or the token can't be read.
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
        let source = source.map_err(|error| Problem::new("--url", error.in_full().to_string()))?;
        // This host's own collector must have exactly the configured certificate.
        let own = http.tls.files()?.filter(|_| self.url.is_none());
        let own = own.map(|files| own_client(&files)).transpose();
        let own =
            own.map_err(|error| Problem::new("http.tls.cert", error.in_full().to_string()))?;
        Ok(match own {
            Some(tls) => source.with_tls(tls),
            None => source,
        })
    }
}

/// Arguments of `collector import`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example: collector import /var/lib/network-monitor/collector/netmon.sqlite\n\n\
                  Stop the collector, set database.url, import, and start the collector again. \
                  Agents keep what they measure meanwhile and continue where they were. If the \
                  import is interrupted, run it again: it continues. It does not change the file."
)]
pub struct ImportArgs {
    /// File of the embedded store
    #[arg(value_name = "PATH")]
    pub file: PathBuf,
}

/// Arguments of `collector backup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: sudo collector backup /var/backups/netmon.sqlite\n\n\
                  The file has all that was committed when the copy began, and belongs to the owner of \
                  its directory. It must not be there yet. \
                  Keep a copy of identity/ in the data directory too: it has the CA's key. Back up a \
                  PostgreSQL database by pg_dump.")]
pub struct BackupArgs {
    /// File to make
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

fn client(text: &str) -> Result<ClientId, String> {
    ClientId::new(text).map_err(|error| error.in_full().to_string())
}

/// A tag, a key, or a change of a tag.
fn tag<T: FromStr<Err = TagError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: TagError| error.in_full().to_string())
}

/// A token must be valid for a while, but not without end.
fn expires(text: &str) -> Result<Interval, String> {
    let life: Interval =
        text.parse().map_err(|error: InvalidInterval| error.in_full().to_string())?;
    let range = Interval::secs(1)..=Interval::days(3650);
    if range.contains(&life) {
        Ok(life)
    } else {
        Err(format!("a token is good for {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
        TokenArgs::augment_args(clap::Command::new("token")).debug_assert();
        TopArgs::augment_args(clap::Command::new("top")).debug_assert();
        RevokeArgs::augment_args(clap::Command::new("revoke")).debug_assert();
        BackupArgs::augment_args(clap::Command::new("backup")).debug_assert();
        BillArgs::augment_args(clap::Command::new("bill")).debug_assert();
        SqlArgs::augment_args(clap::Command::new("sql")).debug_assert();
        ImportArgs::augment_args(clap::Command::new("import")).debug_assert();
        ExportArgs::augment_args(clap::Command::new("export")).debug_assert();
        MigrateArgs::augment_args(clap::Command::new("migrate")).debug_assert();
        SilenceAdd::augment_args(clap::Command::new("add")).debug_assert();
    }
}
