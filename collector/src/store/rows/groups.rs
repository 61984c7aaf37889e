//! The traffic of groups of clients over time. A group is the clients with one value of a tag, each while it
//! had that value. Pure: every store decides the same.

mod budget;
mod range;
mod stays;
mod sums;
mod windows;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use wire::WallNs;

pub(in crate::store) use self::budget::UnpackedDays;
use self::budget::{Affordable, affordable};
pub use self::range::GroupsRange;
use self::stays::{Stay, stays_of};
pub use self::sums::GroupPoint;
use self::sums::{SlicedSums, is_midnight, length_ns};
pub(in crate::store) use self::windows::{GroupMember, Window, windows};
use crate::store::rows::client_days::{Unpacked, days_of, start_of};
use crate::store::rows::percentile::Percentile;
use crate::store::rows::series::{Point, Resolution};
use crate::store::rows::tags::TagInterval;

/// Most groups of an answer: more than anybody compares. With 1,000 points each, the answer is tens of
/// megabytes long.
const GROUPS_MAX: usize = 100;

/// Most intervals of all groups together, which bounds the memory of a query: of 5 minutes, 57 groups over
/// 30 days, or 4 over 400. Of more groups the largest are shown, and the others together.
const INTERVALS_MAX: u64 = 500_000;

/// Most intervals of tags that are looked at, about 20 MB: ten changes of each of 10,000 clients, twice.
pub(in crate::store) const CHANGES_MAX: usize = 200_000;

/// The answer would be too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyGroups {
    /// More intervals than are added up at a time, of a single group.
    #[error("{0} intervals; at most {INTERVALS_MAX} are allowed: choose a shorter range")]
    Intervals(u64),
    /// More changes of tags than are looked at.
    #[error(
        "these tags have changed more than {CHANGES_MAX} times within the range: choose a shorter \
         range, or another tag"
    )]
    Changes,
}

/// The traffic of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupsFound {
    /// By value; those of no value first, and the others last.
    pub groups: Vec<Group>,
    /// Days (UTC) of which nothing is told in whole or in part, because they aren't packed yet and reading
    /// their rows would take too long. The points of no group are in them, and none has a percentile over the
    /// whole range.
    pub missing_days: usize,
}

/// The traffic of the clients with one value of a tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The value, or the client's id; `None`: the clients without such a tag, or all clients.
    pub value: Option<String>,
    /// 0, or how many values this last group stands for, because there are too many: those with the fewest
    /// bytes.
    pub others: usize,
    /// How many clients were in it at some time of the range.
    pub clients: usize,
    /// Its points, oldest first. Time without points was not measured. A point's measured time is that of
    /// the group: of each interval the longest of any NIC. Its peaks are the highest of any one NIC.
    pub points: Vec<GroupPoint>,
    /// The 95th percentile over the whole range: the bytes of all NICs are added up by interval before
    /// anything is sorted.
    pub percentile: Percentile,
}

/// A row of a rollup, of one or more NICs of a group.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct GroupRow {
    pub group: usize,
    pub point: Point,
}

/// What `client_days` has of a client's day, besides its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum DayFigures {
    /// Nothing else is wanted.
    None,
    /// By interval.
    Intervals,
    /// Of the whole day.
    Totals,
}

/// Who is in which group when, and what they carried.
#[derive(Debug)]
pub(in crate::store) struct Groups {
    range: GroupsRange,
    pub members: Vec<GroupMember>,
    groups: Vec<Group>,
    /// Most groups of an answer.
    most: usize,
    /// By group.
    sums: Vec<SlicedSums>,
    /// Days that were read from `client_days`: of each client.
    read: HashSet<(i64, u32)>,
    /// Days that weren't read, and may have rows.
    unpacked: UnpackedDays,
    /// Steps of which nothing is told.
    left_out: BTreeSet<usize>,
    rates: Unpacked<3>,
    figures: Unpacked<9>,
}

impl Groups {
    /// Sorts clients into groups by the intervals of their tags.
    ///
    /// # Errors
    /// [`TooManyGroups`]: the answer would be too large.
    pub fn of(
        range: &GroupsRange,
        clients: &[(i64, String)],
        tags: &[(i64, TagInterval)],
    ) -> Result<Self, TooManyGroups> {
        let mut of: BTreeMap<i64, Vec<&TagInterval>> = BTreeMap::new();
        for (client, interval) in tags {
            of.entry(*client).or_default().push(interval);
        }
        let each = (range.to_ns - range.from_ns).div_ceil(length_ns(range.resolution()));
        if each > INTERVALS_MAX {
            return Err(TooManyGroups::Intervals(each));
        }
        if tags.len() > CHANGES_MAX {
            return Err(TooManyGroups::Changes);
        }
        let times = (range.from_ns, range.to_ns);
        let mut stays = Vec::new();
        let wanted = |id: &String| range.client.as_ref().is_none_or(|client| client == id);
        for (client, id) in clients.iter().filter(|(_, id)| wanted(id)) {
            let tags = of.get(client).map_or(&[][..], Vec::as_slice);
            let by = range.by.as_ref().filter(|_| !range.each_client);
            let own = range.each_client.then_some(id);
            let found = stays_of(times, by, &range.having, tags);
            let found =
                found.into_iter().map(|stay| Stay { value: own.cloned().or(stay.value), ..stay });
            stays.extend(found.map(|stay| (*client, stay)));
        }
        let values: BTreeSet<&Option<String>> = stays.iter().map(|(_, stay)| &stay.value).collect();
        let values: Vec<&Option<String>> = values.into_iter().collect();
        let place = |value: &Option<String>| values.binary_search(&value).unwrap_or_default();
        let members = stays.iter().map(|(client, Stay { value, from_ns, to_ns })| GroupMember {
            client: *client,
            from_ns: *from_ns,
            to_ns: *to_ns,
            group: place(value),
        });
        let members = members.collect();
        let group = |value: &&Option<String>| Group { value: (*value).clone(), ..Group::default() };
        let groups = values.iter().map(group).collect();
        // At least 1, as checked above.
        let most = GROUPS_MAX.min(usize::try_from(INTERVALS_MAX / each.max(1)).unwrap_or(1));
        let range = range.clone();
        let (sums, read, left_out) = (Vec::new(), HashSet::new(), BTreeSet::new());
        let unpacked = UnpackedDays::default();
        let (rates, figures) = (Unpacked::default(), Unpacked::default());
        let groups =
            Self { range, members, groups, most, sums, read, unpacked, left_out, rates, figures };
        Ok(groups.counted())
    }

    /// Counts the clients of each group. Of too many groups only the bytes are added up.
    fn counted(mut self) -> Self {
        let clients: BTreeSet<(usize, i64)> =
            self.members.iter().map(|it| (it.group, it.client)).collect();
        self.groups.iter_mut().for_each(|group| group.clients = 0);
        for (group, _) in clients {
            if let Some(group) = self.groups.get_mut(group) {
                group.clients += 1;
            }
        }
        let times = (self.range.from_ns, self.range.to_ns);
        let sums = if self.are_too_many() {
            SlicedSums::default()
        } else {
            SlicedSums::of(times, self.range.step_ns, self.range.resolution())
        };
        self.sums = vec![sums; self.groups.len()];
        self.read.clear();
        self
    }

    /// True if there are more groups than an answer has: read what they carried, then [`Self::fold`] them.
    pub const fn are_too_many(&self) -> bool {
        self.groups.len() > self.most
    }

    /// Keeps the groups with the most bytes, and that of the clients without the tag; the others become one,
    /// the last.
    pub fn fold(mut self) -> Self {
        let rank = |place: &usize| {
            let tagged = self.groups.get(*place).is_some_and(|group| group.value.is_some());
            let bytes = self.sums.get(*place).map(|sums| sums.bytes);
            (tagged, Reverse(bytes), *place)
        };
        let mut kept: Vec<usize> = (0..self.groups.len()).collect();
        kept.sort_unstable_by_key(rank);
        kept.truncate(self.most.saturating_sub(1));
        kept.sort_unstable();
        let others = self.groups.len() - kept.len();
        for member in &mut self.members {
            member.group = kept.binary_search(&member.group).unwrap_or(kept.len());
        }
        let group = |place: &usize| self.groups.get(*place).cloned().unwrap_or_default();
        let last = Group { others, ..Group::default() };
        self.groups = kept.iter().map(group).chain([last]).collect();
        self.counted()
    }

    /// The numbers of its clients.
    pub fn clients(&self) -> BTreeSet<i64> {
        self.members.iter().map(|it| it.client).collect()
    }

    /// The days in which the range lies.
    pub fn days(&self) -> Range<u32> {
        days_of(self.range.from_ns, self.range.to_ns)
    }

    /// What to read of a client's days.
    pub fn wanted(&self, client: i64) -> DayFigures {
        let whole = |it: &GroupMember| is_midnight(it.from_ns) && is_midnight(it.to_ns);
        if self.are_too_many() || self.range.resolution() != Resolution::FiveMinutes {
            DayFigures::None
        } else if is_midnight(WallNs(self.range.step_ns)) && self.stays(client).all(whole) {
            DayFigures::Totals
        } else {
            DayFigures::Intervals
        }
    }

    /// When a client was in which group.
    fn stays(&self, client: i64) -> impl Iterator<Item = &GroupMember> {
        let first = self.members.partition_point(|it| it.client < client);
        self.members.iter().skip(first).take_while(move |it| it.client == client)
    }

    /// Days that weren't read, and may have rows: to be told before [`Self::rows_to_read`].
    pub const fn unpacked(&mut self) -> &mut UnpackedDays {
        &mut self.unpacked
    }

    /// Adds a day of a client. What can't be read is [missing](Self::missing).
    pub fn add_day(&mut self, client: i64, day: u32, rates: &[u8], figures: Option<&[u8]>) {
        let Self { rates: of_rates, figures: of_figures, .. } = self;
        let read = of_rates.read(rates).is_some()
            && figures.is_none_or(|figures| of_figures.read(figures).is_some());
        if !read || !self.read.insert((client, day)) {
            return;
        }
        let (start_ns, end_ns) = (start_of(day), start_of(day.saturating_add(1)));
        let first = self.members.partition_point(|it| it.client < client);
        let stays = self.members.iter().skip(first).take_while(|it| it.client == client);
        for GroupMember { from_ns, to_ns, group, .. } in stays {
            let Some(sums) = self.sums.get_mut(*group) else { continue };
            if *to_ns <= start_ns || *from_ns >= end_ns {
                continue;
            }
            let times = (*from_ns, *to_ns);
            sums.add_rates(start_ns, times, (&self.rates.places, &self.rates.rows));
            if figures.is_some() {
                sums.add_figures(start_ns, times, (&self.figures.places, &self.figures.rows));
            }
        }
    }

    /// The members while their rows are to be read: where their days weren't, and the budget allows it.
    pub fn rows_to_read(&mut self) -> Vec<GroupMember> {
        let Affordable { members, left_out } =
            affordable(self.missing(), &self.range, &self.unpacked);
        self.left_out = left_out;
        members
    }

    /// The members while their days weren't read.
    fn missing(&self) -> Vec<GroupMember> {
        let mut missing: Vec<GroupMember> = Vec::new();
        for member in &self.members {
            for day in days_of(member.from_ns, member.to_ns) {
                if self.read.contains(&(member.client, day)) {
                    continue;
                }
                let from_ns = member.from_ns.max(start_of(day));
                let to_ns = member.to_ns.min(start_of(day.saturating_add(1)));
                let goes_on = |before: &&mut GroupMember| {
                    (before.client, before.group, before.to_ns)
                        == (member.client, member.group, from_ns)
                };
                match missing.last_mut().filter(goes_on) {
                    Some(before) => before.to_ns = to_ns,
                    None => missing.push(GroupMember { from_ns, to_ns, ..member.clone() }),
                }
            }
        }
        missing
    }

    /// Adds a row of the rollup with the points.
    pub fn add(&mut self, GroupRow { group, point }: &GroupRow) {
        if let Some(sums) = self.sums.get_mut(*group) {
            sums.add(point);
        }
    }

    /// Adds a row of `bandwidth_5m` for the percentile.
    pub fn add_rate(&mut self, GroupRow { group, point }: &GroupRow) {
        if let Some(sums) = self.sums.get_mut(*group) {
            sums.add_rate(point.start_ns, point.interval_ns, (point.rx.bytes, point.tx.bytes));
        }
    }

    /// What was added, without the steps that are left out.
    pub fn finish(self) -> GroupsFound {
        let Self { range, left_out, .. } = self;
        let days = left_out.iter().flat_map(|at| {
            let start_ns = range.from_ns + *at as u64 * range.step_ns;
            days_of(start_ns, start_ns.saturating_add(range.step_ns).min(range.to_ns))
        });
        let missing_days = days.collect::<BTreeSet<u32>>().len();
        let groups = self.groups.into_iter().zip(self.sums);
        let finish = |(group, sums): (Group, SlicedSums)| {
            let (points, percentile) = sums.finish(&left_out);
            Group { points, percentile, ..group }
        };
        GroupsFound { groups: groups.map(finish).collect(), missing_days }
    }
}

#[cfg(test)]
mod tests;
