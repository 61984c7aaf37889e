//! The traffic of groups of clients.

use std::collections::BTreeMap;

use collector::store::{Commit, Group, GroupsRange};
use wire::WallNs;
use wire::frame::{Counts, Sample, flags};
use wire::tag::{Tag, TagKey, TagSet};
use wire::{Bytes, Packets};

use super::place::{Place, assert_sound};
use crate::batches::{Agent, MINUTE, START, client, hello, nic};

/// Raw rows by group, as a person would write it: of all that starts while the tag is valid.
fn by_hand(figure: &str) -> String {
    format!(
        "SELECT CAST(sum(s.{figure}) AS bigint) FROM bandwidth_stats s
         JOIN tag_intervals t ON t.client = s.client AND t.key = 'site' AND s.time >= t.valid_from
             AND (t.valid_to IS NULL OR s.time < t.valid_to)
         WHERE s.flags & 1 = 0 GROUP BY t.value ORDER BY t.value"
    )
}

fn range(by: &str, having: &[&str], minutes: u64, step: u64) -> GroupsRange {
    let having: Vec<Tag> = having.iter().map(|it| it.parse().unwrap()).collect();
    let times = (WallNs(START), WallNs(START + minutes * MINUTE));
    GroupsRange::new(Some(TagKey::new(by).unwrap()), having, times, step * MINUTE)
}

/// Sums of all points by value of the group.
fn sums(groups: &[Group], of: impl Fn(&Group) -> u64) -> BTreeMap<String, u64> {
    groups.iter().map(|it| (it.value.clone().unwrap_or_default(), of(it))).collect()
}

fn rx_bytes(group: &Group) -> u64 {
    group.points.iter().map(|it| it.point.rx.bytes.get()).sum()
}

/// A NIC's sample of 30 s.
fn sample(name: &str, at: u64, noise: u64) -> Sample {
    let counts = |shift: u32| Counts {
        bytes: Bytes(noise >> shift),
        packets: Packets(1 + (noise >> 50)),
        captured: Packets(1),
        peak_1ms_bytes: u32::try_from(noise >> 40).unwrap(),
        ..Counts::default()
    };
    let (rx, tx) = (counts(20), counts(23));
    Sample {
        nic: nic(name),
        start_ns: WallNs(at),
        interval_ns: MINUTE / 2,
        rx,
        tx,
        ..Sample::default()
    }
}

pub async fn sums_of_groups_are_those_of_the_raw_rows_to_the_byte(place: &impl Place) {
    let store = place.open().await;
    let mut agents = Vec::new();
    for (session, id) in (1..).zip(["cache-1", "cache-2", "web-1"]) {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        agents.push(Agent::new(id, session, 1));
    }
    let tags = |text: &str| TagSet::new(text.split(' ').map(|it| it.parse().unwrap())).unwrap();
    let at = |minute: u64| WallNs(START + minute * MINUTE);
    for (id, said, minute) in [
        ("cache-1", "site=ams role=cache", 0),
        ("cache-2", "site=fra role=cache", 0),
        // Between two 5-minute marks: it counts from minute 45 on.
        ("cache-1", "site=fra role=cache", 47),
        ("cache-2", "role=cache", 90),
    ] {
        store.record_tags(&client(id), &tags(said), at(minute), at(minute)).await.unwrap();
    }
    let minutes = 200;
    let mut noise = 12_345_u64;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        noise
    };
    for agent in &mut agents {
        let mut samples = Vec::new();
        for n in 0..2 * minutes {
            let at = START + n * MINUTE / 2;
            let eth0 = sample("eth0", at, next());
            // It carries the same bytes once more.
            let bond0 = Sample { nic: nic("bond0"), flags: flags::STACKED, ..eth0 };
            samples.extend([eth0, sample("eth1", at, next()), bond0]);
        }
        for chunk in samples.chunks(900) {
            store.commit(&agent.next(chunk.to_vec())).await.unwrap();
        }
    }
    for step in [1, 5, 60] {
        let groups = store.groups(&range("site", &[], minutes, step)).await.unwrap().groups;
        let members: Vec<_> = groups.iter().map(|it| (it.value.as_deref(), it.clients)).collect();
        assert_eq!(members, [(None, 2), (Some("ams"), 1), (Some("fra"), 2)]);
        type Figure = fn(&Group) -> u64;
        let figures: [(&str, Figure); 4] = [
            ("rx_bytes", rx_bytes),
            ("tx_bytes", |it| it.points.iter().map(|it| it.point.tx.bytes.get()).sum()),
            ("rx_packets", |it| it.points.iter().map(|it| it.point.rx.packets.get()).sum()),
            ("interval_ns / 2", |it| it.points.iter().map(|it| it.point.interval_ns).sum()),
        ];
        for (figure, of) in &figures[..3] {
            let raw: Vec<u64> =
                place.numbers(&by_hand(figure)).await.into_iter().map(i64::cast_unsigned).collect();
            let found = sums(&groups, of);
            assert_eq!(raw, [found["ams"], found["fra"]], "{figure}, step of {step} min");
        }
        let all: u64 = groups.iter().map(rx_bytes).sum();
        let raw = "SELECT CAST(sum(rx_bytes) AS bigint) FROM bandwidth_stats WHERE flags & 1 = 0";
        assert_eq!(place.numbers(raw).await, [all.cast_signed()]);
        let peak = |it: &Group| {
            it.points.iter().map(|it| u64::from(it.point.rx.peak_1ms_bytes)).max().unwrap()
        };
        let raw = by_hand("rx_peak_1ms_bytes").replace("sum(", "max(");
        let found = sums(&groups, peak);
        assert_eq!(place.numbers(&raw).await, [found["ams"], found["fra"]].map(u64::cast_signed));
        // ams until minute 45, with two NICs measured all the time.
        assert_eq!((figures[3].1)(&groups[1]), 45 * MINUTE);
    }
    let caches = store.groups(&range("site", &["role=cache"], minutes, 5)).await.unwrap().groups;
    let values: Vec<_> = caches.iter().map(|it| (it.value.as_deref(), it.clients)).collect();
    assert_eq!(values, [(None, 1), (Some("ams"), 1), (Some("fra"), 2)]);
    let all = GroupsRange { by: None, ..range("site", &["site=fra"], minutes, 5) };
    let all = store.groups(&all).await.unwrap().groups;
    assert_eq!((all.len(), rx_bytes(&all[0])), (1, rx_bytes(&caches[2])));
    // Its members, each while it was one, come to the same.
    let of = range("site", &["site=fra"], minutes, 5);
    let each = GroupsRange { each_client: true, ..of.clone() };
    let members = sums(&store.groups(&each).await.unwrap().groups, rx_bytes);
    let ids: Vec<_> = members.keys().map(String::as_str).collect();
    assert_eq!(
        (ids, members.values().sum::<u64>()),
        (vec!["cache-1", "cache-2"], rx_bytes(&all[0]))
    );
    let one = GroupsRange { by: None, client: Some("cache-2".into()), ..of };
    assert_eq!(rx_bytes(&store.groups(&one).await.unwrap().groups[0]), members["cache-2"]);
    // Only what lies in the range, in whole steps.
    let part = store.groups(&range("site", &[], 32, 5)).await.unwrap().groups;
    assert_eq!(part.iter().map(|it| it.points.len()).max(), Some(7));
    assert_eq!(store.groups(&range("nothing", &["a=b"], 9, 5)).await.unwrap().groups, []);
    assert_sound(&store).await;
}

pub async fn the_percentile_of_a_group_pools_its_nics_before_ranking(place: &impl Place) {
    let store = place.open().await;
    // Two hosts of one site, busy in turns: 100 MB in 5 minutes, the other nothing. Each alone has its 95th
    // percentile at 100 MB, that is 2.666667 Mbit/s; so have both together, not twice as much. In one
    // interval of 40, both are busy; two of 40 are dropped, so it is not seen.
    let busy = 100_000_000;
    for (session, id) in [(1, "a"), (2, "b")] {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        let site = TagSet::new([Tag::new("site", "ams").unwrap()]).unwrap();
        store.record_tags(&client(id), &site, WallNs(START), WallNs(START)).await.unwrap();
        let mut agent = Agent::new(id, session, 1);
        let samples = (0..40).map(|n| {
            let bytes = if n % 2 == session % 2 || n == 20 { busy } else { 0 };
            let rx = Counts { bytes: Bytes(bytes), packets: Packets(1), ..Counts::default() };
            let (start_ns, interval_ns) = (WallNs(START + n * 5 * MINUTE), 5 * MINUTE);
            Sample { nic: nic("eth0"), start_ns, interval_ns, rx, ..Sample::default() }
        });
        store.commit(&agent.next(samples.collect())).await.unwrap();
    }
    let groups = store.groups(&range("site", &[], 200, 60)).await.unwrap().groups;
    let [ams] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((ams.percentile.measured, ams.percentile.intervals), (40, 48));
    assert_eq!(ams.percentile.rx_bits_per_second, Some(2_666_667));
    // Of each hour none of 12 is dropped; the second has the interval in which both were busy.
    let steps: Vec<_> = ams.points.iter().map(|it| it.percentile.unwrap()[0]).collect();
    assert_eq!(steps, [2_666_667, 5_333_333, 2_666_667, 2_666_667]);
}

pub async fn of_too_many_groups_the_largest_are_shown_and_the_others_are_one(place: &impl Place) {
    let store = place.open().await;
    // Host n of site s<n> has received n bytes; host 0 has no site.
    for n in 0..8_u64 {
        let id = format!("host-{n}");
        store.open_sessions(&client(&id), &hello(&[1 + n]), WallNs(START)).await.unwrap();
        if n > 0 {
            let site = TagSet::new([Tag::new("site", &format!("s{n}")).unwrap()]).unwrap();
            store.record_tags(&client(&id), &site, WallNs(START), WallNs(START)).await.unwrap();
        }
        let rx = Counts { bytes: Bytes(n), packets: Packets(1), ..Counts::default() };
        let interval_ns = 5 * MINUTE;
        let start_ns = WallNs(START);
        let sample = Sample { nic: nic("eth0"), start_ns, interval_ns, rx, ..Sample::default() };
        store.commit(&Agent::new(&id, 1 + n, 1).next(vec![sample])).await.unwrap();
    }
    // Nothing is read of the time to come.
    store.keep_clock(WallNs(START + 10 * MINUTE)).await.unwrap();
    // So many 5-minute intervals that memory has room for five groups.
    let groups = store.groups(&range("site", &[], 450_000, 10_080)).await.unwrap().groups;
    let found: Vec<_> = groups
        .iter()
        .map(|it| (it.value.as_deref(), it.others, it.clients, rx_bytes(it)))
        .collect();
    let expected = [
        // Before, none had a site.
        (None, 0, 8, 0),
        (Some("s5"), 0, 1, 5),
        (Some("s6"), 0, 1, 6),
        (Some("s7"), 0, 1, 7),
        (None, 4, 4, 1 + 2 + 3 + 4),
    ];
    assert_eq!(found, expected);
}

/// Of a fleet whose tags have changed too often to be looked at, those that are asked for are found. `later`
/// is SQL for a time `i` steps after `valid_from`.
pub async fn few_clients_are_found_beside_many_changes(place: &impl Place, later: &str) {
    let store = place.open().await;
    let tags = |text: &str| TagSet::new(text.split(' ').map(|it| it.parse().unwrap())).unwrap();
    for (session, (id, own)) in (1..).zip([("busy", "site=fra"), ("calm", "site=ams role=edge")]) {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        store.record_tags(&client(id), &tags(own), WallNs(START), WallNs(START)).await.unwrap();
        let mut agent = Agent::new(id, session, 1);
        let one = vec![sample("eth0", START + MINUTE, session << 40)];
        store.commit(&agent.next(one)).await.unwrap();
    }
    let of = |id: &str| format!("(SELECT id FROM clients WHERE client_id = '{id}')");
    place
        .execute(&format!(
            "INSERT INTO tag_intervals (client, key, valid_from, valid_to, value, source)
             WITH RECURSIVE steps (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM steps WHERE i < 200001)
             SELECT client, key, {later}, {later}, 'x', source
             FROM tag_intervals CROSS JOIN steps WHERE client = {} AND key = 'site'",
            of("busy")
        ))
        .await;
    let all = range("site", &[], 10, 5);
    let error = store.groups(&all).await.unwrap_err();
    let text = settings::InFull::in_full(&error).to_string();
    assert!(text.contains("changed more than 200000 times"), "{text}");
    let alone = GroupsRange { client: Some("calm".into()), ..all };
    for range in [alone, range("site", &["role=edge"], 10, 5)] {
        let groups = store.groups(&range).await.unwrap().groups;
        assert_eq!(sums(&groups, rx_bytes), [("ams".to_owned(), 2 << 20)].into());
    }
    let none =
        store.groups(&range("site", &["role=edge", "site=fra"], 10, 5)).await.unwrap().groups;
    assert!(none.is_empty(), "{none:?}");
}
