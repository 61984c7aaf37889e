//! The shipper: one session from its first report to its last, over one connection after another,
//! across a list of collectors.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use futures_util::FutureExt;
use rustls::pki_types::UnixTime;
use settings::{Failures, InFull, SharedFailures, words};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use wire::id::SessionId;
use wire::message::Inventory;
use wire::pem::TlsFiles;

use super::backoff::Backoff;
use super::delivery::{About, Delivery, DeliveryError};
use super::recorder::{self, RecorderConfig};
use super::spool::{Now, Spool, SpoolError, SpoolLimits};
use super::state::StateFile;
use super::tags::{self, HeldTags};
use crate::clocks;
use crate::connection::{self, ConnectError, Server, notices};
use crate::identity::{self, Credentials, IdentityError};
use crate::sampler::IntervalReport;
use crate::talkers::Addresses;

/// Events that may wait for the connection; it finds further records in the spool.
const EVENTS: usize = 1024;

/// The part of the config that can change while running; a change reconnects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The collectors, in the order to try them; at least one.
    pub servers: Vec<Server>,
    /// Quick tries after a connection failed.
    pub max_retry: u32,
    /// Time between tries after that.
    pub retry_interval: Duration,
    /// The name people use for the client.
    pub alias: String,
    /// What people group it by.
    pub tags: HeldTags,
}

/// Where and how to ship.
#[derive(Debug, Clone)]
pub struct ShipConfig {
    /// Where to, which may change.
    pub destination: watch::Receiver<Destination>,
    /// Directory of the certificate that enrolment left.
    pub identity: PathBuf,
    /// An own PKI in its place.
    pub tls: Option<TlsFiles>,
    /// Facts about the host, as the agent says them.
    pub host: wire::message::Host,
    /// Length of a report.
    pub report_interval: Duration,
    /// The spool's file.
    pub spool: PathBuf,
    /// Its size limits.
    pub spool_limits: SpoolLimits,
    /// How often to sync it to disk, against power loss.
    pub fsync_interval: Duration,
    /// What is said of the addresses of talkers.
    pub addresses: Addresses,
}

/// Why shipping can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The system provides no random number or thread.
    #[error("can't start shipping")]
    System(#[source] std::io::Error),
}

/// Why one try to deliver ended.
#[derive(Debug, thiserror::Error)]
enum TryError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{server}")]
    Delivery {
        server: Server,
        #[source]
        error: DeliveryError,
    },
}

impl TryError {
    const fn is_late(&self) -> bool {
        matches!(self, Self::Delivery { error, .. } if error.is_late())
    }
}

/// Ships one session.
#[derive(Debug)]
pub struct Shipper {
    config: ShipConfig,
    delivery: Delivery,
    recorder: JoinHandle<()>,
    state: StateFile,
}

impl Shipper {
    /// Checks before capture that there is a certificate. An expired one is accepted, because the
    /// clock may be wrong; samples go to the spool until it is valid.
    ///
    /// # Errors
    /// [`ShipError::Identity`].
    pub fn check(config: &ShipConfig) -> Result<(), ShipError> {
        let now = UnixTime::now();
        let loaded = Credentials::load(&config.identity, config.tls.as_ref(), now);
        if let Err(error @ IdentityError::Expired { .. }) = &loaded {
            tracing::warn!(error = %error.in_full(), "measurements go to the spool");
            return Ok(());
        }
        let credentials = loaded?;
        if !identity::is_known(&identity::host_key(credentials.client())) {
            tracing::warn!(
                "this host has no machine-id (/etc/machine-id): a second host with this \
                 certificate can only be recognised by its session; make one: \
                 systemd-machine-id-setup"
            );
        }
        Ok(())
    }

    /// Opens the spool and begins a session with the reports that come from now on.
    ///
    /// # Errors
    /// [`ShipError`] names what is missing, and the remedy.
    pub fn start(
        config: ShipConfig,
        reports: Receiver<IntervalReport>,
        inventory: watch::Receiver<Inventory>,
    ) -> Result<Self, ShipError> {
        let session = getrandom::u64().map_err(|error| ShipError::System(error.into()))?;
        let session = SessionId::new(session);
        let now =
            Now { wall_ns: clocks::wall_ns(), boot_ns: clocks::boot_ns(), boot: identity::boot() };
        let (mut spool, damaged) = Spool::open(&config.spool, config.spool_limits.clone(), now)?;
        if let Some(path) = damaged {
            tracing::error!(path = %path.display(), "the spool was damaged and is set aside there");
        }
        let last_seq = spool.begin(session, now)?;
        let sessions = spool.sessions(session)?;
        let waiting: u64 = sessions.iter().map(|it| it.last_seq - it.committed_seq).sum();
        tracing::info!(session = %session, waiting, "session begins");
        // A connection has one question under way, and passes on only what an acknowledgement adds:
        // no more can wait than there are records.
        let (requests, asked) = unbounded();
        let (events, made) = mpsc::channel(EVENTS);
        let recorder = RecorderConfig {
            session,
            last_seq,
            report_interval: config.report_interval,
            fsync_interval: config.fsync_interval,
            addresses: config.addresses,
        };
        let recorder = recorder::start(recorder, spool, reports, asked, events);
        let recorder = recorder.map_err(ShipError::System)?;
        let alias = config.destination.borrow().alias.clone();
        let about = About { alias, host: config.host.clone() };
        let delivery = Delivery::new(about, sessions, requests, made, inventory);
        let state = StateFile::beside(&config.spool);
        Ok(Self { config, delivery, recorder, state })
    }

    /// Delivers until the reports have ended and everything is in the collector's database, or
    /// `give_up` is done, or no collector can be reached at the end. What is not delivered stays
    /// in the spool for the next session.
    pub async fn run(mut self, give_up: impl Future<Output = ()>) {
        tokio::select! {
            () = self.deliver() => {}
            () = give_up => {}
        }
        if !self.delivery.is_done() {
            tracing::warn!("the rest is in the spool and is delivered after the next start");
        }
        let Self { delivery, recorder, .. } = self;
        // The recorder ends once nobody sends requests.
        drop(delivery);
        if !matches!(tokio::task::spawn_blocking(|| recorder.join()).await, Ok(Ok(()))) {
            tracing::error!("the spool's thread failed");
        }
    }

    async fn deliver(&mut self) {
        let mut to = self.config.destination.borrow_and_update().clone();
        let mut backoff = Backoff::new(to.max_retry, to.retry_interval);
        let (mut tries, mut failures) = (0, Failures::new());
        while !self.delivery.is_done() {
            if self.config.destination.has_changed().unwrap_or(false) {
                to = self.config.destination.borrow_and_update().clone();
                backoff = Backoff::new(to.max_retry, to.retry_interval);
                (tries, failures) = (0, Failures::new());
                to.alias.clone_into(&mut self.delivery.about.alias);
            }
            let place = tries % to.servers.len();
            let server = to.servers[place].clone();
            let was_finished = self.delivery.is_finished();
            // Without an error, everything is delivered, or the next connection introduces more
            // sessions: further ones, or those with a new id.
            let tried = self.try_once(server, &mut backoff, &mut failures).await;
            let Err(error) = tried else { continue };
            if self.config.destination.has_changed().unwrap_or(false) {
                tracing::info!("the config was read again; connecting again");
                continue;
            }
            tries += 1;
            let late = error.is_late();
            let error = error.in_full().to_string();
            self.state.note(Err(error.clone()));
            // Messages of a collector that differ only in numbers count as the same.
            match failures.failed((place, words(&error)), std::time::Instant::now()) {
                Some(tell) => {
                    tracing::warn!(error, "not connected; measurements go to the spool{tell}");
                }
                None => tracing::debug!(error, "still not connected"),
            }
            if was_finished {
                return;
            }
            if late {
                continue;
            }
            let random = getrandom::u64().unwrap_or_default();
            let mut destination = self.config.destination.clone();
            tokio::select! {
                () = self.delivery.wait(Instant::now() + backoff.on_failure(random)) => {}
                () = changed(&mut destination) => {}
            }
        }
    }

    /// One connection: until it breaks, or until everything is delivered.
    async fn try_once(
        &mut self,
        server: Server,
        backoff: &mut Backoff,
        failures: &mut Failures<(usize, String)>,
    ) -> Result<(), TryError> {
        let Self { config, delivery, state, .. } = self;
        // Read again each time: it may have been renewed or replaced.
        let now = UnixTime::now();
        let credentials = Credentials::load(&config.identity, config.tls.as_ref(), now)?;
        let client = credentials.client_config();
        let name = credentials.server_name(&server.host).to_owned();
        let host = identity::host_key(credentials.client());
        let connecting = connection::connect(&server, &name, &client);
        let (endpoint, connection) = delivery.meanwhile(connecting).await?;
        let (welcome, mut open) = watch::channel(false);
        let welcomed = || {
            let _heard = welcome.send(true);
            backoff.on_success();
            failures.succeeded();
            state.note(Ok(server.to_string()));
            tracing::info!(%server, address = %connection.remote_address(), "connected");
        };
        let held = config.destination.borrow().tags.clone();
        // Each opens streams, and the first stream is the control stream.
        let requests = async {
            // The sender lives as long as the connection is tried.
            drop(open.wait_for(|open| *open).await);
            tokio::select! {
                never = renew(&config.identity, credentials, &connection) => match never {},
                never = tags::tell(&server, &held, &connection) => match never {},
            }
        };
        let requests = AssertUnwindSafe(requests).catch_unwind();
        let delivered = tokio::select! {
            delivered = delivery.over(&connection, host, welcomed) => delivered,
            Err(_panic) = requests => Err(DeliveryError::Panicked),
            never = listen(&server, &connection) => match never {},
            never = hang_up(config.destination.clone(), &connection) => match never {},
        };
        // The last message may still be in flight.
        let _late = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
        delivered.map_err(|error| TryError::Delivery { server, error })
    }
}

/// Waits for a new destination. If the sender is gone, there will be none.
async fn changed(destination: &mut watch::Receiver<Destination>) {
    if destination.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Ends a connection once another destination is set.
async fn hang_up(
    mut destination: watch::Receiver<Destination>,
    connection: &quinn::Connection,
) -> std::convert::Infallible {
    changed(&mut destination).await;
    connection.close(0u32.into(), b"reloaded");
    std::future::pending().await
}

/// Notices of collectors: each is logged once, then rarely.
static NOTICES: SharedFailures<String> = SharedFailures::new();

/// Logs what the collector says about this agent.
async fn listen(server: &Server, connection: &quinn::Connection) -> std::convert::Infallible {
    while let Ok(texts) = notices::hear(connection).await {
        for text in texts {
            if let Some(tell) = NOTICES.failed(words(&text), std::time::Instant::now()) {
                tracing::warn!(%server, "the collector says: this client uses {text}{tell}");
            }
        }
    }
    std::future::pending().await
}

/// Renews the certificate over a connection whenever it is due. The connection stays open; the
/// collector accepts it for the new certificate, too.
async fn renew(
    dir: &std::path::Path,
    mut credentials: Credentials,
    connection: &quinn::Connection,
) -> std::convert::Infallible {
    loop {
        if credentials.renew_due(UnixTime::now()) {
            match identity::renew(connection, &credentials, dir).await {
                Ok(renewed) => {
                    tracing::info!("the certificate was renewed");
                    credentials = renewed;
                }
                Err(error) => {
                    tracing::warn!(error = %error.in_full(), "the certificate could not be renewed yet")
                }
            }
        }
        sleep(credentials.look_in(UnixTime::now())).await;
    }
}

/// Facts about this host.
#[must_use]
pub fn host(sample_interval: Duration) -> wire::message::Host {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let short = |text: &str| {
        let text = text.trim().trim_matches('"');
        let most = wire::message::TEXT_MAX.min(text.len());
        let end = (0..=most).rfind(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text[..end].to_owned()
    };
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    wire::message::Host {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: short(os.unwrap_or("Linux")),
        kernel: nix::sys::utsname::uname()
            .map_or_else(|_| String::new(), |uname| short(&uname.release().to_string_lossy())),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        sample_interval_ns: u64::try_from(sample_interval.as_nanos()).unwrap_or(u64::MAX),
    }
}
