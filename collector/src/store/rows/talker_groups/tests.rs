//! Groups of talkers against what was really sent.

use proptest::prelude::*;
use wire::talkers::KeyKind;

use super::*;

/// What a host really sent: bytes by key, in each of some minutes.
type Truth = Vec<Vec<(TalkerKey, u64)>>;

fn key(host: u8, port: u16) -> TalkerKey {
    let mut address = [0; 16];
    address[15] = host + 1;
    TalkerKey {
        kind: KeyKind::RemoteService as u8,
        protocol: 6,
        port,
        address,
        ..TalkerKey::default()
    }
}

fn truth() -> impl Strategy<Value = Truth> {
    let entry = (0_u8..6, 0_u16..4, 0_u64..10_000);
    let minute = proptest::collection::vec(entry, 0..30);
    proptest::collection::vec(minute, 1..8).prop_map(|minutes| {
        let minute = |entries: Vec<(u8, u16, u64)>| {
            let mut bytes: BTreeMap<TalkerKey, u64> = BTreeMap::new();
            for (host, port, more) in entries {
                *bytes.entry(key(host, port)).or_default() += more;
            }
            bytes.into_iter().collect()
        };
        minutes.into_iter().map(minute).collect()
    })
}

/// What an agent reports of a minute: the largest, each too low by up to `error`.
fn stored(at: usize, truth: &[(TalkerKey, u64)], most: usize, error: u64) -> StoredList {
    let mut sorted = truth.to_vec();
    sorted.sort_by_key(|(key, bytes)| (Reverse(bytes.saturating_sub(error)), *key));
    let unlisted = sorted.iter().skip(most).map(|(_, bytes)| *bytes).max().unwrap_or(0).max(error);
    let talkers = sorted.iter().take(most).map(|(key, bytes)| {
        let bytes = Bytes(bytes.saturating_sub(error));
        // The owner is known for some, and differs between minutes for others.
        let owner = match key.port {
            0 => 0,
            1 => 1,
            _ => u16::try_from(1 + at % 2).unwrap(),
        };
        Talker { key: *key, bytes, packets: Packets(0), owner }
    });
    let list = TalkerList {
        talkers: talkers.collect(),
        total_bytes: Bytes(truth.iter().map(|(_, bytes)| bytes).sum()),
        error_bytes: Bytes(error),
        unlisted_bytes: Bytes(unlisted),
        ..TalkerList::default()
    };
    let start_ns = WallNs(at as u64 * MINUTE_NS);
    let (kind, direction) = (0, TalkersDirection::Rx);
    let owners = vec![OwnerId(1), OwnerId(2)];
    StoredList { start_ns, interval_ns: MINUTE_NS, kind, direction, list, owners }
}

fn range(by: TalkersBy, limit: usize) -> TalkersRange {
    TalkersRange {
        client: "web".into(),
        nic: "eth0".into(),
        direction: TalkersDirection::Rx,
        from_ns: WallNs(0),
        to_ns: WallNs(1000 * MINUTE_NS),
        by,
        limit,
        buckets: 3,
    }
}

fn answer(lists: &[StoredList], range: &TalkersRange, most: usize) -> GroupedTalkers {
    let mut sums = GroupSums::with_most(range.by, most);
    lists.iter().for_each(|list| sums.add(list));
    let owner = |n| (OwnerId(n), TalkerOwner { name: n.to_string(), ..TalkerOwner::default() });
    let mut answer = sums.rank(range.limit).named(range, &[owner(1), owner(2)].into());
    lists.iter().for_each(|list| answer.fill(range.by, list));
    answer
}

/// What a group really had.
fn real(truth: &Truth, of: impl Fn(&TalkerKey) -> bool) -> u64 {
    truth.iter().flatten().filter(|(key, _)| of(key)).map(|(_, bytes)| bytes).sum()
}

proptest! {
    #[test]
    fn the_truth_lies_within_the_bounds_and_all_adds_up(
        truth in truth(), listed in 0_usize..8, error in 0_u64..500, limit in 0_usize..6,
        most in 2_usize..40,
    ) {
        let lists: Vec<StoredList> =
            truth.iter().enumerate().map(|(at, it)| stored(at, it, listed, error)).collect();
        let total: u64 = truth.iter().flatten().map(|(_, bytes)| bytes).sum();
        for by in [TalkersBy::Key, TalkersBy::Host, TalkersBy::Service, TalkersBy::Owner] {
            let answer = answer(&lists, &range(by, limit), most);
            let shown: u64 = answer.talkers.iter().map(|it| it.amount.bytes.get()).sum();
            let others = answer.unattributed.bytes.get() + answer.rest.bytes.get();
            prop_assert_eq!((answer.total.bytes.get(), shown + others), (total, total));
            let mut over_time = vec![0; answer.talkers.len() + 3];
            for bucket in &answer.buckets {
                let figures = bucket.talkers.iter().chain([
                    &bucket.unattributed_bytes, &bucket.rest_bytes, &bucket.total_bytes,
                ]);
                over_time.iter_mut().zip(figures).for_each(|(sum, more)| *sum += more.get());
            }
            let Some([unattributed, rest, all]) = over_time.last_chunk().copied() else { panic!() };
            prop_assert_eq!(all, total);
            if most > 24 {
                // Of what was dropped on the way, time knows more than the sums.
                prop_assert_eq!(unattributed, answer.unattributed.bytes.get());
                prop_assert_eq!(rest, answer.rest.bytes.get());
            }
            for talker in &answer.talkers {
                let real = match &talker.group {
                    TalkerGroup::Key(key, _) => real(&truth, |it| it == key),
                    TalkerGroup::Host(host) => {
                        real(&truth, |it| address_of(it.address) == *host)
                    }
                    TalkerGroup::Service { port, .. } => real(&truth, |it| it.port == *port),
                    // Whose an entry is, only the agent knows.
                    TalkerGroup::Owner(_) => continue,
                };
                let bounds = talker.amount.bytes.get()..=(talker.amount.bytes + talker.error_bytes).get();
                prop_assert!(bounds.contains(&real), "{by:?} {talker:?}: {real}");
            }
            if by == TalkersBy::Key {
                let is_shown = |key: &TalkerKey| answer.talkers.iter().any(
                    |it| matches!(&it.group, TalkerGroup::Key(shown, _) if shown == key));
                for (key, _) in truth.iter().flatten().filter(|(key, _)| !is_shown(key)) {
                    prop_assert!(real(&truth, |it| it == key) <= answer.unlisted_bytes.get());
                }
            }
        }
    }

    #[test]
    fn keys_have_the_sums_of_merged_records_and_never_wider_bounds(
        truth in truth(), listed in 0_usize..8, error in 0_u64..500,
    ) {
        let lists: Vec<StoredList> =
            truth.iter().enumerate().map(|(at, it)| stored(at, it, listed, error)).collect();
        let mut sums = wire::talker_sums::TalkerSums::default();
        let owners = [1, 2].map(|n: u8| TalkerOwner { name: n.to_string(), ..TalkerOwner::default() });
        lists.iter().for_each(|it| sums.add(&it.list, &owners));
        let mut named = Vec::new();
        let merged = sums.list(8, &mut named);
        let answer = answer(&lists, &range(TalkersBy::Key, 8), 1000);
        prop_assert_eq!(answer.total.bytes, merged.total_bytes);
        prop_assert_eq!(answer.talkers.len(), merged.talkers.len());
        for (talker, same) in answer.talkers.iter().zip(&merged.talkers) {
            let owner = usize::from(same.owner).checked_sub(1).map(|at| named[at].clone());
            prop_assert_eq!(&talker.group, &TalkerGroup::Key(same.key, owner));
            prop_assert_eq!(talker.amount.bytes, same.bytes);
            prop_assert!(talker.error_bytes <= merged.error_bytes);
        }
        prop_assert!(answer.unlisted_bytes <= merged.unlisted_bytes);
    }
}

#[test]
fn an_owner_without_a_name_is_nobody_known() {
    let lists = [stored(0, &[(key(0, 1), 500), (key(1, 0), 40)], 2, 0)];
    let mut sums = GroupSums::new(TalkersBy::Owner);
    sums.add(&lists[0]);
    let range = range(TalkersBy::Owner, 5);
    let mut answer = sums.rank(5).named(&range, &BTreeMap::new());
    answer.fill(TalkersBy::Owner, &lists[0]);
    assert_eq!((answer.talkers.len(), answer.unattributed.bytes), (0, Bytes(540)));
    assert_eq!((answer.buckets.len(), answer.buckets[0].unattributed_bytes), (1, Bytes(540)));
    assert_eq!(answer.rest.bytes, Bytes(0));
}

#[test]
fn a_range_is_laid_out_in_whole_minutes_from_its_own_start() {
    let lists: Vec<_> = (0..100).map(|at| stored(at, &[(key(0, 1), 10)], 1, 0)).collect();
    let part = TalkersRange {
        from_ns: WallNs(10 * MINUTE_NS + 5),
        to_ns: WallNs(20 * MINUTE_NS + 5),
        ..range(TalkersBy::Host, 5)
    };
    let answer = answer(&lists[10..=20], &part, 1000);
    let starts: Vec<u64> = answer.buckets.iter().map(|it| it.start_ns / MINUTE_NS).collect();
    assert_eq!((starts, answer.step_ns), (vec![10, 14, 18], 4 * MINUTE_NS));
    let bytes: Vec<u64> = answer.buckets.iter().map(|it| it.total_bytes.get()).collect();
    assert_eq!(bytes, [40, 40, 30]);
}
