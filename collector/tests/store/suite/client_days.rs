//! Packed days of clients: sums over them are those of the rows.

use std::sync::Arc;
use std::time::Duration;

use collector::store::{Commit, Database, Group, GroupsRange, Percentile, RetentionLimits};
use wire::WallNs;
use wire::frame::{Counts, Sample, flags};
use wire::tag::{TagKey, TagSet};
use wire::{Bytes, Packets};

use super::place::{Place, assert_sound};
use crate::batches::{Agent, DAY, MINUTE, START, client, hello, nic};

const HOUR: u64 = 60 * MINUTE;
const CLIENTS: [&str; 3] = ["cache-1", "cache-2", "web-1"];

/// Days with rows.
const DAYS: u64 = 3;

/// What is asked: the groups' key, and minutes of a step. The days can't be read packed in the last.
const QUESTIONS: [(Option<&str>, u64); 6] = [
    (Some("site"), 5),
    (Some("site"), 60),
    (None, 180),
    (Some("site"), 1440),
    (None, 1440),
    (None, 7),
];

async fn answers(store: &Arc<dyn Database>) -> Vec<Vec<Group>> {
    let mut answers = Vec::new();
    for (by, step) in QUESTIONS {
        let by = by.map(|key| TagKey::new(key).unwrap());
        // From the middle of a day on.
        let from = if step == 1440 { 0 } else { 9 * HOUR };
        let times = (WallNs(START + from), WallNs(START + DAYS * DAY + HOUR));
        let range = GroupsRange::new(by, vec![], times, step * MINUTE);
        let each = GroupsRange { each_client: true, ..range.clone() };
        answers.push(store.groups(&range).await.unwrap().groups);
        answers.push(store.groups(&each).await.unwrap().groups);
    }
    answers
}

async fn pack(store: &Arc<dyn Database>) {
    while store.end_days().await.unwrap() {}
    let mut last = store.pack_days(None).await.unwrap();
    while last.is_some() {
        last = store.pack_days(last).await.unwrap();
    }
}

async fn packed(place: &impl Place) -> i64 {
    place.numbers("SELECT count(*) FROM client_days WHERE rates IS NOT NULL").await[0]
}

fn sample(name: &str, at: u64, noise: u64) -> Sample {
    let counts = |shift: u32| Counts {
        bytes: Bytes(noise >> shift),
        packets: Packets(noise >> 40),
        captured: Packets(noise >> 44),
        peak_1ms_bytes: u32::try_from(noise >> 36).unwrap(),
        peak_10ms_bytes: u32::try_from(noise >> 33).unwrap(),
        ..Counts::default()
    };
    let (rx, tx) = (counts(20), counts(23));
    let interval_ns = 4 * MINUTE + noise % MINUTE;
    let start_ns = WallNs(at);
    Sample { nic: nic(name), start_ns, interval_ns, rx, tx, ..Sample::default() }
}

/// Three clients with two NICs and a stacked one for three days and a bit; one changes its site in the
/// middle of an hour.
async fn filled(place: &impl Place) -> (Arc<dyn Database>, Vec<Agent>) {
    let store = place.open().await;
    let tags = |text: &str| TagSet::new(text.split(' ').map(|it| it.parse().unwrap())).unwrap();
    let mut agents = Vec::new();
    let mut noise = 4711_u64;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        noise >> 1
    };
    for (session, id) in (1..).zip(CLIENTS) {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        agents.push(Agent::new(id, session, 1));
    }
    for (id, site, at) in [
        ("cache-1", "site=ams", 0),
        ("cache-2", "site=fra", 0),
        ("cache-1", "site=fra", DAY + 7 * HOUR + 20 * MINUTE),
    ] {
        let at = WallNs(START + at);
        store.record_tags(&client(id), &tags(site), at, at).await.unwrap();
    }
    for (nth, agent) in (0_u64..).zip(&mut agents) {
        let mut samples = Vec::new();
        // One is away for an hour, and one comes on the second day.
        let times = (0..288 * DAYS + 20).map(|n| n * 5 * MINUTE);
        let away = |at: u64| (nth == 0 && at / HOUR == 30) || (nth == 2 && at < DAY);
        for at in times.filter(|at| !away(*at)) {
            let eth0 = sample("eth0", START + at, next());
            let bond0 = Sample { nic: nic("bond0"), flags: flags::STACKED, ..eth0 };
            samples.extend([eth0, sample("eth1", START + at, next()), bond0]);
        }
        for chunk in samples.chunks(900) {
            store.commit(&agent.next(chunk.to_vec())).await.unwrap();
        }
    }
    (store, agents)
}

pub async fn sums_over_packed_days_are_those_of_the_rows(place: &impl Place) {
    let (store, mut agents) = filled(place).await;
    let rows = answers(&store).await;
    // Not before the clock is known, and the day over for an hour.
    pack(&store).await;
    assert_eq!(packed(place).await, 0);
    let end = START + DAYS * DAY;
    store.keep_clock(WallNs(end + HOUR - 1)).await.unwrap();
    pack(&store).await;
    assert_eq!(packed(place).await, 6);
    store.keep_clock(WallNs(end + HOUR)).await.unwrap();
    pack(&store).await;
    assert_eq!(packed(place).await, 9);
    for (nth, (packed, rows)) in answers(&store).await.iter().zip(&rows).enumerate() {
        assert!(packed == rows, "question {nth}");
    }
    // What comes late is in the answers at once, and its day is packed again.
    let late = sample("eth0", START + DAY + 30 * HOUR + 1, 1 << 45);
    store
        .commit(&agents[0].next(vec![late, sample("eth2", START + 2 * HOUR, 1 << 50)]))
        .await
        .unwrap();
    assert_eq!(packed(place).await, 7);
    let open = "SELECT version FROM client_days WHERE rates IS NULL ORDER BY day";
    assert_eq!(place.numbers(open).await, [1, 1]);
    let with_late = answers(&store).await;
    assert!(with_late != rows);
    pack(&store).await;
    assert_eq!(packed(place).await, 9);
    assert!(answers(&store).await == with_late);
    // Rows of a day that has yet to end note nothing.
    let today = sample("eth0", end + 2 * HOUR, 1 << 45);
    store.commit(&agents[0].next(vec![today])).await.unwrap();
    assert_eq!(packed(place).await, 9);
    let with_late = answers(&store).await;
    // All come from where they are said to come from.
    place.execute("UPDATE client_days SET rates = totals WHERE client = 1").await;
    assert!(answers(&store).await == with_late, "what can't be read is taken from rows");
    let fresh = "UPDATE client_days SET version = version + 1, rates = NULL WHERE client = 1";
    place.execute(fresh).await;
    pack(&store).await;
    place.execute("DELETE FROM bandwidth_5m").await;
    let sum = |answers: &[Vec<Group>]| -> Vec<Bytes> {
        let points =
            |it: &Vec<Group>| it.iter().flat_map(|it| &it.points).map(|it| it.point.rx.bytes).sum();
        answers.iter().map(points).collect()
    };
    let (by_days, all) = (sum(&answers(&store).await), sum(&with_late));
    assert!(by_days.iter().zip(&all).take(8).all(|(days, all)| days.get() > all.get() / 2));
}

/// What groups by site received in raw rows from so many 5-minute marks after the first on.
async fn raw_sums(place: &impl Place, marks: u64) -> Vec<i64> {
    let time =
        "(SELECT time FROM bandwidth_stats s JOIN nics n ON n.id = s.nic AND n.client = s.client
          WHERE n.name = 'eth0' AND s.client = (SELECT id FROM clients WHERE client_id = 'cache-2')
          ORDER BY time LIMIT 1 OFFSET {})";
    let [from, to] = [marks, 288 * DAYS].map(|at| time.replace("{}", &at.to_string()));
    let sums = format!(
        "SELECT CAST(sum(s.rx_bytes) AS bigint) FROM bandwidth_stats s
         LEFT JOIN tag_intervals t ON t.client = s.client AND t.key = 'site' AND s.time >= t.valid_from
             AND (t.valid_to IS NULL OR s.time < t.valid_to)
         WHERE s.flags & 1 = 0 AND s.time >= {from} AND s.time < {to}
         GROUP BY t.value ORDER BY coalesce(t.value, '')"
    );
    place.numbers(&sums).await
}

pub async fn of_days_that_are_not_packed_the_newest_steps_are_read_and_the_others_said_to_be_missing(
    place: &impl Place,
) {
    let (store, _) = filled(place).await;
    let ask = async |step: u64, unpacked_max: u64, each_client: bool| {
        let times = (WallNs(START), WallNs(START + DAYS * DAY));
        let by = Some(TagKey::new("site").unwrap());
        let range = GroupsRange::new(by, vec![], times, step * MINUTE);
        store.groups(&GroupsRange { each_client, unpacked_max, ..range }).await.unwrap()
    };
    // The first mark that is told of, and the days that are missing in whole or in part.
    let told = async |step: u64, unpacked_max: u64, first: u64, missing: usize| {
        let found = ask(step, unpacked_max, false).await;
        let said = format!("steps of {step} min, {unpacked_max} intervals");
        assert_eq!(found.missing_days, missing, "{said}");
        let first_ns = WallNs(START + first * 5 * MINUTE);
        let sum = |it: &Group| -> u64 { it.points.iter().map(|it| it.point.rx.bytes.get()).sum() };
        let sums = found.groups.iter().map(sum).filter(|sum| *sum > 0);
        let sums: Vec<i64> = sums.map(u64::cast_signed).collect();
        assert_eq!(sums, raw_sums(place, first).await, "{said}");
        for group in &found.groups {
            assert!(group.points.iter().all(|it| it.point.start_ns >= first_ns), "{said}");
            let Percentile { rx_bits_per_second, tx_bits_per_second, .. } = group.percentile;
            let none = rx_bits_per_second.or(tx_bits_per_second).is_none();
            assert_eq!(none, missing > 0 || group.points.is_empty(), "{said}");
        }
        let measured = found.groups.iter().map(|it| it.percentile.measured).max();
        assert_eq!(measured, Some(288 * DAYS - first), "{said}");
        // The clients, each for itself, come to the same.
        let each = ask(step, unpacked_max, true).await;
        assert_eq!(each.missing_days, missing, "{said}");
        let all: i64 = each.groups.iter().map(|it| sum(it).cast_signed()).sum();
        assert_eq!(all, sums.iter().sum::<i64>(), "{said}");
    };
    let (clients, day, hour) = (3, 288, 12);
    told(1440, clients * day * 3, 0, 0).await;
    told(1440, clients * day * 3 - 1, day, 1).await;
    told(1440, clients * day * 2, day, 1).await;
    // 20 hours: the last 52 of 72 are missing.
    told(60, clients * hour * 20, hour * 52, 3).await;
    told(60, clients * hour * 60, hour * 12, 1).await;
    assert_eq!(ask(1440, 0, false).await.missing_days, 3);
    // What is packed costs nothing: of two days that aren't, the newer one is read.
    store.keep_clock(WallNs(START + DAYS * DAY + HOUR)).await.unwrap();
    pack(&store).await;
    told(1440, 0, 0, 0).await;
    let open = "UPDATE client_days SET version = version + 1, rates = NULL
                WHERE day < (SELECT max(day) FROM client_days)";
    place.execute(open).await;
    told(1440, clients * day, day, 1).await;
    told(60, 0, 2 * day, 2).await;
    pack(&store).await;
    told(60, 0, 0, 0).await;
}

pub async fn packed_days_that_differ_from_their_rows_are_found(place: &impl Place) {
    let (store, _) = filled(place).await;
    store.keep_clock(WallNs(START + DAYS * DAY + HOUR)).await.unwrap();
    let report = store.check().await.unwrap();
    assert!(report.is_sound() && report.days == 0, "{:?}", report.findings);
    pack(&store).await;
    let report = store.check().await.unwrap();
    assert!(report.is_sound() && report.days == 9, "{:?}", report.findings);
    // Another client's day, which can be read.
    for column in ["totals", "rates", "figures"] {
        place.execute("CREATE TABLE kept AS SELECT * FROM client_days").await;
        let of = |id: u32| {
            format!("(SELECT {column} FROM kept WHERE client = {id} AND day = client_days.day)")
        };
        let swap = format!("UPDATE client_days SET {column} = {} WHERE client = 2", of(1));
        place.execute(&swap).await;
        let report = store.check().await.unwrap();
        let [finding] = &report.findings[..] else { panic!("{column}: {:?}", report.findings) };
        assert!(finding.contains("client cache-2: 3 packed days are not what"), "{finding}");
        // As the finding says.
        place.execute("UPDATE client_days SET rates = NULL, version = version + 1").await;
        pack(&store).await;
        assert_sound(&store).await;
        place.execute("DROP TABLE kept").await;
    }
}

pub async fn a_day_to_which_rows_are_added_while_it_is_packed_is_packed_again(place: &impl Place) {
    let (store, mut agents) = filled(place).await;
    store.keep_clock(WallNs(START + DAYS * DAY + HOUR)).await.unwrap();
    while store.end_days().await.unwrap() {}
    // Commits and packing take turns as they like.
    let packing = async {
        for _ in 0..20 {
            let mut last = store.pack_days(None).await.unwrap();
            while last.is_some() {
                last = store.pack_days(last).await.unwrap();
            }
        }
    };
    let committing = async {
        for n in 0..40 {
            let at = START + n % DAYS * DAY + n * HOUR / 4 + 1;
            store.commit(&agents[1].next(vec![sample("eth1", at, 1 << 50)])).await.unwrap();
        }
    };
    tokio::join!(packing, committing);
    let before = answers(&store).await;
    pack(&store).await;
    assert_eq!(packed(place).await, 9);
    place.execute("DELETE FROM client_days").await;
    let rows = answers(&store).await;
    assert!(before == rows);
}

pub async fn days_are_deleted_with_their_rows(place: &impl Place) {
    let (store, _) = filled(place).await;
    let now = START + DAYS * DAY + HOUR;
    store.keep_clock(WallNs(now)).await.unwrap();
    pack(&store).await;
    // PostgreSQL deletes by tens of days.
    let kept = |days: u64| RetentionLimits {
        rollup_5m: Duration::from_secs(days * 86_400),
        ..RetentionLimits::default()
    };
    let (now, limits) = (START + 42 * DAY + 9 * HOUR, kept(40));
    store.retain(&limits, WallNs(now)).await.unwrap();
    let answer = answers(&store).await;
    place.execute("DELETE FROM client_days").await;
    assert!(answer == answers(&store).await);
    store.retain(&kept(20), WallNs(now)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM client_days").await, [0]);
    assert_sound(&store).await;
}
