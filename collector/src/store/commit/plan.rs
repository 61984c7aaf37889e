//! The plan of a commit: fit the batch, try it whole, split it by clients while it is refused, and
//! quarantine a client's refused frames. Pure: the caller tries and reports.
//!
//! One client's data never harms others: it costs a bounded number of trials and a bounded time. After
//! that, all of its frames go to quarantine unchanged.

use std::sync::Arc;
use std::time::Duration;

use wire::id::{ClientId, SessionId};
use wire::{Seq, WallNs};

use crate::store::commit::fit::fit;
use crate::store::commit::search::Bisection;
use crate::store::commit::strikes::{Strikes, TRIALS};
use crate::store::port::write::TransactionEnd;
use crate::store::rows::batch::{Batch, SessionBatch};
use crate::store::rows::epoch::Epoch;

/// Longest search for refused frames, per client and per batch, without the current trial: other
/// clients wait meanwhile. Frames not searched by then are quarantined together.
const SEARCH: Duration = Duration::from_secs(1);
const SEARCHES: Duration = Duration::from_secs(5);

/// Trials that each client has even if others used up the batch's time.
const FEW: u32 = 4;

/// A batch while it is committed.
#[derive(Debug)]
pub struct Plan {
    /// Parts still to commit, the next one last.
    parts: Vec<Part>,
    strikes: Strikes,
    /// When all searches of the batch must end.
    until: Duration,
}

/// The search for a client's refused frames.
#[derive(Debug)]
struct Search {
    frames: Bisection,
    reason: Arc<str>,
    /// When it must end, after at least [`FEW`] trials.
    until: Duration,
    trials: u32,
}

/// Sessions of a batch that are committed together.
#[derive(Debug)]
struct Part {
    batch: Arc<Batch>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Unchanged. If refused, it is split.
    Whole,
    /// Some frames of this single client are refused; the search runs.
    Search(Search),
    /// The refused frames are known and go to quarantine.
    Judged,
    /// All of its frames go to quarantine.
    Sentenced,
}

/// The result of a committed part.
#[derive(Debug, Default)]
pub struct Taken {
    /// The advanced sessions.
    pub sessions: Vec<TakenSession>,
    /// Frames that went to quarantine.
    pub quarantined: Vec<Quarantined>,
    /// Data dated too far from the collector's time.
    pub misdated: Vec<Misdated>,
}

/// A client's data dated too far from the collector's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misdated {
    /// The client.
    pub client: ClientId,
    /// Samples: stored as gaps with exact counts.
    pub samples: u64,
    /// Mixes: not stored.
    pub mixes: u64,
    /// Records of talkers: not stored.
    pub talkers: u64,
}

/// A session that advanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenSession {
    /// Its id.
    pub session: SessionId,
    /// Its opening.
    pub epoch: Epoch,
    /// Its committed number.
    pub seq: Seq,
}

/// Frames of a session that went to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The client.
    pub client: ClientId,
    /// The session.
    pub session: SessionId,
    /// Its opening.
    pub epoch: Epoch,
    /// Number of frames.
    pub frames: usize,
    /// The reason for the first of them.
    pub reason: Arc<str>,
    /// True if all frames of the client in the batch went there, or the search was cut short.
    pub whole: bool,
}

impl Plan {
    /// Plans the commit of `batch` from `now` on, a duration since any fixed start. Clients known to
    /// `strikes` come last, one by one.
    #[must_use]
    pub fn new(mut batch: Batch, mut strikes: Strikes, now: Duration) -> Self {
        fit(&mut batch);
        strikes.forgive(now);
        let Batch { sessions, refused, near } = batch;
        let (mut apart, together): (Vec<_>, Vec<_>) =
            sessions.into_iter().partition(|session| strikes.has(&session.client));
        let mut plan = Self { parts: Vec::new(), strikes, until: now + SEARCHES };
        let part = |sessions| Batch { sessions, refused: refused.clone(), near };
        apart.sort_by(|a, b| a.client.cmp(&b.client));
        for sessions in apart.chunk_by(|a, b| a.client == b.client) {
            plan.push(part(sessions.to_vec()), State::Whole);
        }
        plan.push(part(together), State::Whole);
        plan
    }

    fn push(&mut self, batch: Batch, state: State) {
        if !batch.sessions.is_empty() {
            self.parts.push(Part { batch: Arc::new(batch), state });
        }
    }

    /// The next part to add, and how to end its transaction; `None` once all is done.
    #[must_use]
    pub fn next_step(&self) -> Option<(Arc<Batch>, TransactionEnd)> {
        let Part { batch, state } = self.parts.last()?;
        let trial = match state {
            State::Search(search) => search.frames.next_trial(),
            _ => None,
        };
        let Some(left_out) = trial else { return Some((batch.clone(), TransactionEnd::Commit)) };
        let mut trial = Batch::clone(batch);
        trial.refused.extend(left_out.into_iter().map(|key| (key, "".into())));
        Some((Arc::new(trial), TransactionEnd::Rollback))
    }

    /// The store accepted the current part. Returns what is now committed.
    pub fn on_taken(&mut self, now: Duration) -> Taken {
        let Some(mut part) = self.parts.pop() else { return Taken::default() };
        if let State::Search(search) = &mut part.state {
            search.frames.on_trial(true);
            self.go_on(part, now);
            return Taken::default();
        }
        taken(&part.batch.sessions, &part)
    }

    /// Sessions of the current part that are `done` turned out to be committed although the store
    /// reported a failure. Returns what is now committed.
    pub fn on_found(&mut self, done: impl Fn(&SessionBatch) -> bool) -> Taken {
        let Some(part) = self.parts.last() else { return Taken::default() };
        let found = part.batch.sessions.iter().filter(|session| done(session)).cloned();
        let taken = taken(&found.collect::<Vec<_>>(), part);
        self.leave_out(done);
        taken
    }

    /// The store refuses the rows of the current part. Returns false if all of them already go to
    /// quarantine: then the store itself fails.
    pub fn on_refused(&mut self, reason: &str, now: Duration) -> bool {
        let Some(mut part) = self.parts.pop() else { return true };
        match &mut part.state {
            State::Whole => {
                let Err(batch) = self.divide(&part.batch) else { return true };
                let client = batch.sessions.first().map(|session| session.client.clone());
                let until = self.until.min(now + SEARCH);
                let (frames, why) = (Bisection::new(&batch), reason.into());
                let search = State::Search(Search { frames, reason: why, until, trials: 0 });
                // Remember even a client that used no trial.
                let trials = client.is_some_and(|client| self.strikes.spend(&client, now));
                let part = Part { batch: part.batch, state: search };
                if trials { self.go_on(part, now) } else { self.sentence(part.batch, reason) }
            }
            State::Search(search) => {
                search.frames.on_trial(false);
                self.go_on(part, now);
            }
            State::Judged => self.sentence(part.batch, reason),
            State::Sentenced => {
                self.parts.push(part);
                return false;
            }
        }
        true
    }

    /// Removes sessions from the current part that are not where it expects them, or are known to be
    /// committed.
    pub fn leave_out(&mut self, leaves: impl Fn(&SessionBatch) -> bool) {
        if let Some(mut part) = self.parts.pop() {
            Arc::make_mut(&mut part.batch).sessions.retain(|session| !leaves(session));
            if !part.batch.sessions.is_empty() {
                self.parts.push(part);
            }
        }
    }

    /// The sessions of the current part.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionId> {
        let sessions = self.parts.last().into_iter().flat_map(|part| &part.batch.sessions);
        sessions.map(|session| session.session).collect()
    }

    /// What later batches must remember.
    #[must_use]
    pub fn into_strikes(self) -> Strikes {
        self.strikes
    }

    /// Replaces a part by two halves of its clients, unless it has only one.
    fn divide(&mut self, batch: &Arc<Batch>) -> Result<(), Arc<Batch>> {
        let mut sessions = batch.sessions.clone();
        sessions.sort_by(|a, b| a.client.cmp(&b.client));
        let mut clients: Vec<&[Arc<SessionBatch>]> =
            sessions.chunk_by(|a, b| a.client == b.client).collect();
        if clients.len() < 2 {
            return Err(batch.clone());
        }
        let later = clients.split_off(clients.len() / 2);
        for half in [later, clients] {
            let part = Batch { sessions: half.concat(), refused: batch.refused.clone(), ..**batch };
            self.push(part, State::Whole);
        }
        Ok(())
    }

    /// Continues a search: the next trial or the result.
    fn go_on(&mut self, mut part: Part, now: Duration) {
        let State::Search(search) = &mut part.state else { return };
        let reason = search.reason.clone();
        let Some(client) = part.batch.sessions.first().map(|it| it.client.clone()) else { return };
        if search.frames.next_trial().is_some() {
            let in_time = now < search.until || search.trials < FEW;
            search.trials += 1;
            if in_time && self.strikes.spend(&client, now) {
                self.parts.push(part);
            } else {
                self.sentence(part.batch, &reason);
            }
            return;
        }
        if let State::Search(search) = std::mem::replace(&mut part.state, State::Judged) {
            let found = search.frames.into_refused().into_iter().map(|key| (key, reason.clone()));
            Arc::make_mut(&mut part.batch).refused.extend(found);
        }
        self.parts.push(part);
    }

    /// Sends all frames of a part to quarantine.
    fn sentence(&mut self, mut batch: Arc<Batch>, reason: &str) {
        let reason: Arc<str> = reason.into();
        let keys: Vec<_> = batch.frames().map(|it| (it.session, it.first_seq)).collect();
        let part = Arc::make_mut(&mut batch);
        for key in keys {
            part.refused.entry(key).or_insert_with(|| reason.clone());
        }
        self.parts.push(Part { batch, state: State::Sentenced });
    }
}

/// The result for the committed sessions of a part.
fn taken(sessions: &[Arc<SessionBatch>], part: &Part) -> Taken {
    let mut taken = Taken::default();
    let Part { batch, state } = part;
    for it in sessions {
        let SessionBatch { client, session, epoch, .. } = &**it;
        let (session, epoch) = (*session, *epoch);
        taken.sessions.push(TakenSession { session, epoch, seq: it.last_seq() });
        let mut refused = it.frames.iter().filter_map(|frame| batch.refusal(frame)).peekable();
        if let Some(reason) = refused.peek().map(|reason| Arc::from(*reason)) {
            let frames = refused.count();
            let whole = matches!(state, State::Sentenced) || frames > TRIALS as usize;
            let client = client.clone();
            taken.quarantined.push(Quarantined { client, session, epoch, frames, reason, whole });
        }
        let kept = || it.frames.iter().filter(|it| batch.refusal(it).is_none());
        let far = |time_ns: &WallNs| !batch.near.contains(*time_ns);
        let samples = kept().filter(|it| it.gap == 0).flat_map(|it| &it.samples);
        let samples = samples.map(|it| it.start_ns).filter(far).count() as u64;
        let mixes =
            kept().flat_map(|it| &it.mixes).map(|it| it.start_ns).filter(far).count() as u64;
        let talkers =
            kept().flat_map(|it| &it.talkers).map(|it| it.start_ns).filter(far).count() as u64;
        if samples + mixes + talkers > 0 {
            taken.misdated.push(Misdated { client: client.clone(), samples, mixes, talkers });
        }
    }
    taken
}

impl Taken {
    /// Adds a later result.
    pub(super) fn extend(&mut self, more: Self) {
        self.sessions.extend(more.sessions);
        self.quarantined.extend(more.quarantined);
        self.misdated.extend(more.misdated);
    }
}

#[cfg(test)]
mod tests;
