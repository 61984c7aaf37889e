//! The listener: lets agents in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint, Incoming};
use rustls::pki_types::UnixTime;
use settings::{InFull, SharedFailures, way_out};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use wire::advice::Advised;

use super::agent;
use super::limits::{self, Handshakes, Origin, Quotas, Slot, Step};
use super::shared::Ingest;
use super::socket::PacedRuntime;
use crate::identity::{CLOSE_REFUSED, Identity, IdentityError, Peer, on_handshake_error};
use crate::listen;
use crate::time::{ClockSteps, boot, now_ns};

/// Time limit of a handshake; QUIC itself has none.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a host that enrols may wait for earlier ones.
const ENROLMENT: Duration = Duration::from_secs(5);

/// Number of handshakes above which clients must prove their address first.
const HANDSHAKES_TRUSTED: usize = 64;

/// Interval between checks for stalled handshakes while others wait.
const LOOK: Duration = Duration::from_millis(50);

/// How long agents get to process the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Interval between checks of the collector's certificate.
const RENEWAL: Duration = Duration::from_secs(3600);

/// Interval between checks of the clock and of the certificates' files. A clock step or new files may
/// make the certificate in use invalid.
const UPKEEP: Duration = Duration::from_secs(1);

/// Why the listener can't start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The UDP port is not available.
    #[error("can't listen on UDP {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// The certificate is unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Listens for agents.
#[derive(Debug)]
pub struct Listener {
    ingest: Ingest,
    endpoint: Endpoint,
}

/// Reloads certificates.
#[derive(Debug, Clone)]
pub struct Reloader {
    identity: Arc<Identity>,
    endpoint: Endpoint,
}

impl Reloader {
    /// Reads the certificate again, because it may have been renewed. Open connections stay.
    ///
    /// # Errors
    /// [`IdentityError`] names the unusable file; the certificate in use stays.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let config = self.identity.server_config(UnixTime::now())?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }

    /// Reloads without a request; logs errors.
    fn renew(&self) {
        if let Err(error) = self.reload() {
            tracing::error!(error = %error.in_full(), "the present certificate stays in use");
        }
    }
}

impl Listener {
    /// Opens the UDP port.
    ///
    /// # Errors
    /// [`ListenError`] names the unusable address or certificate.
    pub fn bind(ingest: Ingest, address: SocketAddr) -> Result<Self, ListenError> {
        let server_config = ingest.identity.server_config(UnixTime::now())?;
        let bind_error = |error: std::io::Error| {
            let way_out = way_out(&error, "set server.port, or stop what uses it");
            ListenError::Bind { address, error: Advised::new(error, way_out) }
        };
        let socket = listen::udp(address).map_err(bind_error)?;
        let endpoint = Endpoint::new(
            ingest.identity.endpoint_config(),
            Some(server_config),
            socket,
            Arc::new(PacedRuntime::new()),
        );
        Ok(Self { endpoint: endpoint.map_err(bind_error)?, ingest })
    }

    /// The address that agents connect to.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Lets agents in until `stop` completes, then closes all connections.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut admission = Admission::new(&self.ingest.limits);
        let mut connections = JoinSet::new();
        let mut renewal = tokio::time::interval(RENEWAL);
        let (mut upkeep, mut steps) = (tokio::time::interval(UPKEEP), ClockSteps::default());
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looking = tokio::time::interval(LOOK);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reloader = self.reloader();
        let (mut renewing, mut due) = (JoinSet::new(), false);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    admission.offer(incoming);
                }
                Some(event) = admission.events.recv() => admission.on_event(event),
                _ = looking.tick(), if admission.handshakes.has_waiting() => {}
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && !error.is_cancelled() {
                        tracing::error!(error = %error.in_full(), "serving a connection failed");
                    }
                }
                _ = renewal.tick() => due = true,
                _ = upkeep.tick() => {
                    let stepped = steps.stepped(now_ns(), boot());
                    due |= self.ingest.identity.files_changed() || stepped;
                }
                Some(_renewed) = renewing.join_next() => {}
            }
            if due && renewing.is_empty() {
                due = false;
                // Others may hold the directory's lock.
                let reloader = reloader.clone();
                renewing.spawn_blocking(move || reloader.renew());
            }
            admission.proceed(&self.ingest, &mut connections);
        }
        self.endpoint.close(0u32.into(), b"the collector is stopping");
        while connections.join_next().await.is_some() {}
        // Agents that don't answer in time are left.
        let _late = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// Reloads certificates while the listener runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { identity: self.ingest.identity.clone(), endpoint: self.endpoint.clone() }
    }
}

/// Progress of a handshake.
#[derive(Debug)]
enum Event {
    Firm(Slot),
    Ended(Slot),
}

/// A running handshake. Dropping it reports its end in any case.
#[derive(Debug)]
struct Handshake {
    slot: Slot,
    events: mpsc::UnboundedSender<Event>,
}

impl Handshake {
    fn firm(&self) {
        let _stopping = self.events.send(Event::Firm(self.slot));
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let _stopping = self.events.send(Event::Ended(self.slot));
    }
}

/// Begins handshakes while there is room.
struct Admission {
    handshakes: Handshakes<Incoming>,
    running: HashMap<u64, AbortHandle>,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    started: Instant,
}

impl Admission {
    fn new(limits: &Quotas) -> Self {
        // Each handshake sends at most two events, and `limits.handshakes` bounds their number.
        let (sender, events) = mpsc::unbounded_channel();
        let total = limits.total();
        let handshakes = Handshakes::new(total.handshakes, total.address_handshakes);
        Self { handshakes, running: HashMap::new(), sender, events, started: Instant::now() }
    }

    /// A client wants to connect. Under load it must prove its address first.
    fn offer(&mut self, incoming: Incoming) {
        let trusted = self.handshakes.len() < HANDSHAKES_TRUSTED;
        if !trusted && incoming.may_retry() && !incoming.remote_address_validated() {
            // `may_retry` was just checked.
            let _retried = incoming.retry();
            return;
        }
        let origin = Origin::of(incoming.remote_address().ip());
        self.handshakes.offer(origin, incoming, self.started.elapsed());
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Firm(slot) => self.handshakes.on_firm(slot),
            Event::Ended(slot) => {
                self.handshakes.on_end(slot);
                self.running.remove(&slot.number);
            }
        }
    }

    fn proceed(&mut self, ingest: &Ingest, connections: &mut JoinSet<()>) {
        while let Some(step) = self.handshakes.next(self.started.elapsed()) {
            match step {
                Step::Start(slot, incoming) => {
                    let handshake = Handshake { slot, events: self.sender.clone() };
                    let task = connections.spawn(admit(ingest.clone(), incoming, handshake));
                    self.running.insert(slot.number, task);
                }
                Step::BreakOff(slot) => {
                    limits::count("handshakes");
                    if let Some(task) = self.running.remove(&slot.number) {
                        task.abort();
                    }
                }
                Step::Forget(incoming) => {
                    limits::count("handshakes");
                    incoming.ignore();
                }
            }
        }
    }
}

/// Takes one connection through its handshake and serves it.
async fn admit(ingest: Ingest, incoming: Incoming, handshake: Handshake) {
    let address = listen::canonical(incoming.remote_address());
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return on_handshake_error(address, &error),
    };
    let connection = match tokio::time::timeout(HANDSHAKE, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return on_handshake_error(address, &error),
        Err(_) => return,
    };
    handshake.firm();
    match ingest.identity.admit(&connection, Instant::now()) {
        Ok(Peer::Agent(agent)) => {
            let Some(_place) = ingest.limits.place() else {
                return refuse_place(&ingest, &connection);
            };
            drop(handshake);
            agent::serve(ingest, agent, connection).await;
        }
        Ok(Peer::Enrolling) => {
            let place = tokio::time::timeout(ENROLMENT, ingest.limits.enrolment(&connection)).await;
            drop(handshake);
            let Ok(place) = place else {
                limits::count("enrolments");
                let said = b"many hosts enrol at this moment; try again, the token is still good";
                return connection.close(CLOSE_REFUSED.into(), said);
            };
            let (shared, busy) = (ingest.store.clone(), |busy| place.set_busy(busy));
            ingest.identity.serve_enrollment(connection, shared, busy).await;
        }
        // The other end has received the reason.
        Err(_) => {}
    }
}

/// Refuses an agent because all places are taken.
fn refuse_place(ingest: &Ingest, connection: &Connection) {
    limits::count("connections_in_all");
    let most = ingest.limits.total().connections;
    let said = format!(
        "this collector serves {most} agents already (limits.connections); raise the limit there, \
         or give this agent another collector (server.fallbacks)"
    );
    if let Some(tell) = FULL.failed((), Instant::now()) {
        let address = listen::canonical(connection.remote_address());
        tracing::warn!(%address, "refused an agent: {said}{tell}");
    }
    connection.close(CLOSE_REFUSED.into(), said.as_bytes());
}

/// Refusals of further agents. Rate-limits the log, because all of them retry forever.
static FULL: SharedFailures<()> = SharedFailures::new();
