//! `collector run`: the service. Receives, commits and shows what agents send, until stopped.

mod accounts;
mod alerts;
mod client_days;
mod counters;
mod disk;
mod health;
mod minutes;
mod packing;
mod register;
mod reload;
mod retention;
mod revocations;
mod sign_outs;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use settings::{ConfigError, InFull, Loaded, Problem, Reloaded, Running, Service, way_out};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::advice::Advised;
use wire::pem::TlsFiles;
use wire::private_file;

use self::alerts::Alerting;
use self::counters::Counters;
pub use self::health::Health;
use self::reload::Reload;
use self::retention::Retention;
use crate::accounts::AccountBook;
use crate::audit::Pending;
use crate::config::{Config, LIVE};
use crate::identity::{Identity, IdentityError};
use crate::ingest::{ConnectedHosts, Ingest, ListenError, Listener, answer_claims};
use crate::listen;
use crate::live::Live;
use crate::metrics::{Metrics, MetricsError};
use crate::otlp::{Exporter, OtlpTarget};
use crate::store::dates::Dates;
use crate::store::sqlite::OpenError;
use crate::store::{Database, RetentionLimits};
use crate::store_location::StoreLocation;
use crate::web::{self, Access, HttpTls, SignedOut, StoredTalkers, TlsError, WebState};
use crate::writer::{Surroundings, Writer};

/// How long the store may take to commit the received frames at shutdown.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Why the collector can't run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The certificates are unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store is unusable.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The UDP port is not available.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The TCP port is not available.
    #[error("can't listen on TCP {address}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// The error of the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// A name without an address.
    #[error("{key}: {host} has no address here")]
    Resolve {
        /// The config key.
        key: &'static str,
        /// Its value.
        host: String,
        /// The resolver's error.
        #[source]
        error: io::Error,
    },
    /// The pages' certificate is unusable.
    #[error(transparent)]
    HttpTls(#[from] TlsError),
    /// The address would show everybody the figures.
    #[error(transparent)]
    Unprotected(#[from] Problem),
    /// Metrics can't be kept.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The system provides no signals or threads.
    #[error("can't start the service")]
    System(#[source] io::Error),
    /// A part ended that should run forever.
    #[error("a part of the collector has ended; its error is in the log above")]
    PartEnded,
}

/// Directory of the collector's CA, certificates and tokens.
#[must_use]
pub fn identity_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("identity")
}

/// The collector's own keys: the operator's, and where it has others.
fn keys<'a>(config: &Config, tls: Option<&'a TlsFiles>) -> (Option<&'a TlsFiles>, PathBuf) {
    (tls, identity_dir(&config.data_dir))
}

/// Opens the collector's identity. The first time, creates the data directory, readable only by its
/// owner, and its contents.
///
/// # Errors
/// [`IdentityError`] names the file that is missing, damaged or readable by others.
pub fn open_identity(config: &Config, tls: Option<&TlsFiles>) -> Result<Identity, IdentityError> {
    private_file::make_directory(&config.data_dir)?;
    Identity::open(&identity_dir(&config.data_dir), tls, UnixTime::now())
}

/// Runs until SIGTERM or SIGINT; then commits the received frames. Agents keep the rest.
///
/// # Errors
/// [`RunError`] if the collector can't start or a part fails.
pub fn run(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    access: Access,
    otlp: Option<OtlpTarget>,
    load: impl Fn() -> Result<Loaded<Config>, ConfigError>,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(RunError::System)?.block_on(serve(config, location, tls, access, otlp, load))
}

async fn serve(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    access: Access,
    otlp: Option<OtlpTarget>,
    load: impl Fn() -> Result<Loaded<Config>, ConfigError>,
) -> Result<(), RunError> {
    let (service, tags) = (Service::new().map_err(RunError::System)?, config.metrics.labels()?);
    let metrics = Metrics::install()?.with_tags(tags.clone());
    let identity = Arc::new(open_identity(config, tls)?);
    let (store, live, dates) = (location.open()?, Live::new(), Dates::awaited());
    let counters = Counters::open(&config.data_dir, live.clone());
    let writer = start_writer(config, location, store.clone(), dates.clone());
    let health = Health::watch(store.clone(), writer.handle());
    let claims = ConnectedHosts::new().map_err(RunError::System)?;
    let ingest = Ingest {
        identity: identity.clone(),
        store: store.clone(),
        writer: writer.handle(),
        live: live.clone(),
        claims: claims.clone(),
        limits: config.limits.ingest(),
    };
    let Listening { listener, http, http_tls, dashboard } = listen(config, location, ingest)?;
    let book = AccountBook::new(store.clone(), config.accounts.all()?);
    let (kept, limits) = watch::channel(config.retention.limits());
    let (retention, clock) = Retention::new(store.clone(), limits, live.clone(), dates.clone());
    let (stop, stopped) = watch::channel(false);
    let signed_out = SignedOut::open(config.data_dir.join("signed-out.json"));
    let alerting = Alerting::start(config, keys(config, tls), &store, &live, &health, &book)?;
    let state = WebState {
        live: live.clone(),
        query: store.clone(),
        talkers: StoredTalkers::new(store.clone(), config.http.dns),
        alerts: alerting.inbox(store.clone()),
        book: book.clone(),
        dates: dates.clone(),
        writer: Arc::new(move || health.state()),
        notice: Arc::new(move || clock.borrow().clone()),
        metrics: metrics.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host_names: config.http.all_names(),
        access: access.clone(),
        tls: http_tls.clone(),
        signed_out: signed_out.clone(),
        limits: config.http.limits.limits(),
    };
    let mut reload = Reload {
        running: Running::new(config, LIVE),
        http: dashboard,
        access,
        kept,
        book: book.clone(),
        certificates: listener.reloader(),
        http_tls,
        alerting,
    };
    let agents = tokio::spawn(listener.run(until(stopped.clone())));
    let pages = tokio::spawn(web::serve(http, state, stopped));
    let background = [
        tokio::spawn(metrics.run_upkeep()),
        tokio::spawn(register::follow(store.clone(), live.clone(), identity.clone())),
        tokio::spawn(keep_rows(store.clone(), live.clone(), reload.kept.subscribe())),
        tokio::spawn(sign_outs::follow(store.clone(), signed_out, reload.access.clone())),
        tokio::spawn(accounts::follow(book, dates)),
        tokio::spawn(answer_claims(store.clone(), claims)),
        tokio::spawn(revocations::follow(store, identity.clone())),
        tokio::spawn(identity.follow_revocations()),
        tokio::spawn(retention.run()),
        tokio::spawn(Pending::of(&config.data_dir).follow()),
        tokio::spawn(counters.clone().keep()),
    ];
    let exporter = otlp.map(|target| Exporter::start(target, live, tags));
    let parts = Parts { agents, writer, exporter, pages };
    let ended = parts.run(service, stop, || reload.reload(&load)).await;
    background.iter().for_each(JoinHandle::abort);
    counters.save();
    if ended { Err(RunError::PartEnded) } else { Ok(()) }
}

/// Keeps what is summed up from stored rows, and packs old ones.
async fn keep_rows(store: Arc<dyn Database>, live: Live, limits: watch::Receiver<RetentionLimits>) {
    tokio::join!(
        minutes::follow(store.clone(), live),
        client_days::follow(store.clone()),
        packing::follow(store, limits),
    );
}

fn start_writer(
    config: &Config,
    location: &StoreLocation,
    store: Arc<dyn Database>,
    dates: Dates,
) -> Writer {
    let max_memory = usize::try_from(config.writer.max_memory.0).unwrap_or(usize::MAX);
    // The disk of a database server is not visible here.
    let held = match location {
        StoreLocation::Sqlite(path) => Some(disk::watch(path.clone(), config.limits.disk_free_min)),
        StoreLocation::Postgres(_) => None,
    };
    Writer::start(store, config.writer.limits(), max_memory, Surroundings { held, dates })
}

/// The parts that end in order.
struct Parts {
    agents: JoinHandle<()>,
    writer: Writer,
    exporter: Option<Exporter>,
    pages: JoinHandle<io::Result<()>>,
}

impl Parts {
    /// Runs until a signal or until one of the parts ends, then stops all of them, or leaves them at a
    /// second signal. True if a part ended by itself.
    async fn run(
        self,
        mut service: Service,
        stop: watch::Sender<bool>,
        reload: impl FnMut() -> Result<Reloaded, String>,
    ) -> bool {
        let alive = || !self.agents.is_finished() && !self.pages.is_finished();
        service.run(alive, reload).await;
        let ended = !alive();
        let _nobody = stop.send(true);
        tokio::select! {
            () = self.stop() => {}
            () = service.again() => {}
        }
        ended
    }

    /// Stops the parts. Once agents are disconnected, commits and exports what they have sent.
    async fn stop(self) {
        report(self.agents.await.map_err(io::Error::other));
        let exported = async {
            if let Some(exporter) = self.exporter {
                exporter.stop().await;
            }
        };
        tokio::join!(self.writer.stop(LAST_COMMIT), exported);
        report(self.pages.await.map_err(io::Error::other).and_then(|served| served));
    }
}

/// The listening addresses.
struct Listening {
    listener: Listener,
    http: TcpListener,
    http_tls: Option<HttpTls>,
    /// The address of the pages.
    dashboard: IpAddr,
}

fn listen(
    config: &Config,
    location: &StoreLocation,
    ingest: Ingest,
) -> Result<Listening, RunError> {
    let address = resolve("server.host", &config.server.host, config.server.port)?;
    let listener = Listener::bind(ingest, address)?;
    let address = resolve("http.host", &config.http.host, config.http.port)?;
    config.http.check_address(address.ip())?;
    let http_tls = config.http.tls.files()?.map(HttpTls::open).transpose()?;
    let http = listen::tcp(address).map_err(|error| {
        let way_out = way_out(&error, "set http.port, or stop what uses it");
        RunError::Http { address, error: Advised::new(error, way_out) }
    })?;
    let agents = listener.local_addr().map_err(RunError::System)?;
    let dashboard = http.local_addr().map_err(RunError::System)?;
    let scheme = if http_tls.is_some() { "https" } else { "http" };
    tracing::info!(%agents, dashboard = format!("{scheme}://{dashboard}/"), %location, "listening");
    Ok(Listening { listener, http, http_tls, dashboard: dashboard.ip() })
}

fn report(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(error = %error.in_full(), "a part of the collector failed");
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone also means stop.
    let _stopped = stopped.wait_for(|stop| *stop).await;
}

fn resolve(key: &'static str, host: &str, port: u16) -> Result<SocketAddr, RunError> {
    let unresolved = |error| RunError::Resolve { key, host: host.to_owned(), error };
    let mut addresses = (host, port).to_socket_addrs().map_err(unresolved)?;
    addresses.next().ok_or_else(|| unresolved(io::Error::other("none found")))
}
