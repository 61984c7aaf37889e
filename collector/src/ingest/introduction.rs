//! How a connection begins: the agent's Hello, its sessions in the store, and the answer. A store
//! that is away may keep an agent waiting for hours: what it sends meanwhile is shown, not kept.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, SendStream};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use wire::codec::{self, Received};
use wire::message::{Committed, Hello, Inventory, Message, Refused, Welcome};

use super::Ingest;
use super::end::End;
use super::reading::{self, ReadError};
use super::sessions::FrameRefused;
use crate::identity::{Agent, PeerError};
use crate::store::{SessionState, StoreError};
use crate::time::now_ns;

/// How long an agent may take to introduce itself, and to take in what it is told.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is checked whether the client was revoked.
pub const REVOCATION: Duration = Duration::from_secs(1);

/// Wait before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// The control stream.
pub struct Control {
    /// To the agent.
    pub send: SendStream,
    /// What it says.
    pub messages: mpsc::Receiver<Result<Message, ReadError>>,
}

/// What an agent has said of itself before it was welcomed.
pub struct Introduction {
    pub hello: Hello,
    /// Its NICs, if it has told them already.
    pub inventory: Option<Inventory>,
    pub control: Control,
}

impl Introduction {
    /// Hears the agent's Hello.
    pub async fn hear(connection: &Connection) -> Result<Self, End> {
        let hello = timeout(PATIENCE, async {
            let opened = connection.accept_bi().await;
            let (send, mut receive) = opened.map_err(|error| End::Gone(error.to_string()))?;
            match reading::read_message(&mut receive).await? {
                Some(Message::Hello(hello)) => Ok((hello, send, receive)),
                _ => Err(End::Refused("the first message must be Hello".into())),
            }
        });
        let (hello, send, receive) = hello.await.unwrap_or(Err(End::NoHello))?;
        let control = Control { send, messages: reading::messages(receive) };
        Ok(Self { hello, inventory: None, control })
    }

    /// Opens the agent's sessions, however long the store takes, and welcomes it.
    pub async fn welcome(
        &mut self,
        ingest: &Ingest,
        agent: &Agent,
        connection: &Connection,
    ) -> Result<Vec<SessionState>, End> {
        let opened = match self.open(ingest, agent, connection).await {
            Err(End::Refused(reason)) => {
                let refused = Message::Refused(Refused { reason: reason.clone() });
                self.control.write(&refused).await?;
                return Err(End::Refused(reason));
            }
            opened => opened?,
        };
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
        agent: &Agent,
        connection: &Connection,
    ) -> Result<Vec<SessionState>, End> {
        let Self { hello, inventory, control } = self;
        let opening = open_sessions(ingest, agent, hello);
        tokio::pin!(opening);
        let mut check = interval(REVOCATION);
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                datagram = connection.read_datagram() => {
                    let datagram = datagram.map_err(|error| End::Gone(error.to_string()))?;
                    show(ingest, agent, hello, &datagram)?;
                }
                message = control.messages.recv() => match message {
                    Some(Ok(Message::Inventory(told))) => {
                        ingest.live.on_inventory(&agent.client, &told);
                        *inventory = Some(told);
                    }
                    Some(Ok(other)) => {
                        return Err(End::Refused(format!("{other:?} came before the welcome")));
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(End::Gone("the agent ended its stream".into())),
                },
                _ = check.tick() => refuse_revoked(ingest, agent)?,
            }
        }
    }
}

impl Control {
    /// Says something to the agent.
    pub async fn write(&mut self, message: &Message) -> Result<(), End> {
        let bytes = codec::encode_message(message);
        match timeout(PATIENCE, self.send.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Gone(error.to_string())),
            Err(_) => Err(End::Stuck),
        }
    }
}

/// Opens the sessions in the store, again and again until that answers.
async fn open_sessions(
    ingest: &Ingest,
    agent: &Agent,
    hello: &Hello,
) -> Result<Vec<SessionState>, End> {
    let client = &agent.client;
    let mut told = false;
    loop {
        match ingest.store.open_sessions(client, hello, now_ns()).await {
            Ok(opened) => return Ok(opened),
            Err(StoreError::Failed { location, reason }) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%client, location, reason, "an agent waits for the store");
                }
            }
            Err(error) => return Err(End::Refused(error.to_string())),
        }
        sleep(STORE_RETRY).await;
    }
}

/// Shows a live frame of an agent that waits for the store. The agent keeps it.
fn show(ingest: &Ingest, agent: &Agent, hello: &Hello, datagram: &Bytes) -> Result<(), End> {
    let received = codec::decode(datagram).map_err(|error| End::Read(error.into()))?;
    let Received::Frame(frame) = received else { return Err(End::Read(ReadError::Misplaced)) };
    if !hello.sessions.iter().any(|session| session.session == frame.session) {
        return Err(FrameRefused::UnknownSession(frame.session).into());
    }
    ingest.live.observe(&agent.client, &frame, now_ns());
    Ok(())
}

/// Ends the connection of a client that was revoked since.
pub fn refuse_revoked(ingest: &Ingest, agent: &Agent) -> Result<(), End> {
    if ingest.identity.is_revoked(agent, Instant::now()) {
        return Err(End::Refused(PeerError::Revoked(agent.client.clone()).to_string()));
    }
    Ok(())
}
