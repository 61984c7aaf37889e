//! The states of one owner's subjects, and how they agree with the store.

use std::collections::HashMap;
use std::time::Duration;

use wire::WallNs;
use wire::id::{ClientId, NicName};

use super::config::AlertDirection;
use super::measure::MeasureSource;
use super::rule::{AlertRule, AlertRules};
use super::state::{Firing, State};
use crate::store::{AlertIncident, AlertSubject};

/// How long a subject rests after another collector has resolved its incident: until this one knows too.
const REST: Duration = Duration::from_secs(30);

/// What an alert is about: a client and maybe its NIC, or the collector or an account by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A client.
    Client(ClientId),
    /// A collector or an account.
    Named(String),
}

/// The part of an owner that a state is about: the rule's number, the NIC, the direction.
pub(super) type Part = (usize, Option<NicName>, Option<AlertDirection>);

/// The rules in force.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub rules: AlertRules,
    /// Rises with each change.
    pub generation: u64,
}

/// The states of one owner.
#[derive(Debug, Default)]
pub(super) struct SubjectStates {
    /// The rules about its samples, by number.
    pub chosen: Vec<usize>,
    /// The rules' generation that this is of.
    pub generation: u64,
    pub states: HashMap<Part, State>,
    /// Incidents that are over here, until the store knows: when they fired.
    pub closed: HashMap<Part, WallNs>,
    /// Subjects that rest, by the boot clock.
    pub resting: HashMap<Part, Duration>,
}

impl SubjectStates {
    /// Starts anew if the rules have changed.
    pub fn keep_to(&mut self, owner: &Owner, in_force: &InForce) {
        if self.generation == in_force.generation {
            return;
        }
        let about = |rule: &AlertRule| match owner {
            Owner::Client(client) => rule.is_about_client(client.as_str()),
            Owner::Named(_) => false,
        };
        let rules = in_force.rules.rules.iter().enumerate();
        let chosen =
            rules.filter(|(_, rule)| rule.source() == MeasureSource::Sample && about(rule));
        let chosen = chosen.map(|(at, _)| at).collect();
        *self = Self { chosen, generation: in_force.generation, ..Self::default() };
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
            match self.states.get_mut(part) {
                // The one that was first, at another collector.
                Some(State::Firing(firing)) => {
                    firing.fired_ns = incident.fired_ns;
                    firing.announced |= incident.announced;
                    firing.stored = true;
                }
                _ => {
                    let times = (incident.fired_ns, incident.since_ns);
                    let worst = (incident.worst, incident.worst_ns);
                    let firing = Firing::stored(times, worst, incident.announced, boot);
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
        Owner::Named(name) => subject.name.clone_from(name),
    }
    subject
}

/// Where an incident of the store belongs; `None` if its rule is gone.
pub(super) fn place(incident: &AlertIncident, rules: &AlertRules) -> Option<(Owner, Part)> {
    let at = rules.rules.iter().position(|rule| *rule.name == *incident.rule)?;
    let AlertSubject { client, nic, direction, name } = &incident.subject;
    let owner = if client.is_empty() {
        Owner::Named(name.clone())
    } else {
        Owner::Client(ClientId::new(client).ok()?)
    };
    let nic = if nic.is_empty() { None } else { Some(NicName::new(nic)?) };
    let direction = AlertDirection::ALL.into_iter().find(|it| it.name() == direction);
    Some((owner, (at, nic, direction)))
}
