//! Deletion by age.

use std::time::Duration;

use collector::store::{Commit, Resolution, Retained, RetentionLimits, SeriesRange};
use wire::WallNs;
use wire::frame::{Gap, Mix, Sample};
use wire::id::SessionId;

use super::place::{Place, assert_sound, opened, raw};
use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, nic, sample};

pub async fn what_is_old_is_deleted_table_by_table(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for day in 0..10 {
        let at = START + day * DAY;
        let mut frame = agent.frame(vec![sample("eth0", at, day), sample("eth1", at, day)]);
        let mix =
            Mix { nic: nic("eth0"), start_ns: WallNs(at), interval_ns: SECOND, ..Mix::default() };
        frame.mixes.push(mix);
        store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    }
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let limits = RetentionLimits {
        raw: days(2),
        rollup_1m: days(4),
        rollup_5m: days(400),
        ..RetentionLimits::default()
    };
    let now = START + 10 * DAY;
    store.retain(&limits, WallNs(now)).await.unwrap();
    let read = async |resolution| {
        store.series(&all("web", "eth0", resolution)).await.unwrap().points.len()
    };
    assert_eq!(read(Resolution::Raw).await, 2);
    assert_eq!(read(Resolution::Minute).await, 4);
    assert_eq!(read(Resolution::FiveMinutes).await, 10);
    assert_eq!(place.numbers("SELECT count(*) FROM traffic_mix").await, [2]);
    assert_sound(&store).await;
    let range = SeriesRange { resolution: None, ..all("web", "eth0", Resolution::Raw) };
    let longest = store.series(&range).await.unwrap();
    assert_eq!((longest.resolution, longest.points.len()), (Resolution::FiveMinutes, 10));
    let again = store.retain(&limits, WallNs(now)).await.unwrap();
    assert_eq!(again, Retained::default(), "nothing is left to do");
    let limits = RetentionLimits { rollup_5m: days(5), ..limits };
    store.retain(&limits, WallNs(now + 40 * DAY)).await.unwrap();
    assert_eq!(read(Resolution::FiveMinutes).await, 0);
    assert_sound(&store).await;
    // Samples that arrive this late are still accepted.
    store.open_sessions(&client("web"), &hello(&[2]), WallNs(now)).await.unwrap();
    let mut agent = Agent::new("web", 2, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 5)])).await.unwrap();
    assert_sound(&store).await;
}

pub async fn a_session_long_silent_is_forgotten_and_the_proof_still_holds(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let gap = agent.record(9, Gap::SpoolFull as u8, vec![sample("eth0", START, 7)]);
    let frame = agent.frame(vec![sample("eth0", START, 8)]);
    store.commit(&batch([agent.batch(vec![gap, frame])])).await.unwrap();
    // Long after the commit by this machine's clock, and after the samples.
    let now = START + 10_000 * DAY;
    store.retain(&RetentionLimits::default(), WallNs(now)).await.unwrap();
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap(), []);
    for table in ["bandwidth_stats", "bandwidth_1m", "bandwidth_5m", "gaps", "session_nics"] {
        let left = place.numbers(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(left, [0], "{table}");
    }
    assert_sound(&store).await;
    store.open_sessions(&client("web"), &hello(&[2]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 2, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    assert_sound(&store).await;
}

pub async fn a_nic_is_forgotten_once_it_has_no_rows_left(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let pod = sample("veth1", START, 7);
    store.commit(&agent.next(vec![sample("eth0", START, 1), pod])).await.unwrap();
    let names = "SELECT count(*) FROM nics";
    // One table after the other, as by age.
    for table in ["bandwidth_stats", "bandwidth_1m", "bandwidth_5m"] {
        store.retain(&RetentionLimits::default(), WallNs(START + MINUTE)).await.unwrap();
        assert_eq!(place.numbers(names).await, [2], "it has rows in {table}");
        let pod = "nic = (SELECT id FROM nics WHERE name = 'veth1')";
        place.execute(&format!("DELETE FROM {table} WHERE {pod}")).await;
    }
    store.retain(&RetentionLimits::default(), WallNs(START + MINUTE)).await.unwrap();
    assert_eq!(place.numbers(names).await, [1]);
    assert_sound(&store).await;
    // It returns, and the session in which it was deleted continues.
    let at = START + MINUTE;
    store.commit(&agent.next(vec![sample("eth0", at, 2), sample("veth1", at, 3)])).await.unwrap();
    assert_eq!(raw(&store, "web", "veth1").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn retention_and_commits_go_side_by_side(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let old: Vec<Sample> = (0..1000).map(|n| sample("eth0", START + n * SECOND, n)).collect();
    for chunk in old.chunks(500) {
        store.commit(&agent.next(chunk.to_vec())).await.unwrap();
    }
    let now = START + 8 * DAY;
    let retaining = {
        let store = store.clone();
        tokio::spawn(async move { store.retain(&RetentionLimits::default(), WallNs(now)).await })
    };
    for n in 0..50 {
        store.commit(&agent.next(vec![sample("eth0", now + n * SECOND, n)])).await.unwrap();
    }
    retaining.await.unwrap().unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 50);
    assert_sound(&store).await;
}
