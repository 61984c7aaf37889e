//! The talkers of a single record, grouped as those of a range are.

use std::collections::BTreeMap;

use wire::talkers::{TalkerOwner, Talkers};

use crate::store::rows::talker_groups::{GroupSums, GroupedTalkers, TalkersRange};
use crate::store::rows::talkers::{OwnerId, StoredList};

impl GroupedTalkers {
    /// The largest talkers of a record in the direction of `range`, grouped as it says, without buckets.
    #[must_use]
    pub fn of_record(record: &Talkers, range: &TalkersRange) -> Self {
        let mut sums = GroupSums::new(range.by);
        let lists = StoredList::both(record);
        lists.iter().filter(|it| it.direction == range.direction).for_each(|it| sums.add(it));
        let owners = record.owners.iter().map(|owner| (OwnerId::of(owner), owner.clone()));
        let names: BTreeMap<OwnerId, TalkerOwner> = owners.collect();
        sums.rank(range.limit).named(&TalkersRange { buckets: 0, ..range.clone() }, &names)
    }
}

#[cfg(test)]
mod tests {
    use wire::talkers::{OwnerKind, Talker, TalkerKey, TalkerList, address_bytes};
    use wire::{Bytes, Packets, WallNs};

    use super::*;
    use crate::store::Direction;
    use crate::store::rows::talker_groups::{TalkerGroup, TalkersBy};

    fn talker(last: u8, port: u16, bytes: u64, owner: u16) -> Talker {
        let address = address_bytes([10, 0, 0, last].into());
        let key = TalkerKey { protocol: 6, port, address, ..TalkerKey::default() };
        Talker { key, bytes: Bytes(bytes), packets: Packets(bytes / 100), owner }
    }

    fn record() -> Talkers {
        let talkers =
            vec![talker(1, 443, 5000, 1), talker(2, 443, 3000, 0), talker(1, 22, 1000, 1)];
        let rx = TalkerList {
            total_bytes: Bytes(10_000),
            total_packets: Packets(120),
            error_bytes: Bytes(50),
            unlisted_bytes: Bytes(200),
            distinct: 9,
            distinct_error: 1,
            talkers,
        };
        let owner = TalkerOwner {
            kind: OwnerKind::Unit as u8,
            name: "nginx.service".into(),
            process: "nginx".into(),
        };
        let (start_ns, interval_ns) = (WallNs(1_700_000_000_000_000_000), 500_000_000);
        Talkers { start_ns, interval_ns, rx, owners: vec![owner], ..Talkers::default() }
    }

    fn grouped(by: TalkersBy, limit: usize) -> GroupedTalkers {
        let range = TalkersRange {
            client: "web".into(),
            nic: "eth0".into(),
            direction: Direction::Rx,
            from_ns: WallNs(0),
            to_ns: WallNs(1),
            by,
            limit,
            buckets: 60,
        };
        GroupedTalkers::of_record(&record(), &range)
    }

    fn figures(found: &GroupedTalkers) -> Vec<(u64, u64)> {
        let figures = |it: &crate::store::rows::talker_groups::GroupedTalker| {
            (it.amount.bytes.get(), it.error_bytes.get())
        };
        found.talkers.iter().map(figures).collect()
    }

    #[test]
    fn a_record_is_grouped_with_its_own_bounds_and_adds_up() {
        for (by, expected) in [
            // A key has the error of the list; of a group the rest may be more keys.
            (TalkersBy::Key, vec![(5000, 50), (3000, 50), (1000, 50)]),
            (TalkersBy::Host, vec![(6000, 1000), (3000, 1000)]),
            (TalkersBy::Service, vec![(8000, 1000), (1000, 1000)]),
            (TalkersBy::Owner, vec![(6000, 1000)]),
        ] {
            let found = grouped(by, 8);
            assert_eq!(figures(&found), expected, "{by:?}");
            let named: u64 = found.talkers.iter().map(|it| it.amount.bytes.get()).sum();
            let others = found.unattributed.bytes.get() + found.rest.bytes.get();
            assert_eq!((named + others, found.total.bytes), (10_000, Bytes(10_000)));
            assert_eq!((found.records, found.covered_ns), (1, 500_000_000));
        }
        let owners = grouped(TalkersBy::Owner, 8);
        assert_eq!(owners.unattributed.bytes, Bytes(3000));
        let TalkerGroup::Owner(owner) = &owners.talkers[0].group else { panic!("{owners:?}") };
        assert_eq!(owner.name, "nginx.service");
        assert_eq!(figures(&grouped(TalkersBy::Key, 1)), [(5000, 50)]);
    }
}
