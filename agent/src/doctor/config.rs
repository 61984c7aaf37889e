//! The things to examine.

use std::path::PathBuf;

use settings::{Problem, Size};
use wire::pem::TlsFiles;

use crate::config::Config;
use crate::connection::Server;
use crate::run::{identity_dir, other_identity};
use crate::sampler::CaptureConfig;

/// The things to examine.
#[derive(Debug, Clone)]
pub struct DoctorConfig {
    /// The capture config.
    pub capture: CaptureConfig,
    /// True if talkers are to have owners.
    pub owners: bool,
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
    /// A warning if the config has another client id than the certificate.
    pub other_identity: Option<String>,
}

impl DoctorConfig {
    /// The values that `agent run` would use with this config.
    ///
    /// # Errors
    /// [`Problem`] if the files of section `tls` are named only in part.
    pub fn of(config: &Config) -> Result<Self, Problem> {
        Ok(Self {
            capture: config.monitor.capture(),
            owners: config.monitor.talkers.have_owners(),
            servers: config.collectors().unwrap_or_default(),
            data_dir: config.data_dir.clone(),
            spool_max: config.spool.max_size.0,
            identity: identity_dir(&config.data_dir),
            tls: config.tls.files()?,
            other_identity: other_identity(config),
        })
    }
}

/// A size, rounded to whole MiB.
pub(super) const fn mib(bytes: u64) -> Size {
    Size(bytes >> 20 << 20)
}
