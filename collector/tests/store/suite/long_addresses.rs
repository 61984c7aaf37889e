//! Long addresses of talkers, alike or not: read back, shown by the views and found.

use collector::store::{TalkerSearch, TalkersAt};
use wire::WallNs;
use wire::talkers::{TalkerKey, Talkers, TalkersKind, address_bytes};

use super::place::{Place, assert_sound, opened};
use super::talkers::{commit_talkers, list, minute, talker};
use crate::batches::{DAY, MINUTE, START};

/// Rows whose addresses have much, something and nothing in common. The last are stored whole, as all were
/// by collectors that knew nothing else.
const ROWS: [&[&str]; 5] = [
    &["2001:db8:0:a::1:2", "2001:db8:0:b::7:9", "2001:db8:0:c::2:1"],
    &["2001:db8:1::", "2001:db8:2::", "2001:db8:3::", "2001:db8:4::", "10.0.0.9"],
    &["2001:db8::f:1", "2a00:1450:4001:82b::200e", "fd00:1::1", "0.1.2.3"],
    &["2001:db8:7:1:2:3:4:5", "2001:db8:7:6:7:8:9:a"],
    &["2001:db8:a:b:c:d:e:f", "1a01:1:2:3:4:5:6:7"],
];

/// A minute in which these had traffic.
fn record(n: u64, addresses: &[&str]) -> Talkers {
    let talkers = (0..).zip(addresses).map(|(at, it)| talker(it, 443, 9000 - 100 * at, 0));
    let mut talkers: Vec<_> = talkers.collect();
    // Forwarded, between the first two.
    let other = address_bytes(addresses[1].parse().unwrap());
    talkers[0].key = TalkerKey { other, ..talkers[0].key };
    Talkers { rx: list(talkers, 50), owners: vec![], ..minute(START + n * MINUTE, 0) }
}

pub async fn long_addresses_are_read_shown_and_found_however_alike_they_are(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let records: Vec<Talkers> =
        (0..).zip(ROWS).map(|(n, addresses)| record(n, addresses)).collect();
    commit_talkers(&store, &mut agent, records.clone()).await;
    let alike = "SELECT count(*) FROM talkers WHERE long_alike IS NOT NULL AND direction = 0";
    assert_eq!(place.numbers(alike).await, [4]);
    for record in &records {
        let at = TalkersAt {
            client: "web".into(),
            nic: "eth0".into(),
            kind: TalkersKind::Minute,
            at_ns: record.start_ns,
            within_ns: 0,
        };
        let found = store.talkers_at(&at).await.unwrap().unwrap();
        assert_eq!(found.rx, record.rx);
    }
    let search = async |address: &str, prefix: u8| {
        let search = TalkerSearch {
            address: address.parse().unwrap(),
            prefix,
            from_ns: WallNs(START),
            to_ns: WallNs(START + DAY),
            limit: 10,
        };
        let found = store.search_talkers(&search).await.unwrap();
        assert_eq!((found.found.len() <= 1, found.unreadable), (true, 0), "{address}/{prefix}");
        found.found.first().map_or((0, 0), |it| (it.records, it.bytes.get()))
    };
    for addresses in ROWS {
        for (at, address) in (0..).zip(addresses) {
            // The second is the other end of the first as well.
            let bytes = 9000 - 100 * at + if at == 1 { 9000 } else { 0 };
            let Ok(long) = address.parse::<std::net::Ipv6Addr>() else {
                assert_eq!(search(address, 32).await, (1, bytes), "{address}");
                continue;
            };
            assert_eq!(search(address, 128).await, (1, bytes), "{address}");
            let long = long.segments().map(|it| format!("{it:04x}"));
            let shown = format!(
                "SELECT CAST(count(*) AS BIGINT) FROM talkers_by_host
                 WHERE CAST(host AS TEXT) LIKE '{address}%' OR CAST(host AS TEXT) LIKE '{}%'",
                long.join(":")
            );
            assert_eq!(place.numbers(&shown).await, [1], "{address}");
        }
    }
    let all = "SELECT CAST(count(*) AS BIGINT) FROM talker_entries WHERE direction = 'rx'
               AND address IS NOT NULL";
    let talkers: usize = ROWS.iter().map(|it| it.len()).sum();
    assert_eq!(place.numbers(all).await, [i64::try_from(talkers).unwrap()]);
    for (address, prefix, records) in [
        ("2001:db8::", 32, 5),
        ("2001:db8::", 45, 4),
        ("2001:db8:2::", 48, 1),
        ("2001:db8:0:b::7:9", 127, 1),
        ("2001:db8:0:b::7:a", 128, 0),
        ("2001:db8:5::", 128, 0),
        ("2001:db8:7::", 48, 1),
        ("2000::", 3, 5),
    ] {
        assert_eq!(search(address, prefix).await.0, records, "{address}/{prefix}");
    }
    assert_sound(&store).await;
    // What all had in common is damaged: counted by a search that may mean it, and hides no other.
    place.execute("UPDATE talkers SET long_alike = substr(long_alike, 1, 2)").await;
    let search = TalkerSearch {
        address: "2001:db8::".parse().unwrap(),
        prefix: 0,
        from_ns: WallNs(START),
        to_ns: WallNs(START + DAY),
        limit: 10,
    };
    let found = store.search_talkers(&search).await.unwrap();
    assert_eq!((found.unreadable, found.found[0].records), (4, 1));
    assert!(!store.check().await.unwrap().is_sound(), "fsck says which");
}
