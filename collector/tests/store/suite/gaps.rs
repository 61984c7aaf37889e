//! Gaps, and the proof that nothing is missing.

use collector::store::Commit;
use wire::Seq;
use wire::frame::Gap;
use wire::id::SessionId;

use super::place::{Place, assert_sound, opened, raw};
use crate::batches::{MINUTE, SECOND, START, batch, sample};

pub async fn gaps_are_exact_and_apart(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1)]);
    let lost = vec![sample("eth0", START + SECOND, 50), sample("eth1", START + SECOND, 60)];
    let gap = agent.record(100, Gap::SpoolFull as u8, lost);
    let last = agent.frame(vec![sample("eth0", START + MINUTE, 2)]);
    store.commit(&batch([agent.batch(vec![first, gap, last])])).await.unwrap();
    let forgotten = agent.record(5, Gap::Forgotten as u8, vec![]);
    store.commit(&batch([agent.batch(vec![forgotten])])).await.unwrap();
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(107));
    assert_eq!(raw(&store, "web", "eth0").await.len(), 2);
    let gaps = place.numbers("SELECT reason FROM gaps ORDER BY first_seq").await;
    assert_eq!(gaps, [1, 1, 3]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let eth0 = &report.nics[0];
    assert_eq!((eth0.client.as_str(), eth0.nic.as_str()), ("web", "eth0"));
    assert_eq!(eth0.in_gaps.rx_bytes, 50_001);
    assert_eq!(eth0.counted.rx_bytes, 1001 + 50_001 + 2001);
    assert_eq!(eth0.counted, eth0.totals);
}

pub async fn a_gap_without_counts_is_explained_by_the_totals_on_both_sides(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1), sample("eth1", START, 1)]);
    let lost = sample("eth0", START + SECOND, 50);
    let other = sample("eth1", START + SECOND, 60);
    let mut damaged = agent.record(9, Gap::SpoolDamaged as u8, vec![lost, other]);
    // Nothing is known about one NIC.
    damaged.samples.truncate(1);
    let mut forgotten = agent.record(5, Gap::Forgotten as u8, vec![lost]);
    forgotten.samples.clear();
    let last = agent.frame(vec![sample("eth0", START + MINUTE, 2), sample("eth1", START, 2)]);
    store.commit(&batch([agent.batch(vec![first, damaged, forgotten, last])])).await.unwrap();
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let sums: Vec<_> = report.nics.iter().map(|it| (it.counted, it.uncounted, it.totals)).collect();
    let bytes = |n: usize| (sums[n].0.rx_bytes, sums[n].1.rx_bytes, sums[n].2.rx_bytes);
    assert_eq!(bytes(0), (1001 + 50_001 + 2001, 50_001, 1001 + 2 * 50_001 + 2001));
    assert_eq!(bytes(1), (1001 + 2001, 60_001, 1001 + 60_001 + 2001));
    // Only such a gap explains a loss.
    place.execute("UPDATE gaps SET reason = 1").await;
    assert_eq!(store.check().await.unwrap().findings.len(), 2);
}

pub async fn what_was_tampered_with_is_found(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples = (0..10).map(|n| sample("eth0", START + n * MINUTE, n)).collect();
    store.commit(&agent.next(samples)).await.unwrap();
    assert_sound(&store).await;
    let tampering = [
        ("UPDATE bandwidth_stats SET rx_bytes = rx_bytes + 1 WHERE rx_bytes = 1001", "eth0"),
        ("UPDATE bandwidth_1m SET tx_packets = tx_packets + 1", "bandwidth_1m"),
        ("UPDATE session_nics SET last_rx_bytes = last_rx_bytes + 1", "totals grew"),
        ("UPDATE sessions SET committed_seq = 7", "7 are committed"),
    ];
    for (sql, words) in tampering {
        let before = store.check().await.unwrap().findings.len();
        place.execute(sql).await;
        let findings = store.check().await.unwrap().findings;
        assert!(findings.len() > before, "{sql}");
        assert!(findings.iter().any(|it| it.contains(words)), "{findings:?}");
    }
}
