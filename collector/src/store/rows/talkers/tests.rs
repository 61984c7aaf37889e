//! Rows of talkers, packed and unpacked.

use std::net::IpAddr;

use proptest::prelude::*;
use wire::talkers::{TALKERS_MAX, TalkerKey, address_bytes};

use super::*;

fn borrowed(entries: &PackedEntries) -> EntryColumns<'_> {
    std::array::from_fn(|at| entries[at].as_deref())
}

fn any_address() -> impl Strategy<Value = [u8; 16]> {
    prop_oneof![
        Just([0; 16]),
        any::<[u8; 4]>().prop_map(|it| address_bytes(IpAddr::from(it))),
        // Of a network that no host has, as in DHCP.
        any::<[u8; 3]>().prop_map(|[a, b, c]| address_bytes(IpAddr::from([0, a, b, c]))),
        any::<[u8; 16]>(),
    ]
}

fn any_talker() -> impl Strategy<Value = Talker> {
    let key = (0_u8..7, any::<u8>(), any::<u16>(), any_address(), any_address());
    (key, 0_u64..1 << 50, 0_u64..1 << 40, 0_u16..4).prop_map(|(key, bytes, packets, owner)| {
        let (kind, protocol, port, address, other) = key;
        let key = TalkerKey { kind, protocol, port, address, other };
        Talker { key, bytes: Bytes(bytes), packets: Packets(packets), owner }
    })
}

proptest! {
    #[test]
    fn a_row_gives_back_its_list(
        mut talkers in proptest::collection::vec(any_talker(), 0..=TALKERS_MAX),
        rest in 0_u64..1 << 50,
    ) {
        talkers.sort_by_key(|it| std::cmp::Reverse(it.bytes));
        let bytes: u64 = talkers.iter().map(|it| it.bytes.get()).sum();
        let packets: u64 = talkers.iter().map(|it| it.packets.get()).sum();
        let list = TalkerList {
            total_bytes: Bytes(bytes + rest), total_packets: Packets(packets + rest),
            error_bytes: Bytes(7), unlisted_bytes: Bytes(9), distinct: 99, distinct_error: 3, talkers,
        };
        let owner = |name: &str| TalkerOwner { name: name.into(), ..TalkerOwner::default() };
        let record = Talkers {
            nic: wire::id::NicName::new("eth0").unwrap(), interval_ns: 5, tx: list.clone(), rx: list,
            owners: ["a", "b", "c"].map(owner).to_vec(), ..Talkers::default()
        };
        let lists = StoredList::both(&record);
        for stored in &lists {
            let row = StoredList::of_row((stored.start_ns, 5), (0, stored.direction as u8),
                stored.figures(), &borrowed(&stored.entries()));
            prop_assert_eq!(row.as_ref(), Ok(stored));
            prop_assert_eq!(stored.check(), Ok(()));
        }
        let names = owners_of(&record).map(|(id, _, owner)| (id, owner.clone())).collect();
        let mut again = super::record(record.nic, &lists, &names).unwrap();
        // Owners come in the order of the talkers.
        let named = |record: &Talkers| {
            let of = |it: &Talker| usize::from(it.owner).checked_sub(1).map(|at| record.owners[at].clone());
            record.rx.talkers.iter().chain(&record.tx.talkers).map(of).collect::<Vec<_>>()
        };
        prop_assert_eq!(named(&again), named(&record));
        for (list, same) in [(&mut again.rx, &record.rx), (&mut again.tx, &record.tx)] {
            list.talkers.iter_mut().zip(&same.talkers).for_each(|(it, same)| it.owner = same.owner);
        }
        again.owners = record.owners.clone();
        prop_assert_eq!(again, record);
    }
}

#[test]
fn columns_that_contradict_each_other_are_named() {
    let talker = Talker { bytes: Bytes(5), packets: Packets(1), owner: 1, ..Talker::default() };
    let list = TalkerList {
        total_bytes: Bytes(9),
        total_packets: Packets(2),
        talkers: vec![talker; 2].into_iter().take(1).collect(),
        ..TalkerList::default()
    };
    let record = Talkers { rx: list, owners: vec![TalkerOwner::default()], ..Talkers::default() };
    let [stored, _] = StoredList::both(&record);
    let read = |change: &dyn Fn(&mut PackedEntries)| {
        let mut entries = stored.entries();
        change(&mut entries);
        StoredList::of_row((WallNs(0), 1), (0, 0), stored.figures(), &borrowed(&entries))
            .map(|_| ())
    };
    assert_eq!(read(&|_| ()), Ok(()));
    for column in 0..ENTRIES.len() {
        let longer = read(&|it| {
            let mut bytes = it[column].take().unwrap_or_default();
            bytes.extend([1; 9]);
            it[column] = Some(bytes);
        });
        assert_eq!(longer, Err(UnreadableTalkers::Columns), "{}", ENTRIES[column]);
    }
    let address = read(&|it| it[1] = Some(vec![7]));
    assert_eq!(address, Err(UnreadableTalkers::Columns), "no long address has this number");
    assert_eq!(read(&|it| it[5] = Some(vec![6])), Err(UnreadableTalkers::Total));
}

#[test]
fn the_number_of_an_owner_never_changes() {
    let owner = TalkerOwner { kind: 1, name: "a".into(), process: "b".into() };
    assert_eq!(OwnerId::of(&owner), OwnerId(5_183_164_648_861_412_308));
    let other = TalkerOwner { kind: 1, name: "ab".into(), process: String::new() };
    assert_ne!(OwnerId::of(&other), OwnerId::of(&owner));
}
