//! One host at a time under a client id.
//!
//! The host that connected first keeps its place. A second one with the same certificate is refused
//! as long as the first answers, and takes the place once it doesn't. So a host that died, moved
//! its disk, was restarted or reverted reconnects by itself. Host keys only describe the second
//! host; they decide nothing, because containers may have none, a new one at each start, or all the
//! same.
//!
//! A host first waits for its client's place in the store, which all collectors share
//! ([`super::shared_claims`]), and then takes it here. A waiting host blocks nobody.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::Connection;
use wire::id::ClientId;
use wire::message::Claim;

use super::second_host::{Kin, Refusals, SecondHost};
use crate::store::{Holder as Shared, PlaceId};

/// Interval between challenges: questions and answers get lost.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Interval between checks for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Close code of a connection replaced by another agent of the client.
const CLOSE_REPLACED: u32 = 3;

/// Close reason if the same agent replaced it.
pub(super) const NEWER: &str = "a newer connection of this agent has taken its place";

/// Connections per client that may wait for its place: a host and its copies, during an outage of the
/// store. Beyond that, the oldest are closed and reconnect.
const WAITING: usize = 8;

/// The hosts that are connected.
#[derive(Debug, Clone)]
pub struct ConnectedHosts {
    /// Identifies this run of this collector among all that use the store.
    collector: u64,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// Hosts that hold their places, in the store as well.
    holders: HashMap<ClientId, Holder>,
    /// Connections that wait for a place in the store, at most [`WAITING`] per client.
    waiting: HashMap<ClientId, Vec<Holder>>,
    /// Hosts refused because their client is connected to another collector.
    elsewhere: HashMap<ClientId, (PlaceId, Refusals)>,
}

#[derive(Debug)]
struct Holder {
    number: u64,
    claim: Claim,
    connection: Connection,
    refusals: Refusals,
}

/// Outcome of taking a place that the store has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// The connection holds it.
    Shared,
    /// Another connection to this collector holds it and must be challenged.
    Taken,
    /// The connection has ended.
    Gone,
}

/// The place of a connected or waiting host. Dropping it gives the place back.
#[derive(Debug)]
pub struct HostPlace {
    claims: ConnectedHosts,
    client: ClientId,
    number: u64,
    /// The connection holds the place in the store as well.
    shared: bool,
}

impl Held {
    /// The connection that holds this place or waits for it.
    fn find(&mut self, client: &ClientId, number: u64) -> Option<&mut Holder> {
        let holder = self.holders.get_mut(client).into_iter();
        let waiting = self.waiting.get_mut(client).into_iter().flatten();
        holder.chain(waiting).find(|it| it.number == number)
    }

    /// The place of another host that is connected here. The same run of the same agent gives way.
    fn other(&mut self, client: &ClientId, claim: &Claim) -> Option<u64> {
        let holder = self.holders.get(client)?;
        if holder.connection.close_reason().is_none() {
            if holder.claim != *claim {
                return Some(holder.number);
            }
            holder.connection.close(CLOSE_REPLACED.into(), NEWER.as_bytes());
        }
        self.holders.remove(client);
        None
    }

    fn take_waiting(&mut self, client: &ClientId, number: u64) -> Option<Holder> {
        let waiting = self.waiting.get_mut(client)?;
        let at = waiting.iter().position(|it| it.number == number)?;
        let holder = waiting.remove(at);
        if waiting.is_empty() {
            self.waiting.remove(client);
        }
        Some(holder)
    }
}

impl ConnectedHosts {
    /// Nobody is connected yet.
    ///
    /// # Errors
    /// The system has no random numbers; a random number identifies this collector in the store.
    pub fn new() -> io::Result<Self> {
        let mut collector = [0; 8];
        getrandom::fill(&mut collector).map_err(io::Error::other)?;
        Ok(Self { collector: u64::from_ne_bytes(collector), held: Arc::default() })
    }

    /// Lets a connection wait for its client's place. A waiting connection causes no refusal.
    pub fn enter(&self, client: &ClientId, claim: Claim, connection: &Connection) -> HostPlace {
        let mut held = self.held();
        held.next += 1;
        let (number, connection) = (held.next, connection.clone());
        let waiting = held.waiting.entry(client.clone()).or_default();
        waiting.retain(|it| it.connection.close_reason().is_none());
        let surplus = (waiting.len() + 1).saturating_sub(WAITING);
        for (at, other) in waiting.iter().enumerate() {
            if other.claim == claim {
                other.connection.close(CLOSE_REPLACED.into(), NEWER.as_bytes());
            } else if at < surplus {
                let text = b"too many agents of this client wait for its place";
                other.connection.close(CLOSE_REPLACED.into(), text);
            }
        }
        waiting.push(Holder { number, claim, connection, refusals: Refusals::new() });
        HostPlace { claims: self.clone(), client: client.clone(), number, shared: false }
    }

    /// Ensures that no other host holds the client's place here.
    ///
    /// # Errors
    /// `SecondHost` if another host holds it and answers.
    pub(super) async fn clear(
        &self,
        client: &ClientId,
        claim: &Claim,
        refused: IpAddr,
    ) -> Result<(), SecondHost> {
        loop {
            let other = self.held().other(client, claim);
            let Some(number) = other else { return Ok(()) };
            self.challenge(client, claim, number, refused).await?;
        }
    }

    /// Challenges the host that holds a place here, and ends its connection if it doesn't answer.
    ///
    /// # Errors
    /// `SecondHost` if it answers.
    pub(super) async fn challenge(
        &self,
        client: &ClientId,
        claim: &Claim,
        number: u64,
        refused: IpAddr,
    ) -> Result<(), SecondHost> {
        let found = self.held().find(client, number).map(|it| (it.claim, it.connection.clone()));
        let Some((other, connection)) = found else { return Ok(()) };
        let kin = Kin::of(claim, &other);
        if answers(&connection, kin.patience()).await {
            let kept = connection.remote_address().ip().to_canonical();
            // Unless it left after its answer.
            if let Some(second) = self.refuse(client, claim, (kin, number), [kept, refused]) {
                return Err(second);
            }
        }
        self.end(
            client,
            number,
            "another agent of this client has connected, and this one didn't answer",
        );
        Ok(())
    }

    fn refuse(
        &self,
        client: &ClientId,
        claim: &Claim,
        (kin, number): (Kin, u64),
        [kept, refused]: [IpAddr; 2],
    ) -> Option<SecondHost> {
        let mut held = self.held();
        let holder = held.find(client, number)?;
        let (times, news, due) = holder.refusals.on_refused(claim);
        let client = client.clone();
        Some(SecondHost { client, kept, refused, kin, times, news, due })
    }

    /// Refuses a host because its client is connected to another collector of the store.
    pub(super) fn refuse_for(
        &self,
        client: &ClientId,
        claim: &Claim,
        other: &Shared,
        refused: IpAddr,
    ) -> SecondHost {
        let mut held = self.held();
        let fresh = || (other.place, Refusals::new());
        let known = held.elsewhere.entry(client.clone()).or_insert_with(fresh);
        if known.0 != other.place {
            *known = fresh();
        }
        let (times, news, due) = known.1.on_refused(claim);
        let (client, kin) = (client.clone(), Kin::of(claim, &other.claim));
        SecondHost { client, kept: other.address, refused, kin, times, news, due }
    }

    /// This run of this collector.
    pub(super) const fn collector(&self) -> u64 {
        self.collector
    }

    /// The connection that holds this place or waits for it, unless it has ended.
    pub(super) fn connection(&self, client: &ClientId, number: u64) -> Option<Connection> {
        let mut held = self.held();
        let connection = held.find(client, number).map(|it| it.connection.clone());
        connection.filter(|it| it.close_reason().is_none())
    }

    /// All places held.
    pub(super) fn shared(&self) -> Vec<(ClientId, Shared)> {
        let shared = |(client, holder): (&ClientId, &Holder)| {
            let place = PlaceId { collector: self.collector, number: holder.number };
            let address = holder.connection.remote_address().ip().to_canonical();
            (client.clone(), Shared { place, claim: holder.claim, address })
        };
        self.held().holders.iter().map(shared).collect()
    }

    /// Ends the connection that holds this place or waits for it, because another host has taken it.
    pub(super) fn end(&self, client: &ClientId, number: u64, reason: &str) {
        if let Some(connection) = self.connection(client, number) {
            connection.close(CLOSE_REPLACED.into(), reason.as_bytes());
            self.give_back(client, number);
        }
    }

    fn give_back(&self, client: &ClientId, number: u64) {
        let mut held = self.held();
        if held.holders.get(client).is_some_and(|holder| holder.number == number) {
            held.holders.remove(client);
        }
        held.take_waiting(client, number);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostPlace {
    /// Identifies the place among those of all collectors.
    pub(super) const fn id(&self) -> PlaceId {
        PlaceId { collector: self.claims.collector, number: self.number }
    }

    /// True if the store has the place as well.
    pub(super) const fn is_shared(&self) -> bool {
        self.shared
    }

    /// Marks the place as held in the store.
    pub(super) fn on_shared(&mut self) -> Sharing {
        let mut held = self.claims.held();
        let waiting = held.find(&self.client, self.number);
        let waiting = waiting.filter(|it| it.connection.close_reason().is_none());
        let Some(claim) = waiting.map(|it| it.claim) else { return Sharing::Gone };
        if held.other(&self.client, &claim).is_some() {
            return Sharing::Taken;
        }
        let Some(holder) = held.take_waiting(&self.client, self.number) else {
            return Sharing::Gone;
        };
        held.holders.insert(self.client.clone(), holder);
        held.elsewhere.remove(&self.client);
        self.shared = true;
        Sharing::Shared
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        self.claims.give_back(&self.client, self.number);
    }
}

/// True if the agent at the other end answers within `patience`. QUIC acknowledges a datagram even if
/// the agent doesn't read it.
pub(super) async fn answers(connection: &Connection, patience: Duration) -> bool {
    let heard = || connection.stats().udp_rx.datagrams;
    let (before, started) = (heard(), Instant::now());
    // Two round trips, and one more for lost packets.
    let patience = patience.max(3 * connection.rtt());
    let mut asked = None;
    while connection.close_reason().is_none() {
        // Checked before the last attempt, because this task itself may have been held up.
        let over = started.elapsed() >= patience;
        if asked.is_none_or(|at: Instant| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            // An agent can't answer a datagram that wasn't sent.
            let _unsent = connection.send_datagram(Bytes::new());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if heard() > before {
            return connection.close_reason().is_none();
        }
        if over {
            break;
        }
    }
    false
}
