//! All rules and the states of all subjects. Samples are judged as they arrive, by the task that received
//! them; what changes goes to the recorder.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use wire::WallNs;
use wire::frame::{Counts, flags};
use wire::id::ClientId;

use super::config::AlertDirection;
use super::holder::{InForce, Owner, Part, SubjectStates, place, subject};
use super::measure::{Measure, MeasureSource};
use super::rule::{AlertRule, AlertRules, silences};
use super::state::{self, Firing, Moment, State, StateChange, Value, ValueBand};
use crate::live::{SampleTap, TappedSample};
use crate::store::{AlertIncident, AlertSilence, AlertSubject};
use crate::time::{boot, now_ns};

/// Shards of the states, each with its own lock.
const SHARDS: usize = 64;

/// Changes that may wait for the store. While it is full, states stay as they are and change with a later
/// value.
const CHANGES_MAX: usize = 4096;

/// Shortest silence of a subject after which what it held counts no more.
const PATIENCE: Duration = Duration::from_secs(5);

/// After this long without values, an incident ends.
const SILENT: Duration = Duration::from_secs(300);

/// What the recorder has to write.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The rule.
    pub rule: Arc<AlertRule>,
    /// What it is about.
    pub subject: AlertSubject,
    /// What happened.
    pub what: What,
    /// When.
    pub at: Moment,
    owner: Owner,
    part: Part,
    generation: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The rule fires.
    Fire {
        /// The value.
        value: f64,
        /// What is known.
        firing: Firing,
        /// More about it.
        detail: String,
        /// Why no message is sent.
        muted: Option<String>,
    },
    /// It is no longer muted.
    Announce(Firing),
    /// It is over, and how.
    Resolve(Firing, &'static str),
}

/// All rules and states.
#[derive(Debug)]
pub struct Engine {
    in_force: RwLock<Arc<InForce>>,
    silences: RwLock<Arc<Vec<AlertSilence>>>,
    shards: [Mutex<HashMap<Owner, SubjectStates>>; SHARDS],
    changes: mpsc::Sender<Emitted>,
}

impl Engine {
    /// An engine, and what it emits.
    #[must_use]
    pub fn new(rules: AlertRules) -> (Arc<Self>, mpsc::Receiver<Emitted>) {
        let (changes, emitted) = mpsc::channel(CHANGES_MAX);
        let engine = Self {
            in_force: RwLock::new(Arc::new(InForce { rules, generation: 1 })),
            silences: RwLock::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            changes,
        };
        (Arc::new(engine), emitted)
    }

    /// Takes new rules. What fires is taken over from the store with the next [`Self::sync`]; what was
    /// held begins anew.
    pub fn replace(&self, rules: AlertRules) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let generation = in_force.generation + 1;
        *in_force = Arc::new(InForce { rules, generation });
        drop(in_force);
        self.shards.iter().for_each(|shard| lock(shard).clear());
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> AlertRules {
        self.in_force().rules.clone()
    }

    fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        let in_force = self.in_force();
        let now = now();
        for (at, rule) in in_force.rules.rules.iter().enumerate() {
            let asked = direction.is_none_or(|it| rule.directions().any(|other| it == other));
            let about = match owner {
                Owner::Client(client) => rule.is_about_client(client.as_str()),
                Owner::Named(_) => !rule.chooses_clients(),
            };
            if rule.measure == measure && rule.source() != MeasureSource::Sample && asked && about {
                let mut shard = self.shard(owner);
                let holder = shard.entry(owner.clone()).or_default();
                holder.keep_to(owner, &in_force);
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
                    let muted = self.muted(in_force, rule, owner, now.wall_ns);
                    firing.announced = muted.is_none();
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
        let (subject, owner, generation) =
            (subject(owner, part), owner.clone(), in_force.generation);
        permit.send(Emitted { rule, subject, what, at, owner, part, generation });
        true
    }

    /// Why no message is sent now, if so.
    fn muted(
        &self,
        in_force: &InForce,
        rule: &AlertRule,
        owner: &Owner,
        now_ns: WallNs,
    ) -> Option<String> {
        let client = match owner {
            Owner::Client(client) => client.as_str(),
            Owner::Named(_) => "",
        };
        let known = self.silences.read().unwrap_or_else(PoisonError::into_inner).clone();
        let silence = known.iter().find(|it| silences(it, &rule.name, client, now_ns));
        if let Some(AlertSilence { id, by, reason, .. }) = silence {
            return Some(format!("silence {id} of {by}: {reason}"));
        }
        rule.quiet_until(now_ns, &in_force.rules.zone).map(|_| "quiet hours".to_owned())
    }

    /// What passes without values: incidents that are no longer muted are announced, and those without
    /// values end, unless `others` know more about the owner. Call it every second.
    pub fn tick(&self, others: impl Fn(&Owner) -> bool) {
        let (in_force, now) = (self.in_force(), now());
        for shard in &self.shards {
            let mut shard = lock(shard);
            for (owner, holder) in shard.iter_mut() {
                holder.keep_to(owner, &in_force);
                holder.resting.retain(|_, until| now.boot < *until);
                let firing = |(part, state): (&Part, &State)| match state {
                    State::Firing(firing) => Some((*part, *firing)),
                    State::PendingState(_) => None,
                };
                let fires: Vec<(Part, Firing)> = holder.states.iter().filter_map(firing).collect();
                for (part, firing) in fires {
                    self.look_at(holder, owner, &in_force, (part, firing), now, &others);
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
        others: &impl Fn(&Owner) -> bool,
    ) {
        if now.boot.saturating_sub(firing.heard) > SILENT && !others(owner) {
            let what = What::Resolve(firing, "no_data");
            if self.emit(holder, owner, in_force, part, what, now) {
                holder.states.remove(&part);
            }
            return;
        }
        let rule = &in_force.rules.rules[part.0];
        let muted = || self.muted(in_force, rule, owner, now.wall_ns).is_some();
        if !firing.announced && firing.stored && !muted() {
            firing.announced = true;
            if self.emit(holder, owner, in_force, part, What::Announce(firing), now) {
                holder.states.insert(part, State::Firing(firing));
            }
        }
    }

    /// The store has a change.
    pub fn on_stored(&self, emitted: &Emitted) {
        let mut shard = self.shard(&emitted.owner);
        let Some(holder) = shard.get_mut(&emitted.owner) else { return };
        if holder.generation != emitted.generation {
            return;
        }
        match &emitted.what {
            What::Fire { .. } => {
                if let Some(State::Firing(firing)) = holder.states.get_mut(&emitted.part) {
                    firing.stored = true;
                }
            }
            What::Resolve(firing, _) => {
                if holder.closed.get(&emitted.part) == Some(&firing.fired_ns) {
                    holder.closed.remove(&emitted.part);
                }
            }
            What::Announce(_) => {}
        }
    }

    /// Takes the store's open incidents and silences: what another collector opened fires here too, and
    /// what it resolved doesn't any more. Call it after each change was told by [`Self::on_stored`].
    pub fn sync(&self, open: &[AlertIncident], silences: Vec<AlertSilence>) {
        *self.silences.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(silences);
        let (in_force, now) = (self.in_force(), now());
        let mut known: HashMap<Owner, HashMap<Part, &AlertIncident>> = HashMap::new();
        for incident in open {
            if let Some((owner, part)) = place(incident, &in_force.rules) {
                known.entry(owner).or_default().insert(part, incident);
            }
        }
        for shard in &self.shards {
            for (owner, holder) in lock(shard).iter_mut() {
                let open = known.remove(owner).unwrap_or_default();
                holder.keep_to(owner, &in_force);
                holder.sync(&open, now.boot);
            }
        }
        for (owner, open) in known {
            let mut shard = self.shard(&owner);
            let holder = shard.entry(owner.clone()).or_default();
            holder.keep_to(&owner, &in_force);
            holder.sync(&open, now.boot);
        }
    }
}

impl SampleTap for Engine {
    fn on_samples(&self, client: &ClientId, samples: &[TappedSample]) {
        let in_force = self.in_force();
        if in_force.rules.rules.is_empty() {
            return;
        }
        let (owner, now) = (Owner::Client(client.clone()), now());
        let mut shard = self.shard(&owner);
        let holder = shard.entry(owner.clone()).or_default();
        holder.keep_to(&owner, &in_force);
        for at in holder.chosen.clone() {
            let rule = &in_force.rules.rules[at];
            for sample in samples {
                for (direction, value) in values(rule, sample).into_iter().flatten() {
                    let part = (at, Some(sample.sample.nic), direction);
                    let value = Value {
                        value,
                        measured_ns: sample.sample.start_ns,
                        patience: PATIENCE
                            .max(Duration::from_nanos(sample.sample.interval_ns.saturating_mul(3))),
                    };
                    self.take(holder, &owner, &in_force, (part, &value, ""), now);
                }
            }
        }
    }
}

/// The values of a sample that a rule is about, by direction.
fn values(rule: &AlertRule, tapped: &TappedSample) -> [Option<(Option<AlertDirection>, f64)>; 2] {
    let sample = &tapped.sample;
    // A shortened interval says little about a rate.
    let whole = tapped.newest && sample.flags & flags::PARTIAL == 0;
    let of = |direction: AlertDirection, value: &dyn Fn(&Counts) -> f64| {
        let asked = rule.direction.is_none_or(|only| only == direction);
        let counts = match direction {
            AlertDirection::Rx => &sample.rx,
            AlertDirection::Tx => &sample.tx,
        };
        asked.then(|| (Some(direction), value(counts)))
    };
    let both = |value: &dyn Fn(&Counts) -> f64| AlertDirection::ALL.map(|it| of(it, value));
    let rate =
        |counts: &Counts| figure(counts.bytes.get()) * 8e9 / figure(sample.interval_ns.max(1));
    match rule.measure {
        Measure::Loss if tapped.fresh => [Some((None, figure(sample.drops.get()))), None],
        Measure::Rate if whole => both(&rate),
        Measure::Peak1ms if tapped.newest => both(&|it| f64::from(it.peak_1ms_bytes) * 8e3),
        Measure::Utilisation if whole && tapped.speed_bits > 0 => {
            both(&|it| rate(it) * 100.0 / figure(tapped.speed_bits))
        }
        _ => [None, None],
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
const fn figure(figure: u64) -> f64 {
    figure as f64
}

fn now() -> Moment {
    Moment { boot: boot(), wall_ns: now_ns() }
}

fn lock(
    shard: &Mutex<HashMap<Owner, SubjectStates>>,
) -> MutexGuard<'_, HashMap<Owner, SubjectStates>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
