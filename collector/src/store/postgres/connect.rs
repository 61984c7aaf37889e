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

/// Why a database can't be named so.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConfigError {
    /// The address can't be read.
    #[error(
        "database.url can't be read: {0}; it is like postgresql://user:password@host:5432/name"
    )]
    Url(String),
    /// No host is named.
    #[error("no database host is named; set database.url or database.host")]
    NoHost,
    /// TLS is asked for and there is nothing to check the server by.
    #[error("the database is to be reached by TLS, but no CA is known; set database.ca")]
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

/// The parts of an address that the old tool's configuration names one by one.
#[derive(Clone, Default)]
pub struct PostgresParts {
    /// Host name, address, or the directory of a Unix socket.
    pub host: String,
    /// TCP port.
    pub port: Option<u16>,
    /// Name of the database.
    pub name: Option<String>,
    /// Who logs in.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl fmt::Debug for PostgresParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, name, user, .. } = self;
        write!(f, "PostgresParts({user:?}@{host}:{port:?}/{name:?})")
    }
}

impl PostgresConfig {
    /// A database by its URL or by `key=value` pairs. With `sslmode=require` the server must
    /// prove itself by a CA of `roots`; by default TLS is used where there are any.
    ///
    /// # Errors
    /// [`PostgresConfigError`] says what is missing or wrong.
    pub fn from_url(url: &str, roots: RootCertStore) -> Result<Self, PostgresConfigError> {
        let config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            PostgresConfigError::Url(cause.unwrap_or_else(|| error.to_string()))
        })?;
        Self::new(config, roots)
    }

    /// A database by the parts of its address.
    ///
    /// # Errors
    /// As [`PostgresConfig::from_url`].
    pub fn from_parts(
        parts: &PostgresParts,
        roots: RootCertStore,
    ) -> Result<Self, PostgresConfigError> {
        let mut config = Config::new();
        if !parts.host.is_empty() {
            config.host(&parts.host);
        }
        config.port(parts.port.unwrap_or(5432));
        parts.name.as_ref().map(|name| config.dbname(name));
        parts.user.as_ref().map(|user| config.user(user));
        parts.password.as_ref().map(|password| config.password(password));
        Self::new(config, roots)
    }

    fn new(mut config: Config, roots: RootCertStore) -> Result<Self, PostgresConfigError> {
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

    #[test]
    fn a_database_is_named_by_url_or_parts_and_never_with_its_password() {
        let url = "postgresql://netmon:secret@db.example:5433/traffic";
        let config = PostgresConfig::from_url(url, RootCertStore::empty()).unwrap();
        assert_eq!(config.location(), "postgresql://netmon@db.example:5433/traffic");
        let parts = PostgresParts {
            host: "db.example".into(),
            port: Some(5433),
            name: Some("traffic".into()),
            user: Some("netmon".into()),
            password: Some("secret".into()),
        };
        let same = PostgresConfig::from_parts(&parts, RootCertStore::empty()).unwrap();
        assert_eq!(same.location(), config.location());
        assert!(!format!("{config:?}{parts:?}").contains("secret"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let refused = |url| PostgresConfig::from_url(url, RootCertStore::empty()).unwrap_err();
        assert!(refused("postgresql://").to_string().contains("database.host"));
        assert!(refused("postgresql://h/n?sslmode=require").to_string().contains("database.ca"));
        assert!(refused("mysql://h").to_string().contains("postgresql://user"));
    }
}
