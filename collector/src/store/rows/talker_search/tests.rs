//! Searches for an address.

use wire::talkers::{Talker, TalkerKey, TalkerList};

use super::*;
use crate::store::rows::talkers::StoredList;

fn search(address: &str, prefix: u8) -> TalkerSearch {
    let address = address.parse().unwrap();
    TalkerSearch { address, prefix, from_ns: WallNs(0), to_ns: WallNs(9), limit: 9 }
}

#[test]
fn a_prefix_holds_its_addresses_and_no_other() {
    for (net, prefix, inside, outside) in [
        ("10.1.2.3", 32, "10.1.2.3", "10.1.2.4"),
        ("10.1.2.3", 24, "10.1.2.250", "10.1.3.3"),
        ("10.1.2.3", 20, "10.1.15.1", "10.1.16.1"),
        ("10.1.2.3", 0, "192.0.2.1", "2001:db8::1"),
        ("2001:db8::1", 128, "2001:db8::1", "2001:db8::2"),
        ("2001:db8::1", 45, "2001:db8:7::", "2001:db8:8::"),
        ("2001:db8::1", 0, "2001:db8:8::", "::"),
    ] {
        let wanted = search(net, prefix).wanted();
        let matches = |address: &str| wanted.has(address_bytes(address.parse().unwrap()));
        assert!(matches(inside) && !matches(outside), "{net}/{prefix}");
    }
}

#[test]
fn a_needle_is_of_whole_bytes_and_of_the_columns_that_may_hold_it() {
    const NUMBERS: &[&str] = &["addresses", "others"];
    const LONG: &[&str] = &["long_addresses"];
    let needle = |address, prefix| {
        let Needle { bytes, columns } = search(address, prefix).needle();
        (bytes, columns)
    };
    assert_eq!(needle("10.1.2.3", 32), (vec![10, 1, 2, 3], NUMBERS));
    assert_eq!(needle("10.1.2.3", 23), (vec![10, 1], NUMBERS));
    assert!(needle("10.1.2.3", 7).0.is_empty());
    let mapped = address_bytes([0, 1, 2, 3].into());
    assert_eq!(needle("0.1.2.3", 32), (mapped.to_vec(), LONG));
    assert_eq!(needle("0.1.2.3", 9), (mapped[..13].to_vec(), LONG));
    assert!(needle("0.1.2.3", 7).0.is_empty());
    assert_eq!(needle("2001:db8::1", 48), (vec![0x20, 1, 0xd, 0xb8, 0, 0], LONG));
    // IPv4 within IPv6.
    assert!(needle("::", 80).0.is_empty());
    assert_eq!(needle("::", 96), (vec![0; 12], LONG));
}

#[test]
fn pieces_tile_the_range_and_are_bounded_in_number() {
    for (from, to, pieces) in [
        (0, u64::MAX, 256),
        (5, 5, 0),
        (9, 5, 0),
        (7, 8, 1),
        (100, 100 + 12 * 60 * MINUTE_NS, 72),
        (100, 101 + 12 * 60 * MINUTE_NS, 73),
    ] {
        let (from_ns, to_ns) = (WallNs(from), WallNs(to));
        let found = TalkerSearch { from_ns, to_ns, ..search("::1", 128) }.pieces();
        assert_eq!(found.len(), pieces, "{from} {to}");
        let halves = TalkerSearch { from_ns, to_ns, ..search("::1", 128) }.halves();
        assert_eq!(halves.len() as u64, to.saturating_sub(from).min(2), "{halves:?}");
        let tiled = found.windows(2).all(|two| two[0].to_ns == two[1].from_ns);
        let ends = found.first().zip(found.last()).map(|(a, b)| (a.from_ns, b.to_ns));
        assert!(tiled && ends.is_none_or(|ends| ends == (from_ns, to_ns)), "{found:?}");
    }
}

#[test]
fn parts_of_a_range_add_up_to_the_whole() {
    let list = |start: u64, bytes: u64| {
        let key =
            TalkerKey { address: address_bytes([10, 0, 0, 1].into()), ..TalkerKey::default() };
        let talker = Talker { key, bytes: Bytes(bytes), ..Talker::default() };
        let list = TalkerList {
            total_bytes: Bytes(bytes + 5),
            talkers: vec![talker],
            ..TalkerList::default()
        };
        let (start_ns, interval_ns, kind) = (WallNs(start), 60, (start % 2) as u8);
        let direction = TalkersDirection::Tx;
        StoredList { start_ns, interval_ns, kind, direction, list, owners: vec![] }
    };
    let search = search("10.0.0.1", 32);
    let rows = [(1, list(100, 7)), (2, list(201, 9)), (1, list(40, 11)), (1, list(61, 90))];
    let mut rows = rows.map(|(nic, list)| (nic, list.figures(), list)).to_vec();
    let (nic, mut figures, list) = rows[0].clone();
    figures[0] += 1;
    rows.push((nic, figures, list));
    let of = |rows: &[(u8, [u64; LIST.len()], StoredList)]| {
        let mut found = FoundTalkers::new(&search);
        for (nic, figures, list) in rows {
            let packed = list.entries();
            let row = SearchedRow {
                start_ns: list.start_ns,
                interval_ns: list.interval_ns,
                kind: list.kind,
                direction: list.direction as u8,
                totals: *figures.first_chunk().unwrap(),
                entries: std::array::from_fn(|at| packed[at].as_deref()),
            };
            found.add(*nic, &row);
        }
        found
    };
    let names = [1, 2].map(|nic| (nic, (format!("host-{nic}"), "eth0".to_owned()))).into();
    let whole = of(&rows).finish(&names);
    assert_eq!((whole.found.len(), whole.unreadable), (2, 1));
    for cut in 0..=rows.len() {
        let (first, second) = rows.split_at(cut);
        let mut merged = of(first);
        merged.merge(of(second).parts());
        assert_eq!(merged.finish(&names), whole);
    }
}
