//! `agent run`: the service. Captures, samples, spools and ships until it is stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use settings::{Problem, Pulse, Service};
use wire::private_file::{self, FileError};

use crate::config::Config;
use crate::sampler::{Capture, CaptureError};
use crate::ship::delivery::About;
use crate::ship::shipper::{self, ShipConfig, ShipError, Shipper};

/// How long delivery may go on after the end of capture. systemd is told 15 s.
const DRAIN: Duration = Duration::from_secs(8);

/// Why the agent can't run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No place for the spool.
    #[error("there is no data directory: {0}")]
    DataDir(#[from] FileError),
    /// Nothing to ship by.
    #[error(transparent)]
    Ship(#[from] ShipError),
    /// Nothing to capture with.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The system gives no signals or threads.
    #[error("can't start the service: {0}")]
    System(#[source] io::Error),
    /// A part that should never end did.
    #[error("the sampler has ended; its error is in the log above")]
    SamplerEnded,
}

/// Where certificate and key are kept.
#[must_use]
pub fn identity_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("identity")
}

/// What is shipped where, by the config.
///
/// # Errors
/// [`Problem`] names the key that is missing or contradicts another.
pub fn ship_config(config: &Config) -> Result<ShipConfig, Problem> {
    Ok(ShipConfig {
        servers: config.collectors()?,
        max_retry: config.server.max_retry,
        retry_interval: config.server.retry_interval.0,
        identity: identity_dir(&config.data_dir),
        tls: config.tls.files()?,
        about: About {
            alias: config.client.alias.clone(),
            host: shipper::host(config.monitor.sample_interval.0),
        },
        report_interval: config.monitor.report_interval.0,
        spool: config.data_dir.join("spool.sqlite"),
        spool_limits: config.spool.limits(),
        fsync_interval: config.spool.fsync_interval.0,
    })
}

/// Runs until SIGTERM or SIGINT; then what was counted is delivered, or stays in the spool.
///
/// # Errors
/// [`RunError`] if the agent can't start, or ends by itself.
pub fn run(config: &Config, ship: ShipConfig) -> Result<(), RunError> {
    private_file::make_directory(&config.data_dir)?;
    // One thread does for the network; counting and the spool have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(RunError::System)?.block_on(serve(config, ship))
}

async fn serve(config: &Config, ship: ShipConfig) -> Result<(), RunError> {
    let mut service = Service::new().map_err(RunError::System)?;
    Shipper::check(&ship)?;
    let (mut capture, reports) = Capture::start(config.monitor.capture())?;
    let nics = capture.nics();
    if nics.borrow().nics.is_empty() {
        tracing::warn!("no NIC is captured yet; `agent nics` says why");
    }
    let shipper = Shipper::start(ship, reports, nics)?;
    let (give_up, given_up) = tokio::sync::oneshot::channel::<()>();
    let shipping = tokio::spawn(shipper.run(async move {
        let _dropped = given_up.await;
    }));
    let certificate_is_read_anyway = || {};
    let mut before = None;
    let pulse = || {
        let rounds = Some(capture.rounds());
        if !capture.is_running() || shipping.is_finished() {
            Pulse::Ended
        } else if std::mem::replace(&mut before, rounds) == rounds {
            Pulse::Still
        } else {
            Pulse::Beats
        }
    };
    service.run(pulse, certificate_is_read_anyway).await;
    let ended = !capture.is_running();
    capture.stop();
    let mut shipping = shipping;
    tokio::select! {
        _ = &mut shipping => {}
        () = async {
            tokio::select! {
                () = tokio::time::sleep(DRAIN) => {}
                () = service.again() => {}
            }
        } => {
            drop(give_up);
            let _stopped = shipping.await;
        }
    }
    if ended { Err(RunError::SamplerEnded) } else { Ok(()) }
}
