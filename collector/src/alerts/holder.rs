//! The states of one owner's subjects, and how they agree with the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wire::WallNs;
use wire::id::{ClientId, NicName};
use wire::tag::TagSet;

use super::config::AlertDirection;
use super::incident_id::IncidentId;
use super::measure::{Measure, MeasureSource};
use super::owner::{Judge, Owner};
use super::rule::{AlertRule, AlertRules};
use super::state::{Firing, State};
use crate::store::{AlertIncident, AlertSubject};

/// How long a subject rests after another collector has resolved its incident: until this one knows too.
const REST: Duration = Duration::from_secs(30);

/// The part of an owner that a state is about: the rule's number, the NIC, the direction.
pub(super) type Part = (usize, Option<NicName>, Option<AlertDirection>);

/// The rules in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub rules: AlertRules,
    /// Rises with each change.
    pub generation: u64,
    /// Where the rules of the generation before are now, by their numbers; `None`: they are gone.
    moved: Vec<Option<Moved>>,
}

/// Where a rule is now.
#[derive(Debug, Clone, Copy)]
struct Moved {
    at: usize,
    same_bounds: bool,
}

impl InForce {
    /// The first rules.
    pub const fn first(rules: AlertRules) -> Self {
        Self { rules, generation: 1, moved: Vec::new() }
    }

    /// Other rules after these.
    pub fn then(&self, rules: AlertRules) -> Self {
        let moved = |before: &Arc<AlertRule>| {
            let at = rules.position(before)?;
            Some(Moved { at, same_bounds: rules.rules[at].bounds == before.bounds })
        };
        let moved = self.rules.rules.iter().map(moved).collect();
        Self { rules, generation: self.generation + 1, moved }
    }
}

/// The tags of clients.
#[derive(Debug, Default)]
pub(super) struct KnownTags {
    /// Those that are known, by client; `None` until they were read.
    tags: Option<HashMap<String, TagSet>>,
    /// Those of other clients: none.
    none: TagSet,
    /// Rises with each change.
    generation: u64,
}

impl KnownTags {
    /// These tags after those before; `None` if they are the same.
    pub fn after(before: &Self, tags: HashMap<String, TagSet>) -> Option<Self> {
        let generation = before.generation + 1;
        (before.tags.as_ref() != Some(&tags)).then_some(Self {
            tags: Some(tags),
            generation,
            none: TagSet::default(),
        })
    }

    /// The tags of an owner, if they are known.
    pub fn of(&self, owner: &Owner) -> Option<&TagSet> {
        let client = owner.client()?;
        Some(self.tags.as_ref()?.get(client.as_str()).unwrap_or(&self.none))
    }
}

/// The states of one owner.
#[derive(Debug, Default)]
pub(super) struct SubjectStates {
    /// The rules about its samples, by number.
    pub chosen: Vec<usize>,
    /// The generations of rules and tags that this is of.
    pub generation: u64,
    tags_generation: u64,
    pub states: HashMap<Part, State>,
    /// Incidents that are over here, until the store knows: when they fired.
    pub closed: HashMap<Part, WallNs>,
    /// Subjects that rest, by the boot clock.
    pub resting: HashMap<Part, Duration>,
    /// Who judges, since the last look.
    pub judge: Option<Judge>,
}

impl SubjectStates {
    /// Follows rules and tags that have changed. What fires goes on by the rule of the same name, and so does
    /// what is held by the same bounds.
    pub fn keep_to(&mut self, owner: &Owner, in_force: &InForce, tagged: &KnownTags) {
        let (generation, tags_generation) = (in_force.generation, tagged.generation);
        if (self.generation, self.tags_generation) == (generation, tags_generation) {
            return;
        }
        if self.generation != generation {
            *self = match self.generation + 1 == generation {
                true => self.moved(&in_force.moved),
                false => Self::default(),
            };
            self.generation = generation;
        }
        self.tags_generation = tags_generation;
        let tags = tagged.of(owner);
        let of_samples = |rule: &AlertRule| rule.source() == MeasureSource::Sample;
        let chosen = in_force.rules.rules.iter().enumerate();
        let chosen = chosen.filter(|(_, rule)| of_samples(rule) && rule.is_about(owner, tags));
        self.chosen = chosen.map(|(at, _)| at).collect();
    }

    /// The same by the numbers that the rules have now.
    fn moved(&self, moved: &[Option<Moved>]) -> Self {
        let now = |(at, nic, direction): Part| {
            let Moved { at, same_bounds } = (*moved.get(at)?)?;
            Some(((at, nic, direction), same_bounds))
        };
        let states = self.states.iter().filter_map(|(part, state)| {
            let (part, same_bounds) = now(*part)?;
            let state = if same_bounds { Some(*state) } else { state.under_other_bounds() };
            Some((part, state?))
        });
        Self {
            states: states.collect(),
            closed: self.closed.iter().filter_map(|(it, ns)| Some((now(*it)?.0, *ns))).collect(),
            resting: self.resting.iter().filter_map(|(it, to)| Some((now(*it)?.0, *to))).collect(),
            judge: self.judge,
            ..Self::default()
        }
    }

    /// Takes the open incidents of the store.
    pub fn sync(&mut self, open: &HashMap<Part, &AlertIncident>, boot: Duration) {
        let resolved: Vec<Part> = self
            .states
            .iter()
            .filter(|(part, state)| {
                matches!(state, State::Firing(firing) if firing.stored) && !open.contains_key(part)
            })
            .map(|(part, _)| *part)
            .collect();
        for part in resolved {
            self.states.remove(&part);
            self.resting.insert(part, boot + REST);
        }
        for (part, incident) in open {
            if self.closed.get(part).is_some_and(|fired_ns| incident.fired_ns <= *fired_ns) {
                continue;
            }
            // Each id that a collector made can be read.
            let id = IncidentId::parse(&incident.id).unwrap_or_default();
            match self.states.get_mut(part) {
                // The one that was first, at another collector.
                Some(State::Firing(firing)) => {
                    let own = firing.id == id && firing.announced;
                    firing.announced = own || incident.announced;
                    (firing.id, firing.fired_ns) = (id, incident.fired_ns);
                    firing.stored = true;
                }
                _ => {
                    let times = (incident.fired_ns, incident.since_ns);
                    let worst = (incident.worst, incident.worst_ns);
                    let firing = Firing::stored(id, times, worst, incident.announced, boot);
                    self.states.insert(*part, State::Firing(firing));
                }
            }
        }
    }

    pub fn is_idle(&self) -> bool {
        self.states.is_empty() && self.closed.is_empty() && self.resting.is_empty()
    }
}

/// A subject as the store has it.
pub(super) fn subject(owner: &Owner, (_, nic, direction): Part) -> AlertSubject {
    let mut subject = AlertSubject {
        nic: nic.map(|it| it.to_string()).unwrap_or_default(),
        direction: direction.map(|it| it.name().to_owned()).unwrap_or_default(),
        ..AlertSubject::default()
    };
    match owner {
        Owner::Client(client) => subject.client = client.to_string(),
        Owner::Collector(name) => subject.name.clone_from(name),
        Owner::Account { account, warning, cycle } => {
            subject.name = format!("{account} {warning} {cycle}");
        }
    }
    subject
}

/// Where an incident of the store belongs; `None` if its rule is gone, or measures something else now.
pub(super) fn place(incident: &AlertIncident, rules: &AlertRules) -> Option<(Owner, Part)> {
    let at = rules.position_of(&incident.rule, &incident.measure)?;
    let AlertSubject { client, nic, direction, name } = &incident.subject;
    let owner = if !client.is_empty() {
        Owner::Client(ClientId::new(client).ok()?)
    } else if rules.rules[at].measure == Measure::Account {
        let mut parts = name.split(' ').map(str::to_owned);
        let (account, warning, cycle) = (parts.next()?, parts.next()?, parts.next()?);
        Owner::Account { account, warning, cycle }
    } else {
        Owner::Collector(name.clone())
    };
    let nic = if nic.is_empty() { None } else { Some(NicName::new(nic)?) };
    let direction = AlertDirection::ALL.into_iter().find(|it| it.name() == direction);
    Some((owner, (at, nic, direction)))
}
