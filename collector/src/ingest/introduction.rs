//! How a connection begins: the agent's Hello, its sessions in the store, and the answer. During an
//! outage of the store an agent may wait for hours; its frames are shown but not kept.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, SendStream};
use rustls::pki_types::UnixTime;
use settings::{InFull, SharedFailures, words};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wire::WallNs;
use wire::codec;
use wire::id::SessionId;
use wire::message::{
    Claim, Committed, Digests, Hello, Inventory, Message, Probe, ProbeReply, Refused,
    SessionDigest, Welcome,
};

use super::claims::HostPlace;
use super::end::End;
use super::limits::{Account, Limit};
use super::notice;
use super::patience::PATIENCE;
use super::reading::{self, ReadError};
use super::second_host::SecondHost;
use super::sessions::FrameRefused;
use super::shared::Ingest;
use super::shared_claims::{self, Unclaimed};
use crate::identity::{Agent, PeerError, Standing};
use crate::store::{SecondHostRecord, SessionState, StoreError};
use crate::time::now_ns;

/// Number of times that a host may ask for the time before it introduces itself.
const QUESTIONS: u32 = 16;

/// How long a refused agent gets to read the reason.
const FAREWELL: Duration = Duration::from_secs(1);

/// First wait for the place in the store; longer than any challenge takes. Hosts that wait longer,
/// during an outage of the store or of another collector, are shown in the meantime.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// Wait before asking a failed store again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The control stream.
pub struct Control {
    /// To the agent.
    pub send: SendStream,
    /// Messages from the agent.
    pub messages: mpsc::Receiver<Result<Message, ReadError>>,
}

/// What an agent has said about itself before the welcome.
pub struct Introduction {
    /// The agent's identity. An agent too old to send a Claim is known only by its session.
    pub claim: Claim,
    /// The agent sent a Claim, so it also understands digests.
    pub told: bool,
    pub hello: Hello,
    /// Its NICs, if it has sent them already.
    pub inventory: Option<Inventory>,
    pub control: Control,
}

impl Introduction {
    /// Reads the agent's Claim, unless it is too old to send one, and its Hello.
    pub async fn hear(connection: &Connection, account: &Account) -> Result<Self, End> {
        account.take(Limit::Introductions, 1);
        tokio::select! {
            () = account.ready(&[Limit::Introductions]) => {}
            error = connection.closed() => return Err(End::Gone(error.in_full().to_string())),
        }
        let hello = timeout(PATIENCE, async {
            let opened = connection.accept_bi().await;
            let (mut send, mut receive) =
                opened.map_err(|error| End::Gone(error.in_full().to_string()))?;
            let mut said = reading::read_message(&mut receive, account).await?;
            // `agent doctor` compares clocks, reads notices of limits, and leaves.
            if matches!(said, Some(Message::Probe(_))) {
                notice::tell(connection, account.lately());
            }
            for _ in 0..QUESTIONS {
                let Some(Message::Probe(Probe { asked_ns })) = said else { break };
                let (arrived_ns, answered_ns) = (now_ns(), now_ns());
                let reply = ProbeReply { asked_ns, arrived_ns, answered_ns };
                write(&mut send, &Message::ProbeReply(reply)).await?;
                said = reading::read_message(&mut receive, account).await?;
            }
            let mut claim = None;
            if let Some(Message::Claim(first)) = said {
                claim = Some(first);
                said = reading::read_message(&mut receive, account).await?;
            }
            match said {
                Some(Message::Hello(hello)) => Ok((claim, hello, send, receive)),
                _ => Err(End::Refused("the first message must be Hello".into())),
            }
        });
        let (claim, hello, send, receive) = hello.await.unwrap_or(Err(End::NoHello))?;
        let running = || hello.sessions.last().map_or_else(SessionId::default, |it| it.session);
        let told = claim.is_some();
        let claim = claim.unwrap_or_else(|| Claim { session: running(), ..Claim::default() });
        let control = Control { send, messages: reading::messages(receive, account.clone()) };
        Ok(Self { claim, told, hello, inventory: None, control })
    }

    /// Takes the client's place for the agent's connection, lets it wait, or refuses it.
    pub async fn take_place(
        &mut self,
        ingest: &Ingest,
        agent: &Agent,
        connection: &Connection,
    ) -> Result<HostPlace, End> {
        let mut place = ingest.claims.enter(&agent.client, self.claim, connection);
        let share = shared_claims::take(ingest, &agent.client, self.claim, &mut place, connection);
        // During an outage of the store, the place is taken before sessions are opened.
        match timeout(STORE_PATIENCE, share).await {
            Ok(Err(Unclaimed::SecondHost(second))) => Err(self.refuse_second(ingest, second).await),
            Ok(Ok(()) | Err(Unclaimed::Store(_) | Unclaimed::Gone)) | Err(_) => Ok(place),
        }
    }

    async fn refuse_second(&mut self, ingest: &Ingest, second: SecondHost) -> End {
        if second.due {
            keep(ingest, &second);
        }
        match self.control.refuse(second.to_string()).await {
            Ok(()) => End::SecondHost(Box::new(second)),
            Err(end) => end,
        }
    }

    /// Opens the agent's sessions, however long the store takes, and welcomes it.
    pub async fn welcome(
        &mut self,
        ingest: &Ingest,
        standing: &mut Standing,
        (connection, place): (&Connection, &mut HostPlace),
        account: &Account,
    ) -> Result<Vec<SessionState>, End> {
        let opened = match self.open(ingest, standing, (connection, place), account).await {
            Err(end @ (End::Refused(_) | End::Failed(_) | End::Lost(_))) => {
                self.control.refuse(end.for_agent()).await?;
                return Err(end);
            }
            Err(End::SecondHost(second)) => return Err(self.refuse_second(ingest, *second).await),
            opened => opened?,
        };
        let digest = |it: &SessionState| {
            it.digest.map(|digest| SessionDigest { session: it.session, digest })
        };
        if self.told {
            let sessions = opened.iter().filter_map(digest).collect();
            self.control.write(&Message::Digests(Digests { sessions })).await?;
        }
        let committed = |state: &SessionState| Committed { session: state.session, seq: state.seq };
        let welcome = Message::Welcome(Welcome {
            collector_version: env!("CARGO_PKG_VERSION").into(),
            committed: opened.iter().map(committed).collect(),
        });
        self.control.write(&welcome).await?;
        Ok(opened)
    }

    async fn open(
        &mut self,
        ingest: &Ingest,
        standing: &mut Standing,
        (connection, place): (&Connection, &mut HostPlace),
        account: &Account,
    ) -> Result<Vec<SessionState>, End> {
        let agent = &standing.agent().clone();
        let Self { claim, hello, inventory, control, .. } = self;
        let opening = async {
            account.take(Limit::Sessions, hello.sessions.len() as u64);
            account.ready(&[Limit::Sessions]).await;
            open_sessions(ingest, agent, (*claim, hello), (connection, place)).await
        };
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                datagram = connection.read_datagram() => {
                    let datagram = datagram.map_err(|error| End::Gone(error.in_full().to_string()))?;
                    show(ingest, agent, hello, account, &datagram)?;
                }
                message = control.messages.recv() => match message {
                    Some(Ok(Message::Inventory(told))) => {
                        if account.over(&Limit::INVENTORY).is_none() {
                            account.take_inventory(&told);
                            ingest.live.on_inventory(&agent.client, &told);
                        }
                        *inventory = Some(told);
                    }
                    Some(Ok(other)) => {
                        return Err(End::Refused(format!("{} came before the welcome", other.kind())));
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(End::Gone("the agent ended its stream".into())),
                },
                lost = standing.lost() => return Err(End::Lost(lost)),
            }
        }
    }
}

/// Records the refusal of a second host in the store. The log has it even if that fails.
fn keep(ingest: &Ingest, second: &SecondHost) {
    let told_ns = now_ns();
    let record = SecondHostRecord {
        client: second.client.to_string(),
        since_ns: told_ns,
        told_ns,
        kept: second.kept,
        refused: second.refused,
        what: second.kin.what().to_owned(),
    };
    let store = ingest.store.clone();
    // The store may be slow.
    tokio::spawn(async move {
        if let Err(error) = store.note_second_host(&record).await {
            tracing::warn!(client = record.client, error = %error.in_full(), "can't note a second host");
        }
    });
}

impl Control {
    /// Sends the agent the reason of its refusal, and waits until it has arrived; otherwise the end of
    /// the connection would overtake it.
    async fn refuse(&mut self, reason: String) -> Result<(), End> {
        self.write(&Message::Refused(Refused { reason })).await?;
        // An agent that has gone needs no reason.
        let _gone = self.send.finish();
        let _late = timeout(FAREWELL, self.send.stopped()).await;
        Ok(())
    }

    /// Sends a message to the agent.
    pub async fn write(&mut self, message: &Message) -> Result<(), End> {
        write(&mut self.send, message).await
    }
}

/// Sends a message on a stream.
pub async fn write(send: &mut SendStream, message: &Message) -> Result<(), End> {
    let bytes =
        codec::encode_message(message).map_err(|error| End::Gone(error.in_full().to_string()))?;
    match timeout(PATIENCE, send.write_all(&bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Gone(error.in_full().to_string())),
        Err(_) => Err(End::Stuck),
    }
}

/// Why agents wait for the store. Rate-limits the log, because every agent asks each second.
static WAITING: SharedFailures<String> = SharedFailures::new();

/// Opens the sessions in the store, and retries until it answers.
async fn open_sessions(
    ingest: &Ingest,
    agent: &Agent,
    (claim, hello): (Claim, &Hello),
    (connection, place): (&Connection, &mut HostPlace),
) -> Result<Vec<SessionState>, End> {
    let client = &agent.client;
    loop {
        if let Some(reason) = ingest.writer.held() {
            if let Some(tell) = WAITING.failed(words(&reason), Instant::now()) {
                tracing::warn!(%client, reason, "agents wait for the store{tell}");
            }
            sleep(STORE_RETRY).await;
            continue;
        }
        let claimed = shared_claims::take(ingest, client, claim, place, connection).await;
        let opened = match claimed {
            Ok(()) => ingest.store.open_sessions(client, hello, now_ns()).await,
            Err(Unclaimed::Store(error)) => Err(error),
            Err(Unclaimed::Gone) => return Err(End::Gone("the connection has ended".into())),
            Err(Unclaimed::SecondHost(second)) => return Err(End::SecondHost(Box::new(second))),
        };
        match opened {
            Ok(opened) => {
                WAITING.succeeded_for(|_| true);
                return Ok(opened);
            }
            Err(StoreError::Failed { location, error }) => {
                let reason = error.in_full().to_string();
                if let Some(tell) = WAITING.failed(words(&reason), Instant::now()) {
                    tracing::warn!(%client, location, reason, "agents wait for the store{tell}");
                }
            }
            Err(StoreError::Forgotten { at_ns, .. }) => {
                readmit(ingest, agent, at_ns).await?;
                continue;
            }
            // It names the agent's own session.
            Err(error @ StoreError::ForeignSession { .. }) => {
                return Err(End::Refused(error.in_full().to_string()));
            }
            Err(error) => return Err(End::Failed(error.into())),
        }
        sleep(STORE_RETRY).await;
    }
}

/// An operator forgot the client. A certificate issued since then is accepted, an older one is refused,
/// whichever collector the client was forgotten at.
async fn readmit(ingest: &Ingest, agent: &Agent, at_ns: WallNs) -> Result<(), End> {
    let (client, at) =
        (&agent.client, UnixTime::since_unix_epoch(Duration::from_nanos(at_ns.get())));
    // Others may hold the directory's lock.
    let (records, forgotten) = (ingest.identity.records().clone(), client.clone());
    let refused = move || records.on_forgotten(&forgotten, at);
    let kept =
        tokio::task::spawn_blocking(refused).await.map_err(|error| End::Failed(error.into()))?;
    kept.map_err(|error| End::Failed(error.into()))?;
    if ingest.identity.certificate_revoked(agent) {
        return Err(End::Refused(PeerError::Revoked(client.clone()).to_string()));
    }
    if let Err(error) = ingest.store.readmit(client).await {
        if let Some(tell) = WAITING.failed(words(&error.in_full().to_string()), Instant::now()) {
            tracing::warn!(%client, error = %error.in_full(), "agents wait for the store{tell}");
        }
        sleep(STORE_RETRY).await;
    }
    Ok(())
}

/// Shows a live frame of an agent that waits for the store. The agent keeps the frame.
fn show(
    ingest: &Ingest,
    agent: &Agent,
    hello: &Hello,
    account: &Account,
    datagram: &Bytes,
) -> Result<(), End> {
    let Some(frame) = reading::datagram(datagram, account)? else { return Ok(()) };
    if !hello.sessions.iter().any(|session| session.session == frame.session) {
        return Err(FrameRefused::UnknownSession(frame.session).into());
    }
    ingest.live.observe(&agent.client, &frame, now_ns());
    Ok(())
}
