//! Connects to PostgreSQL: address and login.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::settings::InFull;
use rustls::RootCertStore;
use tokio::task::AbortHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::Failure;
use super::settings;
use crate::secret_file;
use crate::tls_client;

/// What to do about a file without a password.
pub const PASSWORD_OUT: &str = "write the password to it";

/// Longest time to reach a server, and to be accepted by it.
const REACH: Duration = Duration::from_secs(10);
const LOGIN: Duration = Duration::from_secs(20);

/// Begins every transaction that writes. Its settings are local to the transaction, because a pooler
/// may pass on a connection with another client's settings. Commits are durable whatever the server's
/// default.
pub(super) const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC';
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL standard_conforming_strings = on;
    SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '20s';
    SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL synchronous_commit = on";

/// Longer than Citus needs to make committed rows visible after a node died
/// (`citus.recover_2pc_interval`, 60 s).
const DOUBT: Duration = Duration::from_secs(63);

/// Why a database config can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConfigError {
    /// No host is set.
    #[error("no database host is named; set database.url or database.host")]
    NoHost,
    /// TLS is required, but no CA is known to verify the server.
    #[error("TLS to the database needs a CA to verify the server; set database.ca")]
    NoCa,
    /// TLS can't be set up.
    #[error("TLS to the database can't be set up")]
    Tls(#[from] rustls::Error),
}

/// The CAs that may have signed a server's certificate.
#[derive(Debug)]
pub enum Authorities {
    /// The system's CAs. TLS is used if requested (`sslmode=require`).
    System,
    /// These CAs. TLS is used unless disabled (`sslmode=disable`).
    These(RootCertStore),
}

/// Address of the database, and the login.
#[derive(Clone)]
pub struct PostgresConfig {
    config: Config,
    password_file: Option<PathBuf>,
    tls: MakeRustlsConnect,
    location: String,
    allow_unsafe: bool,
    shards: Option<u32>,
    doubt: Duration,
    /// The statements that begin a committing transaction.
    begin: String,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").field("location", &self.location).finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// The database of `config`; `authorities` decides about TLS.
    ///
    /// # Errors
    /// [`PostgresConfigError`] names what is missing or wrong.
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
        // Detects a vanished server within a minute.
        config.tcp_user_timeout(Duration::from_secs(30));
        config.keepalives_idle(Duration::from_secs(20)).keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(4);
        let tls = tls_client::config(roots)?;
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

    /// Reads the password from the first line of a file for each connection.
    #[must_use]
    pub fn with_password_file(mut self, file: PathBuf) -> Self {
        self.password_file = Some(file);
        self
    }

    /// Allows commits even if a crash of the server may lose acknowledged data.
    #[must_use]
    pub const fn with_unsafe_commits(mut self) -> Self {
        self.allow_unsafe = true;
        self
    }

    /// Sets the number of shards for Citus; the default depends on its nodes.
    #[must_use]
    pub const fn with_shards(mut self, shards: u32) -> Self {
        self.shards = Some(shards);
        self
    }

    /// If rows are on several servers, [`check`](crate::store::Check::check) reports differences that
    /// last this long; 63 s by default.
    #[must_use]
    pub const fn with_doubt(mut self, doubt: Duration) -> Self {
        self.doubt = doubt;
        self
    }

    /// Limits each statement of a commit, and its wait for locks, to this time; 60 s and 20 s by
    /// default.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        let ms = patience.as_millis();
        self.begin =
            format!("{BEGIN}; SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}");
        self
    }

    /// The database's address without password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// True if others could read the traffic on the way.
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

    /// Opens a connection that can be aborted.
    pub(super) async fn connect(&self) -> Result<(Client, AbortHandle), Failure> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            let password = secret_file::first_line(file, PASSWORD_OUT);
            let refused = |why| Failure::failed(format!("database.password_file: {why}"));
            config.password(password.map_err(refused)?);
        }
        let connecting = tokio::time::timeout(LOGIN, config.connect(self.tls.clone()));
        let late = |_| Failure::failed("the server accepts no connection; see its log");
        let (client, connection) = connecting.await.map_err(late)??;
        // The task ends with the client, or when the server is gone; the client's next use reports
        // that.
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error.in_full(), "a connection to the database ended");
            }
        });
        settings::pin(&client).await?;
        Ok((client, task.abort_handle()))
    }

    /// The statements that begin a committing transaction.
    pub(super) fn begin(&self) -> &str {
        &self.begin
    }

    /// The number of shards for Citus, if set.
    pub(super) const fn shards(&self) -> Option<u32> {
        self.shards
    }

    /// How long a difference on several servers must last.
    pub(super) const fn doubt(&self) -> Duration {
        self.doubt
    }

    /// True if a server that may lose acknowledged data is accepted.
    pub(super) const fn allows_unsafe(&self) -> bool {
        self.allow_unsafe
    }
}

fn system_roots() -> Result<RootCertStore, PostgresConfigError> {
    let roots = tls_client::system_roots();
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
