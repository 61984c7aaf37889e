//! The sections that both programs have: logs and certificates.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use wire::pem::TlsFiles;

use crate::error::Problem;

/// Target of the audit log's lines. They are logged at every level but `off`, unless a filter gives a
/// level for this target (`info,audit=off`).
pub const AUDIT_TARGET: &str = "audit";

/// Section `log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// The log filter: a level (`info`), or levels by target as in `RUST_LOG` (`info,agent=debug`). A level
/// up to `info` applies to these programs only; libraries are silent unless named (`info,quinn=warn`),
/// because these programs report their errors in their own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogLevel(String);

impl LogLevel {
    /// The levels, from silent to verbose.
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// The levels that include libraries, for finding faults in them.
    const LOUD: [&str; 2] = ["debug", "trace"];

    /// Targets of these programs.
    const OURS: [&str; 4] = ["agent", "collector", "settings", "wire"];

    /// True if nothing is logged.
    fn is_off(&self) -> bool {
        self.0.trim().eq_ignore_ascii_case("off")
    }

    /// The filter for it.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(self.directives())
    }

    fn directives(&self) -> String {
        let directive = |part: &str| {
            let level = part.trim().to_ascii_lowercase();
            if part.contains('=') || Self::LOUD.contains(&level.as_str()) {
                part.to_owned()
            } else {
                let ours = Self::OURS.map(|target| format!("{target}={level}"));
                format!("off,{}", ours.join(","))
            }
        };
        let mut directives: Vec<String> = self.0.split(',').map(directive).collect();
        let audit = format!("{AUDIT_TARGET}=");
        if !self.is_off() && !self.0.split(',').any(|part| part.trim().starts_with(&audit)) {
            directives.push(format!("{audit}info"));
        }
        directives.join(",")
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl From<LogLevel> for String {
    fn from(LogLevel(level): LogLevel) -> Self {
        level
    }
}

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(level: String) -> Result<Self, String> {
        // A misspelt level alone would pass as the name of a target.
        let named = |part: &str| {
            part.contains('=')
                || Self::LEVELS.iter().any(|known| known.eq_ignore_ascii_case(part.trim()))
        };
        if level.split(',').all(named) && EnvFilter::try_new(&level).is_ok() {
            Ok(Self(level))
        } else {
            Err(format!("{level:?} is no level; choose one of {}", Self::LEVELS.join(", ")))
        }
    }
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal and in the journal, else JSON.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Section `tls`: the operator's PKI instead of the built-in one. The first three keys or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the CAs that sign the other side's certificates.
    pub ca: Option<PathBuf>,
    /// PEM file of the program's certificate, followed by its intermediates.
    pub cert: Option<PathBuf>,
    /// PEM file of the program's private key.
    pub key: Option<PathBuf>,
    /// PEM file with revocation lists of the CAs; optional.
    pub crl: Option<PathBuf>,
}

impl Tls {
    /// The files of the operator's PKI. `None`: the built-in one is used.
    ///
    /// # Errors
    /// Some of the three keys are set, others are not.
    pub fn files(&self) -> Result<Option<TlsFiles>, Problem> {
        let missing = |key| Problem::new(key, "not set; set tls.ca, tls.cert and tls.key, or none");
        match (self.ca.clone(), self.cert.clone(), self.key.clone()) {
            (None, None, None) if self.crl.is_some() => Err(missing("tls.ca")),
            (None, None, None) => Ok(None),
            (Some(ca), Some(cert), Some(key)) => {
                Ok(Some(TlsFiles { ca, cert, key, crl: self.crl.clone() }))
            }
            (None, ..) => Err(missing("tls.ca")),
            (_, None, _) => Err(missing("tls.cert")),
            (.., None) => Err(missing("tls.key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_the_known_or_a_filter_by_target() {
        for level in ["info", "DEBUG", "warn,agent::capture=trace", "off"] {
            assert!(LogLevel::try_from(level.to_owned()).is_ok(), "{level}");
        }
        for level in ["", "inof", "info,", "agent=loud"] {
            assert!(LogLevel::try_from(level.to_owned()).is_err(), "{level}");
        }
    }

    #[test]
    fn libraries_are_silent_unless_they_are_named_or_a_fault_is_looked_for() {
        let directives = |level: &str| LogLevel(level.to_owned()).directives();
        let ours = "off,agent=info,collector=info,settings=info,wire=info";
        assert_eq!(directives("info"), format!("{ours},audit=info"));
        assert_eq!(directives("INFO,quinn_udp=warn"), format!("{ours},quinn_udp=warn,audit=info"));
        assert_eq!(directives("debug"), "debug,audit=info");
    }

    #[test]
    fn the_audit_log_is_written_at_every_level_but_off_unless_it_is_named() {
        let directives = |level: &str| LogLevel(level.to_owned()).directives();
        for level in ["error", "warn", "info", "debug", "agent=info"] {
            assert!(directives(level).ends_with(",audit=info"), "{level}");
        }
        assert_eq!(directives("error,audit=warn").matches("audit=").count(), 1);
        assert!(!directives("off").contains("audit"));
    }

    #[test]
    fn an_own_pki_is_all_three_files_or_none() {
        assert_eq!(Tls::default().files(), Ok(None));
        let half = Tls { ca: Some("ca.pem".into()), ..Tls::default() };
        assert_eq!(half.files().unwrap_err().key, "tls.cert");
        let alone = Tls { crl: Some("crl.pem".into()), ..Tls::default() };
        assert_eq!(alone.files().unwrap_err().key, "tls.ca");
    }
}
