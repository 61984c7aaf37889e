//! The list of a table: its largest talkers, and bounds for everyone else.

use std::cmp::Ordering;

use wire::talkers::{Talker, TalkerList};
use wire::{Bytes, Packets};

use super::socket_pair::SeenSockets;
use super::table::{TalkerEntry, TalkerTable};

/// At most `most` talkers of a table, with the sockets of each. `total` is what the NIC had in the same
/// time, at least what the table counted: the difference has no name and may be anybody's.
#[must_use]
pub fn list(
    table: &TalkerTable,
    total: (Bytes, Packets),
    most: usize,
) -> (TalkerList, Vec<SeenSockets>) {
    let (bytes, packets) = table.total();
    let unnamed = total.0.saturating_sub(bytes);
    let unnamed_packets = total.1.saturating_sub(packets);
    let mut entries = largest_first(table, most);
    let left_out = entries.split_off(most.min(entries.len()));
    let listed = entries;
    let largest = |bytes: &mut dyn Iterator<Item = Bytes>| bytes.max().unwrap_or_default();
    let error = largest(&mut listed.iter().map(|entry| entry.error()));
    let unlisted = largest(&mut left_out.iter().map(|entry| entry.upper())).max(table.offset());
    let (distinct, distinct_error) = table.distinct();
    let list = TalkerList {
        total_bytes: total.0,
        total_packets: total.1,
        error_bytes: error.saturating_add(unnamed),
        unlisted_bytes: unlisted.saturating_add(unnamed),
        distinct,
        // Each packet without a name may be of another talker.
        distinct_error: distinct_error.saturating_add(unnamed_packets.get()),
        talkers: listed.iter().map(|entry| talker(entry)).collect(),
    };
    (list, listed.iter().map(|entry| entry.flow().seen(entry.is_several())).collect())
}

/// The sockets of the largest talkers of a table, at most `most`, with the kinds of their keys.
pub fn largest(
    table: &TalkerTable,
    most: usize,
) -> impl Iterator<Item = (u8, SeenSockets)> + use<> {
    let mut entries = largest_first(table, most);
    entries.truncate(most);
    let sockets = entries.into_iter().map(|entry| {
        let seen = entry.flow().seen(entry.is_several());
        (entry.flow().key().kind, seen)
    });
    let sockets: Vec<_> = sockets.filter(|(_, seen)| *seen != SeenSockets::Nothing).collect();
    sockets.into_iter()
}

/// The entries of a table. The first `most` are the largest, in order.
fn largest_first(table: &TalkerTable, most: usize) -> Vec<&TalkerEntry> {
    let mut entries: Vec<&TalkerEntry> = table.entries().iter().collect();
    let listed = most.min(entries.len());
    if listed < entries.len() {
        entries.select_nth_unstable_by(listed, order);
    }
    if let Some(listed) = entries.get_mut(..listed) {
        listed.sort_unstable_by(order);
    }
    entries
}

/// Most bytes first; equal talkers by their keys, so that the result is always the same.
fn order(a: &&TalkerEntry, b: &&TalkerEntry) -> Ordering {
    b.bytes().cmp(&a.bytes()).then_with(|| a.flow().key().cmp(&b.flow().key()))
}

fn talker(entry: &TalkerEntry) -> Talker {
    let (bytes, packets) = (entry.bytes(), entry.packets());
    Talker { key: entry.flow().key(), bytes, packets, owner: 0 }
}

#[cfg(test)]
mod tests {
    use super::super::key::{KeyAddress, KeyedFlow};
    use super::super::table::Seed;
    use super::*;

    fn flow(n: u8) -> KeyedFlow {
        KeyedFlow::arp(KeyAddress::v4([192, 0, 2, n]))
    }

    #[test]
    fn the_largest_are_listed_and_the_bounds_hold_for_all_others() {
        let mut table = TalkerTable::with_room(Seed::random().unwrap(), 100);
        for n in 1..=20 {
            table.add(&flow(n), Bytes(u64::from(n) * 100), Packets(1));
        }
        let total = (table.total().0 + Bytes(7), table.total().1 + Packets(2));
        let (list, seen) = list(&table, total, 3);
        let named: Vec<u64> = list.talkers.iter().map(|it| it.bytes.get()).collect();
        assert_eq!((named, seen.len()), (vec![2000, 1900, 1800], 3));
        assert_eq!((list.total_bytes, list.total_packets), total);
        assert_eq!(list.error_bytes, Bytes(7), "bytes without a name may be anybody's");
        assert_eq!(list.unlisted_bytes, Bytes(1707));
        assert_eq!((list.distinct, list.distinct_error), (20, 2));
        assert_eq!(list.rest().0 + Bytes(2000 + 1900 + 1800), list.total_bytes);
    }

    #[test]
    fn a_table_that_was_purged_says_so_in_its_bounds() {
        let mut table = TalkerTable::with_room(Seed::random().unwrap(), 4);
        for n in 1..=5 {
            table.add(&flow(n), Bytes(u64::from(n) * 100), Packets(1));
        }
        // The median of 100, 200, 300 and 400 leaves one, and the fifth comes with it as its error.
        let (list, _) = list(&table, table.total(), 64);
        let bytes: Vec<u64> = list.talkers.iter().map(|it| it.bytes.get()).collect();
        assert_eq!(bytes, [500, 400]);
        assert_eq!((list.error_bytes, list.unlisted_bytes), (Bytes(300), Bytes(300)));
        assert!(list.distinct_error > 0);
    }

    #[test]
    fn without_any_table_everything_is_in_the_rest_and_in_the_error() {
        let table = TalkerTable::new(Seed::random().unwrap());
        let (list, seen) = list(&table, (Bytes(1000), Packets(10)), 16);
        assert!(list.talkers.is_empty() && seen.is_empty());
        assert_eq!((list.error_bytes, list.unlisted_bytes), (Bytes(1000), Bytes(1000)));
        assert_eq!((list.distinct, list.distinct_error), (0, 10));
    }
}
