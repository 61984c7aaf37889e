//! `agent doctor`: whether this host can measure and deliver, and what to do where it can't.

mod clock;
mod collector;
mod kernel;
mod nics;
mod spool;

use std::io::{self, Write};
use std::path::PathBuf;

use settings::{Problem, Size};
use wire::pem::TlsFiles;

use crate::config::Config;
use crate::connection::Server;
use crate::run::identity_dir;
use crate::sampler::CaptureConfig;

/// What is examined.
#[derive(Debug, Clone)]
pub struct DoctorConfig {
    /// What would be captured, and how.
    pub capture: CaptureConfig,
    /// The collectors in the order to try them; none where `server.host` isn't set.
    pub servers: Vec<Server>,
    /// Where the spool is.
    pub data_dir: PathBuf,
    /// Most that the spool takes, bytes.
    pub spool_max: u64,
    /// Where enrolment leaves its files.
    pub identity: PathBuf,
    /// The operator's own PKI in place of enrolment.
    pub tls: Option<TlsFiles>,
}

impl DoctorConfig {
    /// What `agent run` would use by this config.
    ///
    /// # Errors
    /// [`Problem`] if the files of section `tls` are named only in part.
    pub fn of(config: &Config) -> Result<Self, Problem> {
        Ok(Self {
            capture: config.monitor.capture(),
            servers: config.collectors().unwrap_or_default(),
            data_dir: config.data_dir.clone(),
            spool_max: config.spool.max_size.0,
            identity: identity_dir(&config.data_dir),
            tls: config.tls.files()?,
        })
    }
}

/// How well a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// The agent works, but not at its best.
    Warn,
    /// The agent can't do its work.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How well it is.
    pub level: Level,
    /// The thing.
    pub subject: &'static str,
    /// What was found, with the way out where it isn't well.
    pub text: String,
}

impl Finding {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject, text: text.into() }
    }

    fn warn(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject, text: text.into() }
    }

    fn fail(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject, text: text.into() }
    }
}

/// Examines everything, printing each finding as it is made, and gives the worst level found.
/// Takes some seconds where a collector can't be reached.
///
/// # Errors
/// The output is closed or full.
pub fn doctor(config: &DoctorConfig, out: &mut impl Write) -> io::Result<Level> {
    let mut worst = Level::Ok;
    let mut print = |findings: Vec<Finding>| {
        for finding in &findings {
            worst = worst.max(finding.level);
            writeln!(out, "{}", line(finding))?;
        }
        out.flush()
    };
    print(kernel::examine())?;
    print(nics::examine(&config.capture))?;
    print(clock::examine())?;
    print(spool::examine(&config.data_dir, config.spool_max))?;
    print(collector::examine(config))?;
    Ok(worst)
}

/// A figure that is no round one, in whole MiB.
const fn mib(bytes: u64) -> Size {
    Size(bytes >> 20 << 20)
}

fn line(Finding { level, subject, text }: &Finding) -> String {
    let level = match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    format!("{level:4}  {subject:13}  {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_the_worst_level_counts() {
        assert_eq!(line(&Finding::ok("time", "kept")), "ok    time           kept");
        assert!(Level::Fail > Level::Warn && Level::Warn > Level::Ok);
    }
}
