//! All rules and the states of all subjects. Samples are judged as they arrive, by the task that received
//! them; what changes goes to the recorder.

mod tap;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use wire::WallNs;
use wire::id::ClientId;
use wire::tag::TagSet;

use super::config::AlertDirection;
use super::emitted::{Emitted, What};
use super::holder::{InForce, KnownTags, Part, SubjectStates, place, subject};
use super::incident_id::IncidentId;
use super::measure::{Measure, MeasureSource};
use super::owner::{Judge, Owner};
use super::rule::AlertRules;
use super::silence::{Silence, Silenced};
use super::state::{self, Firing, Moment, State, StateChange, Value, ValueBand};
use crate::store::{AlertIncident, AlertSilence};
use crate::time::{boot, now_ns};

/// Shards of the states, each with its own lock.
const SHARDS: usize = 64;

/// Changes that may wait for the store. While it is full, states stay as they are and change with a later
/// value.
const CHANGES_MAX: usize = 4096;

/// Shortest silence of a subject after which what it held counts no more.
const PATIENCE: Duration = Duration::from_secs(5);

/// After this long without values, an incident ends, and what is held is forgotten.
const SILENT: Duration = Duration::from_secs(300);

/// All rules and states.
#[derive(Debug)]
pub struct Engine {
    in_force: RwLock<Arc<InForce>>,
    /// A rule is about samples.
    wants_samples: AtomicBool,
    tagged: RwLock<Arc<KnownTags>>,
    silences: RwLock<Arc<Vec<Silence>>>,
    shards: [Mutex<HashMap<Owner, SubjectStates>>; SHARDS],
    changes: mpsc::Sender<Emitted>,
}

impl Engine {
    /// An engine, and what it emits.
    #[must_use]
    pub fn new(rules: AlertRules) -> (Arc<Self>, mpsc::Receiver<Emitted>) {
        let (changes, emitted) = mpsc::channel(CHANGES_MAX);
        let engine = Self {
            wants_samples: AtomicBool::new(rules.are_about_samples()),
            in_force: RwLock::new(Arc::new(InForce::first(rules))),
            tagged: RwLock::default(),
            silences: RwLock::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            changes,
        };
        (Arc::new(engine), emitted)
    }

    /// Takes new rules, one set after the other. What fires goes on by the rule of the same name that measures
    /// the same, whether the store knows of it yet or not, and what is held by the same bounds goes on.
    pub fn replace(&self, rules: AlertRules) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        self.wants_samples.store(rules.are_about_samples(), Ordering::Relaxed);
        let now = Arc::new(in_force.then(rules));
        *in_force = now.clone();
        drop(in_force);
        let tagged = self.tagged();
        for shard in &self.shards {
            lock(shard).iter_mut().for_each(|(owner, it)| it.keep_to(owner, &now, &tagged));
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> AlertRules {
        self.in_force().rules.clone()
    }

    /// Whether messages name talkers.
    #[must_use]
    pub fn names_talkers(&self) -> bool {
        self.in_force().rules.talkers
    }

    fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tagged(&self) -> Arc<KnownTags> {
        self.tagged.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn silences(&self) -> Arc<Vec<Silence>> {
        self.silences.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if rules or silences choose by tags.
    #[must_use]
    pub fn wants_tags(&self) -> bool {
        self.in_force().rules.rules.iter().any(|rule| rule.needs_tags())
            || self.silences().iter().any(Silence::needs_tags)
    }

    /// Takes the tags that count, of all clients that have any. Until the first call they are unknown.
    pub fn set_tags(&self, tags: HashMap<String, TagSet>) {
        let mut tagged = self.tagged.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = KnownTags::after(&tagged, tags) {
            *tagged = Arc::new(changed);
        }
    }

    fn shard(&self, owner: &Owner) -> MutexGuard<'_, HashMap<Owner, SubjectStates>> {
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        #[allow(clippy::cast_possible_truncation, reason = "below SHARDS")]
        lock(&self.shards[(hasher.finish() % SHARDS as u64) as usize])
    }

    /// Takes a value that is no sample's: of all rules of a measure about this owner.
    pub fn observe(
        &self,
        owner: &Owner,
        (measure, direction): (Measure, Option<AlertDirection>),
        value: &Value,
        detail: &str,
    ) {
        let mut shard = self.shard(owner);
        let (in_force, tagged, now) = (self.in_force(), self.tagged(), now());
        for (at, rule) in in_force.rules.rules.iter().enumerate() {
            let asked = direction.is_none_or(|it| rule.directions().any(|other| it == other));
            let asked = asked && rule.measure == measure && rule.source() != MeasureSource::Sample;
            if asked && rule.is_about(owner, tagged.of(owner)) {
                let holder = shard.entry(owner.clone()).or_default();
                holder.keep_to(owner, &in_force, &tagged);
                self.take(holder, owner, &in_force, ((at, None, direction), value, detail), now);
            }
        }
    }

    /// Takes a value of a part of an owner.
    fn take(
        &self,
        holder: &mut SubjectStates,
        owner: &Owner,
        in_force: &InForce,
        (part, value, detail): (Part, &Value, &str),
        now: Moment,
    ) {
        let rule = &in_force.rules.rules[part.0];
        let before = holder.states.get(&part).copied();
        if before.is_none() {
            if rule.bounds.judge(value.value) != ValueBand::Broken {
                return;
            }
            let of_nic = part.1.is_none_or(|nic| rule.is_about_nic(&nic.to_string()));
            let rests = holder.resting.get(&part).is_some_and(|until| now.boot < *until);
            if !of_nic || rests {
                return;
            }
        }
        let (mut after, change) = state::step(before, &rule.bounds, value, now);
        if let Some(change) = change {
            let what = match change {
                StateChange::Fire { value, mut firing } => {
                    let muted = self.muted(in_force, owner, part, now.wall_ns);
                    (firing.id, firing.announced) = (IncidentId::random(), muted.is_none());
                    after = Some(State::Firing(firing));
                    What::Fire { value, firing, detail: detail.to_owned(), muted }
                }
                StateChange::Resolve(firing) => What::Resolve(firing, "calm"),
            };
            // Without room it changes with a later value.
            if !self.emit(holder, owner, in_force, part, what, now) {
                return;
            }
        }
        match after {
            Some(state) => holder.states.insert(part, state),
            None => holder.states.remove(&part),
        };
    }

    /// Gives a change to the recorder. False if there is no room.
    fn emit(
        &self,
        holder: &mut SubjectStates,
        owner: &Owner,
        in_force: &InForce,
        part: Part,
        what: What,
        at: Moment,
    ) -> bool {
        let Ok(permit) = self.changes.try_reserve() else {
            metrics::counter!("netmon_collector_limited_total", "limit" => "alert_changes")
                .increment(1);
            return false;
        };
        if let What::Resolve(firing, _) = &what {
            holder.closed.insert(part, firing.fired_ns);
        }
        let rule = in_force.rules.rules[part.0].clone();
        let (subject, owner) = (subject(owner, part), owner.clone());
        permit.send(Emitted { rule, subject, what, at, talkers: None, owner, part });
        true
    }

    /// Why no message is sent now, if so.
    fn muted(
        &self,
        in_force: &InForce,
        owner: &Owner,
        (at, nic, _): Part,
        now_ns: WallNs,
    ) -> Option<String> {
        let (rule, tagged, nic) =
            (&in_force.rules.rules[at], self.tagged(), nic.map(|it| it.to_string()));
        let silenced = Silenced {
            rule: &rule.name,
            client: owner.client().map(ClientId::as_str),
            nic: nic.as_deref(),
            tags: tagged.of(owner),
        };
        let known = self.silences();
        let silence = known.iter().find(|it| it.holds(silenced, now_ns)).map(Silence::told);
        let quiet = || rule.quiet_until(now_ns, &in_force.rules.zone);
        silence.or_else(|| quiet().map(|_| "quiet hours".to_owned()))
    }

    /// What passes without values: incidents that are no longer muted are announced, and those without values
    /// end, by the one who judges them. Call it every second.
    pub fn tick(&self, judge: impl Fn(&Owner) -> Judge) {
        self.tick_at(now(), judge);
    }

    fn tick_at(&self, now: Moment, judge: impl Fn(&Owner) -> Judge) {
        let tagged = self.tagged();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let in_force = self.in_force();
            for (owner, holder) in shard.iter_mut() {
                holder.keep_to(owner, &in_force, &tagged);
                holder.resting.retain(|_, until| now.boot < *until);
                let judge = judge(owner);
                holder.judge = Some(judge);
                let parts: Vec<(Part, State)> =
                    holder.states.iter().map(|(part, state)| (*part, *state)).collect();
                for (part, state) in parts {
                    match state {
                        State::Firing(firing) => {
                            self.look_at(holder, owner, &in_force, (part, firing), now, judge);
                        }
                        // Of a NIC that is gone, for example.
                        State::PendingState(_) if is_silent(&state, now) => {
                            holder.states.remove(&part);
                        }
                        State::PendingState(_) => {}
                    }
                }
            }
            shard.retain(|_, holder| !holder.is_idle());
        }
    }

    fn look_at(
        &self,
        holder: &mut SubjectStates,
        owner: &Owner,
        in_force: &InForce,
        (part, mut firing): (Part, Firing),
        now: Moment,
        judge: Judge,
    ) {
        if judge == Judge::Elsewhere {
            // Once it is this collector's part again, it may take as long as any.
            firing.heard = now.boot;
            holder.states.insert(part, State::Firing(firing));
        }
        let about = judge != Judge::Others && self.is_about(in_force, owner, part);
        // Whether a host is down, each collector sees.
        let alone =
            judge == Judge::Here && in_force.rules.rules[part.0].measure != Measure::HostDown;
        if !about && !alone {
            // The rule of another collector may be about it. If none is, the recorder ends it.
            if firing.stored {
                holder.states.remove(&part);
            }
            return;
        }
        let silent = || is_silent(&State::Firing(firing), now).then_some("no_data");
        if let Some(ended) = if about { silent() } else { Some("rule_changed") } {
            let what = What::Resolve(firing, ended);
            if self.emit(holder, owner, in_force, part, what, now) {
                holder.states.remove(&part);
            }
            return;
        }
        let muted = || self.muted(in_force, owner, part, now.wall_ns).is_some();
        if !firing.announced && firing.stored && !muted() {
            firing.announced = true;
            if self.emit(holder, owner, in_force, part, What::Announce(firing), now) {
                holder.states.insert(part, State::Firing(firing));
            }
        }
    }

    /// True if the rule of a part is about it, as far as that is known.
    fn is_about(&self, in_force: &InForce, owner: &Owner, (at, nic, direction): Part) -> bool {
        let (rule, tagged) = (&in_force.rules.rules[at], self.tagged());
        let tags = tagged.of(owner);
        let unknown = tags.is_none() && owner.client().is_some() && rule.needs_tags();
        let nic = nic.map(|nic| nic.to_string());
        (unknown || rule.is_about(owner, tags)) && rule.is_about_part(nic.as_deref(), direction)
    }

    /// The ids of the stored incidents that rules of this collector are about.
    pub fn stands_behind(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let in_force = self.in_force();
            for (owner, holder) in shard.iter() {
                let known = holder.judge.is_some_and(|judge| judge != Judge::Others);
                if !known || holder.generation != in_force.generation {
                    continue;
                }
                ids.extend(holder.states.iter().filter_map(|(part, state)| match state {
                    State::Firing(firing) if firing.stored => {
                        self.is_about(&in_force, owner, *part).then(|| firing.id.to_string())
                    }
                    _ => None,
                }));
            }
        }
        ids
    }

    /// The store has a change.
    pub fn on_stored(&self, emitted: &Emitted) {
        let mut shard = self.shard(&emitted.owner);
        let (in_force, tagged) = (self.in_force(), self.tagged());
        let Some(holder) = shard.get_mut(&emitted.owner) else { return };
        holder.keep_to(&emitted.owner, &in_force, &tagged);
        // Rules may have changed meanwhile.
        let Some(at) = in_force.rules.position(&emitted.rule) else { return };
        let part = (at, emitted.part.1, emitted.part.2);
        match &emitted.what {
            What::Fire { firing: fired, .. } => {
                if let Some(State::Firing(firing)) = holder.states.get_mut(&part) {
                    firing.stored |= firing.fired_ns == fired.fired_ns;
                }
            }
            What::Resolve(firing, _) => {
                if holder.closed.get(&part) == Some(&firing.fired_ns) {
                    holder.closed.remove(&part);
                }
            }
            What::Announce(_) => {}
        }
    }

    /// Takes the store's open incidents and silences: what another collector opened fires here too if a rule
    /// of this one is about it, and what it resolved doesn't any more. Call it after each change was told by
    /// [`Self::on_stored`].
    pub fn sync(&self, open: &[AlertIncident], silences: Vec<AlertSilence>) {
        let silences = silences.into_iter().map(Silence::new).collect();
        *self.silences.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(silences);
        let (in_force, tagged, now) = (self.in_force(), self.tagged(), now());
        let mut known: HashMap<Owner, HashMap<Part, &AlertIncident>> = HashMap::new();
        for incident in open {
            if let Some((owner, part)) = place(incident, &in_force.rules) {
                known.entry(owner).or_default().insert(part, incident);
            }
        }
        let about = |owner: &Owner, part: &Part| self.is_about(&in_force, owner, *part);
        // New rules meanwhile count with the next call.
        let is_current = || self.in_force().generation == in_force.generation;
        for shard in &self.shards {
            let mut shard = lock(shard);
            for (owner, holder) in shard.iter_mut().filter(|_| is_current()) {
                let mut open = known.remove(owner).unwrap_or_default();
                holder.keep_to(owner, &in_force, &tagged);
                open.retain(|part, _| holder.states.contains_key(part) || about(owner, part));
                holder.sync(&open, now.boot);
            }
        }
        for (owner, mut open) in known {
            open.retain(|part, _| about(&owner, part));
            let mut shard = self.shard(&owner);
            if !open.is_empty() && is_current() {
                let holder = shard.entry(owner.clone()).or_default();
                holder.keep_to(&owner, &in_force, &tagged);
                holder.sync(&open, now.boot);
            }
        }
    }
}

/// True if there was no value for long.
fn is_silent(state: &State, now: Moment) -> bool {
    now.boot.saturating_sub(state.heard()) > SILENT
}

fn now() -> Moment {
    Moment { boot: boot(), wall_ns: now_ns() }
}

fn lock(
    shard: &Mutex<HashMap<Owner, SubjectStates>>,
) -> MutexGuard<'_, HashMap<Owner, SubjectStates>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
