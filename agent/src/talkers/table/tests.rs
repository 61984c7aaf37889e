//! TalkerTables beside exact counts.

use std::collections::HashMap;

use datasketches::frequencies::FrequentItemsSketch;
use proptest::prelude::*;
use wire::talkers::TalkerKey;
use wire::{Bytes, Packets};

use super::super::key::{Ends, KeyAddress};
use super::*;

const SEED: Seed = Seed::OF_TESTS;

/// A flow of the talker of this number.
fn flow(talker: u32) -> KeyedFlow {
    let ends = Ends {
        far: KeyAddress::v4(talker.to_be_bytes()),
        near: KeyAddress::v4([192, 0, 2, 1]),
        far_port: 443,
        near_port: 40_000,
    };
    KeyedFlow::between_ports(6, ends, false)
}

/// Bytes and packets of each talker.
#[derive(Debug, Default)]
struct Exact(HashMap<TalkerKey, (Bytes, Packets)>);

impl Exact {
    /// Counts a packet, or some, here and in a table.
    fn add(&mut self, table: &mut TalkerTable, flow: &KeyedFlow, (bytes, packets): (u64, u64)) {
        let (bytes, packets) = (Bytes(bytes), Packets(packets));
        table.add(flow, bytes, packets);
        let sums = self.0.entry(flow.key()).or_default();
        *sums = (sums.0 + bytes, sums.1 + packets);
    }

    fn total(&self) -> (Bytes, Packets) {
        self.0.values().fold((Bytes(0), Packets(0)), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    }

    fn merge(&mut self, other: &Self) {
        for (key, (bytes, packets)) in &other.0 {
            let sums = self.0.entry(*key).or_default();
            *sums = (sums.0 + *bytes, sums.1 + *packets);
        }
    }

    /// Panics unless every bound of the table holds. `missed` bytes are in no table.
    fn check(&self, table: &TalkerTable, missed: Bytes) {
        let mut left = self.0.clone();
        for entry in table.entries() {
            let (bytes, packets) = left.remove(&entry.flow().key()).expect("each talker once");
            let bounds = entry.bytes()..=entry.upper() + missed;
            assert!(bounds.contains(&bytes), "{bytes} in {bounds:?}");
            assert!(entry.packets() <= packets);
            assert!(entry.error() <= table.offset());
        }
        for (bytes, _) in left.values() {
            assert!(*bytes <= table.offset() + missed, "{bytes} unlisted");
        }
        assert_eq!(table.total().0 + missed, self.total().0);
    }
}

/// Packets of talkers of which few are large: number, bytes and packets of each.
fn traffic(most: usize) -> impl Strategy<Value = Vec<(u32, u64, u64)>> {
    let talker = prop_oneof![0..4u32, 0..30u32, 0..1000u32];
    proptest::collection::vec((talker, 60..1515u64, 1..4u64), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_bound_holds_in_tables_and_in_their_sums(
        parts in proptest::collection::vec(traffic(80), 1..5),
        rooms in proptest::collection::vec(2..40usize, 5),
    ) {
        let (mut all, mut sum) = (Exact::default(), TalkerTable::with_room(SEED, rooms[4]));
        for (part, room) in parts.iter().zip(&rooms) {
            let (mut exact, mut table) = (Exact::default(), TalkerTable::with_room(SEED, *room));
            for (talker, bytes, packets) in part {
                exact.add(&mut table, &flow(*talker), (*bytes, *packets));
            }
            all.merge(&exact);
            exact.check(&table, Bytes(0));
            prop_assert_eq!(table.total(), exact.total());
            prop_assert!(table.offset().get() <= 2 * table.total().0.get() / *room as u64);
            if table.offset() == Bytes(0) {
                prop_assert_eq!(table.distinct(), (exact.0.len() as u64, 0));
            }
            sum.merge(&table);
            all.check(&sum, Bytes(0));
            prop_assert_eq!(sum.total(), all.total());
        }
        let smallest = rooms.iter().min().unwrap();
        prop_assert!(sum.offset().get() <= 2 * sum.total().0.get() / *smallest as u64);
    }

    #[test]
    fn the_bounds_and_those_of_the_crate_datasketches_agree(packets in traffic(200)) {
        let mut table = TalkerTable::with_room(SEED, 24);
        let mut sketch = FrequentItemsSketch::<TalkerKey>::new(32).unwrap();
        for (talker, bytes, packets) in &packets {
            table.add(&flow(*talker), Bytes(*bytes), Packets(*packets));
            sketch.update_with_count(flow(*talker).key(), *bytes);
        }
        prop_assert_eq!(table.total().0.get(), sketch.total_weight());
        for entry in table.entries() {
            let key = entry.flow().key();
            prop_assert!(entry.bytes().get() <= sketch.upper_bound(&key));
            prop_assert!(sketch.lower_bound(&key) <= entry.upper().get());
        }
    }
}

/// Numbers without a pattern (Knuth's MMIX).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *state >> 33
}

#[test]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of talkers")]
fn among_a_hundred_thousand_talkers_the_largest_are_found_and_known_almost_exactly() {
    let (mut table, mut exact, mut state) = (TalkerTable::new(SEED), Exact::default(), 1);
    for _ in 0..150_000 {
        // Zipf: talker n has a share of about 1/n.
        let uniform = (random(&mut state) + 1) as f64 / f64::from(1u32 << 31);
        let talker = 100_000f64.powf(uniform) as u32;
        let bytes = 60 + random(&mut state) % 1455;
        exact.add(&mut table, &flow(talker), (bytes, 1));
    }
    exact.check(&table, Bytes(0));
    let mut entries = table.entries().to_vec();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes()));
    let mut truth: Vec<_> = exact.0.iter().collect();
    truth.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for (entry, (key, (bytes, _))) in entries.iter().zip(truth).take(64) {
        assert_eq!((entry.flow().key(), entry.bytes()), (*key, *bytes));
    }
    assert!(table.offset() > Bytes(0), "there were more than fit");
    let (distinct, deviation) = table.distinct();
    let off = distinct.abs_diff(exact.0.len() as u64);
    assert!(off <= 4 * deviation, "{distinct} with {deviation}");
}

#[test]
fn a_flood_of_new_talkers_hides_no_large_one_and_takes_no_memory() {
    let mut table = TalkerTable::new(SEED);
    let mut exact = Exact::default();
    let reserved = table.entries.capacity();
    for n in 0..60_000 {
        let (talker, bytes) = if n % 3 == 0 { (u32::MAX, 1514) } else { (n, 60) };
        exact.add(&mut table, &flow(talker), (bytes, 1));
    }
    exact.check(&table, Bytes(0));
    let large = table.entries().iter().max_by_key(|entry| entry.bytes()).unwrap();
    assert_eq!((large.bytes(), large.packets()), (Bytes(30_280_000), Packets(20_000)));
    assert_eq!(large.error(), Bytes(0));
    assert_eq!(table.entries.capacity(), reserved, "nothing was allocated");
    assert!(table.entries().len() <= TALKERS);
}

#[test]
fn talkers_that_collide_end_the_search_and_the_bounds_hold() {
    // Keys that nobody would have: every talker has the same hash.
    let tag = KeyedFlow::arp(KeyAddress::NONE).tag;
    let colliding = Seed([0, u64::from(tag.0).wrapping_neg(), 0, 0, 0]);
    let addresses: Vec<KeyedFlow> =
        (0..1000).map(|n| KeyedFlow::arp(KeyAddress { high: 0, low: n })).collect();
    let (mut table, mut exact) = (TalkerTable::new(colliding), Exact::default());
    for (n, flow) in addresses.iter().cycle().take(20_000).enumerate() {
        exact.add(&mut table, flow, (60 + n as u64 % 100, 1));
    }
    assert_eq!(table.entries().len(), PROBES);
    let missed = exact.total().0 - table.total().0;
    assert!(missed > Bytes(0));
    exact.check(&table, missed);
    assert!(table.distinct().1 > 0, "it isn't known exactly");
    // A table in which they find no place takes them in as its error.
    let mut sum = TalkerTable::with_room(colliding, 40);
    sum.merge(&table);
    exact.check(&sum, missed);
}

#[test]
fn entries_fill_one_line_of_the_cache() {
    assert_eq!(size_of::<TalkerEntry>(), 64);
}

#[test]
fn a_table_that_was_cleared_is_as_new() {
    let mut table = TalkerTable::with_room(SEED, 100);
    (0..1000).for_each(|n| table.add(&flow(n), Bytes(100), Packets(1)));
    assert!(table.offset() > Bytes(0) && table.distinct().1 > 0);
    table.clear();
    assert!(table.is_empty() && table.entries().is_empty());
    assert_eq!((table.offset(), table.distinct()), (Bytes(0), (0, 0)));
    assert_eq!(table.total(), (Bytes(0), Packets(0)));
    table.add(&flow(7), Bytes(60), Packets(1));
    assert_eq!((table.entries().len(), table.distinct()), (1, (1, 0)));
}

#[test]
fn a_table_that_a_flood_grew_gives_its_memory_back_once_it_is_over() {
    let mut table = TalkerTable::new(SEED);
    let fill = |table: &mut TalkerTable, talkers: u32| {
        (0..talkers).for_each(|n| table.add(&flow(n), Bytes(60), Packets(1)));
        table.clear();
    };
    fill(&mut table, 20_000);
    // It is kept while it may be needed again.
    let mut emptied = 0;
    while table.most == TALKERS {
        fill(&mut table, 50);
        emptied += 1;
        assert!(emptied <= 2 * KEPT, "it is kept for ever");
    }
    assert!(emptied >= KEPT - 1);
    assert_eq!((table.most, table.entries.capacity()), (0, TALKERS), "nothing is written to");
    // What is needed at times is kept.
    for n in 0..10 * KEPT {
        fill(&mut table, if n % KEPT == 0 { 2000 } else { 50 });
    }
    assert_eq!(table.most, 2000);
}

#[test]
fn tables_take_no_more_memory_than_is_said() {
    for talkers in [1, 128, 129, 1000, TALKERS, 1 << 20] {
        let table = TalkerTable::with_room(SEED, talkers);
        let reserved = table.entries.capacity() * size_of::<TalkerEntry>()
            + table.index.capacity() * size_of::<u16>()
            + table.uppers.capacity() * size_of::<u64>()
            + size_of::<TalkerTable>()
            + Distinct::BYTES;
        assert_eq!(reserved, bytes_of_table(talkers), "{talkers}");
    }
}

#[test]
fn other_flows_of_a_talker_are_noted() {
    let mut table = TalkerTable::new(SEED);
    let ends = |near_port| Ends {
        far: KeyAddress::v4([192, 0, 2, 9]),
        near: KeyAddress::v4([192, 0, 2, 1]),
        far_port: 443,
        near_port,
    };
    let flow = |port| KeyedFlow::between_ports(6, ends(port), false);
    table.add(&flow(40_000), Bytes(100), Packets(1));
    table.add(&flow(40_000), Bytes(100), Packets(1));
    assert!(!table.entries()[0].is_several());
    let mut sum = TalkerTable::new(SEED);
    sum.merge(&table);
    assert!(!sum.entries()[0].is_several());
    table.add(&flow(40_001), Bytes(100), Packets(1));
    assert!(table.entries()[0].is_several());
    assert_eq!(
        (table.entries()[0].packets(), table.entries()[0].bytes()),
        (Packets(3), Bytes(300))
    );
    sum.clear();
    sum.merge(&table);
    assert!(sum.entries()[0].is_several());
}

#[test]
fn regular_addresses_are_as_well_spread_as_random_ones_whatever_the_seed() {
    type Regular = fn(u64) -> KeyAddress;
    const HIGH: u64 = 0x2001_0DB8 << 32;
    const fn v4(n: u64) -> KeyAddress {
        KeyAddress { high: 0, low: (0xFFFF << 32 | 0x0A00_0000) + n }
    }
    let regular: [(&str, Regular); 7] = [
        ("IPv4 of one network", v4),
        ("one of each /24", |n| v4(n << 8)),
        ("one of each /20", |n| v4(n << 12)),
        ("of one /64", |n| KeyAddress { high: HIGH, low: n }),
        ("of one /64, the upper bits", |n| KeyAddress { high: HIGH, low: n << 40 }),
        ("one of each /64", |n| KeyAddress { high: HIGH | n, low: 1 }),
        ("one of each /48", |n| KeyAddress { high: HIGH | n << 16, low: 1 }),
    ];
    let mut state = 7;
    for (what, make) in regular {
        for _ in 0..40 {
            let seed = Seed(std::array::from_fn(|_| {
                random(&mut state) << 62 ^ random(&mut state) << 31 ^ random(&mut state)
            }));
            let mut table = TalkerTable::new(seed);
            let flow = |n| {
                let near = KeyAddress::v4([192, 0, 2, 1]);
                let ends = Ends { far: make(n), near, far_port: 443, near_port: 40_000 };
                KeyedFlow::between_ports(6, ends, false)
            };
            (0..TALKERS as u64).for_each(|n| table.add(&flow(n), Bytes(60), Packets(1)));
            assert!(!table.crowded, "{what}: {seed:?}");
            let mask = table.index.len() - 1;
            let probes = |(number, entry): (usize, &TalkerEntry)| {
                let first = low(seed.hash(entry.flow())) & mask;
                (0..PROBES).find(|probe| table.index[(first + probe) & mask] == value(number))
            };
            let sum: usize = table.entries().iter().enumerate().filter_map(probes).sum();
            assert!(sum < TALKERS, "{what}: {sum} places beyond the first, {seed:?}");
        }
    }
}
