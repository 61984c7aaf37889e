//! The talkers of a trace, as tshark finds them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use agent::talkers::TalkersReport;
use testbed::sh;
use wire::talkers::{TALKERS_MAX, Talker, Talkers, address_of};
use wire::{Bytes, Packets};

/// Remote address, protocol number of IP, and port or EtherType.
type Key = (Option<IpAddr>, u8, u16);

/// Bytes and packets of each talker.
type Figures = BTreeMap<Key, (u64, u64)>;

/// tshark's sums of a file, whose destinations are of the host and have the lower port.
fn tshark(file: &Path) -> Figures {
    const FIELDS: [&str; 12] = [
        "frame.len",
        "ip.src",
        "ipv6.src",
        "tcp.dstport",
        "udp.dstport",
        "sctp.dstport",
        "ip.proto",
        "icmpv6.type",
        "arp.src.proto_ipv4",
        "vlan.etype",
        "eth.type",
        "ipv6.fraghdr.nxt",
    ];
    // Judge each packet by itself. Of a field that occurs more than once, the innermost counts.
    let report = sh(&format!(
        "tshark -o ip.defragment:FALSE -o ipv6.defragment:FALSE -r {} -T fields -E separator=, \
         -E occurrence=l -e {} 2>/dev/null",
        file.display(),
        FIELDS.join(" -e ")
    ));
    let mut figures = Figures::new();
    for row in report.lines() {
        let cells: Vec<&str> = row.split(',').collect();
        let [len, four, six, tcp, udp, sctp, protocol, icmp6, arp, inner, ethertype, _] = cells[..]
        else {
            panic!("{row}")
        };
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        let address = [four, six, arp].into_iter().find_map(|text| text.parse().ok());
        let ports = [(tcp, 6), (udp, 17), (sctp, 132)];
        let of_port = ports.into_iter().find_map(|(port, it)| Some((it, number(port)?)));
        let (protocol, port) = match of_port {
            Some(found) => found,
            None if !icmp6.is_empty() => (58, 0),
            None if !four.is_empty() => (u8::try_from(number(protocol).unwrap()).unwrap(), 0),
            // A fragment after the first.
            None if !six.is_empty() => (44, 0),
            None if !arp.is_empty() => (0, 0),
            None => (0, number(inner).or_else(|| number(ethertype)).unwrap_or(0)),
        };
        let sums = figures.entry((address, protocol, port)).or_default();
        *sums = (sums.0 + len.parse::<u64>().unwrap(), sums.1 + 1);
    }
    figures
}

fn key(talker: &Talker) -> Key {
    (address_of(talker.key.address), talker.key.protocol, talker.key.port)
}

/// Compares the lists of the whole time in which a trace was replayed with it. `late` packets are in no
/// table. Others may lose their names where the sampler is late: such lists are held to their bounds.
pub fn compare(file: &Path, reports: Vec<TalkersReport>, late: u64) -> Talkers {
    let truth = tshark(file);
    let all = truth.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    // One minute, or two that the wall clock has cut.
    let mut minutes = reports.into_iter().map(|it| it.record);
    let mut record = minutes.next().unwrap();
    minutes.for_each(|minute| record.merge(&minute));
    let list = &record.rx;
    let exact = list.error_bytes == Bytes(0);
    println!("{} of {} talkers, {late} late", list.talkers.len(), truth.len());
    assert_eq!((list.total_bytes, list.total_packets), (Bytes(all.0), Packets(all.1)));
    assert!(!exact || late == 0, "{late} late packets are in no table");
    assert!(!exact || list.distinct.abs_diff(truth.len() as u64) <= list.distinct_error);
    let mut left = truth.clone();
    for talker in &list.talkers {
        let found = left.remove(&key(talker));
        let (bytes, packets) = found.unwrap_or_else(|| panic!("{talker:?}"));
        let most = talker.bytes + list.error_bytes;
        assert!((talker.bytes..=most).contains(&Bytes(bytes)), "{talker:?}: {bytes}");
        assert!(!exact || talker.packets == Packets(packets), "{talker:?}: {packets}");
        assert_eq!(talker.key.other, [0; 16], "the host's own: {talker:?}");
    }
    for (key, (bytes, _)) in &left {
        assert!(Bytes(*bytes) <= list.unlisted_bytes, "{key:?} is missing");
    }
    let most = truth.len().min(TALKERS_MAX);
    assert!(list.talkers.len() == most || !exact && list.talkers.len() < most);
    record
}
