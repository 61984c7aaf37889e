//! Section `database`: the connection to PostgreSQL.

use std::error::Error;
use std::path::PathBuf;

use rustls::RootCertStore;
use serde::{Deserialize, Serialize};
use settings::{InFull, Problem, Secret};
use tokio_postgres::Config as Postgres;
use tokio_postgres::config::Host;
use wire::pem::read_certificates;

use super::database_url::{is_cut, url_fault};
use crate::secret_file;
use crate::store::postgres::{Authorities, PASSWORD_OUT, PostgresConfig};

/// Section `database`. Set either `url`, or `host` and the keys that go with it. If neither is set,
/// the store is SQLite in the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// `postgres://user@host:5432/name?sslmode=require`, or libpq's `key=value` form.
    pub url: Option<Secret>,
    /// Host name, address, or directory of the Unix socket.
    pub host: Option<String>,
    /// TCP port.
    pub port: u16,
    /// Name of the database.
    pub name: Option<String>,
    /// The user that connects.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// File with the password. It is read for each connection.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authorities that sign the database's certificate. If set, TLS is always
    /// used.
    pub ca: Option<PathBuf>,
    /// Acknowledge rows although a crash of the database's host may lose them (`fsync = off`).
    pub allow_unsafe: bool,
    /// Settings for Citus.
    pub citus: Citus,
}

/// Section `database.citus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Citus {
    /// Number of shards per fact table that `collector migrate` creates; 1 to 1024. `None`: 2 per
    /// node.
    pub shards: Option<u32>,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: None,
            host: None,
            port: 5432,
            name: None,
            user: None,
            password: None,
            password_file: None,
            ca: None,
            allow_unsafe: false,
            citus: Citus::default(),
        }
    }
}

impl DatabaseSection {
    /// How to connect to PostgreSQL. `None` if SQLite is used. Reads the files with the password and
    /// the authorities.
    ///
    /// # Errors
    /// An invalid value, or a file that can't be read.
    pub fn postgres(&self) -> Result<Option<PostgresConfig>, Problem> {
        let Some(postgres) = self.with_password()? else { return Ok(None) };
        let key = if self.url.is_some() { "database.url" } else { "database.host" };
        let made = PostgresConfig::new(postgres, self.authorities()?);
        let mut made = made.map_err(|error| Problem::new(key, error.in_full().to_string()))?;
        if let Some(file) = &self.password_file {
            made = made.with_password_file(file.clone());
        }
        if let Some(shards) = self.citus.shards {
            made = made.with_shards(shards);
        }
        Ok(Some(if self.allow_unsafe { made.with_unsafe_commits() } else { made }))
    }

    fn with_password(&self) -> Result<Option<Postgres>, Problem> {
        let Some(mut postgres) = self.without_password()? else { return Ok(None) };
        if let Some(password) = self.read_password()? {
            postgres.password(password.reveal());
        }
        Ok(Some(postgres))
    }

    fn authorities(&self) -> Result<Authorities, Problem> {
        let Some(file) = &self.ca else { return Ok(Authorities::System) };
        let refused = |error: &(dyn Error + 'static)| {
            Problem::new("database.ca", error.in_full().to_string())
        };
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(file).map_err(|error| refused(&error))? {
            roots.add(certificate).map_err(|error| refused(&error))?;
        }
        Ok(Authorities::These(roots))
    }

    fn without_password(&self) -> Result<Option<Postgres>, Problem> {
        if let Some(url) = &self.url {
            return parse_url(url).map(Some);
        }
        let Some(host) = &self.host else { return Ok(None) };
        let needed = |key, value: &Option<String>| {
            let why = "not set; it is needed with database.host";
            value.clone().ok_or_else(|| Problem::new(key, why))
        };
        let mut postgres = Postgres::new();
        postgres.host(host).port(self.port);
        postgres.dbname(needed("database.name", &self.name)?);
        postgres.user(needed("database.user", &self.user)?);
        Ok(Some(postgres))
    }

    fn read_password(&self) -> Result<Option<Secret>, Problem> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        let refused = |why| Problem::new("database.password_file", why);
        let password = secret_file::first_line(file, PASSWORD_OUT).map_err(refused)?;
        Ok(Some(Secret::new(password)))
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let used = self.without_password()?.is_some();
        let twice = |one: bool, other: bool, key, name: &str| {
            Problem::unless(!(one && other), key, || {
                format!("set beside {name}; leave one of them out")
            })
        };
        let Self { url, host, name, user, password, password_file, .. } = self;
        twice(url.is_some(), host.is_some(), "database.host", "database.url")?;
        twice(url.is_some(), name.is_some(), "database.name", "database.url")?;
        twice(url.is_some(), user.is_some(), "database.user", "database.url")?;
        let file = password_file.is_some();
        twice(password.is_some(), file, "database.password_file", "database.password")?;
        let given = [
            ("database.name", name.is_some()),
            ("database.user", user.is_some()),
            ("database.password", password.is_some()),
            ("database.password_file", file),
            ("database.ca", self.ca.is_some()),
            ("database.allow_unsafe", self.allow_unsafe),
            ("database.citus.shards", self.citus.shards.is_some()),
        ];
        let idle = given.into_iter().find(|(_, given)| *given && !used);
        idle.map_or(Ok(()), |(key, _)| {
            Err(Problem::new(key, "set without database.host; set the host, or leave it out"))
        })?;
        if let Some(shards) = &self.citus.shards {
            Problem::unless_within("database.citus.shards", shards, &(1..=1024))?;
        }
        Problem::unless_within("database.port", &self.port, &(1..=u16::MAX))
    }

    /// The keys that contain a password.
    pub(super) fn secrets(&self) -> Vec<&'static str> {
        let in_url = self.url.as_ref().and_then(|url| parse_url(url).ok());
        let in_url = in_url.is_some_and(|postgres| postgres.get_password().is_some());
        let held = [("database.url", in_url), ("database.password", self.password.is_some())];
        held.into_iter().filter_map(|(key, held)| held.then_some(key)).collect()
    }
}

/// Hides the parser's error, because it may quote the password.
fn parse_url(url: &Secret) -> Result<Postgres, Problem> {
    // With TLS the certificate and the name are always checked.
    let url = ["verify-full", "verify-ca"].iter().fold(url.reveal().to_owned(), |url, mode| {
        url.replace(&format!("sslmode={mode}"), "sslmode=require")
    });
    let parsed = url.parse::<Postgres>().ok();
    // The parser ends the user's part at the first @.
    let named = |host: &Host| !matches!(host, Host::Tcp(name) if name.contains('@'));
    let named = |hosts: &[Host]| !hosts.is_empty() && hosts.iter().all(named);
    parsed
        .filter(|postgres| named(postgres.get_hosts()) && !is_cut(&url))
        .ok_or_else(|| Problem::new("database.url", url_fault(&url)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_host() -> DatabaseSection {
        let text = |text: &str| Some(text.to_owned());
        let (host, name, user) = (text("db"), text("netmon"), text("collector"));
        DatabaseSection { host, name, user, ..DatabaseSection::default() }
    }

    #[test]
    fn nothing_set_means_sqlite() {
        assert_eq!(DatabaseSection::default().check(), Ok(()));
        assert!(DatabaseSection::default().postgres().unwrap().is_none());
    }

    #[test]
    fn the_old_keys_and_the_url_say_the_same() {
        let password = Some(Secret::new("p@ss".to_owned()));
        let keys = DatabaseSection { password, ..with_host() }.with_password().unwrap();
        let url = Some(Secret::new("postgres://collector:p%40ss@db:5432/netmon".to_owned()));
        let database = DatabaseSection { url, ..DatabaseSection::default() };
        assert_eq!(database.with_password().unwrap(), keys);
        assert_eq!(database.secrets(), ["database.url"]);
    }

    #[test]
    fn the_password_comes_from_its_file_without_the_line_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database =
            DatabaseSection { password_file: Some(file.path().to_owned()), ..with_host() };
        let empty = database.postgres().unwrap_err();
        assert!(empty.why.ends_with("empty; write the password to it"), "{empty}");
        fs::write(file.path(), " hunter2 \r\n").unwrap();
        let postgres = database.with_password().unwrap().unwrap();
        assert_eq!(postgres.get_password(), Some(b" hunter2 ".as_slice()));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        for refused in [database.with_password().unwrap_err(), database.postgres().unwrap_err()] {
            assert_eq!(refused.key, "database.password_file");
            assert!(refused.why.contains("every user of this host can read it"), "{refused}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_key() {
        let url = || Some(Secret::new("postgres://db".to_owned()));
        let password = || Some(Secret::new("x".to_owned()));
        let file = || Some("/x".into());
        for (database, key) in [
            (DatabaseSection { url: url(), ..with_host() }, "database.host"),
            (DatabaseSection { user: None, ..with_host() }, "database.user"),
            (DatabaseSection { host: None, ..with_host() }, "database.name"),
            (
                DatabaseSection { password: password(), ..DatabaseSection::default() },
                "database.password",
            ),
            (
                DatabaseSection { password: password(), password_file: file(), ..with_host() },
                "database.password_file",
            ),
            (DatabaseSection { port: 0, ..with_host() }, "database.port"),
        ] {
            assert_eq!(database.check().unwrap_err().key, key);
        }
    }

    #[test]
    fn a_bad_url_is_not_shown() {
        let url = Some(Secret::new("postgres://u:hunter2@db:port/x".to_owned()));
        let problem = DatabaseSection { url, ..DatabaseSection::default() }.check().unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        // What the parser takes, and would look for a host called ss@db.
        let url = Some(Secret::new("postgres://u:pa@ss@db/x".to_owned()));
        let problem = DatabaseSection { url, ..DatabaseSection::default() }.check().unwrap_err();
        assert!(problem.to_string().contains("%40"), "{problem}");
        // A port, and a database called hunter2@db/x, which would be shown.
        let url = Some(Secret::new("postgres://u:5/hunter2@db/x".to_owned()));
        let problem = DatabaseSection { url, ..DatabaseSection::default() }.check().unwrap_err();
        assert!(problem.to_string().contains("%2F"), "{problem}");
        let url = Some(Secret::new("postgres://u:p@s/hunter2@db".to_owned()));
        let problem = DatabaseSection { url, ..DatabaseSection::default() }.check().unwrap_err();
        assert!(problem.to_string().contains("%40"), "{problem}");
    }
}
