//! Traces with several mixes of protocols, replayed into a veth: the counted mix equals tshark's
//! statistics of the files, and each talker has the bytes and packets that tshark finds of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conversations;
mod watched;

use std::path::Path;
use std::time::Duration;

use agent::sampler::{CaptureConfig, TalkersConfig};
use agent::talkers::moment::Thresholds;
use testbed::{Pair, in_namespace, sh, wait_until};
use watched::{config, start};
use wire::frame::MixCounts;
use wire::talkers::TALKERS_MAX;
use wire::{Bytes, Packets};

/// Packets and bytes.
type Figures = (u64, u64);

/// Our figures for a statistic.
enum Ours {
    Both(fn(&MixCounts) -> Figures),
    Packets(fn(&MixCounts) -> u64),
    Bytes(fn(&MixCounts) -> u64),
}

/// A figure of the mix and the same as a tshark filter. Sizes are without FCS.
const STATISTICS: [(&str, &str, Ours); 19] = [
    ("IPv4", "ip", Ours::Bytes(|mix| mix.ipv4_bytes.get())),
    ("IPv6", "ipv6", Ours::Bytes(|mix| mix.ipv6_bytes.get())),
    ("ARP", "arp", Ours::Bytes(|mix| mix.arp_bytes.get())),
    ("other network", "!(ip or ipv6 or arp)", Ours::Bytes(|mix| mix.other_bytes.get())),
    ("TCP", "tcp", Ours::Both(|mix| (mix.tcp_packets.get(), mix.tcp_bytes.get()))),
    ("UDP", "udp", Ours::Both(|mix| (mix.udp_packets.get(), mix.udp_bytes.get()))),
    ("ICMP", "icmp or icmpv6", Ours::Both(|mix| (mix.icmp_packets.get(), mix.icmp_bytes.get()))),
    (
        "other transport",
        "(ip or ipv6) and !(tcp or udp or icmp or icmpv6)",
        Ours::Both(|mix| (mix.other_transport_packets.get(), mix.other_transport_bytes.get())),
    ),
    ("TCP SYN", "tcp.flags.syn == 1", Ours::Packets(|mix| mix.tcp_syn_packets.get())),
    ("TCP RST", "tcp.flags.reset == 1", Ours::Packets(|mix| mix.tcp_rst_packets.get())),
    ("broadcast", "eth.dst == ff:ff:ff:ff:ff:ff", Ours::Packets(|mix| mix.broadcast_packets.get())),
    (
        "multicast",
        "eth.dst.ig == 1 and eth.dst != ff:ff:ff:ff:ff:ff",
        Ours::Packets(|mix| mix.multicast_packets.get()),
    ),
    ("to 64", "frame.len <= 60", Ours::Packets(|mix| mix.size_packets[0].get())),
    (
        "65-127",
        "frame.len > 60 and frame.len <= 123",
        Ours::Packets(|mix| mix.size_packets[1].get()),
    ),
    (
        "128-255",
        "frame.len > 123 and frame.len <= 251",
        Ours::Packets(|mix| mix.size_packets[2].get()),
    ),
    (
        "256-511",
        "frame.len > 251 and frame.len <= 507",
        Ours::Packets(|mix| mix.size_packets[3].get()),
    ),
    (
        "512-1023",
        "frame.len > 507 and frame.len <= 1019",
        Ours::Packets(|mix| mix.size_packets[4].get()),
    ),
    (
        "1024-1518",
        "frame.len > 1019 and frame.len <= 1514",
        Ours::Packets(|mix| mix.size_packets[5].get()),
    ),
    ("over 1518", "frame.len > 1514", Ours::Packets(|mix| mix.size_packets[6].get())),
];

/// tshark's counts of a file: all packets, then those of each statistic.
fn tshark(file: &Path) -> Vec<Figures> {
    let filters: Vec<&str> = STATISTICS.iter().map(|(_, filter, _)| *filter).collect();
    // Judge each packet by itself.
    let alone =
        "-o ip.defragment:FALSE -o ipv6.defragment:FALSE -o tcp.desegment_tcp_streams:FALSE";
    let report = sh(&format!(
        "tshark {alone} -q -r {} -z 'io,stat,0,frame,{}' 2>/dev/null",
        file.display(),
        filters.join(",")
    ));
    let row = report.lines().find(|line| line.contains("<>")).expect(&report);
    let cells = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).skip(1);
    let numbers: Vec<u64> = cells.map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 2 + 2 * STATISTICS.len(), "{report}");
    numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn replayed_traces_have_the_protocols_and_sizes_that_tshark_finds_in_them() {
    if !in_namespace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traces.py");
    // Debian's python has the package python3-scapy.
    sh(&format!("/usr/bin/python3 {fixture} {}", folder.path().display()));
    let pair = Pair::new().with_ipv6();
    sh("ip link set here mtu 9000");
    pair.there_sh("ip link set there mtu 9000");
    // The traces are of this host's traffic.
    sh("ip address add 192.0.2.1/24 dev here; ip address add 2001:db8::1/64 dev here nodad");
    pair.wait_for_silence();
    let (mut of_all, mut exact) = ([0; 7], 0);
    for name in ["office", "six", "tagged", "odd"] {
        let file = folder.path().join(format!("{name}.pcap"));
        let truth = tshark(&file);
        let talkers = TalkersConfig { entries: TALKERS_MAX, on: Thresholds::default() };
        // Long ones, so that a busy machine seldom takes one late.
        let config = config(Duration::from_millis(500));
        let watched = start(CaptureConfig { talkers: Some(talkers), ..config });
        let replay = format!("tcpreplay -q --pps=20000 -i there {}", file.display());
        let said = pair.there_sh(&replay);
        let (packets, bytes) = truth[0];
        wait_until("the last packet of the trace", || {
            watched.now("here").rx.packets >= Packets(packets)
        });
        pair.wait_for_silence();
        let sums = watched.finish().remove("here").unwrap();
        println!("\n{name}: {packets} packets of {bytes} bytes");
        assert_eq!(
            (sums.rx.packets, sums.rx.bytes),
            (Packets(packets), Bytes(bytes)),
            "{name}: {said}"
        );
        for ((statistic, _, ours), truth) in STATISTICS.iter().zip(&truth[1..]) {
            let (ours, truth) = match ours {
                Ours::Both(ours) => (ours(&sums.mix.rx), *truth),
                Ours::Packets(ours) => ((ours(&sums.mix.rx), 0), (truth.0, 0)),
                Ours::Bytes(ours) => ((0, ours(&sums.mix.rx)), (0, truth.1)),
            };
            println!("{statistic:16} ours {ours:?}, tshark {truth:?}");
            assert_eq!(ours, truth, "{name}: {statistic}");
        }
        let record = conversations::compare(&file, sums.talkers, sums.late);
        assert_eq!(record.rx.total_bytes, sums.rx.bytes, "{name}: as the samples");
        exact += usize::from(record.rx.error_bytes == Bytes(0));
        let sizes = of_all.iter_mut().zip(sums.mix.rx.size_packets);
        sizes.for_each(|(sum, packets)| *sum += packets.get());
    }
    assert!(exact > 0, "so few talkers are all in the table");
    assert!(of_all.iter().all(|packets| *packets > 0), "a size class was left out: {of_all:?}");
}
