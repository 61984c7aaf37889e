//! Tests of groups.

use wire::tag::{Tag, TagKey};
use wire::{Bytes, Packets};

use super::*;
use crate::store::rows::client_days::DaySums;
use crate::store::rows::rollups::{FIVE_MINUTES_NS, MINUTE_NS};
use crate::store::rows::series::PointCounts;
use crate::store::rows::tags::TagSource;

fn tag(client: i64, tag: &str, from: u64, to: Option<u64>) -> (i64, TagInterval) {
    let tag: Tag = tag.parse().unwrap();
    let interval = TagInterval {
        key: tag.key().clone(),
        value: tag.value().to_owned(),
        source: TagSource::Agent,
        from_ns: WallNs(from * FIVE_MINUTES_NS),
        to_ns: to.map(|to| WallNs(to * FIVE_MINUTES_NS)),
    };
    (client, interval)
}

fn range(by: Option<&str>, having: &[&str], intervals: u64, step: u64) -> GroupsRange {
    let by = by.map(|key| TagKey::new(key).unwrap());
    let having = having.iter().map(|it| it.parse().unwrap()).collect();
    GroupsRange::new(
        by,
        having,
        (WallNs(0), WallNs(intervals * FIVE_MINUTES_NS)),
        step * FIVE_MINUTES_NS,
    )
}

/// Clients with their ids: `c1`, `c2` and so on.
fn numbered(count: i64) -> Vec<(i64, String)> {
    (1..=count).map(|number| (number, format!("c{number}"))).collect()
}

fn members(groups: &Groups) -> Vec<(i64, Option<&str>, u64, u64)> {
    let text = |it: &GroupMember| {
        let value = groups.groups[it.group].value.as_deref();
        let (from, to) = (it.from_ns / FIVE_MINUTES_NS, it.to_ns / FIVE_MINUTES_NS);
        (it.client, value, from, to)
    };
    groups.members.iter().map(text).collect()
}

#[test]
fn a_client_is_in_the_group_of_its_tag_while_it_has_it() {
    let tags = [
        tag(1, "site=ams", 0, Some(4)),
        tag(1, "site=fra", 4, None),
        tag(2, "site=ams", 2, Some(100)),
        tag(2, "role=cache", 6, None),
    ];
    let by = Groups::of(&range(Some("site"), &[], 10, 1), &numbered(3), &tags).unwrap();
    assert_eq!(
        members(&by),
        [
            (1, Some("ams"), 0, 4),
            (1, Some("fra"), 4, 10),
            (2, None, 0, 2),
            (2, Some("ams"), 2, 10),
            (3, None, 0, 10)
        ]
    );
    let heads: Vec<_> = by.groups.iter().map(|it| (it.value.as_deref(), it.clients)).collect();
    assert_eq!(heads, [(None, 2), (Some("ams"), 2), (Some("fra"), 1)]);
    let of = Groups::of(&range(Some("site"), &["role=cache"], 10, 1), &numbered(3), &tags).unwrap();
    assert_eq!(members(&of), [(2, Some("ams"), 6, 10)]);
    let all = Groups::of(&range(None, &["site=ams"], 10, 1), &numbered(3), &tags).unwrap();
    assert_eq!(members(&all), [(1, None, 0, 4), (2, None, 2, 10)]);
}

#[test]
fn each_client_can_be_a_group_of_its_own_while_it_has_the_tags() {
    let tags = [tag(1, "site=ams", 0, Some(4)), tag(2, "site=ams", 2, None)];
    let each = GroupsRange { each_client: true, ..range(Some("site"), &["site=ams"], 10, 1) };
    let groups = Groups::of(&each, &numbered(3), &tags).unwrap();
    assert_eq!(members(&groups), [(1, Some("c1"), 0, 4), (2, Some("c2"), 2, 10)]);
    let one = GroupsRange { client: Some("c3".into()), ..range(None, &[], 10, 1) };
    let groups = Groups::of(&one, &numbered(3), &tags).unwrap();
    assert_eq!(members(&groups), [(3, None, 0, 10)]);
}

#[test]
fn steps_are_whole_minutes_and_the_range_whole_steps() {
    let of = |from, to, step| {
        let range = GroupsRange::new(
            None,
            vec![],
            (WallNs(from * MINUTE_NS), WallNs(to * MINUTE_NS)),
            step,
        );
        (range.from_ns / MINUTE_NS, range.to_ns / MINUTE_NS, range.step_ns / MINUTE_NS)
    };
    assert_eq!(of(7, 11, 5 * MINUTE_NS), (5, 15, 5));
    assert_eq!(of(7, 8, 1), (7, 8, 1));
    assert_eq!(of(0, 0, 0), (0, 0, 1));
    assert_eq!(range(None, &[], 1, 1).resolution(), Resolution::FiveMinutes);
    let minutes = GroupsRange { step_ns: 7 * MINUTE_NS, ..range(None, &[], 1, 1) };
    assert_eq!(minutes.resolution(), Resolution::Minute);
}

#[test]
fn rows_of_nics_are_added_up_by_interval_in_any_order() {
    let mut groups = Groups::of(&range(None, &[], 2, 1), &numbered(1), &[]).unwrap();
    for (at, bytes, covered) in [(1, 5, 100), (0, 7, 300), (1, 6, 200)] {
        let rx = PointCounts { bytes: Bytes(bytes), peak_1ms_bytes: 1, ..PointCounts::default() };
        let start_ns = WallNs(at * FIVE_MINUTES_NS);
        let point = Point { start_ns, interval_ns: covered, rx, ..Point::default() };
        groups.add(&GroupRow { group: 0, point });
    }
    let [group] = &groups.finish().groups[..] else { panic!("one") };
    let point = |it: &GroupPoint| {
        let Point { start_ns, rx, interval_ns, .. } = &it.point;
        (*start_ns / FIVE_MINUTES_NS, rx.bytes, *interval_ns)
    };
    let points: Vec<_> = group.points.iter().map(point).collect();
    assert_eq!(points, [(0, Bytes(7), 300), (1, Bytes(11), 200)]);
}

#[test]
fn what_a_day_has_counts_while_the_client_was_a_member_and_only_other_days_are_missing() {
    const DAY: u64 = 288;
    // On day 1 ams until the 10th interval, then fra.
    let change = DAY + 10;
    let tags = [tag(1, "site=ams", 0, Some(change)), tag(1, "site=fra", change, None)];
    let range = range(Some("site"), &[], 3 * DAY, DAY);
    let mut groups = Groups::of(&range, &numbered(2), &tags).unwrap();
    assert_eq!((groups.days(), groups.clients()), (0..3, BTreeSet::from([1, 2])));
    assert_eq!([1, 2].map(|it| groups.wanted(it)), [DayFigures::Intervals, DayFigures::Totals]);
    let mut sums = DaySums::of(1);
    for at in 0..DAY {
        let rx = PointCounts { bytes: Bytes(1 << (at / 20)), ..PointCounts::default() };
        let start_ns = WallNs((DAY + at) * FIVE_MINUTES_NS);
        let interval_ns = FIVE_MINUTES_NS;
        sums.add(&Point { start_ns, interval_ns, rx, drops: Packets(at), ..Point::default() });
    }
    let packed = sums.pack();
    groups.add_day(1, 1, &packed.rates, Some(&packed.figures));
    // Twice, unreadable, and of nobody.
    groups.add_day(1, 1, &packed.rates, Some(&packed.figures));
    groups.add_day(1, 2, &packed.rates[1..], Some(&packed.figures));
    groups.add_day(1, 2, &packed.rates, Some(&packed.figures[1..]));
    groups.add_day(7, 1, &packed.rates, None);
    groups.add_day(2, 0, &packed.rates, Some(&packed.totals));
    let missing: Vec<_> = groups
        .missing()
        .into_iter()
        .map(|it| (it.client, it.from_ns / FIVE_MINUTES_NS, it.to_ns / FIVE_MINUTES_NS))
        .collect();
    assert_eq!(missing, [(1, 0, DAY), (1, 2 * DAY, 3 * DAY), (2, DAY, 3 * DAY)]);
    let point = |it: &GroupPoint| {
        let Point { start_ns, interval_ns, rx, drops, .. } = &it.point;
        let day = *start_ns / (DAY * FIVE_MINUTES_NS);
        (day, *interval_ns / FIVE_MINUTES_NS, rx.bytes, *drops)
    };
    let points: Vec<Vec<_>> =
        groups.finish().groups.iter().map(|it| it.points.iter().map(point).collect()).collect();
    // 20 intervals each of 2^0, 2^1 ... 2^13, and 8 of 2^14.
    let all = Bytes(20 * ((1 << 14) - 1) + 8 * (1 << 14));
    let drops = Packets(287 * 288 / 2);
    let expected = [
        vec![(0, 288, all, drops)],
        vec![(1, 10, Bytes(10), Packets(45))],
        vec![(1, 278, Bytes(all.get() - 10), Packets(drops.get() - 45))],
    ];
    assert_eq!(points, expected);
}

#[test]
fn of_too_many_groups_the_largest_stay_and_the_others_are_one_with_their_number() {
    let tags: Vec<_> = (1..=150).map(|at| tag(at, &format!("site=s{at:03}"), 0, None)).collect();
    let clients = [vec![(0, "c0".to_owned())], numbered(150)].concat();
    let groups = |intervals| {
        let range = range(Some("site"), &[], intervals, 1);
        Groups::of(&range, &clients, &tags).unwrap()
    };
    // The host without a tag has place 0 and carried least; it stays.
    let ranked = |intervals| {
        let mut groups = groups(intervals);
        assert!(groups.are_too_many());
        for group in 0..=150 {
            let rx = PointCounts { bytes: Bytes(group as u64), ..PointCounts::default() };
            groups.add_rate(&GroupRow { group, point: Point { rx, ..Point::default() } });
        }
        groups
    };
    let folded = ranked(9).fold();
    assert!(!folded.are_too_many());
    let found = folded.groups.iter().map(|it| (it.value.as_deref(), it.clients, it.others));
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), 100);
    let expected = [(None, 1, 0), (Some("s053"), 1, 0), (Some("s054"), 1, 0)];
    assert_eq!((&found[..3], found[99]), (&expected[..], (None, 52, 52)));
    let group = |client: i64| folded.members.iter().find(|it| it.client == client).unwrap().group;
    assert_eq!([0, 1, 52, 53, 150].map(group), [0, 99, 99, 1, 98]);
    // Over a long range there are fewer.
    let long = ranked(200_000).fold();
    let found: Vec<_> = long.groups.iter().map(|it| (it.value.as_deref(), it.others)).collect();
    assert_eq!(found, [(None, 0), (None, 150)]);
    assert_eq!(ranked(300_000).fold().groups.len(), 1);
}

#[test]
fn stays_of_a_client_that_changes_all_the_time_take_no_time() {
    let tags: Vec<_> =
        (0..8192).map(|at| tag(1, &format!("site=s{}", at % 7), at, Some(at + 1))).collect();
    let begun = std::time::Instant::now();
    let groups =
        Groups::of(&range(Some("site"), &["site=s3"], 8192, 1), &numbered(1), &tags).unwrap();
    assert_eq!(groups.members.len(), 1170);
    let all = Groups::of(&range(Some("site"), &[], 8192, 1), &numbered(1), &tags).unwrap();
    assert_eq!((all.members.len(), all.groups.len()), (8192, 7));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn an_answer_that_is_too_large_is_refused() {
    let tags: Vec<_> = vec![tag(1, "site=ams", 0, None); CHANGES_MAX + 1];
    let of = |intervals, tags: &[_]| {
        Groups::of(&range(Some("site"), &[], intervals, 1), &numbered(1), tags).map(|_| ())
    };
    assert_eq!(of(500_001, &[]), Err(TooManyGroups::Intervals(500_001)));
    assert_eq!(of(500_000, &[]), Ok(()));
    assert_eq!(of(9, &tags), Err(TooManyGroups::Changes));
    assert_eq!(of(9, &tags[1..]), Ok(()));
}

#[test]
fn points_are_sums_with_the_highest_peak_and_long_steps_have_a_percentile() {
    let mut groups = Groups::of(&range(None, &[], 48, 24), &numbered(1), &[]).unwrap();
    for at in 0..48 {
        // 8 bit/s more with each interval.
        let rx = PointCounts {
            bytes: Bytes(300 * (at + 1)),
            peak_1ms_bytes: u32::try_from(at % 7).unwrap(),
            ..PointCounts::default()
        };
        let (start_ns, interval_ns) = (WallNs(at * FIVE_MINUTES_NS), FIVE_MINUTES_NS);
        let point = Point { start_ns, interval_ns, rx, ..Point::default() };
        groups.add(&GroupRow { group: 0, point });
    }
    let [group] = &groups.finish().groups[..] else { panic!("one") };
    let points: Vec<_> = group
        .points
        .iter()
        .map(|it| (it.point.rx.bytes, it.point.rx.peak_1ms_bytes, it.percentile))
        .collect();
    // 1 + ... + 24 = 300; 25 + ... + 48 = 876. One of 24 is dropped: the 23rd and the 47th remain.
    let expected = [(Bytes(90_000), 6, Some([184, 0])), (Bytes(262_800), 6, Some([376, 0]))];
    assert_eq!(points, expected);
    // Two of 48 are dropped.
    let all = &group.percentile;
    assert_eq!((all.measured, all.rx_bits_per_second), (48, Some(46 * 8)));
}
