//! What leaves this host of the addresses of talkers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::Bytes;
use wire::talkers::{Talker, TalkerKey, TalkerList, Talkers, address_bytes, address_of};

/// What the collector is told of the addresses of talkers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addresses {
    /// The whole addresses.
    #[default]
    Whole,
    /// Their networks: /24 of IPv4, /48 of IPv6. The talkers of a network are one.
    Prefix,
    /// No talkers at all.
    Off,
}

impl Addresses {
    /// A record as it may leave this host; `None` if it may not.
    #[must_use]
    pub fn shown(self, mut record: Talkers) -> Option<Talkers> {
        match self {
            Self::Whole => {}
            Self::Prefix => [&mut record.rx, &mut record.tx].into_iter().for_each(by_prefix),
            Self::Off => return None,
        }
        Some(record)
    }
}

/// Makes the talkers of a network one. Others of the network may be in the rest, so all of the rest is
/// the error.
fn by_prefix(list: &mut TalkerList) {
    let mut sums: BTreeMap<TalkerKey, Talker> = BTreeMap::new();
    for talker in &list.talkers {
        let key = TalkerKey {
            address: prefix(talker.key.address),
            other: prefix(talker.key.other),
            ..talker.key
        };
        let sum = sums.entry(key).or_insert_with(|| Talker {
            key,
            owner: talker.owner,
            ..Talker::default()
        });
        sum.bytes = sum.bytes.saturating_add(talker.bytes);
        sum.packets = sum.packets.saturating_add(talker.packets);
        if sum.owner != talker.owner {
            sum.owner = 0;
        }
    }
    let rest: Bytes = list.rest().0;
    list.error_bytes = rest;
    list.unlisted_bytes = rest;
    let most = list.distinct.saturating_add(list.distinct_error).max(sums.len() as u64);
    let fewest = (sums.len() as u64).min(most);
    list.distinct_error = (most - fewest).div_ceil(2);
    list.distinct = fewest + list.distinct_error;
    list.talkers = sums.into_values().collect();
    list.talkers.sort_by_key(|talker| std::cmp::Reverse(talker.bytes));
}

/// The network of an address: /24 of IPv4, /48 of IPv6.
fn prefix(address: [u8; 16]) -> [u8; 16] {
    match address_of(address) {
        Some(std::net::IpAddr::V4(four)) => {
            let [a, b, c, _] = four.octets();
            address_bytes([a, b, c, 0].into())
        }
        Some(std::net::IpAddr::V6(_)) => {
            std::array::from_fn(|at| if at < 6 { address[at] } else { 0 })
        }
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use wire::Packets;
    use wire::frame::Frame;
    use wire::id::{NicName, SessionId};
    use wire::{Seq, WallNs};

    use super::*;

    fn talker(address: &str, bytes: u64, owner: u16) -> Talker {
        let address = address_bytes(address.parse::<IpAddr>().unwrap());
        let key = TalkerKey { protocol: 6, port: 443, address, ..TalkerKey::default() };
        Talker { key, bytes: Bytes(bytes), packets: Packets(1), owner }
    }

    fn record(talkers: Vec<Talker>) -> Talkers {
        let list = TalkerList {
            total_bytes: Bytes(1000),
            total_packets: Packets(100),
            error_bytes: Bytes(5),
            unlisted_bytes: Bytes(7),
            distinct: 40,
            distinct_error: 2,
            talkers,
        };
        let owner =
            |name: &str| wire::talkers::TalkerOwner { name: name.into(), ..Default::default() };
        Talkers {
            nic: NicName::new("eth0").unwrap(),
            start_ns: WallNs(0),
            interval_ns: 60,
            rx: list,
            owners: vec![owner("a.service"), owner("b.service")],
            ..Talkers::default()
        }
    }

    #[test]
    fn a_network_is_one_talker_whose_error_is_the_rest() {
        let whole = record(vec![
            talker("198.51.100.7", 300, 1),
            talker("2001:db8:1:2::3", 250, 1),
            talker("198.51.100.9", 200, 2),
            talker("2001:db8:1:ffff::1", 100, 1),
        ]);
        assert_eq!(Addresses::Whole.shown(whole.clone()), Some(whole.clone()));
        assert_eq!(Addresses::Off.shown(whole.clone()), None);
        let shown = Addresses::Prefix.shown(whole).unwrap();
        let expected = [("198.51.100.0", 500, 0, 2), ("2001:db8:1::", 350, 1, 2)];
        let expected = expected.map(|(address, bytes, owner, packets)| Talker {
            packets: Packets(packets),
            ..talker(address, bytes, owner)
        });
        assert_eq!(shown.rx.talkers, expected);
        let TalkerList {
            total_bytes, error_bytes, unlisted_bytes, distinct, distinct_error, ..
        } = shown.rx;
        assert_eq!(
            (total_bytes, error_bytes, unlisted_bytes),
            (Bytes(1000), Bytes(150), Bytes(150))
        );
        // Between the two that are listed and the 42 addresses that there may have been.
        assert_eq!((distinct, distinct_error), (22, 20));
    }

    #[test]
    fn what_has_no_address_stays_and_the_record_can_be_read_back() {
        let mut whole = record(vec![talker("198.51.100.7", 300, 0)]);
        let arp = TalkerKey { kind: wire::talkers::KeyKind::Arp as u8, ..TalkerKey::default() };
        whole.rx.talkers.push(Talker { key: arp, bytes: Bytes(60), ..Talker::default() });
        let shown = Addresses::Prefix.shown(whole).unwrap();
        assert_eq!(shown.rx.talkers[1].key, arp);
        let frame = Frame {
            session: SessionId::new(1),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples: vec![],
            mixes: vec![],
            talkers: vec![shown],
        };
        assert_eq!(frame.check(), Ok(()));
    }
}
