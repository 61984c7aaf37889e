//! Talkers: kept exactly once, read back with true bounds, found, and deleted by age.

use std::collections::BTreeMap;
use std::sync::Arc;

use collector::store::{
    Commit, Database, Direction, GroupedTalkers, Retained, RetentionLimits, StoreError,
    TalkerGroup, TalkerSearch, TalkersAt, TalkersBy, TalkersRange,
};
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
    address_bytes, address_of,
};
use wire::{Bytes, Packets, WallNs};

use super::place::{Place, assert_sound, opened};
use crate::batches::{Agent, DAY, MINUTE, SECOND, START, batch, client, hello, nic, sample};

/// A talker whose service is at the remote end.
pub fn talker(address: &str, port: u16, bytes: u64, owner: u16) -> Talker {
    let address = address_bytes(address.parse().unwrap());
    let kind = KeyKind::RemoteService as u8;
    let key = TalkerKey { kind, protocol: 6, port, address, other: [0; 16] };
    Talker { key, bytes: Bytes(bytes), packets: Packets(bytes / 100), owner }
}

/// A list with so many bytes that it leaves out.
pub fn list(talkers: Vec<Talker>, rest: u64) -> TalkerList {
    let bytes: u64 = talkers.iter().map(|it| it.bytes.get()).sum();
    let packets: u64 = talkers.iter().map(|it| it.packets.get()).sum();
    TalkerList {
        total_bytes: Bytes(bytes + rest),
        total_packets: Packets(packets + rest / 50),
        error_bytes: Bytes(rest / 10),
        unlisted_bytes: Bytes(rest / 2),
        distinct: talkers.len() as u64 + 3,
        distinct_error: 1,
        talkers,
    }
}

pub fn owner(kind: OwnerKind, name: &str) -> TalkerOwner {
    TalkerOwner { kind: kind as u8, name: name.into(), process: "worker".into() }
}

/// A minute of `eth0` with traffic that depends on `n`.
pub fn minute(start_ns: u64, n: u64) -> Talkers {
    let rx = vec![
        talker("10.1.2.3", 443, 9000 + n, 1),
        talker("10.1.2.3", 80, 5000 + n, 2),
        talker("2001:db8::7", 443, 700 + n, 0),
        talker(&format!("10.9.0.{}", n % 200), 22, 60, 1),
    ];
    Talkers {
        nic: nic("eth0"),
        start_ns: WallNs(start_ns),
        interval_ns: MINUTE,
        kind: TalkersKind::Minute as u8,
        rx: list(rx, 100 * n),
        tx: list(vec![talker("192.0.2.1", 53, 77, 0)], 0),
        owners: vec![
            owner(OwnerKind::Unit, "nginx.service"),
            owner(OwnerKind::Container, &"a".repeat(64)),
        ],
    }
}

/// A moment of `eth0`, half a second long.
fn moment(start_ns: u64, bytes: u64) -> Talkers {
    let talkers = (0..64).map(|n| talker(&format!("10.64.0.{n}"), 443, bytes - n, 1));
    Talkers {
        interval_ns: SECOND / 2,
        kind: TalkersKind::Moment as u8,
        rx: list(talkers.collect(), 7),
        ..minute(start_ns, 1)
    }
}

/// Commits records, each in a frame of its own.
pub async fn commit_talkers(store: &Arc<dyn Database>, agent: &mut Agent, records: Vec<Talkers>) {
    let frames = records.into_iter().map(|record| {
        let mut frame = agent.frame(vec![]);
        frame.talkers = vec![record];
        frame
    });
    let frames = frames.collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
}

fn at(at_ns: u64, within_ns: u64, kind: TalkersKind) -> TalkersAt {
    let (client, nic) = ("web".into(), "eth0".into());
    TalkersAt { client, nic, kind, at_ns: WallNs(at_ns), within_ns }
}

fn range(by: TalkersBy) -> TalkersRange {
    TalkersRange {
        client: "web".into(),
        nic: "eth0".into(),
        direction: Direction::Rx,
        from_ns: WallNs(START),
        to_ns: WallNs(START + DAY),
        by,
        limit: 8,
        buckets: 100,
    }
}

fn search(address: &str, prefix: u8) -> TalkerSearch {
    TalkerSearch {
        address: address.parse().unwrap(),
        prefix,
        from_ns: WallNs(START),
        to_ns: WallNs(START + DAY),
        limit: 10,
    }
}

pub async fn talkers_are_read_back_exactly_and_are_never_doubled(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mut odd = minute(START, 5);
    // Every shape of a key: forwarded, no IP, from 0.0.0.0, beyond 32 bits.
    let zero = TalkerKey { kind: KeyKind::Arp as u8, ..TalkerKey::default() };
    let rx = [
        talker("0.0.0.0", 67, 1 << 40, 0),
        TalkerKey { other: address_bytes("10.7.7.7".parse().unwrap()), ..odd.rx.talkers[0].key }
            .into_talker(9),
        zero.into_talker(3),
    ];
    odd.rx = list(rx.to_vec(), 1 << 41);
    odd.tx = list(vec![], 0);
    odd.owners = vec![];
    let records = vec![odd, minute(START + MINUTE, 6), moment(START + 65 * SECOND, 1000)];
    let frames = records.iter().map(|record| {
        let mut frame = agent.frame(vec![]);
        frame.talkers = vec![record.clone()];
        frame
    });
    let frames = frames.collect();
    let delivered = batch([agent.batch(frames)]);
    store.commit(&delivered).await.unwrap();
    // An answer that was lost: the same again.
    assert!(matches!(store.commit(&delivered).await, Err(StoreError::Conflict { .. })));
    assert_eq!(place.numbers("SELECT count(*) FROM talkers").await, [6]);
    for record in &records {
        let kind = TalkersKind::of(record.kind).unwrap();
        let found = store.talkers_at(&at(record.start_ns.get(), 0, kind)).await.unwrap();
        assert_eq!(resolved(found.as_ref().unwrap()), resolved(record));
    }
    // The nearest that is near enough.
    let near = async |at_ns, within_ns| {
        let found = store.talkers_at(&at(at_ns, within_ns, TalkersKind::Moment)).await.unwrap();
        found.map(|found| found.start_ns.get())
    };
    assert_eq!(near(START + 65 * SECOND + SECOND / 4, 0).await, Some(START + 65 * SECOND));
    assert_eq!(near(START + 66 * SECOND, 0).await, None);
    assert_eq!(near(START + 66 * SECOND, SECOND).await, Some(START + 65 * SECOND));
    assert_eq!(near(START + 60 * SECOND, 5 * SECOND).await, Some(START + 65 * SECOND));
    assert_sound(&store).await;
}

/// A record with its owners in place of their numbers.
fn resolved(record: &Talkers) -> impl PartialEq + std::fmt::Debug + use<> {
    let of = |list: &TalkerList| {
        let owners = list.talkers.iter().map(|it| {
            let owner = usize::from(it.owner).checked_sub(1).map(|at| record.owners[at].clone());
            (Talker { owner: 0, ..*it }, owner)
        });
        (TalkerList { talkers: vec![], ..list.clone() }, owners.collect::<Vec<_>>())
    };
    let Talkers { nic, start_ns, interval_ns, kind, .. } = *record;
    (nic, start_ns, interval_ns, kind, of(&record.rx), of(&record.tx))
}

trait IntoTalker {
    fn into_talker(self, bytes: u64) -> Talker;
}

impl IntoTalker for TalkerKey {
    fn into_talker(self, bytes: u64) -> Talker {
        Talker { key: self, bytes: Bytes(bytes), packets: Packets(1), owner: 0 }
    }
}

/// An answer adds up, in all and over time.
fn assert_adds_up(answer: &GroupedTalkers) {
    let listed: u64 = answer.talkers.iter().map(|it| it.amount.bytes.get()).sum();
    let rest = answer.rest.bytes.get() + answer.unattributed.bytes.get();
    assert_eq!(listed + rest, answer.total.bytes.get());
    let packets: u64 = answer.talkers.iter().map(|it| it.amount.packets.get()).sum();
    let rest = answer.rest.packets.get() + answer.unattributed.packets.get();
    assert_eq!(packets + rest, answer.total.packets.get());
    let over_time = |figure: &dyn Fn(&collector::store::TalkersBucket) -> u64| -> u64 {
        answer.buckets.iter().map(figure).sum()
    };
    assert_eq!(over_time(&|it| it.total_bytes.get()), answer.total.bytes.get());
    assert_eq!(over_time(&|it| it.rest_bytes.get()), answer.rest.bytes.get());
    assert_eq!(over_time(&|it| it.unattributed_bytes.get()), answer.unattributed.bytes.get());
    for (at, talker) in answer.talkers.iter().enumerate() {
        assert_eq!(over_time(&|it| it.talkers[at].get()), talker.amount.bytes.get());
    }
}

pub async fn talkers_of_a_range_add_up_to_the_byte_however_they_are_grouped(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let records: Vec<Talkers> = (0..30).map(|n| minute(START + n * MINUTE, n)).collect();
    commit_talkers(&store, &mut agent, records.clone()).await;
    // A moment lies within its minute and isn't counted again.
    commit_talkers(&store, &mut agent, vec![moment(START + 61 * SECOND, 1000)]).await;
    let total: u64 = records.iter().map(|it| it.rx.total_bytes.get()).sum();
    let mut by_host: BTreeMap<_, u64> = BTreeMap::new();
    for talker in records.iter().flat_map(|it| &it.rx.talkers) {
        *by_host.entry(address_of(talker.key.address)).or_default() += talker.bytes.get();
    }
    for by in [TalkersBy::Key, TalkersBy::Host, TalkersBy::Service, TalkersBy::Owner] {
        let answer = store.talkers(&range(by)).await.unwrap();
        assert_eq!((answer.records, answer.covered_ns), (30, 30 * MINUTE));
        assert_eq!(answer.total.bytes, Bytes(total));
        assert_eq!((answer.buckets.len(), answer.step_ns), (30, MINUTE));
        assert_adds_up(&answer);
    }
    let hosts = store.talkers(&range(TalkersBy::Host)).await.unwrap();
    for talker in &hosts.talkers {
        let TalkerGroup::Host(host) = talker.group else { panic!("{talker:?}") };
        assert_eq!(talker.amount.bytes.get(), by_host[&host]);
    }
    assert_eq!(hosts.talkers.len(), 8, "of 32");
    let owners = store.talkers(&range(TalkersBy::Owner)).await.unwrap();
    let names = owners.talkers.iter().map(|it| match &it.group {
        TalkerGroup::Owner(owner) => owner.name.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["nginx.service".to_owned(), "a".repeat(64)]);
    assert_eq!(owners.unattributed.bytes, Bytes(by_host[&Some("2001:db8::7".parse().unwrap())]));
    // Whole minutes that touch the range, in few buckets.
    let part = TalkersRange {
        from_ns: WallNs(START + 5 * MINUTE + SECOND),
        to_ns: WallNs(START + 12 * MINUTE + SECOND),
        buckets: 3,
        ..range(TalkersBy::Key)
    };
    let part = store.talkers(&part).await.unwrap();
    assert_eq!((part.records, part.from_ns.get()), (8, START + 5 * MINUTE));
    assert_eq!((part.to_ns.get(), part.buckets.len()), (START + 13 * MINUTE, 3));
    assert_adds_up(&part);
    let none = TalkersRange { nic: "eth7".into(), ..range(TalkersBy::Key) };
    assert_eq!(store.talkers(&none).await.unwrap(), GroupedTalkers::default());
}

pub async fn views_of_talkers_unnest_them_and_lose_nothing(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let records: Vec<Talkers> = (0..10).map(|n| minute(START + n * MINUTE, n)).collect();
    commit_talkers(&store, &mut agent, records.clone()).await;
    let sums = async |what: &str, view: &str, having: &str| {
        let sql = format!(
            "SELECT CAST({what} AS BIGINT) FROM {view} WHERE client_id = 'web' AND nic = 'eth0' AND {having}"
        );
        place.numbers(&sql).await
    };
    let of = |figure: &dyn Fn(&Talkers) -> u64| -> i64 {
        i64::try_from(records.iter().map(figure).sum::<u64>()).unwrap()
    };
    for view in ["talkers_by_host", "talkers_by_service", "talkers_by_owner", "talker_entries"] {
        let rx = of(&|it| it.rx.total_bytes.get());
        assert_eq!(sums("sum(bytes)", view, "direction = 'rx'").await, [rx], "{view}");
        let packets = of(&|it| it.tx.total_packets.get());
        assert_eq!(sums("sum(packets)", view, "direction = 'tx'").await, [packets], "{view}");
        let rest = of(&|it| it.rx.rest().0.get());
        let having = "direction = 'rx' AND entry = 'rest' AND kind = 'minute'";
        assert_eq!(sums("sum(bytes)", view, having).await, [rest], "{view}");
    }
    let web = of(&|it| it.rx.talkers[..2].iter().map(|it| it.bytes.get()).sum());
    assert_eq!(sums("sum(bytes)", "talkers_by_host", "host = '10.1.2.3'").await, [web]);
    let ssh = sums("sum(bytes)", "talkers_by_service", "port = 22 AND protocol = 6").await;
    assert_eq!(ssh, [600]);
    let unit = "owner = 'nginx.service' AND owner_kind = 'unit' AND process = 'worker'";
    let known = of(&|it| it.rx.talkers[0].bytes.get()) + 600;
    assert_eq!(sums("sum(bytes)", "talkers_by_owner", unit).await, [known]);
    let nobody = "direction = 'rx' AND entry = 'unattributed'";
    let unknown = of(&|it| it.rx.talkers[2].bytes.get());
    assert_eq!(sums("sum(bytes)", "talkers_by_owner", nobody).await, [unknown]);
    let v6 = "direction = 'rx' AND CAST(host AS TEXT) LIKE '2001:%'";
    assert_eq!(sums("count(*)", "talkers_by_host", v6).await, [10]);
}

pub async fn who_talked_to_an_address_is_found(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.open_sessions(&client("db"), &hello(&[2]), WallNs(START)).await.unwrap();
    let mut other = Agent::new("db", 2, 1);
    let records: Vec<Talkers> = (0..5).map(|n| minute(START + n * MINUTE, n)).collect();
    commit_talkers(&store, &mut agent, records.clone()).await;
    let mut forwarded = minute(START + MINUTE, 1);
    forwarded.rx.talkers[3].key.other = address_bytes("10.1.2.3".parse().unwrap());
    forwarded.rx.talkers.drain(..2);
    forwarded.rx = list(forwarded.rx.talkers, 50);
    commit_talkers(&store, &mut other, vec![forwarded]).await;
    let found = store.search_talkers(&search("10.1.2.3", 32)).await.unwrap();
    let names: Vec<_> =
        found.found.iter().map(|it| (it.client.as_str(), it.direction, it.records)).collect();
    assert_eq!(names, [("web", Direction::Rx, 5), ("db", Direction::Rx, 1)]);
    let web = &found.found[0];
    let listed = records.iter().flat_map(|it| &it.rx.talkers[..2]).map(|it| it.bytes.get());
    assert_eq!(web.bytes.get(), listed.sum::<u64>());
    let rest: u64 = records.iter().map(|it| it.rx.rest().0.get()).sum();
    assert_eq!(web.error_bytes.get(), rest);
    assert_eq!((web.first_ns.get(), web.last_ns.get()), (START, START + 5 * MINUTE));
    assert_eq!(found.found[1].bytes, Bytes(60), "the other end of what it forwards");
    // A prefix, whole bytes or not; the limit; IPv6.
    for (address, prefix, hits) in [
        ("10.9.0.0", 24, 2),
        ("10.0.0.0", 9, 2),
        ("10.8.0.0", 15, 2),
        ("10.10.0.0", 16, 0),
        ("192.0.2.0", 24, 2),
        ("2001:db8::", 32, 2),
        ("2001:db8::8", 128, 0),
        ("::", 0, 4),
    ] {
        let found = store.search_talkers(&search(address, prefix)).await.unwrap();
        assert_eq!(found.found.len(), hits, "{address}/{prefix}");
    }
    let one = TalkerSearch { limit: 1, ..search("10.1.2.3", 32) };
    let one = store.search_talkers(&one).await.unwrap();
    assert_eq!((one.found.len(), one.left_out), (1, 1));
    // A moment lists more than its minute.
    commit_talkers(&store, &mut agent, vec![moment(START + 61 * SECOND, 1000)]).await;
    let found = store.search_talkers(&search("10.64.0.9", 32)).await.unwrap();
    assert_eq!((found.found.len(), found.found[0].bytes), (1, Bytes(991)));
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    assert_eq!(store.search_talkers(&search("10.1.2.3", 32)).await.unwrap().found.len(), 1);
}

pub async fn a_list_of_talkers_that_cannot_be_read_is_counted_and_hides_no_other(
    place: &impl Place,
) {
    let (store, mut agent) = opened(place).await;
    store.open_sessions(&client("db"), &hello(&[2]), WallNs(START)).await.unwrap();
    let mut other = Agent::new("db", 2, 1);
    let records: Vec<Talkers> = (0..3).map(|n| minute(START + n * MINUTE, n)).collect();
    commit_talkers(&store, &mut agent, records.clone()).await;
    commit_talkers(&store, &mut other, records).await;
    let whole = store.search_talkers(&search("10.1.2.3", 32)).await.unwrap();
    let range = range(TalkersBy::Host);
    let total = store.talkers(&range).await.unwrap().total.bytes.get();
    assert_eq!((whole.found.len(), whole.unreadable), (2, 0));
    // A column that is cut, of one of six lists.
    let of = "(SELECT id FROM clients WHERE client_id = 'web')";
    let cut = format!(
        "UPDATE talkers SET bytes = substr(bytes, 2) WHERE direction = 0 AND client = {of}
             AND time = (SELECT max(time) FROM talkers)"
    );
    place.execute(&cut).await;
    for (address, prefix) in [("10.1.2.3", 32), ("10.0.0.0", 8), ("0.0.0.0", 0)] {
        let found = store.search_talkers(&search(address, prefix)).await.unwrap();
        assert_eq!(found.unreadable, 1, "{address}/{prefix}");
        let records = |name| {
            let of = |it: &&collector::store::TalkerFound| {
                it.client == name && it.direction == Direction::Rx
            };
            found.found.iter().find(of).unwrap().records
        };
        assert_eq!((records("web"), records("db")), (2, 3), "{address}/{prefix}");
    }
    // It doesn't name this one, as far as can be seen.
    let none = store.search_talkers(&search("203.0.113.7", 32)).await.unwrap();
    assert_eq!((none.found.len(), none.unreadable), (0, 0));
    let answer = store.talkers(&range).await.unwrap();
    assert_eq!((answer.records, answer.unreadable), (2, 1));
    assert!(answer.total.bytes.get() < total);
    assert_adds_up(&answer);
    let report = store.check().await.unwrap();
    assert!(!report.is_sound(), "fsck says which");
}

pub async fn talkers_are_deleted_by_an_age_of_their_own_with_their_owners(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for day in 0..10 {
        let mut record = minute(START + day * DAY, day);
        record.owners[1].name = format!("container-{day}");
        commit_talkers(&store, &mut agent, vec![record]).await;
    }
    let limits = RetentionLimits {
        talkers: std::time::Duration::from_secs(3 * 86_400),
        ..RetentionLimits::default()
    };
    let rows = async |table: &str| place.numbers(&format!("SELECT count(*) FROM {table}")).await[0];
    assert_eq!((rows("talkers").await, rows("talker_owners").await), (20, 11));
    // Owners are seen on the day of their arrival too, by this machine's clock.
    place.execute("UPDATE talker_owners SET seen = (SELECT min(seen) FROM talker_owners)").await;
    let now = WallNs(START + 10 * DAY);
    store.retain(&limits, now).await.unwrap();
    assert_eq!((rows("talkers").await, rows("talker_owners").await), (6, 0));
    assert_eq!(store.retain(&limits, now).await.unwrap(), Retained::default());
    // Without its name, an owner is nobody known, and all still adds up.
    let part = TalkersRange { to_ns: WallNs(START + 20 * DAY), ..range(TalkersBy::Owner) };
    let answer = store.talkers(&part).await.unwrap();
    assert_eq!((answer.records, answer.talkers.len()), (3, 0));
    assert_adds_up(&answer);
    assert_sound(&store).await;
}

pub async fn a_client_that_is_purged_leaves_no_talkers_and_can_come_again(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    commit_talkers(&store, &mut agent, vec![minute(START, 1)]).await;
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    store.purge(&client("web")).await.unwrap();
    for table in ["talkers", "talker_owners"] {
        assert_eq!(place.numbers(&format!("SELECT count(*) FROM {table}")).await, [0], "{table}");
    }
    store.readmit(&client("web")).await.unwrap();
    store.open_sessions(&client("web"), &hello(&[7]), WallNs(START)).await.unwrap();
    let mut again = Agent::new("web", 7, 1);
    commit_talkers(&store, &mut again, vec![minute(START, 1)]).await;
    let answer = store.talkers(&range(TalkersBy::Owner)).await.unwrap();
    assert_eq!(answer.talkers.len(), 2, "owners are named again: {answer:?}");
}

pub async fn talkers_that_were_tampered_with_are_found(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    // A minute of samples, and the talkers that had just these bytes.
    let samples: Vec<_> = (0..120).map(|n| sample("eth0", START + n * SECOND / 2, n)).collect();
    let sum =
        |figure: &dyn Fn(&wire::frame::Sample) -> u64| samples.iter().map(figure).sum::<u64>();
    let mut record = minute(START, 2);
    record.rx.total_bytes = Bytes(sum(&|it| it.rx.bytes.get()));
    record.rx.total_packets = Packets(sum(&|it| it.rx.packets.get()));
    record.tx.total_bytes = Bytes(sum(&|it| it.tx.bytes.get()));
    record.tx.total_packets = Packets(sum(&|it| it.tx.packets.get()));
    let mut moment = moment(START + 30 * SECOND, 500);
    moment.rx = list(vec![talker("10.1.2.3", 443, 60_001, 1)], 0);
    moment.rx.total_packets = samples[60].rx.packets;
    moment.tx = TalkerList { total_bytes: samples[60].tx.bytes, ..TalkerList::default() };
    moment.tx.total_packets = samples[60].tx.packets;
    // Of the next minute there are no samples, or not all.
    let later = [minute(START + MINUTE, 1), minute(START + 2 * MINUTE, 1)];
    store.commit(&agent.next(samples.clone())).await.unwrap();
    store.commit(&agent.next(vec![sample("eth0", START + 2 * MINUTE, 1)])).await.unwrap();
    commit_talkers(&store, &mut agent, [vec![record, moment], later.to_vec()].concat()).await;
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.talkers, report.talkers_compared), (8, 4));
    let first = "kind = 0 AND direction = 0 AND total_bytes > 1000000";
    for (change, words) in [
        ("total_bytes = total_bytes + 1, rest_bytes = rest_bytes + 1", "its samples add up to"),
        ("total_packets = total_packets - 1, rest_packets = rest_packets - 1", "its samples"),
        ("rest_bytes = rest_bytes + 1", "entries and rest are not the total"),
        ("kind = 9", "their kind is unknown"),
        ("direction = 7", "their direction is unknown"),
        ("unlisted_bytes = error_bytes - 1", "unlisted ones have less than the error"),
    ] {
        place.execute("CREATE TABLE kept AS SELECT * FROM talkers").await;
        place.execute(&format!("UPDATE talkers SET {change} WHERE {first}")).await;
        let report = store.check().await.unwrap();
        let found = report.findings.iter().any(|it| it.contains(words) && it.contains("NIC eth0"));
        assert!(found, "{change}: {:?}", report.findings);
        place.execute("DELETE FROM talkers").await;
        place.execute("INSERT INTO talkers SELECT * FROM kept").await;
        place.execute("DROP TABLE kept").await;
    }
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    // A sample that is gone changes nothing, as the minute isn't whole then; one that has grown does.
    place.execute("UPDATE bandwidth_stats SET rx_bytes = rx_bytes + 5 WHERE rx_bytes = 3001").await;
    let report = store.check().await.unwrap();
    assert!(report.findings.iter().any(|it| it.contains("1 list of talkers")), "{report:?}");
}
