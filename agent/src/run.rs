//! `agent run`: the service. Captures, samples, spools and ships until it is stopped.
//!
//! A panic is a bug, and the log says so. A panic in the thread of
//! - delivery, it ends the connection: the next one is tried, and counting goes on;
//! - the spool, it ends what was being done: whoever asked asks anew, what is measured next is
//!   spooled, and counting goes on;
//! - the owners of talkers, talkers have none from then on, and counting goes on;
//! - a ring, it ends capture on that NIC, with what it had counted;
//! - the sampler, or anywhere else in the service's own loop, it ends the process, which systemd
//!   starts again (`Restart=always`): without samples there is nothing to go on with.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use settings::{ConfigError, InFull, Loaded, Problem, Pulse, Reloaded, Running, Service};
use tokio::sync::watch;
use wire::private_file::{self, FileError};

use crate::clocks;
use crate::config::{Config, LIVE, host_name};
use crate::identity::Credentials;
use crate::owner;
use crate::sampler::{Capture, CaptureError};
use crate::ship::shipper::{self, Destination, ShipConfig, ShipError, Shipper};
use crate::ship::tags::HeldTags;

/// Time limit for delivery after the end of capture. systemd allows 15 s.
const DRAIN: Duration = Duration::from_secs(8);

/// Why the agent can't run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No place for the spool.
    #[error("can't use the data directory")]
    DataDir(#[from] FileError),
    /// Nothing to ship by.
    #[error(transparent)]
    Ship(#[from] ShipError),
    /// Nothing to capture with.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The system provides no signals or threads.
    #[error("can't start the service")]
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

/// Where what is measured waits for the collector.
#[must_use]
pub fn spool_path(data_dir: &Path) -> PathBuf {
    data_dir.join("spool.sqlite")
}

fn destination(config: &Config) -> Result<Destination, Problem> {
    Ok(Destination {
        servers: config.collectors()?,
        max_retry: config.server.max_retry,
        retry_interval: config.server.retry_interval.0,
        alias: config.client.alias.clone(),
        tags: HeldTags { tags: config.client.tags()?, since_ns: clocks::boot_ns() },
    })
}

/// The shipper's config, and the sender that changes its destination later.
///
/// # Errors
/// [`Problem`] names the key that is missing or contradicts another.
pub fn ship_config(config: &Config) -> Result<(ShipConfig, watch::Sender<Destination>), Problem> {
    let (to, destination) = watch::channel(destination(config)?);
    let ship = ShipConfig {
        destination,
        identity: identity_dir(&config.data_dir),
        tls: config.tls.files()?,
        host: shipper::host(config.monitor.sample_interval.0),
        report_interval: config.monitor.report_interval.0,
        spool: spool_path(&config.data_dir),
        spool_limits: config.spool.limits(),
        fsync_interval: config.spool.fsync_interval.0,
        addresses: config.monitor.talkers.addresses,
    };
    Ok((ship, to))
}

/// A warning if the config has another client id than the certificate, which wins. The host's name
/// as default id is no contradiction: hosts are renamed, or enrolled under other names.
#[must_use]
pub fn other_identity(config: &Config) -> Option<String> {
    let (directory, tls) = (identity_dir(&config.data_dir), config.tls.files().ok()?);
    let credentials = Credentials::load(&directory, tls.as_ref(), UnixTime::now()).ok()?;
    let (client, id) = (credentials.client(), config.client_id().ok()?);
    let chosen = host_name().is_none_or(|name| name != config.client.id);
    (chosen && id != *client).then(|| {
        format!(
            "client.id is {id}, but this host's certificate is for {client}, so it reports as \
             {client}; set client.id: {client}, or to report as {id}, get a token by `collector \
             token` and run: agent enroll TOKEN"
        )
    })
}

/// Runs until SIGTERM or SIGINT; then delivers what was counted, or leaves it in the spool. At
/// SIGHUP it calls `load` and applies what can change while running.
///
/// # Errors
/// [`RunError`] if the agent can't start, or ends by itself.
pub fn run(
    config: &Config,
    (ship, to): (ShipConfig, watch::Sender<Destination>),
    load: impl Fn() -> Result<Loaded<Config>, ConfigError>,
) -> Result<(), RunError> {
    private_file::make_directory(&config.data_dir)?;
    // One thread is enough for the network; counting and the spool have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(RunError::System)?.block_on(async {
        let mut running = Running::new(config, LIVE);
        let reload = || {
            let loaded = load().map_err(|error| error.in_full().to_string())?;
            let config = &loaded.config;
            let refused = |problem| loaded.refuse(problem).to_string();
            let mut destination = destination(config).map_err(refused)?;
            settings::set_log_level(&config.log);
            to.send_if_modified(|before| {
                if before.tags == destination.tags {
                    destination.tags = before.tags.clone();
                }
                *before != destination && {
                    *before = destination;
                    true
                }
            });
            Ok(running.take(config))
        };
        serve(config, ship, reload).await
    })
}

async fn serve(
    config: &Config,
    ship: ShipConfig,
    reload: impl FnMut() -> Result<Reloaded, String>,
) -> Result<(), RunError> {
    let mut service = Service::new().map_err(RunError::System)?;
    Shipper::check(&ship)?;
    let (mut capture, mut reports) = Capture::start(config.monitor.capture())?;
    if config.monitor.talkers.have_owners() {
        reports = owner::start(reports).map_err(RunError::System)?;
    }
    let nics = capture.nics();
    if nics.borrow().nics.is_empty() {
        tracing::warn!("no NIC is captured yet; `agent nics` says why");
    }
    let shipper = Shipper::start(ship, reports, nics)?;
    let (give_up, given_up) = tokio::sync::oneshot::channel::<()>();
    let shipping = tokio::spawn(shipper.run(async move {
        let _dropped = given_up.await;
    }));
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
    service.run(pulse, reload).await;
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
