//! One host at a time under a client id.
//!
//! The host that connected first keeps its place. A second one with the same certificate is refused
//! as long as the first answers, and takes the place once it doesn't. So a host that died, moved
//! its disk, was restarted or reverted reconnects by itself. Host keys only describe the second
//! host; they decide nothing, because containers may have none, a new one at each start, or all the
//! same.
//!
//! A host takes its client's place here first, among the connections of this collector, and then in
//! the store, among all collectors that it has ([`super::shared_claims`]).

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::Connection;
use settings::Failures;
use wire::id::ClientId;
use wire::message::{Claim, HostKey};

use crate::store::{Holder as Shared, PlaceId};

/// How long the connected host may take to answer when another host connects.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The same if both look like one machine: usually its agent was restarted.
const RESTART_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is asked meanwhile: questions and answers get lost.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How often it is looked whether it has answered.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often it is kept that there is a second host, while it tries.
const KEPT_EVERY: Duration = Duration::from_secs(600);

/// Close code of a connection in whose place another agent of the client came.
const CLOSE_REPLACED: u32 = 3;

/// What a newcomer is to the one that is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// The same run of the same agent, over a new connection.
    Same,
    /// By its keys the same machine: a restart, or a second agent on it.
    Machine,
    /// The same machine-id in another boot: a reboot, or a copy of the machine.
    Copy,
    /// Another machine.
    Other,
    /// One of the two doesn't tell its machine.
    Unknown,
}

impl Kin {
    /// Compares a newcomer with the one that is connected.
    #[must_use]
    pub fn of(newcomer: &Claim, connected: &Claim) -> Self {
        let unknown = HostKey::default();
        let (new, old) = (newcomer.host, connected.host);
        if newcomer == connected {
            Self::Same
        } else if new.machine == unknown.machine || old.machine == unknown.machine {
            Self::Unknown
        } else if new.machine != old.machine {
            Self::Other
        } else if new.boot != old.boot {
            Self::Copy
        } else {
            Self::Machine
        }
    }

    /// How long the connected one may take to answer.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Same | Self::Machine => RESTART_PATIENCE,
            Self::Copy | Self::Other | Self::Unknown => PATIENCE,
        }
    }

    /// What a second host is, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Same | Self::Machine => {
                "this is a second agent on the same machine, or in a copy of its container"
            }
            Self::Copy => "this is a copy of that machine, with the same machine-id",
            Self::Other => "this is another machine",
            Self::Unknown => "one of the two has no machine-id",
        }
    }
}

/// A second host under a certificate that is in use. The agent is told this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "client {client} is connected from {kept} already, and that host keeps its place ({}); to \
     measure both, get a token (collector token) and give this host an id of its own: agent \
     enroll --id NAME TOKEN; to let it take over, get one by `collector token --client {client} \
     --replace` and run: agent enroll TOKEN",
    .kin.what()
)]
pub struct SecondHost {
    /// Whose certificate it is.
    pub client: ClientId,
    /// Who goes on.
    pub kept: IpAddr,
    /// Who was refused.
    pub refused: IpAddr,
    /// What it is to the one that goes on.
    pub kin: Kin,
    /// How often one was refused since the connected one is.
    pub times: u64,
    /// Worth a line in the log.
    pub news: bool,
    /// To be kept for those who list the clients.
    pub due: bool,
}

/// The hosts that are connected.
#[derive(Debug, Clone)]
pub struct Claims {
    /// This run of this collector, among all that use the store.
    collector: u64,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    holders: HashMap<ClientId, Holder>,
    /// Those that were refused for hosts that are connected to other collectors.
    elsewhere: HashMap<ClientId, (PlaceId, Refusals)>,
}

#[derive(Debug)]
struct Holder {
    number: u64,
    claim: Claim,
    connection: Connection,
    refusals: Refusals,
    /// It has the place in the store, too.
    shared: bool,
}

/// How many were refused, which of them were told of, and when that was last kept.
#[derive(Debug)]
struct Refusals {
    times: u64,
    told: Failures<HostKey>,
    kept: Option<Instant>,
}

/// The place of a connected host, given back by its end.
#[derive(Debug)]
pub struct Place {
    claims: Claims,
    client: ClientId,
    number: u64,
    /// It has the place in the store, too.
    shared: bool,
}

impl Refusals {
    const fn new() -> Self {
        Self { times: 0, told: Failures::new(), kept: None }
    }

    /// One more: how many there are, whether it is worth a line in the log, and whether it is to
    /// be kept.
    fn on_refused(&mut self, claim: &Claim) -> (u64, bool, bool) {
        self.times += 1;
        let now = Instant::now();
        let news = self.told.failed(claim.host, now).is_some();
        let due = news || self.kept.is_none_or(|at| now.duration_since(at) >= KEPT_EVERY);
        if due {
            self.kept = Some(now);
        }
        (self.times, news, due)
    }
}

impl Claims {
    /// Nobody is connected yet.
    ///
    /// # Errors
    /// The system has no random numbers: collectors of one store are told apart by one.
    pub fn new() -> io::Result<Self> {
        let mut collector = [0; 8];
        getrandom::fill(&mut collector).map_err(io::Error::other)?;
        Ok(Self { collector: u64::from_ne_bytes(collector), held: Arc::default() })
    }

    /// Takes the place of a client for a connection, once nobody else has it.
    ///
    /// # Errors
    /// `SecondHost` if somebody has, who answers.
    pub async fn take(
        &self,
        client: &ClientId,
        claim: Claim,
        connection: &Connection,
    ) -> Result<Place, SecondHost> {
        loop {
            let (kin, number, other) = match self.try_take(client, claim, connection) {
                Ok(place) => return Ok(place),
                Err(taken) => taken,
            };
            if answers(&other, kin.patience()).await {
                let addresses =
                    [&other, connection].map(|it| it.remote_address().ip().to_canonical());
                match self.refuse(client, &claim, (kin, number), addresses) {
                    Some(second) => return Err(second),
                    // It left after its answer.
                    None => continue,
                }
            }
            let text = "another agent of this client has connected, and this one didn't answer";
            other.close(CLOSE_REPLACED.into(), text.as_bytes());
            self.give_back(client, number);
        }
    }

    fn try_take(
        &self,
        client: &ClientId,
        claim: Claim,
        connection: &Connection,
    ) -> Result<Place, (Kin, u64, Connection)> {
        let mut held = self.held();
        if let Some(holder) = held.holders.get(client)
            && holder.connection.close_reason().is_none()
        {
            let kin = Kin::of(&claim, &holder.claim);
            if kin != Kin::Same {
                return Err((kin, holder.number, holder.connection.clone()));
            }
            let text = "a newer connection of this agent has taken its place";
            holder.connection.close(CLOSE_REPLACED.into(), text.as_bytes());
        }
        held.next += 1;
        let (number, connection) = (held.next, connection.clone());
        let holder = Holder { number, claim, connection, refusals: Refusals::new(), shared: false };
        held.holders.insert(client.clone(), holder);
        Ok(Place { claims: self.clone(), client: client.clone(), number, shared: false })
    }

    fn refuse(
        &self,
        client: &ClientId,
        claim: &Claim,
        (kin, number): (Kin, u64),
        [kept, refused]: [IpAddr; 2],
    ) -> Option<SecondHost> {
        let mut held = self.held();
        let holder = held.holders.get_mut(client).filter(|holder| holder.number == number)?;
        let (times, news, due) = holder.refusals.on_refused(claim);
        let client = client.clone();
        Some(SecondHost { client, kept, refused, kin, times, news, due })
    }

    /// The same of a host that is connected to another collector of the store.
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

    /// The connection that has this place.
    pub(super) fn connection(&self, client: &ClientId, number: u64) -> Option<Connection> {
        let held = self.held();
        let holder = held.holders.get(client).filter(|holder| holder.number == number)?;
        Some(holder.connection.clone())
    }

    /// The places that are in the store, too.
    pub(super) fn shared(&self) -> Vec<(ClientId, u64)> {
        let held = self.held();
        let shared = held.holders.iter().filter(|(_, holder)| holder.shared);
        shared.map(|(client, holder)| (client.clone(), holder.number)).collect()
    }

    /// Ends the connection that has this place: another host has it by now.
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
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Which it is, among those of all collectors.
    pub(super) const fn id(&self) -> PlaceId {
        PlaceId { collector: self.claims.collector, number: self.number }
    }

    /// True if it is in the store, too.
    pub(super) const fn is_shared(&self) -> bool {
        self.shared
    }

    /// It is in the store from now on.
    pub(super) fn on_shared(&mut self) {
        self.shared = true;
        let mut held = self.claims.held();
        held.elsewhere.remove(&self.client);
        let holder = held.holders.get_mut(&self.client);
        if let Some(holder) = holder.filter(|holder| holder.number == self.number) {
            holder.shared = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.claims.give_back(&self.client, self.number);
    }
}

/// True if the agent at the other end is alive, which is asked for so long at most. A datagram,
/// which agents don't read, is acknowledged by QUIC.
pub(super) async fn answers(connection: &Connection, patience: Duration) -> bool {
    let heard = || connection.stats().udp_rx.datagrams;
    let (before, started) = (heard(), Instant::now());
    // Two round trips and one more, for what gets lost.
    let patience = patience.max(3 * connection.rtt());
    let mut asked = None;
    while connection.close_reason().is_none() {
        // Looked at before the last look: this task may have been held up itself.
        let over = started.elapsed() >= patience;
        if asked.is_none_or(|at: Instant| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            // What can't be sent is not answered.
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn claim(machine: u8, boot: u8, session: u64) -> Claim {
        Claim { host: HostKey { machine: [machine; 16], boot: [boot; 16] }, session }
    }

    #[test]
    fn a_newcomer_is_told_by_its_keys_and_its_session() {
        let connected = claim(1, 1, 7);
        for (newcomer, kin) in [
            (claim(1, 1, 7), Kin::Same),
            (claim(1, 1, 8), Kin::Machine),
            (claim(1, 2, 8), Kin::Copy),
            // A copy of a running machine is none any more once it was booted.
            (claim(1, 2, 7), Kin::Copy),
            (claim(2, 1, 8), Kin::Other),
            (claim(2, 2, 7), Kin::Other),
            (claim(0, 1, 8), Kin::Unknown),
            (claim(0, 0, 7), Kin::Unknown),
        ] {
            assert_eq!(Kin::of(&newcomer, &connected), kin, "{newcomer:?}");
        }
        // An older agent comes back after its connection broke.
        assert_eq!(Kin::of(&claim(0, 0, 7), &claim(0, 0, 7)), Kin::Same);
    }
}
