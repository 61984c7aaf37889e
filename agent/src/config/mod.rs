//! The agent's config: its keys, their defaults and ranges.

mod address;
pub mod enrolled;
mod monitor;
mod talkers;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use settings::{
    ConfigError, Given, InFull, Interval, Loaded, Log, Options, Problem, Program, Settings, Size,
    Tls,
};
use wire::id::ClientId;
use wire::tag::{Tag, TagError, TagSet};

pub use self::address::{HostPort, InvalidAddress};
pub use self::monitor::{InvalidGlob, Monitor, NicGlob, NicsSection, RingSize};
pub use self::talkers::{BitRate, InvalidThreshold, ListedOn, OrOff, Percent, TalkersSection};
use crate::connection;
use crate::ship::spool::SpoolLimits;

/// The program whose config this is.
pub const PROGRAM: Program = Program {
    name: "agent",
    env_prefix: "NETMON_AGENT_",
    default_file: "/etc/network-monitor/agent.yaml",
};

/// The keys and sections that a reload applies while the agent runs. Certificates are read again for
/// each connection.
pub const LIVE: &[&str] = &["server", "client.alias", "client.tags", "log.level"];

/// The agent's config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collectors.
    pub server: ServerSection,
    /// Name of this client.
    pub client: ClientSection,
    /// How traffic is measured.
    pub monitor: Monitor,
    /// The spool, which keeps frames until they are committed.
    pub spool: SpoolSection,
    /// Certificates of your own, instead of enrolment.
    pub tls: Tls,
    /// Directory of certificate, key and spool.
    pub data_dir: PathBuf,
    /// Logs.
    pub log: Log,
}

/// Section `server`: the collectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Host name or address of the collector; `agent run` needs it.
    pub host: Option<String>,
    /// Its UDP port.
    pub port: u16,
    /// Number of quick retries after a failed connection. Then there is one every `retry_interval`.
    pub max_retry: u32,
    /// Time between later retries, which never end; 100 ms to 1 h.
    pub retry_interval: Interval,
    /// Collectors to try if this one can't be reached.
    #[serde(deserialize_with = "settings::list")]
    pub fallbacks: Vec<HostPort>,
}

/// Section `client`: name of this client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSection {
    /// Id of the client for enrolment, unique per collector. Default: the host name.
    pub id: String,
    /// The name that people see.
    pub alias: String,
    /// What people group it by: key=value, at most 16. The collector's own tags go before these.
    #[serde(deserialize_with = "settings::list")]
    pub tags: Vec<Tag>,
}

/// Section `spool`: frames are kept here until they are committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSection {
    /// Largest size of the file; 1 MiB to 1 TiB.
    pub max_size: Size,
    /// Age at which samples are replaced with their totals; 1 min to 3650 d.
    pub max_age: Interval,
    /// Longest time whose samples a power loss may lose; 10 ms to 1 min.
    pub fsync_interval: Interval,
    /// How long committed samples are kept; at most 1 d.
    pub keep_committed: Interval,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerSection::default(),
            client: ClientSection::default(),
            monitor: Monitor::default(),
            spool: SpoolSection::default(),
            tls: Tls::default(),
            data_dir: "/var/lib/network-monitor/agent".into(),
            log: Log::default(),
        }
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            host: None,
            port: 8082,
            max_retry: 5,
            retry_interval: Interval::secs(5),
            fallbacks: Vec::new(),
        }
    }
}

impl Default for SpoolSection {
    fn default() -> Self {
        Self {
            max_size: Size::mib(64),
            max_age: Interval::days(7),
            fsync_interval: Interval::secs(1),
            keep_committed: Interval::secs(600),
        }
    }
}

/// Reads the config: defaults < host name < address from enrolment < file < environment < flags,
/// global ones and those of the command.
///
/// # Errors
/// The fault, in one line.
pub fn load(options: &Options, flags: &[Given]) -> Result<Loaded<Config>, ConfigError> {
    let mut explicit = load_explicit(options, flags)?;
    let path = enrolled::path(&explicit.config.data_dir);
    let enrolled = match enrolled::read(&path) {
        // As another user much can be done without it.
        Err(error @ ConfigError::Unreadable { .. }) => {
            explicit.note_unread(&error);
            return Ok(explicit);
        }
        read => read?,
    };
    if explicit.is_set("server.host") {
        // Its port and fallbacks belong to its host.
        let found = enrolled.iter().find(|it| it.key == "server.host").map(|it| &it.value);
        let held = explicit.config.server.host.as_ref();
        if let (Some(found), Some(held)) = (found.filter(|it| Some(*it) != held), held) {
            explicit.warnings.push(format!(
                "{}: server.host: {held} is used, but this host was enrolled at {found}; if that \
                 is intended, remove {}",
                explicit.source("server.host"),
                path.display()
            ));
        }
        return Ok(explicit);
    }
    load_over(options, flags, &enrolled)
}

/// Reads the config like [`load()`], but without the address from an earlier enrolment.
///
/// # Errors
/// The fault, in one line.
pub fn load_explicit(options: &Options, flags: &[Given]) -> Result<Loaded<Config>, ConfigError> {
    load_over(options, flags, &[])
}

fn load_over(
    options: &Options,
    flags: &[Given],
    enrolled: &[Given],
) -> Result<Loaded<Config>, ConfigError> {
    let flags = [options.given(), flags.to_vec()].concat();
    let named = |value| Given { origin: HOST_NAME.into(), key: "client.id", value };
    let found: Vec<Given> = host_name().map(named).into_iter().chain(enrolled.to_vec()).collect();
    settings::load(&PROGRAM, options.config.as_deref(), &found, &flags)
}

/// Source of `client.id` if nobody chose it.
const HOST_NAME: &str = "host name";

/// True if somebody chose `client.id`, even if it equals the host's name.
#[must_use]
pub fn is_id_chosen(loaded: &Loaded<Config>) -> bool {
    loaded.is_set("client.id") && loaded.source("client.id") != HOST_NAME
}

/// The host's name, if it is a valid client id. A host may have no name, `(none)`, or one that isn't
/// text. Then enrolment needs `client.id`.
pub(crate) fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
    Some(name).filter(|name| ClientId::new(name).is_ok())
}

impl Config {
    /// The collectors, in the order in which to try them.
    ///
    /// # Errors
    /// `server.host` is not set.
    pub fn collectors(&self) -> Result<Vec<connection::Server>, Problem> {
        let ServerSection { host, port, fallbacks, .. } = &self.server;
        let why = "not set; run `agent enroll TOKEN`, or name the collector's host";
        let host = host.clone().ok_or_else(|| Problem::new("server.host", why))?;
        let fallback = |fallback: &HostPort| connection::Server {
            host: fallback.host.clone(),
            port: fallback.port.unwrap_or(*port),
        };
        let first = connection::Server { host, port: *port };
        Ok(std::iter::once(first).chain(fallbacks.iter().map(fallback)).collect())
    }

    /// The client's id, in lower case.
    ///
    /// # Errors
    /// `client.id` is not valid.
    pub fn client_id(&self) -> Result<ClientId, Problem> {
        Problem::unless(!self.client.id.is_empty(), "client.id", || {
            "not set, and this host's name is no valid client id; set it, or: agent enroll --id \
             NAME TOKEN"
                .to_owned()
        })?;
        ClientId::new(&self.client.id)
            .map_err(|error| Problem::new("client.id", error.in_full().to_string()))
    }
}

impl ClientSection {
    /// The tags.
    ///
    /// # Errors
    /// A key is there twice, or there are too many.
    pub fn tags(&self) -> Result<TagSet, Problem> {
        let refused = |error: TagError| Problem::new("client.tags", error.in_full().to_string());
        TagSet::new(self.tags.iter().cloned()).map_err(refused)
    }
}

impl SpoolSection {
    /// The limits, in the spool's form.
    #[must_use]
    pub const fn limits(&self) -> SpoolLimits {
        SpoolLimits {
            max_size: self.max_size.0,
            max_age: self.max_age.0,
            keep_committed: self.keep_committed.0,
        }
    }

    fn check(&self) -> Result<(), Problem> {
        let sizes = Size::mib(1)..=Size::mib(1 << 20);
        Problem::unless_within("spool.max_size", &self.max_size, &sizes)?;
        let ages = Interval::secs(60)..=Interval::days(3650);
        Problem::unless_within("spool.max_age", &self.max_age, &ages)?;
        let syncs = Interval::millis(10)..=Interval::secs(60);
        Problem::unless_within("spool.fsync_interval", &self.fsync_interval, &syncs)?;
        let keeps = Interval::secs(0)..=Interval::days(1);
        Problem::unless_within("spool.keep_committed", &self.keep_committed, &keeps)
    }
}

impl ServerSection {
    fn check(&self) -> Result<(), Problem> {
        if let Some(host) = &self.host {
            address::check_host(host).map_err(|error| {
                Problem::new(
                    "server.host",
                    format!("{}; the port goes to server.port", error.in_full()),
                )
            })?;
        }
        Problem::unless_within("server.port", &self.port, &(1..=u16::MAX))?;
        let waits = Interval::millis(100)..=Interval::secs(3600);
        Problem::unless_within("server.retry_interval", &self.retry_interval, &waits)
    }
}

impl Settings for Config {
    fn check(&mut self, given: &dyn Fn(&str) -> bool) -> Result<(), Problem> {
        self.server.check()?;
        // An enrolled agent is who its certificate says.
        if given("client.id") || !self.client.id.is_empty() {
            self.client_id()?;
        }
        let longest = wire::message::TEXT_MAX;
        Problem::unless(self.client.alias.len() <= longest, "client.alias", || {
            format!("{} bytes long; {longest} are allowed", self.client.alias.len())
        })?;
        self.client.tags()?;
        self.monitor.check(given)?;
        self.spool.check()?;
        self.tls.files().map(drop)
    }

    fn secret_files(&self) -> Vec<(Cow<'static, str>, &Path)> {
        self.tls.key.iter().map(|file| (Cow::Borrowed("tls.key"), file.as_path())).collect()
    }
}
