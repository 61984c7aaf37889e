//! Frames that a table doesn't accept.

use std::time::UNIX_EPOCH;

use collector::store::{Commit, Resolution, RetentionLimits};
use wire::bounds::FIGURE_MAX;
use wire::frame::Sample;
use wire::id::SessionId;
use wire::message::{Inventory, Nic};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

use super::place::{Place, assert_sound, opened, raw};
use super::series::rolled_up;
use crate::batches::{DAY, MINUTE, SECOND, START, all, batch, client, nic, point, sample};

pub async fn a_frame_that_can_not_be_kept_goes_to_quarantine_alone(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    let mut frames = Vec::new();
    for n in 0..20 {
        frames.push(agent.frame(vec![sample("eth0", START + n * SECOND, n)]));
    }
    // The sum can hold one of them but not both.
    let full = i64::MAX.cast_unsigned() - FIGURE_MAX - FIGURE_MAX / 2;
    place.execute(&format!("UPDATE bandwidth_1m SET rx_bytes = {full}")).await;
    for frame in [5, 12] {
        frames[frame].samples[0].rx.bytes = Bytes(FIGURE_MAX);
    }
    // Figures beyond any link aren't even tried.
    frames[17].samples[0].rx.bytes = Bytes(i64::MAX.cast_unsigned());
    let taken = store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let [told] = &taken.quarantined[..] else { panic!("{taken:?}") };
    assert_eq!((told.frames, told.whole), (2, false), "{told:?}");
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(21));
    assert_eq!(raw(&store, "web", "eth0").await.len(), 19);
    let kept = place.numbers("SELECT first_seq FROM quarantine ORDER BY 1").await;
    assert_eq!(kept, [14, 19]);
    let why = "SELECT count(*) FROM quarantine WHERE reason LIKE '%more than any link carries%'";
    assert_eq!(place.numbers(why).await, [1]);
    let next = agent.next(vec![sample("eth0", START + MINUTE * 9, 1)]);
    store.commit(&next).await.unwrap();
    let findings = store.check().await.unwrap().findings;
    assert!(findings.iter().any(|it| it.contains("2 sequence numbers were refused")));
}

pub async fn frames_in_quarantine_are_deleted_by_an_age_of_their_own(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    let mut frames = Vec::new();
    for n in 0..450 {
        let mut frame = agent.frame(vec![sample("eth0", now + n * SECOND, n)]);
        frame.samples[0].rx.bytes = Bytes(i64::MAX.cast_unsigned());
        frames.push(frame);
    }
    frames.push(agent.frame(vec![sample("eth0", now, 1)]));
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let kept = async || place.numbers("SELECT count(*) FROM quarantine").await[0];
    let told = store.check().await.unwrap().findings;
    let limits = RetentionLimits::default();
    store.retain(&limits, WallNs(now + 29 * DAY)).await.unwrap();
    assert_eq!(kept().await, 450);
    let done = store.retain(&limits, WallNs(now + 31 * DAY)).await.unwrap();
    assert!(kept().await == 0 && done.rows >= 450, "{done:?}");
    assert!(told.iter().any(|it| it.contains("450 sequence numbers were refused")), "{told:?}");
    assert_eq!(store.check().await.unwrap().findings, told, "that they were refused stays known");
    assert_eq!(
        store.committed(&[1].map(SessionId::new)).await.unwrap().len(),
        1,
        "the session is younger than that"
    );
}

pub async fn a_client_with_too_many_nics_keeps_those_that_it_has(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    place
        .execute(
            "INSERT INTO nics (client, name)
             WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 65536)
             SELECT clients.id, 'veth' || i FROM n, clients",
        )
        .await;
    for n in 1..3 {
        let at = START + n * SECOND;
        let more = agent.next(vec![sample("eth0", at, n), sample("veth1", at, n)]);
        store.commit(&more).await.unwrap();
    }
    assert_eq!(raw(&store, "web", "eth0").await.len(), 3);
    let quarantined = place.numbers("SELECT quarantine_seqs FROM sessions").await;
    assert_eq!(quarantined, place.numbers("SELECT count(*) FROM quarantine").await);
    assert_eq!(quarantined, [2]);
    assert_eq!(place.numbers("SELECT count(*) FROM nics").await, [65_536]);
    // An inventory with this NIC is stored as well.
    let nics = ["eth0", "veth1"].map(|name| Nic { name: nic(name), index: 2, ..Nic::default() });
    let inventory = Inventory { nics: nics.to_vec() };
    store.record_inventory(&client("web"), &inventory, WallNs(START)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM nics WHERE present = present").await, [65_536]);
    assert_eq!(store.check().await.unwrap().findings.len(), 1, "only the quarantine");
    // NICs without rows are deleted, which makes room again.
    store.retain(&RetentionLimits::default(), WallNs(START + 10 * SECOND)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM nics").await, [1]);
    store.commit(&agent.next(vec![sample("veth1", START + 9 * SECOND, 9)])).await.unwrap();
    assert_eq!(raw(&store, "web", "veth1").await.len(), 1);
    assert_eq!(store.check().await.unwrap().findings.len(), 1, "only the quarantine");
}

pub async fn a_minute_of_a_very_fast_nic_is_kept_whole_in_several_rows(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mut fast = Sample { interval_ns: MINUTE, ..sample("eth0", START, 9) };
    // 150 million packets/s in one direction.
    (fast.rx.packets, fast.rx.bytes) = (Packets(9_000_000_007), Bytes(9_000_000_007 * 64));
    let slow = sample("eth0", START + MINUTE, 1);
    let frames = vec![agent.frame(vec![fast]), agent.frame(vec![slow])];
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM quarantine").await, [0]);
    let points = raw(&store, "web", "eth0").await;
    assert_eq!(points.len(), 6);
    let mut end_ns = START;
    for point in &points {
        // PostgreSQL stores times to the microsecond.
        assert!(end_ns.abs_diff(point.start_ns.get()) < 2000, "{points:?}");
        end_ns = (point.start_ns + point.interval_ns).get();
    }
    let minutes = [point(&fast), point(&slow)];
    assert_eq!(rolled_up(&points, MINUTE), rolled_up(&minutes, MINUTE));
    let stored = store.series(&all("web", "eth0", Resolution::Minute)).await.unwrap().points;
    assert_eq!(stored, rolled_up(&minutes, MINUTE));
    assert_sound(&store).await;
}
