//! Connecting to PostgreSQL: where, and as whom.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::task::AbortHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use wire::permission;

use super::error::Failure;
use super::settings;

/// How long it may take to reach a server, and until that lets a connection in.
const REACH: Duration = Duration::from_secs(10);
const LOGIN: Duration = Duration::from_secs(20);

/// Begins every transaction that changes something. What it sets is local to it, for a connection
/// may go through a pooler, whose settings at connect are those of whoever had it before. Durable
/// whatever the server's default.
pub(super) const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL standard_conforming_strings = on;
    SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '20s';
    SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL synchronous_commit = on";

/// Longer than it takes Citus to make visible what was committed and not yet settled on a node that
/// died (`citus.recover_2pc_interval`, 60 s).
const DOUBT: Duration = Duration::from_secs(63);

/// Why a database can't be reached as asked.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConfigError {
    /// No host is named.
    #[error("no database host is named; set database.url or database.host")]
    NoHost,
    /// TLS is asked for and there is nothing to check the server by.
    #[error(
        "the database is to be reached by TLS, but no CA is known to check it by; set database.ca"
    )]
    NoCa,
    /// TLS can't be set up.
    #[error("TLS to the database can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// By whom a server's certificate must be signed where TLS is used.
#[derive(Debug)]
pub enum Authorities {
    /// One of those that the system trusts. TLS is used if it is asked for (`sslmode=require`).
    System,
    /// One of these. TLS is used unless it is forbidden (`sslmode=disable`).
    These(RootCertStore),
}

/// Where the database is, and as whom to log in.
#[derive(Clone)]
pub struct PostgresConfig {
    config: Config,
    password_file: Option<PathBuf>,
    tls: MakeRustlsConnect,
    location: String,
    allow_unsafe: bool,
    shards: Option<u32>,
    doubt: Duration,
    /// Begins each transaction that commits.
    begin: String,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").field("location", &self.location).finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// The database that `config` names, reached by TLS as `authorities` says.
    ///
    /// # Errors
    /// [`PostgresConfigError`] says what is missing or wrong.
    pub fn new(mut config: Config, authorities: Authorities) -> Result<Self, PostgresConfigError> {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresConfigError::NoHost);
        }
        let roots = match (authorities, config.get_ssl_mode()) {
            (_, SslMode::Disable) => RootCertStore::empty(),
            (Authorities::System, SslMode::Require) => system_roots()?,
            (Authorities::System, _) => {
                config.ssl_mode(SslMode::Disable);
                RootCertStore::empty()
            }
            (Authorities::These(roots), _) => {
                config.ssl_mode(SslMode::Require);
                roots
            }
        };
        config.application_name("netmon-collector");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(REACH);
        }
        // A server that vanished is noticed within a minute.
        config.tcp_user_timeout(Duration::from_secs(30));
        config.keepalives_idle(Duration::from_secs(20)).keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(4);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let location = location(&config);
        Ok(Self {
            config,
            password_file: None,
            tls: MakeRustlsConnect::new(tls),
            location,
            allow_unsafe: false,
            shards: None,
            doubt: DOUBT,
            begin: BEGIN.to_owned(),
        })
    }

    /// Reads the password anew from the first line of a file at each connection.
    #[must_use]
    pub fn with_password_file(mut self, file: PathBuf) -> Self {
        self.password_file = Some(file);
        self
    }

    /// Commits also where a crash of the server may lose what it has acknowledged.
    #[must_use]
    pub const fn with_unsafe_commits(mut self) -> Self {
        self.allow_unsafe = true;
        self
    }

    /// Has Citus distribute tables into so many shards; by default as many as suit its nodes.
    #[must_use]
    pub const fn with_shards(mut self, shards: u32) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Where rows are on several servers, [`check`](crate::store::Check::check) tells what is wrong if
    /// it stays wrong for so long; 63 s otherwise.
    #[must_use]
    pub const fn with_doubt(mut self, doubt: Duration) -> Self {
        self.doubt = doubt;
        self
    }

    /// Lets a statement of a commit take or wait for a lock no longer than this; 60 s and 20 s
    /// otherwise.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        let ms = patience.as_millis();
        self.begin =
            format!("{BEGIN}; SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}");
        self
    }

    /// The database's address, without password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether what is sent could be read on the way.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let local = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        };
        let remote = !self.config.get_hosts().iter().all(local)
            || self.config.get_hostaddrs().iter().any(|address| !address.is_loopback());
        remote && matches!(self.config.get_ssl_mode(), SslMode::Disable)
    }

    /// Opens a connection, which can be broken off.
    pub(super) async fn connect(&self) -> Result<(Client, AbortHandle), Failure> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            let password = read_password(file);
            let refused = |why| Failure::Failed(format!("database.password_file: {why}"));
            config.password(password.map_err(refused)?);
        }
        let connecting = tokio::time::timeout(LOGIN, config.connect(self.tls.clone()));
        let late = |_| Failure::Failed("the server lets no connection in; see its log".to_owned());
        let (client, connection) = connecting.await.map_err(late)??;
        // Ends with the client, or when the server is gone, which the client's next use tells.
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        settings::pin(&client).await?;
        Ok((client, task.abort_handle()))
    }

    /// Begins each transaction that commits.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }

    /// Into how many shards Citus is to distribute tables, if that is told.
    pub(super) const fn shards(&self) -> Option<u32> {
        self.shards
    }

    /// How long what is wrong with rows on several servers must stay wrong.
    pub(super) const fn doubt(&self) -> Duration {
        self.doubt
    }

    /// Whether a server that may lose what it acknowledged is taken all the same.
    pub(super) const fn allows_unsafe(&self) -> bool {
        self.allow_unsafe
    }
}

/// Reads a password from the first line of a file.
///
/// # Errors
/// Why there is none, with the file and the way out.
pub fn read_password(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| {
        let way_out = permission::way_out(file, &error, "let the collector's user read it");
        format!("{}: {error}; {way_out}", file.display())
    })?;
    let password = text.lines().next().filter(|line| !line.is_empty());
    let empty = || format!("{}: empty; write the password to it", file.display());
    password.map(str::to_owned).ok_or_else(empty)
}

fn system_roots() -> Result<RootCertStore, PostgresConfigError> {
    let mut roots = RootCertStore::empty();
    // Those that can't be read or understood are of no use; the others may do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(PostgresConfigError::NoCa) } else { Ok(roots) }
}

fn location(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let name = config.get_dbname().unwrap_or(user);
    format!("postgresql://{user}@{host}:{port}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<PostgresConfig, PostgresConfigError> {
        PostgresConfig::new(url.parse().unwrap(), Authorities::System)
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        let config = config("postgresql://netmon:secret@db.example:5433/traffic").unwrap();
        assert_eq!(config.location(), "postgresql://netmon@db.example:5433/traffic");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = config("dbname=traffic").unwrap_err().to_string();
        assert!(refused.contains("database.host"));
    }

    #[test]
    fn a_connection_that_could_be_read_on_the_way_is_known() {
        for (url, exposed) in [
            ("host=db.example", true),
            ("host=localhost", false),
            ("host=127.0.0.1", false),
            ("host=/run/postgresql", false),
            ("hostaddr=192.0.2.1", true),
        ] {
            assert_eq!(config(url).unwrap().is_exposed(), exposed, "{url}");
        }
        let roots = Authorities::These(RootCertStore::empty());
        let encrypted = PostgresConfig::new("host=db.example".parse().unwrap(), roots).unwrap();
        assert!(!encrypted.is_exposed());
    }
}
