//! Mixes that are packed: they read as they did before.

use std::sync::Arc;

use collector::store::{Batch, Commit, Database, NicRange, RetentionLimits};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wire::WallNs;
use wire::frame::{KernelCounts, Mix};
use wire::{Bytes, Packets};

use super::{Place, assert_sound, opened};
use crate::batches::{Agent, DAY, MINUTE, SECOND, START, batch, client, nic, sample};
use crate::packed::HOUR;

/// A mix, each figure of which is another one.
pub fn mix(start_ns: u64, n: u64) -> Mix {
    let mut mix = Mix {
        nic: nic("eth0"),
        start_ns: WallNs(start_ns),
        interval_ns: 10 * SECOND + n,
        kernel: KernelCounts {
            rx_packets: Packets(7 * n),
            tx_bytes: Bytes(n << 20),
            errors: Packets(n % 3),
            ..KernelCounts::default()
        },
        ..Mix::default()
    };
    let figures = mix.rx.figures_mut().chain(mix.tx.figures_mut());
    figures.zip(1..).for_each(|(own, figure)| *own = figure * n % 1_000_003);
    mix
}

/// A batch with mixes, and a sample so that the NIC is known.
fn with(agent: &mut Agent, mixes: Vec<Mix>) -> Arc<Batch> {
    let mut frame = agent.frame(vec![sample("eth0", START, 1)]);
    frame.mixes = mixes;
    batch([agent.batch(vec![frame])])
}

/// Mixes over three hours as agents make them, some late and some twice at a time.
fn mixes() -> impl Strategy<Value = Vec<Mix>> {
    let start = prop_oneof![0..3 * 360_u64, 350..370_u64, Just(359), Just(360)];
    let of = |(tens, n)| mix(START + tens * 10 * SECOND, n);
    prop::collection::vec((start, 0..1_000_000_u64).prop_map(of), 1..200)
}

/// A batch with a mix of eth0 each 10 s over some hours.
pub fn with_mixes(agent: &mut Agent, hours: u64) -> Arc<Batch> {
    with(agent, (0..hours * 360).map(|n| mix(START + n * 10 * SECOND, n)).collect())
}

pub fn mix_range(from_ns: u64, to_ns: u64) -> NicRange {
    let (from_ns, to_ns) = (WallNs(from_ns), WallNs(to_ns));
    NicRange { client: "web".into(), nic: "eth0".into(), from_ns, to_ns }
}

/// What is read of the NIC's mixes: sums of ranges, and columns of all rows.
async fn told(place: &impl Place, store: &Arc<dyn Database>) -> (Vec<Mix>, Vec<i64>) {
    let mut sums = Vec::new();
    for (from, length) in
        [(0, DAY), (0, HOUR), (59 * MINUTE, 2 * MINUTE), (HOUR, 10 * SECOND), (HOUR / 2, 2 * HOUR)]
    {
        sums.push(store.mix(&mix_range(START + from, START + from + length)).await.unwrap());
    }
    let mut columns = Vec::new();
    for column in ["interval_ns", "rx_size_64_packets", "tx_other_transport_bytes", "kernel_errors"]
    {
        let select = format!("SELECT {column} FROM traffic_mix ORDER BY time, {column}");
        columns.extend(place.numbers(&select).await);
    }
    (sums, columns)
}

pub async fn packed_mixes_read_as_before_and_late_ones_join_them(place: &impl Place) {
    let mut runner = TestRunner::deterministic();
    let (store, mut agent) = opened(place).await;
    let mixes = mixes().new_tree(&mut runner).unwrap().current();
    let mut expected = 0;
    for (part, until) in mixes.chunks(mixes.len().div_ceil(4)).zip([1, 3, 0, 2]) {
        store.commit(&with(&mut agent, part.to_vec())).await.unwrap();
        expected += part.iter().map(|mix| mix.interval_ns).sum::<u64>();
        let before = told(place, &store).await;
        assert_eq!(before.0[0].interval_ns, expected);
        store.pack(WallNs(START + until * HOUR + 5)).await.unwrap();
        assert_eq!(told(place, &store).await, before);
        assert_sound(&store).await;
    }
    let before = told(place, &store).await;
    store.pack(WallNs(START + DAY)).await.unwrap();
    assert_eq!(told(place, &store).await, before);
    assert_eq!(place.numbers("SELECT count(*) FROM hot_mixes").await, [0]);
    let packed = place.numbers("SELECT mixes FROM packed_mixes").await;
    assert_eq!(packed.iter().sum::<i64>(), i64::try_from(mixes.len()).unwrap());
    assert_sound(&store).await;
}

/// A store with these, all packed.
async fn filled(place: &impl Place, hours: u64) -> Arc<dyn Database> {
    let (store, mut agent) = opened(place).await;
    store.commit(&with_mixes(&mut agent, hours)).await.unwrap();
    store.pack(WallNs(START + DAY)).await.unwrap();
    store
}

pub async fn an_hour_of_mixes_is_packed_together_and_goes_by_age(place: &impl Place) {
    let store = filled(place, 3).await;
    let stretches = "SELECT mixes FROM packed_mixes ORDER BY time";
    assert_eq!(place.numbers(stretches).await, [360, 360, 360]);
    let now = WallNs(START + 7 * DAY + HOUR + 30 * MINUTE);
    store.retain(&RetentionLimits::default(), now).await.unwrap();
    // The second hour has a part that is not too old.
    assert_eq!(place.numbers(stretches).await, [360, 360]);
    assert_sound(&store).await;
}

pub async fn a_purged_client_has_no_packed_mixes(place: &impl Place) {
    let store = filled(place, 1).await;
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    store.purge(&client("web")).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM packed_mixes").await, [0]);
    assert_sound(&store).await;
}

pub async fn damaged_mixes_are_found_and_never_read_as_fewer(place: &impl Place) {
    let store = filled(place, 2).await;
    for damage in [
        "columns = substr(columns, 1, length(columns) - 1) WHERE id = 2",
        "mixes = mixes - 1 WHERE id = 1",
    ] {
        place.execute(&format!("UPDATE packed_mixes SET {damage}")).await;
        let findings = store.check().await.unwrap().findings;
        let found = |it: &String| it.contains("client web, NIC eth0: packed mixes from");
        assert!(findings.iter().any(found), "{damage}: {findings:?}");
        assert!(store.mix(&mix_range(START, START + DAY)).await.is_err(), "{damage}");
    }
    let second_hour = store.mix(&mix_range(START + HOUR, START + 2 * HOUR)).await;
    assert!(second_hour.is_err(), "only what a range touches is read, and that is damaged");
    place.execute("DELETE FROM packed_mixes WHERE id = 1").await;
    assert_eq!(store.mix(&mix_range(START, START + MINUTE)).await.unwrap().interval_ns, 0);
}
