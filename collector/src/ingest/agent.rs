//! One agent's connection, from Hello to its end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, VarInt};
use settings::{InFull, SharedFailures};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use wire::codec;
use wire::delivery::Accepted;
use wire::frame::Frame;
use wire::id::ClientId;
use wire::message::{Inventory, Message, Probe, Refused};

use super::claims::HostPlace;
use super::clock::ClockOffset;
use super::commits::Commits;
use super::end::End;
use super::introduction::{Control, Introduction};
use super::limits::{Account, Entry, Limit};
use super::notes::{Note, Notes};
use super::notice;
use super::reading;
use super::requests::Requests;
use super::sessions::{Sessions, Way};
use super::shared::Ingest;
use super::shared_claims;
use crate::identity::{Agent, Standing, protocol};
use crate::listen::canonical;
use crate::store::{Epoch, SessionState};
use crate::time::now_ns;
use crate::writer::{Progress, Reservation};

/// Interval between clock probes, and between notices about limits.
const PROBE: Duration = Duration::from_secs(10);

/// QUIC receive window of a served connection, bytes.
const RECEIVE_WINDOW: VarInt = VarInt::from_u32(1 << 20);

/// Connections closed, by client and reason. Rate-limits the log, because agents reconnect forever.
static CLOSED: SharedFailures<(ClientId, &'static str)> = SharedFailures::new();

/// Why a connection ended, in words: the agent's own reason if it gave one, as `agent doctor` does.
fn gone(reason: &ConnectionError) -> String {
    match reason {
        ConnectionError::ApplicationClosed(close) => {
            format!("the agent closed: {}", String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::TimedOut => "the agent doesn't answer".to_owned(),
        ConnectionError::Reset => "the agent was restarted".to_owned(),
        other => other.to_string(),
    }
}

/// Serves an agent until its connection ends.
pub async fn serve(ingest: Ingest, agent: Agent, connection: Connection) {
    let client = agent.client.clone();
    let address = canonical(connection.remote_address());
    let account = ingest.limits.account(&client);
    let entry = account.enter(&connection);
    let mut standing = Standing::new(ingest.identity.clone(), agent);
    let heard = tokio::select! {
        heard = Introduction::hear(&connection, &account) => heard,
        lost = standing.lost() => Err(End::Lost(lost)),
    };
    let end = match heard {
        Ok(introduction) => {
            let introduced = Introduced { standing, account, entry, introduction };
            admit(&ingest, &connection, introduced).await
        }
        Err(end) => end,
    };
    let end = match (end, connection.close_reason()) {
        (End::Gone(_), Some(reason)) => End::Gone(gone(&reason)),
        (end, _) => end,
    };
    if let Some((code, reason)) = end.close() {
        metrics::counter!("netmon_collector_rejects_total", "reason" => reason).increment(1);
        match &end {
            // Each End decides beforehand whether it is logged.
            End::SecondHost(second) if second.news => {
                tracing::warn!(%client, %address, end = %end.in_full(), "closed a connection");
            }
            End::SecondHost(second) => {
                tracing::debug!(%client, %address, times = second.times, "a second host, still");
            }
            _ => match CLOSED.failed((client.clone(), reason), Instant::now()) {
                Some(tell) => {
                    tracing::warn!(%client, %address, end = %end.in_full(), "closed a connection{tell}")
                }
                None => {
                    tracing::debug!(%client, %address, end = %end.in_full(), "closed a connection, still")
                }
            },
        }
        connection.close(code.into(), end.for_agent().as_bytes());
    } else {
        CLOSED.succeeded_for(|(other, _)| *other == client);
        tracing::info!(%client, %address, end = %end.in_full(), "disconnected");
        connection.close(0u32.into(), end.for_agent().as_bytes());
    }
}

/// An agent that has introduced itself, with its client's usage.
struct Introduced {
    standing: Standing,
    account: Account,
    entry: Entry,
    introduction: Introduction,
}

/// Serves an agent that has introduced itself, unless another host holds its client's place.
async fn admit(ingest: &Ingest, connection: &Connection, introduced: Introduced) -> End {
    let Introduced { standing, account, entry, mut introduction } = introduced;
    let client = standing.agent().client.clone();
    let mut place = match introduction.take_place(ingest, standing.agent(), connection).await {
        Ok(place) => place,
        Err(end) => return end,
    };
    // From here on, another connection can't push this one out, however long the store takes.
    drop(entry);
    let (hello, address) = (&introduction.hello, canonical(connection.remote_address()));
    tracing::info!(%client, %address, version = hello.host.agent_version, "connected");
    ingest.live.on_connected(&client, &hello.alias, &hello.host, now_ns());
    ingest.live.on_sessions(&client, &hello.sessions);
    ingest.live.on_located(&client, is_same_host(connection));
    ingest.live.on_certificate(&client, standing.agent().validity.not_after.as_secs());
    let end = attend(ingest, standing, (connection, &mut place), introduction, account).await;
    ingest.live.on_disconnected(&client, now_ns());
    shared_claims::give_back(&ingest.store, &client, &place);
    drop(place);
    end
}

/// True if the addresses show that the agent runs on this collector's host.
fn is_same_host(connection: &Connection) -> bool {
    let peer = canonical(connection.remote_address()).ip();
    peer.is_loopback() || connection.local_ip().is_some_and(|own| own.to_canonical() == peer)
}

/// Welcomes an agent and receives its frames.
async fn attend(
    ingest: &Ingest,
    mut standing: Standing,
    (connection, place): (&Connection, &mut HostPlace),
    mut introduction: Introduction,
    account: Account,
) -> End {
    let opened = introduction.welcome(ingest, &mut standing, (connection, place), &account).await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    connection.set_receive_window(RECEIVE_WINDOW);
    connection.set_max_concurrent_uni_streams(ingest.limits.client().streams.into());
    let mut served = Served::new(ingest.clone(), standing, connection.clone(), opened, account);
    // An agent too old to compare digests counts as agreed.
    served.agreed = !introduction.told;
    if let Some(inventory) = introduction.inventory {
        // The live view may have shown it already.
        served.on_inventory(inventory);
    }
    served.run(introduction.control).await
}

/// A frame waiting for memory.
type Waiting = Pin<Box<dyn Future<Output = (Epoch, Frame, Option<Reservation>)> + Send>>;

/// A connection whose agent was welcomed.
struct Served {
    ingest: Ingest,
    client: ClientId,
    standing: Standing,
    connection: Connection,
    opened: Vec<SessionState>,
    commits: Commits,
    sessions: Sessions,
    /// The next frame, if the writer has no memory for it yet. Until it has, no stream is read, and
    /// live frames are shown but not kept; the agent keeps them.
    waiting: Option<Waiting>,
    /// The agent has confirmed that its sessions match the store's. Earlier live frames may belong to
    /// another history, so they are shown but not kept.
    agreed: bool,
    clock: ClockOffset,
    notes: Notes,
    account: Account,
    /// An inventory that has to wait, and its due time.
    inventory: Option<(Inventory, Instant)>,
    started: Instant,
}

impl Served {
    fn new(
        ingest: Ingest,
        standing: Standing,
        connection: Connection,
        opened: Vec<SessionState>,
        account: Account,
    ) -> Self {
        let pace = wire::ack_pace(&protocol(&connection));
        let sessions = Sessions::new(&opened, pace, account.clone());
        let client = standing.agent().client.clone();
        let commits = Commits::open(&ingest.writer, &client, &opened, pace);
        let (clock, started) = (ClockOffset::default(), Instant::now());
        let notes = Notes::new(
            ingest.store.clone(),
            ingest.writer.clone(),
            ingest.live.clone(),
            client.clone(),
        );
        Self {
            ingest,
            client,
            standing,
            connection,
            opened,
            commits,
            sessions,
            waiting: None,
            agreed: false,
            clock,
            notes,
            account,
            inventory: None,
            started,
        }
    }

    async fn run(mut self, control: Control) -> End {
        let open = metrics::gauge!("netmon_collector_sessions");
        #[allow(clippy::cast_precision_loss, reason = "at most some thousands")]
        let count = self.opened.len() as f64;
        open.increment(count);
        let ended = self.talk(control).await;
        open.decrement(count);
        for state in &self.opened {
            self.ingest.writer.close(state.session, state.epoch);
        }
        match ended {
            Err(end) => end,
            Ok(never) => match never {},
        }
    }

    async fn talk(&mut self, mut control: Control) -> Result<std::convert::Infallible, End> {
        let mut frames = reading::frames(self.connection.clone(), self.account.clone());
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (renewed, mut renewals) = mpsc::channel(1);
        // What waits for the connection goes on waiting while something else happens: to begin anew takes
        // its lock.
        let connection = self.connection.clone();
        let mut datagrams = pin!(connection.read_datagram());
        let mut streams = pin!(connection.accept_bi());
        let (mut ack, mut ack_set) = (pin!(sleep_until(self.started.into())), None);
        loop {
            let inventory_due = self.inventory.as_ref().map_or(self.started, |(_, due)| *due);
            // To set a timer takes a lock, so it is set only when its time changes.
            if ack_set != self.sessions.ack_due() {
                ack_set = self.sessions.ack_due();
                ack.as_mut().reset((self.started + ack_set.unwrap_or_default()).into());
            }
            tokio::select! {
                datagram = &mut datagrams => {
                    datagrams.set(connection.read_datagram());
                    let datagram = datagram.map_err(|error| End::Gone(error.in_full().to_string()))?;
                    self.on_datagram(&datagram)?;
                }
                frame = frames.recv(), if self.waiting.is_none() => match frame {
                    Some(frame) => self.on_frame(frame?, Way::Stream)?,
                    None => return Err(End::Gone(self.why_gone())),
                },
                (epoch, frame, reservation) = waited(&mut self.waiting) => {
                    self.waiting = None;
                    self.ingest.writer.submit(epoch, frame, reservation.ok_or(End::Stopped)?);
                    self.submit();
                }
                Some((session, progress)) = self.commits.next() => {
                    let Progress { committed, quarantined } = progress.ok_or(End::Superseded)?;
                    self.sessions.on_committed(session, committed, self.started.elapsed());
                    if let Some(why) = quarantined {
                        for ack in self.sessions.take_acks(self.started.elapsed()) {
                            control.write(&Message::Ack(ack)).await?;
                        }
                        let reason = End::Quarantined(why.to_string());
                        let refused = Refused { reason: reason.to_string() };
                        control.write(&Message::Refused(refused)).await?;
                        return Err(reason);
                    }
                }
                () = &mut ack, if ack_set.is_some() => {
                    self.read_progress();
                    for ack in self.sessions.take_acks(self.started.elapsed()) {
                        control.write(&Message::Ack(ack)).await?;
                    }
                }
                message = control.messages.recv() => match message {
                    Some(message) => self.on_message(message?)?,
                    None => return Err(End::Gone(self.why_gone())),
                },
                () = sleep_until(inventory_due.into()), if self.inventory.is_some() => {
                    if let Some((inventory, _)) = self.inventory.take() {
                        self.on_inventory(inventory);
                    }
                }
                stream = &mut streams => {
                    streams.set(connection.accept_bi());
                    let stream = stream.map_err(|error| End::Gone(error.in_full().to_string()))?;
                    self.requests().answer(stream, renewed.clone());
                }
                Some(agent) = renewals.recv() => {
                    let end_s = agent.validity.not_after.as_secs();
                    self.ingest.live.on_certificate(&self.client, end_s);
                    self.standing.renew(agent);
                }
                lost = self.standing.lost() => return Err(End::Lost(lost)),
                _ = probe.tick() => {
                    notice::tell(&self.connection, self.account.untold());
                    control.write(&Message::Probe(Probe { asked_ns: now_ns() })).await?;
                }
            }
        }
    }

    fn requests(&self) -> Requests {
        Requests {
            identity: self.ingest.identity.clone(),
            live: self.ingest.live.clone(),
            agent: self.standing.agent().clone(),
            connection: self.connection.clone(),
            account: self.account.clone(),
            notes: self.notes.clone(),
        }
    }

    fn why_gone(&self) -> String {
        let closed = self.connection.close_reason();
        closed.map_or_else(|| "the agent ended its stream".into(), |reason| reason.to_string())
    }

    /// Shows a live frame, and keeps it if there is room.
    fn on_datagram(&mut self, datagram: &Bytes) -> Result<(), End> {
        let Some(frame) = reading::datagram(datagram, &self.account)? else { return Ok(()) };
        if self.agreed && self.waiting.is_none() {
            return self.on_frame(frame, Way::Live);
        }
        self.ingest.live.observe(&self.client, &frame, now_ns());
        Ok(())
    }

    /// Takes note of the running session's commits that nobody has told.
    fn read_progress(&mut self) {
        if let Some((session, committed)) = self.commits.untold() {
            self.sessions.on_committed(session, committed, self.started.elapsed());
        }
    }

    fn on_frame(&mut self, frame: Frame, way: Way) -> Result<(), End> {
        if way == Way::Stream {
            self.commits.heed(frame.session, frame.last_seq);
            self.read_progress();
        }
        let bytes = codec::frame_size(&frame);
        metrics::counter!("netmon_collector_frames_total").increment(1);
        metrics::counter!("netmon_collector_bytes_total").increment(bytes as u64);
        let gap = frame.gap != 0;
        let unseen = frame.clone();
        match self.sessions.on_frame(frame, way, self.started.elapsed())? {
            Accepted::Kept if gap => {
                metrics::counter!("netmon_collector_gaps_total").increment(1);
            }
            Accepted::Duplicate => {
                metrics::counter!("netmon_collector_duplicates_total").increment(1);
                if way == Way::Stream {
                    self.ingest.writer.heed(unseen.session);
                }
            }
            _ => {}
        }
        self.ingest.live.observe(&self.client, &unseen, now_ns());
        self.submit();
        Ok(())
    }

    /// Passes frames in order to the writer while it has memory.
    fn submit(&mut self) {
        while let Some((epoch, frame)) = self.sessions.next() {
            let writer = &self.ingest.writer;
            let share = self.account.share();
            match writer.try_reserve(&frame, share) {
                Some(reservation) => writer.submit(epoch, frame, reservation),
                None => {
                    let (writer, share) = (writer.clone(), share.clone());
                    self.waiting = Some(Box::pin(async move {
                        let reservation = writer.reserve(&frame, &share).await;
                        (epoch, frame, reservation)
                    }));
                    return;
                }
            }
        }
    }

    fn on_message(&mut self, message: Message) -> Result<(), End> {
        let client = &self.client;
        match message {
            Message::Agreed(_) => self.agreed = true,
            Message::Inventory(inventory) => self.on_inventory(inventory),
            Message::ProbeReply(reply) => {
                let Some(offset_ns) = self.clock.on_reply(reply, now_ns()) else { return Ok(()) };
                self.ingest.live.on_clock_offset(client, offset_ns);
                let Some(running) = self.opened.last() else { return Ok(()) };
                self.notes.take(Note::ClockOffset { session: running.session, offset_ns });
            }
            other => return Err(End::Refused(format!("an agent doesn't say {}", other.kind()))),
        }
        Ok(())
    }

    /// Records the NICs, now or as soon as the limits allow. Until then, a newer inventory replaces the
    /// waiting one.
    fn on_inventory(&mut self, inventory: Inventory) {
        if let Some(wait) = self.account.over(&Limit::INVENTORY) {
            self.inventory = Some((inventory, Instant::now() + wait));
            return;
        }
        self.account.take_inventory(&inventory);
        self.inventory = None;
        self.ingest.live.on_inventory(&self.client, &inventory);
        self.notes.take(Note::Inventory(inventory));
    }
}

/// Waits for the memory of the waiting frame; without one, waits forever.
async fn waited(waiting: &mut Option<Waiting>) -> (Epoch, Frame, Option<Reservation>) {
    match waiting {
        Some(waiting) => waiting.await,
        None => std::future::pending().await,
    }
}
