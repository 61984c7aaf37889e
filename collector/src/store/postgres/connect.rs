//! Connections to PostgreSQL: where, as whom, and a few of them kept open.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::Failure;

/// Connections beside the one that commits.
const CONNECTIONS: usize = 4;

/// Begins every transaction. Local to it, for a connection may go through a pooler; durable
/// whatever the server's default.
pub(super) const TIMEOUTS: &str = "
    SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '20s';
    SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL synchronous_commit = on";

/// Why a database can't be reached as asked.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConfigError {
    /// No host is named.
    #[error("no database host is named; set database.url or database.host")]
    NoHost,
    /// TLS is asked for and there is nothing to check the server by.
    #[error("the database is to be reached by TLS, but no CA is known to check it by")]
    NoCa,
    /// TLS can't be set up.
    #[error("TLS to the database can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where the database is, and as whom to log in.
#[derive(Clone)]
pub struct PostgresConfig {
    config: Config,
    tls: MakeRustlsConnect,
    location: String,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").field("location", &self.location).finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// The database that `config` names. With `sslmode=require` the server must prove itself by
    /// a CA of `roots`; without `sslmode`, TLS is used where there are any roots.
    ///
    /// # Errors
    /// [`PostgresConfigError`] says what is missing or wrong.
    pub fn new(mut config: Config, roots: RootCertStore) -> Result<Self, PostgresConfigError> {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PostgresConfigError::NoHost);
        }
        match config.get_ssl_mode() {
            SslMode::Require if roots.is_empty() => return Err(PostgresConfigError::NoCa),
            SslMode::Prefer if roots.is_empty() => {
                config.ssl_mode(SslMode::Disable);
            }
            _ => {}
        }
        config.application_name("netmon-collector");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
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
        Ok(Self { config, tls: MakeRustlsConnect::new(tls), location })
    }

    /// The database's address, without password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // Ends with the client, or when the server is gone, which the client's next use tells.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok(client)
    }
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

/// A few connections, opened as they are needed and thrown away after an error.
#[derive(Debug)]
pub(super) struct Pool {
    config: PostgresConfig,
    idle: Mutex<Vec<Client>>,
    free: Semaphore,
}

impl Pool {
    pub(super) const fn new(config: PostgresConfig) -> Self {
        let idle = Mutex::new(Vec::new());
        Self { config, idle, free: Semaphore::const_new(CONNECTIONS) }
    }

    pub(super) const fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// A connection, one that was kept or a new one.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, Failure> {
        let closed = |error: tokio::sync::AcquireError| Failure::Failed(error.to_string());
        let permit = self.free.acquire().await.map_err(closed)?;
        let mut kept = self.idle().pop();
        kept.take_if(|client| client.is_closed());
        let client = match kept {
            Some(client) => client,
            None => self.config.connect().await?,
        };
        Ok(Lease { client, pool: self, _permit: permit })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of the pool. It is thrown away with whatever transaction is open in it, unless
/// it is given back.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    client: Client,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Gives the connection back: everything went well.
    pub(super) fn give_back(self) {
        self.pool.idle().push(self.client);
    }
}

impl Deref for Lease<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<PostgresConfig, PostgresConfigError> {
        PostgresConfig::new(url.parse().unwrap(), RootCertStore::empty())
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        let config = config("postgresql://netmon:secret@db.example:5433/traffic").unwrap();
        assert_eq!(config.location(), "postgresql://netmon@db.example:5433/traffic");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let refused = |url| config(url).unwrap_err().to_string();
        assert!(refused("dbname=traffic").contains("database.host"));
        assert!(refused("postgresql://h/n?sslmode=require").contains("no CA is known"));
    }
}
