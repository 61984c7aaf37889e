//! The traffic of groups of clients over time. A group is the clients with one value of a tag, each while it
//! had that value. Pure: every store decides the same.

mod stays;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use wire::tag::{Tag, TagKey};
use wire::{Bytes, WallNs};

use self::stays::{Stay, stays_of};
use crate::store::rows::percentile::{FiveMinuteRow, Percentile, bits_per_second, percentile_95};
use crate::store::rows::points::add;
use crate::store::rows::rollups::{FIVE_MINUTES_NS, MINUTE_NS};
use crate::store::rows::series::{Point, Resolution};
use crate::store::rows::tags::TagInterval;

/// Shortest step whose points have a percentile of their own: twelve 5-minute intervals.
const PERCENTILE_STEP_NS: u64 = 12 * FIVE_MINUTES_NS;

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

/// The request for the traffic of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsRange {
    /// The key whose values are the groups; `None`: one group of all.
    pub by: Option<TagKey>,
    /// Each client is a group of its own, and `by` is not looked at.
    pub each_client: bool,
    /// Only clients while they had all of these tags.
    pub having: Vec<Tag>,
    /// Only this client.
    pub client: Option<String>,
    /// Start, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// End, not included.
    pub to_ns: WallNs,
    /// Length of a point, nanoseconds; see [`GroupsRange::new`].
    pub step_ns: u64,
}

impl GroupsRange {
    /// Rounds the step to whole minutes and the range to whole steps since 1970 (UTC), so that every point
    /// is complete.
    #[must_use]
    pub fn new(
        by: Option<TagKey>,
        having: Vec<Tag>,
        (from_ns, to_ns): (WallNs, WallNs),
        step_ns: u64,
    ) -> Self {
        let step_ns = step_ns.div_ceil(MINUTE_NS).max(1).saturating_mul(MINUTE_NS);
        let from_ns = from_ns.floor(step_ns);
        let to_ns = WallNs(to_ns.get().div_ceil(step_ns).saturating_mul(step_ns));
        Self { by, each_client: false, having, client: None, from_ns, to_ns, step_ns }
    }

    /// The rollup that has its points: the coarsest whose intervals tile a step.
    #[must_use]
    pub const fn resolution(&self) -> Resolution {
        if self.step_ns.is_multiple_of(FIVE_MINUTES_NS) {
            Resolution::FiveMinutes
        } else {
            Resolution::Minute
        }
    }

    /// The keys that decide about a client.
    pub(in crate::store) fn keys(&self) -> Vec<String> {
        let having = self.having.iter().map(Tag::key);
        self.by.iter().chain(having).map(ToString::to_string).collect()
    }
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

/// The traffic of a group in one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPoint {
    /// Sums and peaks.
    pub point: Point,
    /// The 95th percentile within the step, received and transmitted, bit/s, for steps of at least an
    /// hour.
    pub percentile: Option<[u64; 2]>,
}

/// A client is in a group from `from_ns` until `to_ns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct GroupMember {
    pub client: i64,
    pub from_ns: WallNs,
    pub to_ns: WallNs,
    /// Place of the group in the list of groups.
    pub group: usize,
}

/// The sums of a group in one interval of a rollup.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct GroupRow {
    pub group: usize,
    pub point: Point,
}

/// Rows of NICs in any order, added up by group and interval, for engines that would sort them to do so.
#[derive(Debug)]
pub(in crate::store) struct UnorderedSums(Vec<BTreeMap<WallNs, Point>>);

impl UnorderedSums {
    /// Adds a row of a NIC. The measured time of an interval is the longest of any NIC.
    pub fn add(&mut self, GroupRow { group, point }: &GroupRow) {
        let Some(sums) = self.0.get_mut(*group) else { return };
        let sum = sums.entry(point.start_ns).or_default();
        let interval_ns = sum.interval_ns.max(point.interval_ns);
        add(sum, point);
        (sum.start_ns, sum.interval_ns) = (point.start_ns, interval_ns);
    }

    /// The sums, by group and time.
    pub fn rows(self) -> impl Iterator<Item = GroupRow> {
        let of = |(group, sums): (usize, BTreeMap<WallNs, Point>)| {
            sums.into_values().map(move |point| GroupRow { group, point })
        };
        self.0.into_iter().enumerate().flat_map(of)
    }
}

/// Length of a rollup's intervals.
const fn length_ns(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::FiveMinutes => FIVE_MINUTES_NS,
        Resolution::Raw | Resolution::Minute => MINUTE_NS,
    }
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
    five_minutes: Vec<Vec<FiveMinuteRow>>,
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
        Ok(Self { range: range.clone(), members, groups, most, five_minutes: Vec::new() }.counted())
    }

    /// Counts the clients of each group.
    fn counted(mut self) -> Self {
        let clients: BTreeSet<(usize, i64)> =
            self.members.iter().map(|it| (it.group, it.client)).collect();
        self.groups.iter_mut().for_each(|group| group.clients = 0);
        for (group, _) in clients {
            if let Some(group) = self.groups.get_mut(group) {
                group.clients += 1;
            }
        }
        self.five_minutes = vec![Vec::new(); self.groups.len()];
        self
    }

    /// How many groups there are, if that is more than an answer has: [`Self::fold`] them.
    pub fn too_many(&self) -> Option<usize> {
        Some(self.groups.len()).filter(|groups| *groups > self.most)
    }

    /// Keeps the largest groups by their `bytes`, and that of the clients without the tag; the others become
    /// one, the last.
    pub fn fold(mut self, bytes: &[u64]) -> Self {
        let rank = |place: &usize| {
            let tagged = self.groups.get(*place).is_some_and(|group| group.value.is_some());
            (tagged, Reverse(bytes.get(*place).copied().unwrap_or_default()), *place)
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

    /// No sums yet.
    pub fn unordered_sums(&self) -> UnorderedSums {
        UnorderedSums(vec![BTreeMap::new(); self.groups.len()])
    }

    /// Takes the next row of the rollup with the points, which come by group and time.
    pub fn push(&mut self, row: GroupRow) {
        let GroupRow { group, point } = row;
        if self.range.resolution() == Resolution::FiveMinutes {
            self.push_five_minutes(group, &point);
        }
        let start_ns = point.start_ns.floor(self.range.step_ns);
        let Some(group) = self.groups.get_mut(group) else { return };
        match group.points.last_mut() {
            Some(last) if last.point.start_ns == start_ns => add(&mut last.point, &point),
            _ => group
                .points
                .push(GroupPoint { point: Point { start_ns, ..point }, percentile: None }),
        }
    }

    /// Takes a row of `bandwidth_5m` for the percentile.
    pub fn push_five_minutes(&mut self, group: usize, point: &Point) {
        let Point { start_ns, interval_ns, rx, tx, .. } = point;
        if let Some(rows) = self.five_minutes.get_mut(group) {
            rows.push(FiveMinuteRow {
                start_ns: *start_ns,
                rx_bytes: rx.bytes,
                tx_bytes: tx.bytes,
                covered_ns: *interval_ns,
            });
        }
    }

    /// The groups, by value; those of no value first, and the others last.
    pub fn finish(mut self) -> Vec<Group> {
        let GroupsRange { from_ns, to_ns, step_ns, .. } = self.range;
        for (group, rows) in self.groups.iter_mut().zip(&self.five_minutes) {
            group.percentile = Percentile::of_range(from_ns, to_ns).with(rows);
            if step_ns < PERCENTILE_STEP_NS {
                continue;
            }
            let step = |row: &FiveMinuteRow| row.start_ns.floor(step_ns);
            for rows in rows.chunk_by(|a, b| step(a) == step(b)) {
                let start_ns = rows.first().map(step);
                let point = group.points.iter_mut().find(|it| Some(it.point.start_ns) == start_ns);
                if let Some(point) = point {
                    point.percentile = of_step(rows);
                }
            }
        }
        self.groups
    }
}

/// The percentile of both directions; `None` if nothing was measured.
fn of_step(rows: &[FiveMinuteRow]) -> Option<[u64; 2]> {
    let measured = rows.iter().filter(|row| row.covered_ns > 0);
    let rates = |bytes: fn(&FiveMinuteRow) -> Bytes| {
        measured.clone().map(|row| bits_per_second(bytes(row), row.covered_ns)).collect()
    };
    Some([percentile_95(rates(|it| it.rx_bytes))?, percentile_95(rates(|it| it.tx_bytes))?])
}

#[cfg(test)]
mod tests;
