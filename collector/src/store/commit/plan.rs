//! The plan of a commit: the batch is fitted, tried whole, parted by clients for as long as it is
//! refused, and what a client has that is refused is put into quarantine. Pure: the caller tries and
//! tells.
//!
//! What one client sends is nobody else's trouble: it costs a bounded number of trials and time, and
//! then all of its frames go to quarantine, where they are kept as they came.

use std::sync::Arc;
use std::time::Duration;

use wire::id::ClientId;

use crate::store::commit::fit::fit;
use crate::store::commit::search::Bisection;
use crate::store::commit::strikes::{Strikes, TRIALS};
use crate::store::port::write::End;
use crate::store::rows::batch::{Batch, SessionBatch};
use crate::store::rows::epoch::Epoch;

/// Longest time that the frames of a client are searched for those that are refused, and those of a
/// batch, but for the trial under way: others wait meanwhile. What isn't found by then is not searched
/// for.
const SEARCH: Duration = Duration::from_secs(1);
const SEARCHES: Duration = Duration::from_secs(5);

/// Trials that a client has in any case, if they are left to it: what others took is not its fault.
const FEW: u32 = 4;

/// A batch on its way into a store.
#[derive(Debug)]
pub struct Plan {
    /// What is still to be committed, next last.
    parts: Vec<Part>,
    strikes: Strikes,
    /// When all search for what is refused must end.
    until: Duration,
}

/// The search for what is refused of one client.
#[derive(Debug)]
struct Search {
    frames: Bisection,
    reason: Arc<str>,
    /// When it must end, once it had a [`FEW`] trials.
    until: Duration,
    trials: u32,
}

/// Some sessions of a batch, committed together.
#[derive(Debug)]
struct Part {
    batch: Arc<Batch>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// As it came. If it is refused, it is parted.
    Whole,
    /// It is of one client, of whose frames some are refused; they are being searched for.
    Search(Search),
    /// What is refused goes to quarantine.
    Judged,
    /// All of it goes to quarantine.
    Sentenced,
}

/// What was committed.
#[derive(Debug, Default)]
pub struct Taken {
    /// Each session, and how far it is.
    pub sessions: Vec<TakenSession>,
    /// Of these, what went to quarantine.
    pub quarantined: Vec<Quarantined>,
    /// What is dated too far from the collector's time.
    pub misdated: Vec<Misdated>,
}

/// What a client has that is dated too far from the collector's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misdated {
    /// Whose.
    pub client: ClientId,
    /// Samples: they are gaps with exact counts.
    pub samples: u64,
    /// Mixes: they are not kept.
    pub mixes: u64,
}

/// A session that moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenSession {
    /// Its id.
    pub session: u64,
    /// Under which opening.
    pub epoch: Epoch,
    /// What is committed of it.
    pub seq: u64,
}

/// Frames of a session that went to quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Whose.
    pub client: ClientId,
    /// The session.
    pub session: u64,
    /// Under which opening.
    pub epoch: Epoch,
    /// How many.
    pub frames: usize,
    /// Why the first of them was refused.
    pub reason: Arc<str>,
    /// All that the client had in the batch went there, or more than is looked for.
    pub whole: bool,
}

impl Plan {
    /// To commit `batch` from `now` on, a duration since any fixed moment. Clients that `strikes`
    /// knows come last, each alone.
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

    /// What to add next, and how; `None` once all is done.
    #[must_use]
    pub fn next_step(&self) -> Option<(Arc<Batch>, End)> {
        let Part { batch, state } = self.parts.last()?;
        let trial = match state {
            State::Search(search) => search.frames.next_trial(),
            _ => None,
        };
        let Some(left_out) = trial else { return Some((batch.clone(), End::Commit)) };
        let mut trial = Batch::clone(batch);
        trial.refused.extend(left_out.into_iter().map(|key| (key, "".into())));
        Some((Arc::new(trial), End::Rollback))
    }

    /// The store has taken what was next. Gives what is committed thereby.
    pub fn on_taken(&mut self, now: Duration) -> Taken {
        let Some(mut part) = self.parts.pop() else { return Taken::default() };
        if let State::Search(search) = &mut part.state {
            search.frames.on_trial(true);
            self.go_on(part, now);
            return Taken::default();
        }
        taken(&part.batch.sessions, &part)
    }

    /// Of what was next, the sessions that are `done` turned out to be committed, though the store
    /// said that it had failed. Gives what is committed thereby.
    pub fn on_found(&mut self, done: impl Fn(&SessionBatch) -> bool) -> Taken {
        let Some(part) = self.parts.last() else { return Taken::default() };
        let found = part.batch.sessions.iter().filter(|session| done(session)).cloned();
        let taken = taken(&found.collect::<Vec<_>>(), part);
        self.leave_out(done);
        taken
    }

    /// The store refuses the rows of what was next. False if it can't, for they are all in quarantine:
    /// then it is the store that fails.
    pub fn on_refused(&mut self, reason: &str, now: Duration) -> bool {
        let Some(mut part) = self.parts.pop() else { return true };
        match &mut part.state {
            State::Whole => {
                let Err(batch) = self.divide(&part.batch) else { return true };
                let client = batch.sessions.first().map(|session| session.client.clone());
                let until = self.until.min(now + SEARCH);
                let (frames, why) = (Bisection::new(&batch), reason.into());
                let search = State::Search(Search { frames, reason: why, until, trials: 0 });
                // Even a client that costs no trial is remembered.
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

    /// Sessions are not where the part expects them, or are known to be committed: they are no longer
    /// of it.
    pub fn leave_out(&mut self, leaves: impl Fn(&SessionBatch) -> bool) {
        if let Some(mut part) = self.parts.pop() {
            Arc::make_mut(&mut part.batch).sessions.retain(|session| !leaves(session));
            if !part.batch.sessions.is_empty() {
                self.parts.push(part);
            }
        }
    }

    /// The sessions of what is next.
    #[must_use]
    pub fn sessions(&self) -> Vec<u64> {
        let sessions = self.parts.last().into_iter().flat_map(|part| &part.batch.sessions);
        sessions.map(|session| session.session).collect()
    }

    /// What is to be remembered for the batches that follow.
    #[must_use]
    pub fn into_strikes(self) -> Strikes {
        self.strikes
    }

    /// Puts the halves of a part's clients in its place, unless it has one only.
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

    /// Goes on with a search: the next trial, or what came of it all.
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

    /// All frames of a part go to quarantine.
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

/// What sessions of a part that were committed come to.
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
        let far = |time_ns: &u64| !batch.near.contains(*time_ns);
        let samples = kept().filter(|it| it.gap == 0).flat_map(|it| &it.samples);
        let samples = samples.map(|it| it.start_ns).filter(far).count() as u64;
        let mixes =
            kept().flat_map(|it| &it.mixes).map(|it| it.start_ns).filter(far).count() as u64;
        if samples + mixes > 0 {
            taken.misdated.push(Misdated { client: client.clone(), samples, mixes });
        }
    }
    taken
}

impl Taken {
    /// Adds what was committed after it.
    pub(super) fn extend(&mut self, more: Self) {
        self.sessions.extend(more.sessions);
        self.quarantined.extend(more.quarantined);
        self.misdated.extend(more.misdated);
    }
}

#[cfg(test)]
mod tests;
