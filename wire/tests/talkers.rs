//! Talkers: what is refused, and sums whose bounds hold.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use wire::frame::{Frame, FrameError};
use wire::id::{NicName, SessionId};
use wire::talker_sums::TalkerSums;
use wire::talkers::{
    OWNER_NAME_MAX, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, address_bytes, address_of,
};
use wire::{Bytes, Packets, Seq, WallNs};

fn key(n: u8) -> TalkerKey {
    let address = address_bytes(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
    TalkerKey { protocol: 6, port: 443, address, ..TalkerKey::default() }
}

fn list(talkers: &[(u8, u64, u16)], rest: u64) -> TalkerList {
    let talkers: Vec<Talker> = talkers
        .iter()
        .map(|&(n, bytes, owner)| Talker {
            key: key(n),
            bytes: Bytes(bytes),
            packets: Packets(1),
            owner,
        })
        .collect();
    TalkerList {
        total_bytes: Bytes(rest + talkers.iter().map(|it| it.bytes.get()).sum::<u64>()),
        total_packets: Packets(talkers.len() as u64),
        talkers,
        ..TalkerList::default()
    }
}

fn record(start_ns: u64, rx: TalkerList) -> Talkers {
    let owner = |name: &str| TalkerOwner { name: name.to_owned(), ..TalkerOwner::default() };
    Talkers {
        nic: NicName::new("eth0").unwrap(),
        start_ns: WallNs(start_ns),
        interval_ns: 60,
        rx,
        owners: vec![owner("web.service"), owner("db.service")],
        ..Talkers::default()
    }
}

fn check(record: Talkers) -> Result<(), FrameError> {
    let frame = Frame {
        session: SessionId::new(1),
        first_seq: Seq(1),
        last_seq: Seq(1),
        gap: 0,
        samples: vec![],
        mixes: vec![],
        talkers: vec![record],
    };
    frame.check()
}

#[test]
fn what_no_entry_names_is_the_rest() {
    let list = list(&[(1, 70, 0), (2, 20, 0)], 10);
    assert_eq!(list.rest(), (Bytes(10), Packets(0)));
}

#[test]
fn an_address_is_held_and_shown_in_its_own_form() {
    for address in ["10.1.2.3", "2001:db8::1"] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(address_of(address_bytes(address)), Some(address));
    }
    assert_eq!(address_of([0; 16]), None);
}

#[test]
fn what_can_not_be_is_refused() {
    let sound = || record(0, list(&[(1, 70, 1), (2, 20, 2)], 10));
    assert_eq!(check(sound()), Ok(()));
    let broken: [fn(&mut Talkers); 12] = [
        |it| it.nic = NicName::default(),
        |it| it.interval_ns = 0,
        |it| it.kind = 2,
        |it| it.rx.talkers[1].bytes = Bytes(31),
        |it| it.rx.talkers[1].packets = Packets(2),
        |it| it.rx.talkers[1].owner = 3,
        |it| it.rx.talkers[0].bytes = Bytes(19),
        |it| it.rx.talkers[1].key = it.rx.talkers[0].key,
        |it| it.rx.talkers[1].key.kind = 7,
        |it| it.rx.error_bytes = Bytes(1),
        |it| it.owners[0].name = "a\0".to_owned(),
        |it| it.owners[0].name = "a".repeat(OWNER_NAME_MAX + 1),
    ];
    for (n, break_it) in broken.into_iter().enumerate() {
        let mut record = sound();
        break_it(&mut record);
        assert!(check(record).is_err(), "{n}");
    }
}

#[test]
fn records_of_one_nic_add_up_and_keep_what_both_know_of_owners() {
    let mut merged = record(0, list(&[(1, 70, 1), (2, 20, 2), (3, 5, 1)], 10));
    merged.merge(&record(60, list(&[(2, 90, 2), (1, 60, 2)], 0)));
    assert_eq!((merged.start_ns, merged.interval_ns), (WallNs(0), 120));
    assert_eq!(merged.rx.total_bytes, Bytes(255));
    let found: Vec<_> = merged.rx.talkers.iter().map(|it| (it.key, it.bytes.get())).collect();
    assert_eq!(found, [(key(1), 130), (key(2), 110), (key(3), 5)]);
    let owner = |n: usize| {
        let owner = merged.rx.talkers[n].owner;
        (owner > 0).then(|| merged.owners[usize::from(owner) - 1].name.as_str())
    };
    assert_eq!([owner(0), owner(1), owner(2)], [None, Some("db.service"), Some("web.service")]);
    assert_eq!(check(merged), Ok(()));
}

/// A list of the `most` largest talkers with nothing unknown, and one that undercounts each by up to
/// `error`.
fn listed(truth: &BTreeMap<u8, u64>, most: usize, error: u64) -> TalkerList {
    let mut sorted: Vec<(u8, u64)> = truth.iter().map(|(n, bytes)| (*n, *bytes)).collect();
    sorted.sort_by_key(|(n, bytes)| (std::cmp::Reverse(*bytes), *n));
    let unlisted = sorted.get(most).map_or(0, |(_, bytes)| *bytes).max(error);
    let total: u64 = truth.values().sum();
    sorted.truncate(most);
    let kept = sorted.into_iter().map(|(n, bytes)| (n, bytes.saturating_sub(error), 0));
    let mut kept = list(&kept.collect::<Vec<_>>(), 0);
    kept.total_bytes = Bytes(total);
    (kept.error_bytes, kept.unlisted_bytes) = (Bytes(error), Bytes(unlisted));
    kept
}

proptest! {
    #[test]
    fn the_bounds_of_sums_hold_for_every_talker(
        parts in prop::collection::vec((prop::collection::btree_map(0..12_u8, 1..1000_u64, 0..12), 0..6_usize, 0..40_u64), 1..6),
        most in 0..8_usize,
    ) {
        let (mut sums, mut truth) = (TalkerSums::default(), BTreeMap::<u8, u64>::new());
        for (part, kept, error) in &parts {
            sums.add(&listed(part, *kept, *error), &[]);
            part.iter().for_each(|(n, bytes)| *truth.entry(*n).or_default() += bytes);
        }
        let sum = sums.list(most, &mut vec![]);
        prop_assert_eq!(sum.total_bytes.get(), truth.values().sum::<u64>());
        prop_assert!(sum.talkers.len() <= most);
        for (n, bytes) in truth {
            match sum.talkers.iter().find(|it| it.key == key(n)) {
                Some(it) => prop_assert!(it.bytes.get() <= bytes && bytes <= it.bytes.get() + sum.error_bytes.get()),
                None => prop_assert!(bytes <= sum.unlisted_bytes.get()),
            }
        }
        let record = Talkers { interval_ns: 1, ..record(0, sum) };
        prop_assert_eq!(check(record), Ok(()));
    }
}
