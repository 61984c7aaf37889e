//! Tables behind places, beside exact counts.

use std::collections::HashMap;

use proptest::prelude::*;
use wire::talkers::TalkerKey;

use super::super::key::{Ends, KeyAddress};
use super::*;

const SEED: Seed = Seed::OF_TESTS;

/// The TCP flow from a client's port to the port 443 of this host.
fn flow(client: u32, port: u16) -> (Ipv4Flow, KeyedFlow) {
    const HERE: u32 = 0xC000_0201;
    let ends = Ends {
        far: KeyAddress::v4(client.to_be_bytes()),
        near: KeyAddress::v4(HERE.to_be_bytes()),
        far_port: port,
        near_port: 443,
    };
    let addresses = u64::from(client) << 32 | u64::from(HERE);
    let flow = Ipv4Flow::new(addresses, u32::from(port) << 16 | 443, 6);
    (flow, KeyedFlow::between_ports(6, ends, false))
}

/// Counts as a reader does. True if the flow had a place.
fn count(table: &mut FlowTable, (flow, keyed): &(Ipv4Flow, KeyedFlow), bytes: u64) -> bool {
    let known = table.add_known(*flow, Bytes(bytes));
    if !known {
        table.add_new(*flow, keyed, Bytes(bytes));
    }
    known
}

/// Packets of few clients and of many: client, port, bytes, and whether it is of no known kind.
fn traffic() -> impl Strategy<Value = Vec<(u32, u16, u64, bool)>> {
    let client = prop_oneof![0..4u32, 0..30u32, 0..1000u32];
    let port = prop_oneof![4 => 40_000..40_002u16, 1 => 40_000..50_000u16];
    let of_any_kind = proptest::bool::weighted(0.1);
    proptest::collection::vec((client, port, 60..1515u64, of_any_kind), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn places_change_no_sum_and_no_bound(
        slots in proptest::collection::vec(traffic(), 1..3),
        room in prop_oneof![2..40usize, Just(2000)],
        settles in proptest::collection::vec(0..600usize, 0..3),
    ) {
        let mut table = FlowTable::with_room(SEED, room);
        for packets in slots {
            let mut plain = TalkerTable::with_room(SEED, room);
            let mut exact: HashMap<TalkerKey, (Bytes, Packets)> = HashMap::new();
            for (nth, (client, port, bytes, of_any_kind)) in packets.into_iter().enumerate() {
                let flow = flow(client, port);
                if of_any_kind {
                    table.add(&flow.1, Bytes(bytes), Packets(2));
                } else {
                    count(&mut table, &flow, bytes);
                }
                let packets = Packets(if of_any_kind { 2 } else { 1 });
                plain.add(&flow.1, Bytes(bytes), packets);
                let sum = exact.entry(flow.1.key()).or_default();
                *sum = (sum.0 + Bytes(bytes), sum.1 + packets);
                if settles.contains(&nth) {
                    table.settled();
                }
            }
            let settled = table.settled();
            prop_assert_eq!(settled.total(), plain.total());
            for entry in settled.entries() {
                let (bytes, packets) = exact.remove(&entry.flow().key()).expect("each talker once");
                prop_assert!((entry.bytes()..=entry.upper()).contains(&bytes));
                prop_assert!(entry.packets() <= packets);
                if settled.offset() == Bytes(0) {
                    let of = |it: &&crate::talkers::table::TalkerEntry| it.flow().has_key_of(entry.flow());
                    let same = plain.entries().iter().find(of).expect("nobody has left");
                    prop_assert_eq!((entry.bytes(), entry.packets()), (bytes, packets));
                    prop_assert_eq!(entry.is_several(), same.is_several());
                    prop_assert_eq!(settled.distinct(), plain.distinct());
                }
            }
            prop_assert!(exact.values().all(|(bytes, _)| *bytes <= settled.offset()));
            table.clear();
            prop_assert!(table.settled().is_empty());
        }
    }
}

#[test]
fn a_flow_has_its_place_from_its_first_packet_on() {
    let mut table = FlowTable::with_room(SEED, 100);
    assert!(!count(&mut table, &flow(1, 40_000), 60));
    assert!(count(&mut table, &flow(1, 40_000), 60));
    assert!(!count(&mut table, &flow(1, 40_001), 60), "another flow of the same talker");
    assert!(!count(&mut table, &flow(2, 40_000), 60));
    let settled = table.settled();
    assert_eq!((settled.entries().len(), settled.total()), (2, (Bytes(240), Packets(4))));
    assert!(settled.entries()[0].is_several() && !settled.entries()[1].is_several());
    assert!(!count(&mut table, &flow(1, 40_000), 60), "the places are free again");
}

#[test]
fn there_are_places_for_the_flows_of_a_thousand_talkers_soon_and_no_more_for_a_flood() {
    let mut table = FlowTable::with_room(SEED, crate::talkers::table::TALKERS);
    let round = |table: &mut FlowTable| {
        // Each talker at each turn, in another order.
        let clients = (0..50_000u32).map(|n| n.wrapping_mul(2_654_435_761) % 1000);
        let known = clients.filter(|client| count(table, &flow(client << 12, 40_000), 60)).count();
        assert_eq!(table.settled().total(), (Bytes(3_000_000), Packets(50_000)));
        table.clear();
        known
    };
    let first = round(&mut table);
    let known = round(&mut table);
    assert!(first > 25_000 && known > 45_000, "{first} {known}");
    let mut flooded = FlowTable::with_room(SEED, crate::talkers::table::TALKERS);
    (0..100_000).for_each(|n| assert!(!count(&mut flooded, &flow(n << 8, 40_000), 60)));
    assert_eq!(flooded.places.len(), FlowPlaces::FEWEST);
}

#[test]
fn a_flood_bypasses_the_places_and_flows_have_theirs_again_soon_after_it() {
    let mut table = FlowTable::with_room(SEED, crate::talkers::table::TALKERS);
    let tried = (0..100_000).filter(|n| {
        count(&mut table, &flow(*n << 8, 40_000), 60);
        !table.places.bypassed()
    });
    let tried = tried.count();
    assert!(tried < 100_000 / 8, "{tried}");
    let steady = flow(7, 40_000);
    let until = (0..100_000).find(|_| count(&mut table, &steady, 60)).unwrap();
    assert!(until < 5000, "{until}");
    assert!((0..10_000).all(|_| count(&mut table, &steady, 60)));
    assert_eq!(table.settled().total().1, Packets(100_000 + until + 1 + 10_000));
}

#[test]
fn tables_take_no_more_memory_than_is_said() {
    for talkers in [1, 128, 129, 1000, crate::talkers::table::TALKERS, 1 << 20] {
        let tables = flow_tables(SEED, talkers);
        let besides = tables.iter().map(|table| {
            FlowPlaces::bytes(table.places.capacity()) + size_of::<FlowTable>()
                - size_of::<TalkerTable>()
        });
        let bytes = bytes_of_tables(talkers) + besides.sum::<usize>() as u64;
        assert_eq!(bytes, bytes_of_flow_tables(talkers), "{talkers}");
    }
}
