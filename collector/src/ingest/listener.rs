//! The listener: lets agents in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint, Incoming};
use rustls::pki_types::UnixTime;
use settings::{SharedFailures, way_out};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Ingest, agent, limits};
use crate::identity::{CLOSE_REFUSED, Identity, IdentityError, Peer, on_handshake_error};
use crate::listen;
use crate::time::{Steps, boot, now_ns};

/// How long a handshake may take: QUIC itself knows no limit.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Handshakes at once, and the number from which on addresses have to be proved first.
const HANDSHAKES: usize = 1024;
const HANDSHAKES_TRUSTED: usize = 64;

/// How long agents get to take note of the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often the own certificate is looked after.
const RENEWAL: Duration = Duration::from_secs(3600);

/// How often the clock is looked at: after a step the certificate may be of no use.
const CLOCK: Duration = Duration::from_secs(2);

/// Why agents can't be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The UDP port can't be had.
    #[error(
        "can't listen on UDP {address}: {error}; {}",
        way_out(error, "set server.port, or stop what uses it")
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The certificate can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Listens for agents.
#[derive(Debug)]
pub struct Listener {
    ingest: Ingest,
    endpoint: Endpoint,
}

/// Puts new certificates to use.
#[derive(Debug)]
pub struct Reloader {
    identity: Arc<Identity>,
    endpoint: Endpoint,
}

impl Reloader {
    /// Reads the certificate again; it may have been renewed. Open connections stay.
    ///
    /// # Errors
    /// [`IdentityError`] names the file that is of no use; the certificate in use stays.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let config = self.identity.server_config(UnixTime::now())?;
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }

    /// The same, when nobody asked for it.
    fn renew(&self) {
        if let Err(error) = self.reload() {
            tracing::error!(%error, "the certificate in use stays");
        }
    }
}

impl Listener {
    /// Opens the UDP port.
    ///
    /// # Errors
    /// [`ListenError`] names the address or certificate that can't be used.
    pub fn bind(ingest: Ingest, address: SocketAddr) -> Result<Self, ListenError> {
        let server_config = ingest.identity.server_config(UnixTime::now())?;
        let bind_error = |error| ListenError::Bind { address, error };
        let socket = listen::udp(address).map_err(bind_error)?;
        let endpoint = Endpoint::new(
            ingest.identity.endpoint_config(),
            Some(server_config),
            socket,
            Arc::new(quinn::TokioRuntime),
        );
        Ok(Self { endpoint: endpoint.map_err(bind_error)?, ingest })
    }

    /// The address that agents reach.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Lets agents in until `stop` is done, then says good-bye to all of them.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let mut connections = JoinSet::new();
        let mut renewal = tokio::time::interval(RENEWAL);
        let (mut clock, mut steps) = (tokio::time::interval(CLOCK), Steps::default());
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let reloader = self.reloader();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    self.admit(incoming, &handshakes, &mut connections);
                }
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "serving a connection failed");
                    }
                }
                _ = renewal.tick() => reloader.renew(),
                _ = clock.tick() => if steps.stepped(now_ns(), boot()) {
                    reloader.renew();
                },
            }
        }
        self.endpoint.close(0u32.into(), b"the collector is stopping");
        while connections.join_next().await.is_some() {}
        // Those that don't answer are not waited for.
        let _late = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// What puts a new certificate to use while the listener runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { identity: self.ingest.identity.clone(), endpoint: self.endpoint.clone() }
    }

    fn admit(
        &self,
        incoming: Incoming,
        handshakes: &Arc<Semaphore>,
        connections: &mut JoinSet<()>,
    ) {
        let trusted = HANDSHAKES - handshakes.available_permits() < HANDSHAKES_TRUSTED;
        if !trusted && incoming.may_retry() && !incoming.remote_address_validated() {
            // It may retry, as was just asked.
            let _retried = incoming.retry();
            return;
        }
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            incoming.refuse();
            return;
        };
        let ingest = self.ingest.clone();
        connections.spawn(async move {
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
            drop(permit);
            match ingest.identity.admit(&connection, Instant::now()) {
                Ok(Peer::Agent(agent)) => {
                    let Some(_place) = ingest.limits.place() else {
                        return refuse_place(&ingest, &connection);
                    };
                    agent::serve(ingest, agent, connection).await;
                }
                Ok(Peer::Enrolling) => ingest.identity.serve_enrollment(connection).await,
                // The other end was told.
                Err(_) => {}
            }
        });
    }
}

/// So many agents are connected that there is no room for another.
fn refuse_place(ingest: &Ingest, connection: &Connection) {
    limits::count("connections_in_all");
    let most = ingest.limits.total().connections;
    let said = format!(
        "this collector serves {most} agents, as many as limits.connections allows; raise it there, \
         or give this agent another collector (server.fallbacks)"
    );
    if let Some(tell) = FULL.failed((), Instant::now()) {
        let address = listen::canonical(connection.remote_address());
        tracing::warn!(%address, "refused an agent: {said}{tell}");
    }
    connection.close(CLOSE_REFUSED.into(), said.as_bytes());
}

/// That there is no room for further agents: all of them try again for ever.
static FULL: SharedFailures<()> = SharedFailures::new();
