//! What is read from rows where days aren't packed: the newest steps, up to a budget.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use wire::WallNs;

use super::range::GroupsRange;
use super::windows::GroupMember;
use crate::store::rows::client_days::{days_of, start_of};
use crate::store::rows::rollups::FIVE_MINUTES_NS;
use crate::store::rows::series::Resolution;

/// What is read, and what isn't.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Affordable {
    /// The members while their rows are read.
    pub members: Vec<GroupMember>,
    /// Steps of which some rows aren't read: nothing is told of them.
    pub left_out: BTreeSet<usize>,
}

/// Days of clients that weren't read, and may have rows. Those of others cost nothing.
#[derive(Debug, Default)]
pub(in crate::store) struct UnpackedDays {
    /// Those to be packed.
    noted: HashSet<(i64, u32)>,
    /// The time whose days have yet to end, so that none of them is noted.
    open: Range<WallNs>,
}

impl UnpackedDays {
    /// Notes a client's day that is to be packed.
    pub fn note(&mut self, client: i64, day: u32) {
        self.noted.insert((client, day));
    }

    /// Tells the time of which no day is noted.
    pub const fn set_open(&mut self, open: Range<WallNs>) {
        self.open = open;
    }

    /// The part of a client's day that may have rows.
    fn part(&self, client: i64, day: u32) -> Range<WallNs> {
        let (start_ns, end_ns) = (start_of(day), start_of(day.saturating_add(1)));
        if self.noted.contains(&(client, day)) {
            return start_ns..end_ns;
        }
        self.open.start.max(start_ns)..self.open.end.min(end_ns)
    }
}

/// Chooses whole steps, the newest first, until the budget of the range is used. `missing`: the members while
/// their days weren't read.
pub(super) fn affordable(
    missing: Vec<GroupMember>,
    range: &GroupsRange,
    unpacked: &UnpackedDays,
) -> Affordable {
    // Minutes aren't packed, and are read in any case.
    let is_minutes = range.resolution() == Resolution::Minute;
    let mut left = if is_minutes { u64::MAX } else { range.unpacked_max };
    let costs = costs(&missing, range, unpacked);
    let is_too_much = |cost: &u64| match left.checked_sub(*cost) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    };
    let Some(newest) = costs.iter().rposition(is_too_much) else {
        return Affordable { members: missing, left_out: BTreeSet::new() };
    };
    let has_cost = |at: &usize| costs.get(*at).is_some_and(|cost| *cost > 0);
    let left_out: BTreeSet<usize> = (0..=newest).filter(has_cost).collect();
    let told = runs(&left_out, range);
    let part = |member: &GroupMember, run: &Range<WallNs>| {
        let (from_ns, to_ns) = (member.from_ns.max(run.start), member.to_ns.min(run.end));
        (from_ns < to_ns).then(|| GroupMember { from_ns, to_ns, ..member.clone() })
    };
    let members = missing.iter().flat_map(|it| told.iter().filter_map(|run| part(it, run)));
    Affordable { members: members.collect(), left_out }
}

/// By step, the 5-minute intervals of clients of which rows would be read.
fn costs(missing: &[GroupMember], range: &GroupsRange, unpacked: &UnpackedDays) -> Vec<u64> {
    let GroupsRange { from_ns, to_ns, step_ns, .. } = *range;
    let mut costs = vec![0; usize::try_from((to_ns - from_ns).div_ceil(step_ns)).unwrap_or(0)];
    for member in missing {
        for day in days_of(member.from_ns, member.to_ns) {
            let part = unpacked.part(member.client, day);
            let mut at_ns = member.from_ns.max(part.start);
            let end_ns = member.to_ns.min(part.end);
            while at_ns < end_ns {
                let step = (at_ns - from_ns) / step_ns;
                let next_ns = end_ns.min(from_ns + (step + 1) * step_ns);
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                if let Some(cost) = costs.get_mut(step) {
                    *cost += (next_ns - at_ns).div_ceil(FIVE_MINUTES_NS);
                }
                at_ns = next_ns;
            }
        }
    }
    costs
}

/// The times between the steps that are left out.
fn runs(left_out: &BTreeSet<usize>, range: &GroupsRange) -> Vec<Range<WallNs>> {
    let start_of = |at: usize| range.from_ns + at as u64 * range.step_ns;
    let mut runs = Vec::new();
    let mut from_ns = range.from_ns;
    for at in left_out {
        if from_ns < start_of(*at) {
            runs.push(from_ns..start_of(*at));
        }
        from_ns = start_of(at + 1);
    }
    runs.push(from_ns..range.to_ns);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 12 * FIVE_MINUTES_NS;

    fn member(client: i64, from: u64, to: u64) -> GroupMember {
        let [from_ns, to_ns] = [from, to].map(|at| WallNs(at * FIVE_MINUTES_NS));
        GroupMember { client, from_ns, to_ns, group: 0 }
    }

    fn hours(count: u64, step_ns: u64, unpacked_max: u64) -> GroupsRange {
        let range = GroupsRange::new(None, vec![], (WallNs(0), WallNs(count * HOUR_NS)), step_ns);
        GroupsRange { unpacked_max, ..range }
    }

    fn open(from: u64, to: u64) -> UnpackedDays {
        let [from_ns, to_ns] = [from, to].map(|at| WallNs(at * FIVE_MINUTES_NS));
        UnpackedDays { open: from_ns..to_ns, ..UnpackedDays::default() }
    }

    /// Of ten steps of an hour, what is read, and the steps that are left out.
    fn of(missing: &[GroupMember], unpacked_max: u64) -> (Vec<GroupMember>, Vec<usize>) {
        let range = hours(10, HOUR_NS, unpacked_max);
        let Affordable { members, left_out } = affordable(missing.to_vec(), &range, &open(0, 120));
        (members, left_out.into_iter().collect())
    }

    #[test]
    fn the_newest_steps_are_read_as_a_whole_until_the_budget_is_used() {
        // Hours 2 to 5 of two clients: 24 intervals each; and a part of hour 8 of one.
        let missing = [member(1, 24, 72), member(2, 24, 72), member(2, 97, 99)];
        assert_eq!(of(&missing, 98), (missing.to_vec(), vec![]));
        // 2 + 2 x 24 = 50; the next hour would be 74.
        for budget in [73, 50] {
            let members = vec![member(1, 48, 72), member(2, 48, 72), member(2, 97, 99)];
            assert_eq!(of(&missing, budget), (members, vec![2, 3]));
        }
        assert_eq!(of(&missing, 25), (vec![member(2, 97, 99)], vec![2, 3, 4, 5]));
        // An older one that would still fit is not read either: what is told has one beginning.
        let uneven = [member(1, 0, 1), member(1, 48, 60)];
        assert_eq!(of(&uneven, 5), (vec![], vec![0, 4]));
        assert_eq!(of(&[], 0), (vec![], vec![]));
    }

    #[test]
    fn days_without_rows_cost_nothing_and_are_told_of_between_those_that_are_left_out() {
        let range = hours(72, 24 * HOUR_NS, 288);
        // Day 1 of one of two clients, and day 2 of both, which is too much.
        let missing = vec![member(1, 0, 3 * 288), member(2, 0, 3 * 288)];
        let mut unpacked = open(2 * 288, 9 * 288);
        unpacked.note(1, 1);
        let found = affordable(missing.clone(), &range, &unpacked);
        let members = vec![member(1, 0, 288), member(2, 0, 288)];
        assert_eq!(found, Affordable { members, left_out: BTreeSet::from([1, 2]) });
        let range = GroupsRange { unpacked_max: 2 * 288, ..range };
        let found = affordable(missing.clone(), &range, &unpacked);
        let members = [1, 2].map(|it| [member(it, 0, 288), member(it, 2 * 288, 3 * 288)]);
        let members = members.concat();
        assert_eq!(found, Affordable { members, left_out: BTreeSet::from([1]) });
        // Nothing comes from the future.
        unpacked.set_open(WallNs(2 * 288 * FIVE_MINUTES_NS)..WallNs(578 * FIVE_MINUTES_NS));
        let range = GroupsRange { unpacked_max: 2 * 2 + 288, ..range };
        let found = affordable(missing, &range, &unpacked);
        assert!(found.left_out.is_empty(), "{found:?}");
    }

    #[test]
    fn minutes_are_read_whatever_their_number() {
        let range = hours(10, HOUR_NS / 60, 0);
        let missing = vec![member(1, 0, 120)];
        let all = Affordable { members: missing.clone(), left_out: BTreeSet::new() };
        assert_eq!(affordable(missing, &range, &open(0, 120)), all);
    }
}
