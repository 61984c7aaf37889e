//! `agent doctor`: whether this host can measure and deliver, and what to do where it can't.

mod clock;
mod collector;
mod delivery;
mod kernel;
mod nics;
mod spool;

use std::io::{self, Write};
use std::path::PathBuf;

pub use settings::{Finding, Level};
use settings::{Problem, Size, print_findings};
use wire::pem::TlsFiles;

use crate::config::Config;
use crate::connection::Server;
use crate::run::{identity_dir, other_identity, spool_path};
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
    /// What is to be said where the config has another client id than the certificate.
    pub other_identity: Option<String>,
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
            other_identity: other_identity(config),
        })
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
        worst = worst.max(print_findings(&findings, out)?);
        Ok::<_, io::Error>(())
    };
    print(kernel::examine())?;
    print(nics::examine(&config.capture))?;
    print(clock::examine())?;
    print(spool::examine(&config.data_dir, config.spool_max))?;
    print(collector::examine(config))?;
    print(delivery::examine(&spool_path(&config.data_dir)))?;
    Ok(worst)
}

/// A figure that is no round one, in whole MiB.
const fn mib(bytes: u64) -> Size {
    Size(bytes >> 20 << 20)
}
