//! Accounts of tags: what hosts carried while they had them, against SQL over the raw rows.

use std::sync::Arc;

use collector::accounts::{AccountBook, CycleState, Statement, bill};
use collector::store::{Commit, Database};
use wire::frame::{Sample, flags};
use wire::tag::TagSet;
use wire::{Bytes, WallNs};

use super::accounts::account;
use super::place::{Place, assert_sound};
use super::views::rate;
use crate::batches::{Agent, DAY, MINUTE, SECOND, START, client, hello, nic};

async fn billed(store: &Arc<dyn Database>, keys: &str, as_of_ns: u64) -> Statement {
    bill(&**store, &account(keys), None, WallNs(as_of_ns)).await.unwrap()
}

/// Says tags of a client at a minute.
async fn say(store: &Arc<dyn Database>, id: &str, tags: &str, minute: u64) {
    let at = WallNs(START + minute * MINUTE);
    let tags = TagSet::new(tags.split_whitespace().map(|it| it.parse().unwrap())).unwrap();
    store.record_tags(&client(id), &tags, at, at).await.unwrap();
}

async fn agents<const N: usize>(store: &Arc<dyn Database>, ids: [&str; N]) -> Vec<Agent> {
    let mut agents = Vec::new();
    for (session, id) in (1..).zip(ids) {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        agents.push(Agent::new(id, session, 1));
    }
    agents
}

pub async fn accounts_of_tags_are_what_sql_says_while_hosts_had_them(place: &impl Place) {
    let store = place.open().await;
    let mut agents = agents(&store, ["cache-1", "cache-2", "web-1"]).await;
    say(&store, "cache-1", "site=ams role=cache", 0).await;
    say(&store, "cache-2", "site=fra role=cache", 0).await;
    // Between two 5-minute marks: it counts from minute 45 on, and at minute 90 both are gone.
    say(&store, "cache-1", "site=fra role=cache", 47).await;
    say(&store, "cache-2", "site=ams role=cache", 47).await;
    say(&store, "cache-2", "role=cache", 93).await;
    let mut noise = 4711_u64;
    for agent in &mut agents {
        let mut samples = Vec::new();
        for n in 0..500 {
            for name in ["eth0", "eth1", "bond0"] {
                noise =
                    noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
                let (rx, tx) = ((noise >> 20, noise >> 50), (noise >> 31, noise >> 55));
                let flags = if name == "bond0" { flags::STACKED } else { 0 };
                let sample = rate(START + n * 20 * SECOND, 20 * SECOND, rx, tx);
                samples.push(Sample { nic: nic(name), flags, ..sample });
            }
        }
        for some in samples.chunks(750) {
            store.commit(&agent.next(some.to_vec())).await.unwrap();
        }
    }
    let as_of = START + 4 * 60 * MINUTE;
    let sum = async |figure: &str, of: &str| {
        let sql = format!(
            "SELECT CAST(sum({figure}) AS bigint) FROM bandwidth_stats s
             JOIN nics n ON n.id = s.nic JOIN clients c ON c.id = s.client WHERE {of}"
        );
        u64::try_from(place.numbers(&sql).await[0]).unwrap()
    };
    let had = |key: &str, value: &str| {
        format!(
            "EXISTS (SELECT 1 FROM tag_intervals t WHERE t.client = s.client AND t.key = '{key}'
                 AND t.value = '{value}' AND s.time >= t.valid_from
                 AND (t.valid_to IS NULL OR s.time < t.valid_to))"
        )
    };
    let (ams, fra, caches) = (had("site", "ams"), had("site", "fra"), had("role", "cache"));
    let named = "c.client_id = 'cache-2' AND n.name IN ('eth1', 'bond0')";
    for (members, of) in [
        (r#"["site=ams"]"#, format!("s.flags & 1 = 0 AND {ams}")),
        (r#"["site=fra", "site=ams"]"#, format!("s.flags & 1 = 0 AND ({ams} OR {fra})")),
        (r#"["role=cache", "site=fra"]"#, format!("s.flags & 1 = 0 AND {caches}")),
        (
            r#"["site=ams", "web-1"]"#,
            format!("s.flags & 1 = 0 AND ({ams} OR c.client_id = 'web-1')"),
        ),
        // A NIC that is named counts all the time, and no other of its host does.
        (
            r#"["cache-2/bond0", "site=ams", "cache-2/eth1"]"#,
            format!("({named} OR (s.flags & 1 = 0 AND {ams}))"),
        ),
    ] {
        for (basis, packets) in [("L2", 0), ("L3", -14)] {
            let rx = sum(&format!("rx_bytes + {packets} * rx_packets"), &of).await;
            let tx = sum(&format!("tx_bytes + {packets} * tx_packets"), &of).await;
            for (rule, used) in [("rx", rx), ("tx", tx), ("sum", rx + tx), ("max", rx.max(tx))] {
                let keys = format!(r#""members": {members}, "rule": "{rule}", "basis": "{basis}""#);
                let found = billed(&store, &keys, as_of).await;
                assert_eq!(found.used_bytes, Bytes(used), "{members} {rule} {basis}");
                assert_eq!(found.unknown_members, [""; 0], "{members}");
            }
        }
    }
    let none = billed(&store, r#""members": ["site=lon", "web-1/eth0"]"#, as_of).await;
    assert_eq!(none.unknown_members, ["site=lon"]);
    // Forgotten, they have no tags any more; what they carried with them stays.
    let keys = r#""members": ["site=ams", "site=fra"]"#;
    let before = billed(&store, keys, as_of).await.used_bytes;
    store.forget(&client("cache-1"), WallNs(START + 240 * MINUTE)).await.unwrap();
    assert_eq!(billed(&store, keys, as_of).await.used_bytes, before);
    assert_sound(&store).await;
}

pub async fn a_host_that_gets_a_tag_within_a_cycle_counts_from_then_on(place: &impl Place) {
    // 40 intervals of 5 minutes; 2 are dropped. a is in ams: 30,000 bytes each (800 bit/s), but 300,000
    // (8000 bit/s) in intervals 3 and 4. b carries 600,000 (16,000 bit/s) in intervals 0 to 19 and 39, and
    // 90,000 (2400 bit/s) in 20 to 38. At minute 103 it moves from fra to ams, which counts from minute 100, that
    // is interval 20.
    // Pooled: 18 x 800, 2 x 8000, 19 x 3200, 1 x 16,800. Without the 2 highest: 8000. Without b it would
    // be 800; with b from the start 16,800; the percentiles of each added up, 800 + 2400 = 3200.
    // Bytes: a 38 x 30,000 + 2 x 300,000 = 1,740,000; b 19 x 90,000 + 600,000 = 2,310,000.
    let store = place.open().await;
    let mut agents = agents(&store, ["a", "b"]).await;
    say(&store, "a", "site=ams", 0).await;
    say(&store, "b", "site=fra", 0).await;
    say(&store, "b", "site=ams", 103).await;
    let a = |n| if n == 3 || n == 4 { 300_000 } else { 30_000 };
    let b = |n| if n < 20 || n == 39 { 600_000 } else { 90_000 };
    let bytes: [&dyn Fn(u64) -> u64; 2] = [&a, &b];
    let five = 5 * MINUTE;
    for (agent, bytes) in agents.iter_mut().zip(bytes) {
        let samples = (0..40).map(|n| rate(START + n * five, five, (bytes(n), 1), (0, 0)));
        store.commit(&agent.next(samples.collect())).await.unwrap();
    }
    let keys = r#""members": ["site=ams"], "rule": "rx", "freeze_after": "1d""#;
    let book = AccountBook::new(store.clone(), vec![account(keys)]);
    let as_of = START + 202 * MINUTE;
    book.renew(WallNs(as_of)).await.unwrap();
    let latest = book.latest();
    let metered = &latest[0].metered;
    assert_eq!((latest[0].used_bytes, metered.p95.bits_per_second), (Bytes(4_050_000), Some(8000)));
    assert_eq!((metered.elapsed_intervals, metered.missing_ns), (40, 0));
    let stays = |at: usize| {
        let minute = |time: WallNs| (time.get() - START) / MINUTE;
        let stays = metered.nics[at].stays.as_ref().unwrap();
        stays.iter().map(|it| (minute(it.from.0), minute(it.to.0))).collect::<Vec<_>>()
    };
    // To the end of the cycle, 31 days.
    assert_eq!((stays(0), stays(1)), (vec![(0, 44_640)], vec![(100, 44_640)]));
    let fra = billed(&store, r#""members": ["site=fra"], "rule": "rx""#, as_of).await;
    assert_eq!((fra.used_bytes, fra.metered.missing_ns), (Bytes(12_000_000), 0));

    // Frozen, it keeps which NIC counted when. Later tags, and an account of others, change nothing.
    let end = START + 31 * DAY;
    book.renew(WallNs(end + DAY)).await.unwrap();
    say(&store, "a", "site=lon", 33 * 1440).await;
    book.set(vec![account(&keys.replace("ams", "lon"))]);
    let transit = "transit".parse().unwrap();
    let frozen = async || {
        let cycle = Some("2027-01".parse().unwrap());
        book.statement(&transit, cycle, WallNs(end + 3 * DAY)).await.unwrap()
    };
    let found = frozen().await;
    assert_eq!((found.state, found.used_bytes), (CycleState::Frozen, Bytes(4_050_000)));
    assert_eq!(found.late_bytes, Some(0));
    // Of what comes late, only what passed with the tag would count.
    let late = [(10, 7), (150, 700)].map(|(minute, bytes)| Sample {
        nic: nic("eth0"),
        ..rate(START + minute * MINUTE, MINUTE, (bytes, 1), (0, 0))
    });
    store.commit(&agents[1].next(late.to_vec())).await.unwrap();
    let found = frozen().await;
    assert_eq!((found.used_bytes, found.late_bytes), (Bytes(4_050_000), Some(700)));
    assert_sound(&store).await;
}
