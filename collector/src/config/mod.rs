//! The collector's config: its keys, their defaults and ranges.

mod database;
mod database_url;
mod export;
mod http;
mod http_limits;
mod limits;
mod listen;
mod metrics;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use settings::{
    ConfigError, Interval, Loaded, Log, Options, Problem, Program, Settings, Size, Tls,
};

pub use self::database::DatabaseSection;
pub use self::export::ExportSection;
pub use self::http::{CertificatePaths, Http, read_token};
pub use self::http_limits::HttpLimits;
pub use self::limits::LimitsSection;
use self::listen::check_listen;
pub use self::metrics::MetricsSection;
use crate::accounts::Accounts;
use crate::alerts::{AlertRules, AlertsSection, targets};
use crate::store::RetentionLimits;
use crate::writer::BatchLimits;

/// The program whose config this is.
pub const PROGRAM: Program = Program {
    name: "collector",
    env_prefix: "NETMON_COLLECTOR_",
    default_file: "/etc/network-monitor/collector.yaml",
};

/// The keys and sections that a reload applies while the collector runs. A reload also reads
/// certificates and the token file again. The password file is read for each connection.
pub const LIVE: &[&str] = &[
    "http.token_file",
    "http.proxy_header",
    "http.address_header",
    "http.proxies",
    "http.session_time",
    "http.unprotected",
    "alerts",
    "retention",
    "accounts",
    "log.level",
];

/// The collector's config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where agents connect.
    pub server: ServerSection,
    /// Dashboard, API and metrics.
    pub http: Http,
    /// PostgreSQL. If nothing is set, the store is SQLite in the data directory.
    pub database: DatabaseSection,
    /// How long rows are kept.
    pub retention: RetentionSection,
    /// What is billed together.
    pub accounts: Accounts,
    /// How rows are put into batches.
    pub writer: WriterSection,
    /// Limits of one client, one address and all clients together.
    pub limits: LimitsSection,
    /// The series of clients and NICs.
    pub metrics: MetricsSection,
    /// Where metrics go beside Prometheus.
    pub export: ExportSection,
    /// Alerts: rules, and targets of messages.
    pub alerts: AlertsSection,
    /// Certificates of your own, instead of the built-in CA.
    pub tls: Tls,
    /// Directory of the built-in CA and of SQLite.
    pub data_dir: PathBuf,
    /// Logs.
    pub log: Log,
}

/// Section `server`: where agents connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Address or host name to listen on. `::` is every IPv6 and IPv4 address of the host.
    pub host: String,
    /// UDP port; 0 for any free one.
    pub port: u16,
}

/// Section `retention`: how long rows are kept; 1 h to 36500 d. And how soon samples and mixes are packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// Samples and mixes.
    pub raw: Interval,
    /// Samples and mixes older than this are packed, by whole hours; not on Citus. As long as `raw`: none.
    pub hot: Interval,
    /// Rollups of one minute.
    pub rollup_1m: Interval,
    /// Rollups of 5 minutes.
    pub rollup_5m: Interval,
    /// Refused frames.
    pub quarantine: Interval,
    /// Alerts that are over.
    pub alerts: Interval,
    /// Talkers: who had the traffic.
    pub talkers: Interval,
}

impl RetentionSection {
    /// The retention, in the store's form.
    #[must_use]
    pub const fn limits(&self) -> RetentionLimits {
        let Self { raw, hot, rollup_1m, rollup_5m, quarantine, alerts, talkers } = self;
        RetentionLimits {
            raw: raw.0,
            hot: hot.0,
            rollup_1m: rollup_1m.0,
            rollup_5m: rollup_5m.0,
            quarantine: quarantine.0,
            alerts: alerts.0,
            talkers: talkers.0,
        }
    }
}

/// Section `writer`: how rows are put into batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriterSection {
    /// Number of rows at which a batch is written at once; 1 to 1,000,000.
    pub max_rows: usize,
    /// Longest time that a row waits for its batch; 1 ms to 1 min. Live rows may wait longer
    /// ([`BatchLimits`]).
    pub max_delay: Interval,
    /// Most memory for waiting rows; 1 MiB to 64 GiB.
    pub max_memory: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerSection::default(),
            http: Http::default(),
            database: DatabaseSection::default(),
            retention: RetentionSection::default(),
            accounts: Accounts::default(),
            writer: WriterSection::default(),
            limits: LimitsSection::default(),
            metrics: MetricsSection::default(),
            export: ExportSection::default(),
            alerts: AlertsSection::default(),
            tls: Tls::default(),
            data_dir: "/var/lib/network-monitor/collector".into(),
            log: Log::default(),
        }
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self { host: "::".to_owned(), port: 8082 }
    }
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            raw: Interval::days(7),
            hot: Interval::secs(2 * 3600),
            rollup_1m: Interval::days(30),
            rollup_5m: Interval::days(400),
            quarantine: Interval::days(30),
            alerts: Interval::days(90),
            talkers: Interval::days(7),
        }
    }
}

impl Default for WriterSection {
    fn default() -> Self {
        let BatchLimits { max_rows, max_delay, .. } = BatchLimits::DEFAULT;
        Self { max_rows, max_delay: Interval(max_delay), max_memory: Size::mib(64) }
    }
}

/// Reads the config: defaults < file < environment < flags.
///
/// # Errors
/// The fault, in one line.
pub fn load(options: &Options) -> Result<Loaded<Config>, ConfigError> {
    let loaded = settings::load(&PROGRAM, options.config.as_deref(), &[], &options.given());
    let mut loaded: Loaded<Config> = loaded?;
    loaded.warnings.extend(loaded.config.http.unbelieved());
    loaded.warnings.extend(loaded.config.export.otlp.exposed());
    Ok(loaded)
}

impl WriterSection {
    /// The limits, in the writer's form.
    #[must_use]
    pub const fn limits(&self) -> BatchLimits {
        BatchLimits { max_rows: self.max_rows, max_delay: self.max_delay.0, ..BatchLimits::DEFAULT }
    }

    fn check(&self) -> Result<(), Problem> {
        Problem::unless_within("writer.max_rows", &self.max_rows, &(1..=1_000_000))?;
        let delays = Interval::millis(1)..=Interval::secs(60);
        Problem::unless_within("writer.max_delay", &self.max_delay, &delays)?;
        let memory = Size::mib(1)..=Size::mib(64 << 10);
        Problem::unless_within("writer.max_memory", &self.max_memory, &memory)
    }
}

impl RetentionSection {
    fn check(&self) -> Result<(), Problem> {
        let times = Interval::secs(3600)..=Interval::days(36_500);
        Problem::unless_within("retention.raw", &self.raw, &times)?;
        Problem::unless_within("retention.hot", &self.hot, &times)?;
        Problem::unless_within("retention.rollup_1m", &self.rollup_1m, &times)?;
        Problem::unless_within("retention.rollup_5m", &self.rollup_5m, &times)?;
        Problem::unless_within("retention.quarantine", &self.quarantine, &times)?;
        Problem::unless_within("retention.alerts", &self.alerts, &times)?;
        Problem::unless_within("retention.talkers", &self.talkers, &times)
    }
}

impl Config {
    /// Accounts are metered from sums of 5 minutes, which have to be there until a cycle is frozen.
    fn check_kept(&self) -> Result<(), Problem> {
        let Some(least) = self.accounts.kept() else { return Ok(()) };
        let kept = self.retention.rollup_5m;
        Problem::unless(kept >= least, "retention.rollup_5m", || {
            format!("{kept} is too short for the accounts; keep at least {least}")
        })
    }
}

impl Settings for Config {
    fn check(&mut self, _given: &dyn Fn(&str) -> bool) -> Result<(), Problem> {
        check_listen("server.host", &self.server.host)?;
        self.http.check()?;
        self.database.check()?;
        self.retention.check()?;
        self.accounts.check()?;
        self.check_kept()?;
        self.writer.check()?;
        self.limits.check()?;
        self.metrics.labels()?;
        self.export.otlp.check()?;
        AlertRules::of(&self.alerts)?;
        targets(&self.alerts)?;
        self.tls.files().map(drop)
    }

    fn secrets(&self) -> Vec<&'static str> {
        self.database.secrets()
    }

    fn secret_files(&self) -> Vec<(Cow<'static, str>, &Path)> {
        let key = self.tls.key.iter().map(|file| ("tls.key", file.as_path()));
        let password = self.database.password_file.iter();
        let token = self.http.token_file.iter();
        let http = self.http.tls.key.iter().map(|file| ("http.tls.key", file.as_path()));
        let named = key
            .chain(password.map(|file| ("database.password_file", file.as_path())))
            .chain(token.map(|file| ("http.token_file", file.as_path())))
            .chain(http);
        let mut files = self.alerts.secret_files();
        files.extend(named.map(|(key, file)| (Cow::Borrowed(key), file)));
        files
    }
}
