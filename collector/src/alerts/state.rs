//! When a rule fires for one subject, and when that is over. Takes values and times.
//!
//! A value is broken, calm or between the two bounds. Unbroken silence means: broken for long enough
//! fires, calm for long enough resolves; between the bounds neither begins.

use std::time::Duration;

use wire::WallNs;

use super::incident_id::IncidentId;
use super::measure::Side;

/// A moment by both clocks: lengths of time come from the boot clock, which is never stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The boot clock.
    pub boot: Duration,
    /// The wall clock, nanoseconds since 1970 (UTC).
    pub wall_ns: WallNs,
}

/// The bounds of a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleBounds {
    /// On which side of the bound a value is broken.
    pub side: Side,
    /// Values beyond this are broken.
    pub bound: f64,
    /// Values on the other side of this, or at it, are calm.
    pub clear: f64,
    /// How long values must be broken before the rule fires.
    pub hold: Duration,
    /// How long values must be calm before that is over.
    pub clear_hold: Duration,
}

/// A value of a subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// In the measure's unit.
    pub value: f64,
    /// When it was measured, nanoseconds since 1970 (UTC), by the clock of its host.
    pub measured_ns: WallNs,
    /// The next value is due within this; after a longer silence nothing is known about the meantime.
    pub patience: Duration,
}

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueBand {
    /// Beyond the bound.
    Broken,
    /// Between both bounds.
    Between,
    /// Calm.
    Calm,
}

/// The state of one subject. Without a state, nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// The condition holds, not yet for long enough.
    PendingState(PendingState),
    /// The rule fires.
    Firing(Firing),
}

/// A condition that holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PendingState {
    since: Moment,
    since_ns: WallNs,
    heard: Duration,
    worst: f64,
    worst_ns: WallNs,
    worst_heard: Duration,
}

/// A rule that fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// The incident's id.
    pub id: IncidentId,
    /// When it fired, nanoseconds since 1970 (UTC).
    pub fired_ns: WallNs,
    /// When the condition began, nanoseconds since 1970 (UTC).
    pub since_ns: WallNs,
    /// The worst value so far.
    pub worst: f64,
    /// When that was, nanoseconds since 1970 (UTC).
    pub worst_ns: WallNs,
    /// When that came, by the boot clock.
    pub worst_heard: Duration,
    /// When there was the last value, by the boot clock.
    pub heard: Duration,
    /// A message was queued that it fires.
    pub announced: bool,
    /// The store has it.
    pub stored: bool,
    calm_since: Option<Duration>,
}

/// What a value changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StateChange {
    /// The rule fires.
    Fire {
        /// The value.
        value: f64,
        /// What is known.
        firing: Firing,
    },
    /// That is over.
    Resolve(Firing),
}

impl State {
    /// When there was the last value, by the boot clock.
    #[must_use]
    pub const fn heard(&self) -> Duration {
        match self {
            Self::PendingState(pending) => pending.heard,
            Self::Firing(firing) => firing.heard,
        }
    }

    /// The state once its rule has other bounds: by these nothing was held yet, and nothing was calm.
    #[must_use]
    pub const fn under_other_bounds(self) -> Option<Self> {
        match self {
            Self::PendingState(_) => None,
            Self::Firing(firing) => Some(Self::Firing(Firing { calm_since: None, ..firing })),
        }
    }
}

impl RuleBounds {
    /// What a value means.
    #[must_use]
    pub fn judge(&self, value: f64) -> ValueBand {
        let (broken, calm) = match self.side {
            Side::Above => (value > self.bound, value <= self.clear),
            Side::Below => (value < self.bound, value >= self.clear),
        };
        match (broken, calm) {
            (true, _) => ValueBand::Broken,
            (_, true) => ValueBand::Calm,
            // Also what is no number.
            _ => ValueBand::Between,
        }
    }

    fn worse(&self, a: f64, b: f64) -> bool {
        match self.side {
            Side::Above => a > b,
            Side::Below => a < b,
        }
    }
}

impl Firing {
    /// One that the store knows.
    #[must_use]
    pub const fn stored(
        id: IncidentId,
        (fired_ns, since_ns): (WallNs, WallNs),
        (worst, worst_ns): (f64, WallNs),
        announced: bool,
        heard: Duration,
    ) -> Self {
        Self {
            id,
            fired_ns,
            since_ns,
            worst,
            worst_ns,
            // Before this run.
            worst_heard: Duration::ZERO,
            heard,
            announced,
            stored: true,
            calm_since: None,
        }
    }
}

/// The state after a value, and what changed.
#[must_use]
pub fn step(
    state: Option<State>,
    bounds: &RuleBounds,
    value: &Value,
    now: Moment,
) -> (Option<State>, Option<StateChange>) {
    let verdict = bounds.judge(value.value);
    match state {
        Some(State::Firing(firing)) => on_firing(firing, bounds, value, verdict, now),
        _ if verdict != ValueBand::Broken => (None, None),
        Some(State::PendingState(pending))
            if now.boot.saturating_sub(pending.heard) <= value.patience =>
        {
            on_pending(pending, bounds, value, now)
        }
        _ => {
            let pending = PendingState {
                since: now,
                since_ns: value.measured_ns,
                heard: now.boot,
                worst: value.value,
                worst_ns: value.measured_ns,
                worst_heard: now.boot,
            };
            on_pending(pending, bounds, value, now)
        }
    }
}

fn on_pending(
    mut pending: PendingState,
    bounds: &RuleBounds,
    value: &Value,
    now: Moment,
) -> (Option<State>, Option<StateChange>) {
    if bounds.worse(value.value, pending.worst) {
        (pending.worst, pending.worst_ns) = (value.value, value.measured_ns);
        pending.worst_heard = now.boot;
    }
    pending.heard = now.boot;
    if now.boot.saturating_sub(pending.since.boot) < bounds.hold {
        return (Some(State::PendingState(pending)), None);
    }
    let firing = Firing {
        // Whoever keeps it names it.
        id: IncidentId::default(),
        fired_ns: now.wall_ns,
        since_ns: pending.since_ns,
        worst: pending.worst,
        worst_ns: pending.worst_ns,
        worst_heard: pending.worst_heard,
        heard: now.boot,
        announced: false,
        stored: false,
        calm_since: None,
    };
    (Some(State::Firing(firing)), Some(StateChange::Fire { value: value.value, firing }))
}

fn on_firing(
    mut firing: Firing,
    bounds: &RuleBounds,
    value: &Value,
    verdict: ValueBand,
    now: Moment,
) -> (Option<State>, Option<StateChange>) {
    if now.boot.saturating_sub(firing.heard) > value.patience {
        firing.calm_since = None;
    }
    firing.heard = now.boot;
    if bounds.worse(value.value, firing.worst) {
        (firing.worst, firing.worst_ns) = (value.value, value.measured_ns);
        firing.worst_heard = now.boot;
    }
    if verdict != ValueBand::Calm {
        firing.calm_since = None;
        return (Some(State::Firing(firing)), None);
    }
    let since = *firing.calm_since.get_or_insert(now.boot);
    if now.boot.saturating_sub(since) < bounds.clear_hold {
        return (Some(State::Firing(firing)), None);
    }
    (None, Some(StateChange::Resolve(firing)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds(hold: u64, clear_hold: u64) -> RuleBounds {
        let (hold, clear_hold) =
            (SECOND * u32::try_from(hold).unwrap(), Duration::from_secs(clear_hold));
        RuleBounds { side: Side::Above, bound: 90.0, clear: 80.0, hold, clear_hold }
    }

    fn at(second: u64) -> Moment {
        // The wall clock is stepped back by an hour all the time.
        Moment {
            boot: Duration::from_secs(second),
            wall_ns: WallNs(1_800_000_000_000_000_000 - (second % 2) * 3_600_000_000_000),
        }
    }

    fn value(value: f64, second: u64) -> Value {
        Value {
            value,
            measured_ns: WallNs(second * 1_000_000_000),
            patience: Duration::from_secs(5),
        }
    }

    /// The changes, by second: `F` fires, `R` resolves.
    fn run(bounds: &RuleBounds, values: &[(u64, f64)]) -> Vec<(u64, char)> {
        let mut state = None;
        let mut changes = Vec::new();
        for &(second, figure) in values {
            let (next, change) = step(state, bounds, &value(figure, second), at(second));
            state = next;
            match change {
                Some(StateChange::Fire { .. }) => changes.push((second, 'F')),
                Some(StateChange::Resolve(_)) => changes.push((second, 'R')),
                None => {}
            }
        }
        changes
    }

    fn each_second(values: &[f64]) -> Vec<(u64, f64)> {
        (0..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn without_a_hold_the_first_broken_value_fires() {
        assert_eq!(run(&bounds(0, 0), &[(0, 50.0), (1, 90.0), (2, 90.1)]), [(2, 'F')]);
    }

    #[test]
    fn it_fires_once_the_condition_has_held_for_long_enough_without_a_break() {
        let values = each_second(&[95.0, 95.0, 85.0, 95.0, 95.0, 95.0, 95.0]);
        assert_eq!(run(&bounds(3, 0), &values), [(6, 'F')]);
    }

    #[test]
    fn between_the_bounds_it_neither_fires_nor_resolves() {
        let values = each_second(&[95.0, 85.0, 89.9, 80.1, 80.0, 79.0, 85.0, 80.0, 80.0, 80.0]);
        assert_eq!(run(&bounds(0, 2), &values), [(0, 'F'), (9, 'R')]);
    }

    #[test]
    fn a_silence_ends_what_was_held_but_not_what_fires() {
        // 10 s of silence: longer than the patience of 5 s.
        let values = [(0, 95.0), (1, 95.0), (11, 95.0), (12, 95.0), (13, 95.0), (14, 95.0)];
        assert_eq!(run(&bounds(3, 0), &values), [(14, 'F')]);
        let values = [(0, 95.0), (1, 10.0), (20, 10.0), (21, 10.0), (22, 10.0)];
        assert_eq!(run(&bounds(0, 2), &values), [(0, 'F'), (22, 'R')]);
    }

    #[test]
    fn what_is_no_number_changes_nothing() {
        assert_eq!(run(&bounds(0, 0), &[(0, f64::NAN), (1, 95.0), (2, f64::NAN)]), [(1, 'F')]);
    }

    #[test]
    fn below_is_the_mirror_of_above() {
        let low = RuleBounds { side: Side::Below, bound: 10.0, clear: 20.0, ..bounds(1, 1) };
        let values = each_second(&[30.0, 9.0, 9.0, 15.0, 25.0, 25.0, 25.0]);
        assert_eq!(run(&low, &values), [(2, 'F'), (5, 'R')]);
    }

    #[test]
    fn the_worst_value_is_kept_with_its_time() {
        let (state, change) = step(None, &bounds(0, 0), &value(95.0, 0), at(0));
        assert!(matches!(change, Some(StateChange::Fire { value: 95.0, .. })));
        let (state, _) = step(state, &bounds(0, 0), &value(99.0, 1), at(1));
        let (state, _) = step(state, &bounds(0, 0), &value(97.0, 2), at(2));
        let (_, change) = step(state, &bounds(0, 0), &value(1.0, 3), at(3));
        let Some(StateChange::Resolve(firing)) = change else { panic!("{change:?}") };
        assert_eq!(
            (firing.worst, firing.worst_ns, firing.since_ns),
            (99.0, WallNs(1_000_000_000), WallNs(0))
        );
    }

    proptest! {
        /// Against a direct reading of the definition over the whole history, second by second.
        #[test]
        fn it_fires_and_resolves_as_the_definition_says(
            values in proptest::collection::vec(0u32..4, 1..60), hold in 0u64..5, clear_hold in 0u64..5,
        ) {
            let figures = [95.0, 85.0, 70.0, 92.0];
            let values: Vec<f64> = values.iter().map(|at| figures[*at as usize]).collect();
            let rule = bounds(hold, clear_hold);
            let mut expected = Vec::new();
            let (mut firing, mut begin) = (false, 0);
            for now in 0..values.len() {
                let all = |holds: fn(f64) -> bool, length: u64| {
                    let length = usize::try_from(length).unwrap();
                    now >= begin + length && values[now - length..=now].iter().all(|it| holds(*it))
                };
                if !firing && all(|it| it > 90.0, hold) {
                    (firing, begin) = (true, now + 1);
                    expected.push((now as u64, 'F'));
                } else if firing && all(|it| it <= 80.0, clear_hold) {
                    (firing, begin) = (false, now + 1);
                    expected.push((now as u64, 'R'));
                }
            }
            prop_assert_eq!(run(&rule, &each_second(&values)), expected);
        }

        /// Fires and resolves alternate, whatever happens.
        #[test]
        fn changes_alternate(
            values in proptest::collection::vec((1u64..20, 0.0f64..100.0), 0..100), hold in 0u64..9,
        ) {
            let mut second = 0;
            let values: Vec<_> = values.into_iter().map(|(later, it)| { second += later; (second, it) }).collect();
            let changes = run(&bounds(hold, hold), &values);
            for (at, (_, change)) in changes.iter().enumerate() {
                prop_assert_eq!(*change, if at % 2 == 0 { 'F' } else { 'R' });
            }
        }
    }
}
