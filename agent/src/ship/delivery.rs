//! Delivery over one connection after another: the I/O around `wire::delivery::Sender`.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender as Requests;
use futures_util::FutureExt;
use quinn::{Connection, SendStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use wire::Seq;
use wire::WallNs;
use wire::delivery::Sender;
use wire::id::SessionId;
use wire::message::{
    Ack, Agreed, Claim, Committed, Hello, Host, HostKey, Inventory, LIST_MAX, Message, NUMBER_MAX,
    Probe, ProbeReply, SeqRange, Session,
};

use super::clock_check::{ClockCheck, ClockVerdict};
pub use super::error::DeliveryError;
use super::patience::{Bounds, Patience};
use super::recorder::{RecorderEvent, RecorderRequest, ask};
use super::said::{greet, told, welcomed_with};
use super::spool::{Forked, Record, SpooledSession};
use super::streaming::{Sending, busy, stream};
use super::understood::{ack_pace, understood};
use crate::clocks;
use crate::connection::control::{self, ControlError};

/// Close code of a connection that has done its work.
const CLOSE_DONE: u32 = 0;

/// Sessions per Hello, including the running one: a collector opens all of them at once, and
/// accepts at most [`LIST_MAX`].
const PORTION: usize = 1024;
const _: () = assert!(PORTION <= LIST_MAX);

/// The agent's description of itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The operator's name for the client.
    pub alias: String,
    /// Facts about the host.
    pub host: Host,
}

/// All sessions that have something to deliver.
#[derive(Debug)]
pub struct Delivery {
    pub(super) about: About,
    /// Those that are introduced, oldest first, the running one last.
    sessions: Vec<(SpooledSession, Sender)>,
    /// Those that are introduced once these are done, oldest first.
    later: VecDeque<SpooledSession>,
    requests: Requests<RecorderRequest>,
    events: mpsc::Receiver<RecorderEvent>,
    /// The running session has ended.
    finished: bool,
    inventory: watch::Receiver<Inventory>,
    started: Instant,
    clock: ClockCheck,
    /// Time limits for the collector.
    pub bounds: Bounds,
}

impl Delivery {
    /// Delivers `sessions`, oldest first; the last is the running one.
    #[must_use]
    pub fn new(
        about: About,
        sessions: Vec<SpooledSession>,
        requests: Requests<RecorderRequest>,
        events: mpsc::Receiver<RecorderEvent>,
        inventory: watch::Receiver<Inventory>,
    ) -> Self {
        let mut later = VecDeque::from(sessions);
        let sessions = later.pop_back().map(sending).into_iter().collect();
        let clock = ClockCheck::new(about.host.sample_interval_ns);
        let mut delivery = Self {
            about,
            sessions,
            later,
            requests,
            events,
            finished: false,
            inventory,
            started: Instant::now(),
            clock,
            bounds: Bounds::default(),
        };
        delivery.next_portion();
        delivery
    }

    /// Adds the oldest waiting sessions, before the running one.
    fn next_portion(&mut self) {
        let room = PORTION.saturating_sub(self.sessions.len()).min(self.later.len());
        self.sessions.splice(0..0, self.later.drain(..room).map(sending));
    }

    /// True once all sessions that are introduced are done but the running one, and others wait.
    fn is_portion_done(&self) -> bool {
        self.sessions.len() <= 1 && !self.later.is_empty()
    }

    /// True once the running session has ended and everything is in the collector's database.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.finished && self.later.is_empty() && self.sessions.iter().all(|(_, it)| it.is_done())
    }

    /// True once the running session has ended.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes note of new records until `until`, when the next connection is due. Ends early if the
    /// running session does.
    pub async fn wait(&mut self, until: Instant) {
        let over = sleep_until(until);
        tokio::pin!(over);
        let was_finished = self.finished;
        while self.finished == was_finished {
            tokio::select! {
                () = &mut over => return,
                event = self.events.recv(), if !self.finished => { self.on_event(event); }
            }
        }
    }

    /// Processes new records while waiting for something else.
    pub async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                event = self.events.recv(), if !self.finished => { self.on_event(event); }
            }
        }
    }

    /// Delivers over a connection until it breaks, or until everything that was introduced is
    /// delivered. Then [`Delivery::is_done`], or further sessions are to be introduced by a new
    /// connection. `host` is the key of this host.
    ///
    /// # Errors
    /// [`DeliveryError`] says why the connection can't be used any more.
    pub async fn over(
        &mut self,
        connection: &Connection,
        host: HostKey,
        welcomed: impl FnOnce(),
    ) -> Result<(), DeliveryError> {
        // A panic ends the connection only; samples still go to the spool.
        let talk = AssertUnwindSafe(self.talk(connection, host, welcomed)).catch_unwind().await;
        let result = talk.unwrap_or(Err(DeliveryError::Panicked));
        self.disconnected();
        if result.is_ok() {
            connection.close(CLOSE_DONE.into(), b"finished");
            self.next_portion();
        }
        result
    }

    async fn talk(
        &mut self,
        connection: &Connection,
        host: HostKey,
        welcomed: impl FnOnce(),
    ) -> Result<(), DeliveryError> {
        let session = self.sessions.last().map_or_else(SessionId::default, |(it, _)| it.session);
        let said = [Message::Claim(Claim { host, session }), self.hello()];
        let unanswered = DeliveryError::Unanswered(self.bounds.answer);
        let until = Instant::now() + self.bounds.answer;
        let greeted = self.meanwhile(timeout_at(until, greet(connection, &said))).await;
        let (mut send, receive) = greeted.map_err(|_| unanswered)??;
        let mut messages = control::messages(connection.clone(), receive);
        self.inventory.mark_changed();
        let mut digests = Vec::new();
        let mut answer = self.answer(connection, &mut send, &mut messages, until).await?;
        if let Some(Ok(Message::Digests(told))) = answer {
            digests = told.sessions;
            answer = self.answer(connection, &mut send, &mut messages, until).await?;
        }
        let committed = welcomed_with(answer)?;
        let requests = self.requests.clone();
        let told = told(&committed, &digests);
        let forked = ask(&requests, |answer| RecorderRequest::Welcome(told, answer));
        let forked = self.meanwhile(forked).await.ok_or(DeliveryError::RecorderGone)??;
        if !forked.is_empty() {
            // Introduce them before anything else.
            self.go_on(&forked);
            return Err(DeliveryError::Forked(forked.len()));
        }
        for (spooled, sender) in &mut self.sessions {
            let found = committed.iter().find(|state| state.session == spooled.session);
            sender.on_connected(found.map_or(Seq(0), |state| state.seq), ack_pace(connection));
        }
        self.forget_done();
        // Before any live frame that may be kept.
        control::write(&mut send, connection, &Message::Agreed(Agreed { session })).await?;
        welcomed();
        self.deliver(connection, &mut send, &mut messages).await
    }

    /// Continues sessions under their new ids.
    fn go_on(&mut self, forked: &[Forked]) {
        for it in forked {
            let known = |(known, _): &&mut (SpooledSession, Sender)| known.session == it.before;
            if let Some(session) = self.sessions.iter_mut().find(known) {
                let SpooledSession { committed_seq, last_seq, .. } = it.session;
                *session = (it.session, Sender::new(committed_seq, last_seq));
            }
        }
    }

    /// Waits for the answer to Hello. While its database is away the collector doesn't answer; new
    /// records are sent meanwhile so that it can show them, and delivered later.
    async fn answer(
        &mut self,
        connection: &Connection,
        send: &mut SendStream,
        messages: &mut mpsc::Receiver<Result<Message, ControlError>>,
        until: Instant,
    ) -> Result<Option<Result<Message, ControlError>>, DeliveryError> {
        loop {
            tokio::select! {
                message = messages.recv() => return Ok(message),
                () = sleep_until(until) => return Err(DeliveryError::Unanswered(self.bounds.answer)),
                event = self.events.recv(), if !self.finished => {
                    if let Some(RecorderEvent::Made(_, record)) = &event {
                        // If the connection can't take it, it isn't shown.
                        let frame = understood(connection, &record.frame).into_owned();
                        let _shown = connection.send_datagram(frame.into());
                    }
                    self.on_event(event);
                }
                Ok(()) = self.inventory.changed() => self.tell_nics(connection, send).await?,
            }
        }
    }

    async fn tell_nics(
        &mut self,
        connection: &Connection,
        send: &mut SendStream,
    ) -> Result<(), ControlError> {
        let mut inventory = self.inventory.borrow_and_update().clone();
        if inventory.nics.len() > LIST_MAX {
            tracing::warn!(
                nics = inventory.nics.len(),
                "too many NICs; the collector gets the \
             first {LIST_MAX}"
            );
            inventory.nics.truncate(LIST_MAX);
        }
        control::write(send, connection, &Message::Inventory(inventory)).await
    }

    async fn deliver(
        &mut self,
        connection: &Connection,
        send: &mut SendStream,
        messages: &mut mpsc::Receiver<Result<Message, ControlError>>,
    ) -> Result<(), DeliveryError> {
        let mut sending: Option<Sending> = None;
        let mut patience = Patience::new(Instant::now(), self.bounds.commit);
        while !self.is_done() && !self.is_portion_done() {
            let rtt = connection.rtt();
            if sending.is_none() {
                sending = self.next_stream(connection);
            }
            let deadlines = self.sessions.iter().filter_map(|(_, sender)| sender.deadline(rtt));
            let deadline = self.started + deadlines.min().unwrap_or(Duration::from_secs(1 << 30));
            tokio::select! {
                event = self.events.recv(), if !self.finished => {
                    if let Some((record, seq)) = self.on_event(event) {
                        self.send_live(connection, &record, seq);
                    }
                }
                sent = busy(&mut sending) => {
                    sending = None;
                    let (session, range) = sent?;
                    self.sender(session, |sender| sender.on_streamed(range.first, range.last));
                }
                message = messages.recv() => match message {
                    Some(Ok(Message::Ack(ack))) => {
                        if self.on_ack(&ack, rtt) || self.sessions.iter().all(|(_, it)| it.is_done()) {
                            patience.on_progress(Instant::now());
                        }
                    }
                    Some(Ok(Message::Probe(probe))) => {
                        let answer = self.answer_probe(probe, rtt);
                        control::write(send, connection, &answer).await?;
                    }
                    Some(Ok(Message::Refused(refused))) => {
                        return Err(DeliveryError::Refused(refused.reason));
                    }
                    Some(Ok(other)) => tracing::debug!(?other, "ignored a message that is not for \
                     agents"),
                    Some(Err(error)) => return Err(error.into()),
                    None => {
                        let reason = control::why(connection, &"the control stream ended");
                        return Err(ControlError::Gone(reason).into());
                    }
                },
                () = sleep_until(patience.until()) => return Err(DeliveryError::Stalled(self.bounds.commit)),
                () = sleep_until(deadline) => {
                    let now = self.started.elapsed();
                    for (_, sender) in &mut self.sessions {
                        sender.on_time(now, rtt);
                    }
                }
                Ok(()) = self.inventory.changed() => self.tell_nics(connection, send).await?,
            }
        }
        Ok(())
    }

    fn hello(&self) -> Message {
        let session = |(it, _): &(SpooledSession, Sender)| Session {
            session: it.session,
            // The clock may be wrong.
            started_ns: it.started_ns.min(WallNs(NUMBER_MAX)),
        };
        Message::Hello(Hello {
            sessions: self.sessions.iter().map(session).collect(),
            alias: self.about.alias.clone(),
            host: self.about.host.clone(),
        })
    }

    /// Registers a new record. Returns it if it should be sent live.
    fn on_event(&mut self, event: Option<RecorderEvent>) -> Option<(Record, Seq)> {
        let now = self.started.elapsed();
        let (spooled, running) = self.sessions.last_mut()?;
        match event {
            // Made before the session got its new id, which came with its last number.
            Some(RecorderEvent::Made(session, _)) if session != spooled.session => {}
            Some(RecorderEvent::Made(_, record)) => {
                let SeqRange { first, last } = record.range;
                // Records in between were skipped because this task was too slow.
                running.on_kept(first - 1);
                if first == last && running.on_made(now) {
                    return Some((record, first));
                }
                running.on_kept(last);
            }
            Some(RecorderEvent::Finished(session, last)) => {
                if session == spooled.session {
                    running.on_kept(last);
                }
                running.on_finished();
                self.finished = true;
            }
            None => self.finished = true,
        }
        None
    }

    fn send_live(&mut self, connection: &Connection, record: &Record, seq: Seq) {
        let frame = understood(connection, &record.frame);
        let fits = connection.max_datagram_size().is_some_and(|max| frame.len() <= max);
        // If the connection can't take it now, the window sends it again.
        if (!fits || connection.send_datagram(Bytes::from(frame.into_owned())).is_err())
            && let Some((_, running)) = self.sessions.last_mut()
        {
            running.on_too_long_for_live(seq);
        }
    }

    /// True if something was committed.
    fn on_ack(&mut self, ack: &Ack, rtt: Duration) -> bool {
        let now = self.started.elapsed();
        let mut sessions = self.sessions.iter_mut();
        let Some((spooled, sender)) = sessions.find(|(it, _)| it.session == ack.session) else {
            return false;
        };
        let before = sender.committed();
        sender.on_ack(ack, now, rtt);
        let committed = Committed { session: spooled.session, seq: sender.committed() };
        if committed.seq > before {
            let _gone = self.requests.send(RecorderRequest::Committed(committed));
        }
        self.forget_done();
        committed.seq > before
    }

    /// Forgets sessions that are done, except the running one.
    fn forget_done(&mut self) {
        let running = self.sessions.last().map(|(it, _)| it.session);
        self.sessions.retain(|(it, sender)| Some(it.session) == running || !sender.is_done());
    }

    /// Answers a probe, and warns once if the clocks differ.
    fn answer_probe(&mut self, probe: Probe, rtt: Duration) -> Message {
        let (asked_ns, now_ns) = (probe.asked_ns, clocks::wall_ns().min(WallNs(NUMBER_MAX)));
        match self.clock.on_probe(asked_ns, now_ns, rtt) {
            Some(ClockVerdict::Differ(how)) => {
                tracing::warn!("{how}; samples are dated by this one")
            }
            Some(ClockVerdict::Agree) => {
                tracing::info!("the collector's clock and this one agree again")
            }
            None => {}
        }
        Message::ProbeReply(ProbeReply { asked_ns, arrived_ns: now_ns, answered_ns: now_ns })
    }

    fn sender(&mut self, session: SessionId, act: impl FnOnce(&mut Sender)) {
        if let Some((_, sender)) = self.sessions.iter_mut().find(|(it, _)| it.session == session) {
            act(sender);
        }
    }

    /// Starts the next stream, of the oldest session that has something to send by stream.
    fn next_stream(&self, connection: &Connection) -> Option<Sending> {
        let (session, range) = self
            .sessions
            .iter()
            .find_map(|(it, sender)| Some((it.session, sender.poll_stream()?)))?;
        Some(stream(connection, &self.requests, session, range))
    }

    /// Ends everything that was begun on the connection.
    fn disconnected(&mut self) {
        for (_, sender) in &mut self.sessions {
            sender.on_disconnected();
        }
        // The recorder only ends after this.
        let _gone = self.requests.send(RecorderRequest::Disconnected);
    }
}

fn sending(session: SpooledSession) -> (SpooledSession, Sender) {
    (session, Sender::new(session.committed_seq, session.last_seq))
}
