//! Simulated agents: the agent's own connection and delivery, over spools in memory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent::ship::backoff::Backoff;
use agent::ship::delivery::{About, Delivery};
use agent::ship::recorder::RecorderRequest;
use agent::ship::spool::SpooledSession;
use anyhow::Context;
use crossbeam_channel::unbounded;
use quinn::{ClientConfig, Connection, Endpoint};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use wire::id::SessionId;
use wire::message::{HostKey, Inventory, Nic};
use wire::{Seq, WallNs};

use super::pki::Pki;
use super::spool::{Account, AgentSpool, Spools};

/// UDP sockets that the agents share.
const SOCKETS: usize = 64;

/// Frames that a connection may lag behind.
const EVENTS: usize = 64;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// UDP address of the collector.
const COLLECTOR: &str = "127.0.0.1:8082";

/// The size of a swarm.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Agents.
    pub agents: u32,
    /// NICs of each.
    pub nics: u32,
    /// Length of a sample.
    pub interval: Duration,
    /// Length of a report.
    pub report: Duration,
}

/// Bytes and datagrams over UDP, both directions, including IPv4 and UDP headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried {
    /// Bytes.
    pub bytes: u64,
    /// Datagrams.
    pub datagrams: u64,
}

/// A running swarm.
#[derive(Debug)]
pub struct Swarm {
    runtime: Runtime,
    spools: Spools,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Agents that are connected and welcomed by the collector.
    welcomed: AtomicUsize,
    /// Agents that have delivered everything.
    done: AtomicUsize,
    /// Per agent: its current or last connection, and the traffic of earlier ones.
    connections: Mutex<Vec<(Option<Connection>, Carried)>>,
}

impl Swarm {
    /// Starts the agents.
    ///
    /// # Errors
    /// Fails if sockets, threads or certificates can't be made.
    pub fn start(size: Size, pki: &Pki) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("agents")
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            welcomed: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            connections: Mutex::new(vec![(None, Carried::default()); size.agents as usize]),
        });
        let endpoints = {
            let _in_runtime = runtime.enter();
            let count = SOCKETS.min(size.agents as usize);
            let endpoint = |_| Endpoint::client("127.0.0.1:0".parse()?).context("a UDP socket");
            (0..count).map(endpoint).collect::<anyhow::Result<Vec<Endpoint>>>()?
        };
        let (requests, asked) = unbounded();
        let mut spools = HashMap::new();
        let mut agents = Vec::new();
        for number in 0..size.agents {
            let session = SessionId::new(getrandom::u64()?);
            let (events, made) = tokio::sync::mpsc::channel(EVENTS);
            spools.insert(session, AgentSpool::new(session, size.nics, size.report, events));
            let about =
                About { alias: String::new(), host: agent::ship::shipper::host(size.interval) };
            let spooled = SpooledSession {
                session,
                started_ns: WallNs(0),
                last_seq: Seq(0),
                committed_seq: Seq(0),
            };
            let inventory = watch::channel(inventory(size.nics)).1;
            let delivery = Delivery::new(about, vec![spooled], requests.clone(), made, inventory);
            let config = pki.agent(&client(number))?.client_config();
            let endpoint = endpoints[number as usize % endpoints.len()].clone();
            agents.push((number as usize, endpoint, config, delivery));
        }
        drop::<crossbeam_channel::Sender<RecorderRequest>>(requests);
        let spools = Spools::start(spools, asked, size.interval)?;
        for (number, endpoint, config, delivery) in agents {
            let shared = shared.clone();
            runtime.spawn(async move {
                live(number, &endpoint, &config, delivery, &shared).await;
                shared.done.fetch_add(1, Ordering::Relaxed);
            });
        }
        Ok(Self { runtime, spools, shared })
    }

    /// Agents that are connected and welcomed.
    #[must_use]
    pub fn welcomed(&self) -> usize {
        self.shared.welcomed.load(Ordering::Relaxed)
    }

    /// Traffic so far.
    #[must_use]
    pub fn carried(&self) -> Carried {
        let connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = Carried::default();
        for (connection, before) in connections.iter() {
            let now = connection.as_ref().map(carried).unwrap_or_default();
            sum.bytes += before.bytes + now.bytes;
            sum.datagrams += before.datagrams + now.datagrams;
        }
        sum
    }

    /// Ends all sessions and waits until everything is delivered. `None` if that takes longer than
    /// `patience`.
    #[must_use]
    pub fn finish(self, patience: Duration) -> Option<Account> {
        let until = Instant::now() + patience;
        let connections =
            self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.spools.finish();
        while self.shared.done.load(Ordering::Relaxed) < connections {
            if Instant::now() > until {
                self.runtime.shutdown_background();
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.runtime);
        Some(self.spools.join())
    }
}

/// The name of a client.
#[must_use]
pub fn client(number: u32) -> String {
    format!("host-{number}")
}

/// The traffic of a connection.
#[must_use]
pub fn carried(connection: &Connection) -> Carried {
    const IPV4_AND_UDP: u64 = 28;
    let stats = connection.stats();
    let datagrams = stats.udp_tx.datagrams + stats.udp_rx.datagrams;
    let bytes = stats.udp_tx.bytes + stats.udp_rx.bytes + datagrams * IPV4_AND_UDP;
    Carried { bytes, datagrams }
}

fn inventory(nics: u32) -> Inventory {
    let nic = |number: u32| Nic {
        name: wire::id::NicName::new(&format!("eth{number}")).unwrap_or_default(),
        index: number + 2,
        mtu: 1500,
        speed_bits: 10_000_000_000,
        kind: "physical".into(),
        up: true,
        ..Nic::default()
    };
    Inventory { nics: (0..nics).map(nic).collect() }
}

/// Connects repeatedly, as the agent does, until everything is delivered.
async fn live(
    number: usize,
    endpoint: &Endpoint,
    config: &ClientConfig,
    mut delivery: Delivery,
    shared: &Shared,
) {
    let Ok(address) = COLLECTOR.parse::<SocketAddr>() else { return };
    let mut backoff = Backoff::new(5, Duration::from_secs(5));
    while !delivery.is_done() {
        if let Ok(connecting) = endpoint.connect_with(config.clone(), address, "127.0.0.1")
            && let Ok(Ok(connection)) =
                delivery.meanwhile(tokio::time::timeout(HANDSHAKE, connecting)).await
        {
            shared.hold(number, connection.clone());
            let mut welcomed = false;
            let delivered = delivery
                .over(&connection, HostKey::default(), || {
                    welcomed = true;
                    backoff.on_success();
                    shared.welcomed.fetch_add(1, Ordering::Relaxed);
                })
                .await;
            shared.welcomed.fetch_sub(usize::from(welcomed), Ordering::Relaxed);
            if delivered.is_ok() {
                return;
            }
        }
        let random = getrandom::u64().unwrap_or_default();
        delivery.wait(tokio::time::Instant::now() + backoff.on_failure(random)).await;
    }
}

impl Shared {
    fn hold(&self, number: usize, connection: Connection) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, before) = &mut connections[number];
        if let Some(old) = held.replace(connection) {
            let old = carried(&old);
            before.bytes += old.bytes;
            before.datagrams += old.datagrams;
        }
    }
}
