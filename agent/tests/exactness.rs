//! Counts equal the wire, as measured by the kernel's own wire-length count (a qdisc on the sender) and
//! by tcpdump, which share no code with the agent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watched;

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::nic::choose::NicFilter;
use agent::sampler::CaptureConfig;
use agent::sampler::verdict::Verdict;
use testbed::{Pair, in_namespace, sh, wait_until};
use watched::{Sums, assert_mostly_in_time, config, start};
use wire::frame::{Counts, flags};
use wire::{Bytes, Packets};

/// Compares a bulk transfer with qdiscs and tcpdump in both directions. Super-packets go as fast as they
/// can. Without offloads a debug build on a busy machine reads packets more slowly than TCP sends them, so
/// the transfer has a rate, and the ring has room for most of it.
fn compare_bulk(offloads: bool, here: &str, bytes: u64) -> Sums {
    let pair = if here.starts_with('[') { Pair::new().with_ipv6() } else { Pair::new() };
    pair.offloads(offloads);
    pair.wait_for_silence();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let mut tcpdump = std::process::Command::new("tcpdump")
        .args(["-Z", "root", "-i", "here", "-B", "131072", "-s", "64", "-U", "-w"])
        .arg(file.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("tcpdump is needed");
    // The file has a header once tcpdump captures.
    wait_until("tcpdump", || std::fs::metadata(file.path()).unwrap().size() > 0);
    let before = (pair.sent_here(), pair.sent_there());
    let mut config = config(Duration::from_millis(100));
    config.ring.block_count *= 4;
    let watched = start(config);
    pair.bulk_at(here, bytes, if offloads { u64::MAX } else { 50_000_000 });
    pair.wait_for_silence();
    let after = (pair.sent_here(), pair.sent_there());
    let sums = watched.finish().remove("here").unwrap();
    let written = || -> u64 {
        let count = format!("tcpdump -r {path} 2>/dev/null | wc -l");
        sh(&count).trim().parse().unwrap()
    };
    let captured = sums.rx.captured + sums.tx.captured;
    wait_until("tcpdump to have written what it saw", || written() >= captured.get());
    sh(&format!("kill -INT {}", tcpdump.id()));
    assert!(tcpdump.wait().unwrap().success());
    let mut said = String::new();
    tcpdump.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("0 packets dropped by kernel"), "{said}");

    assert_eq!(sums.drops, 0);
    let wire = |counts: &Counts| (counts.bytes.get(), counts.packets.get());
    let sent = |before: (u64, u64), after: (u64, u64)| (after.0 - before.0, after.1 - before.1);
    println!(
        "offloads {offloads}, {here}: rx {:?} captured {}, tx {:?} captured {}",
        wire(&sums.rx),
        sums.rx.captured,
        wire(&sums.tx),
        sums.tx.captured
    );
    assert_eq!(wire(&sums.rx), sent(before.1, after.1), "rx equals what the other end sent");
    assert_eq!(wire(&sums.tx), sent(before.0, after.0), "tx equals what this end sent");
    assert_eq!(captured, Packets(written()), "captured equals tcpdump's count");
    assert_mostly_in_time(&sums);
    let kernel_rx: u64 = sums.samples.iter().map(|sample| sample.kernel.rx_packets.get()).sum();
    assert_eq!(sums.rx.captured, Packets(kernel_rx), "captured equals the NIC's own rx_packets");
    let verdict = if offloads { Verdict::SuperPackets } else { Verdict::Equal };
    assert_eq!(sums.verdict, verdict);
    if !offloads {
        assert_eq!(sums.rx.packets, sums.rx.captured);
    }
    sums
}

#[test]
fn bulk_tcp_with_offloads_is_exact_on_the_wire() {
    if in_namespace() {
        let sums = compare_bulk(true, "10.9.0.1", 500_000_000);
        assert!(sums.rx.captured.get() * 10 < sums.rx.packets.get(), "super-packets were seen");
        let mix = &sums.mix.rx;
        assert_eq!((mix.tcp_packets, mix.tcp_bytes), (sums.rx.packets, sums.rx.bytes));
        assert_eq!(mix.size_packets.into_iter().sum::<Packets>(), sums.rx.packets);
    }
}

#[test]
fn bulk_tcp_over_ipv6_with_offloads_is_exact_on_the_wire() {
    if in_namespace() {
        let sums = compare_bulk(true, "[fd09::1]", 100_000_000);
        assert_eq!(sums.mix.rx.ipv6_bytes, sums.rx.bytes);
    }
}

#[test]
fn bulk_tcp_without_offloads_is_exact_on_the_wire() {
    if in_namespace() {
        compare_bulk(false, "10.9.0.1", 100_000_000);
    }
}

#[test]
fn datagrams_of_known_count_and_size_are_exact_in_both_directions() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let watched = start(config(Duration::from_millis(50)));
    let here = UdpSocket::bind("10.9.0.1:7000").unwrap();
    let (mut packets, mut bytes) = (0, 0);
    for len in [1, 18, 100, 1000, 1472] {
        for _ in 0..200 {
            here.send_to(&vec![7; len], "10.9.0.2:9").unwrap();
            packets += 1;
            bytes += len as u64 + 42;
        }
    }
    // The other end refuses with ICMP, at most six at a time; its qdisc counts them.
    pair.there_sh("printf x > /dev/udp/10.9.0.1/7000; printf yy > /dev/udp/10.9.0.1/7000");
    pair.wait_for_silence();
    let (sent_bytes, sent_packets) = pair.sent_there();
    let sums = watched.finish().remove("here").unwrap();
    assert_eq!(
        (sums.tx.packets, sums.tx.bytes, sums.tx.captured),
        (Packets(packets), Bytes(bytes), Packets(packets))
    );
    assert_eq!((sums.rx.packets, sums.rx.bytes), (Packets(sent_packets), Bytes(sent_bytes)));
    assert_eq!((sums.mix.tx.udp_packets, sums.mix.tx.udp_bytes), (Packets(packets), Bytes(bytes)));
    assert_eq!((sums.mix.rx.udp_packets, sums.mix.rx.udp_bytes), (Packets(2), Bytes(43 + 44)));
    assert_eq!(sums.mix.rx.icmp_packets, Packets(sent_packets - 2));
    assert_eq!(sums.mix.tx.size_packets, [400, 0, 200, 0, 0, 400, 0].map(Packets));
    assert_eq!(sums.drops, 0);
}

#[test]
fn samples_tile_time_and_sum_up_to_the_total() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let watched = start(config(Duration::from_millis(10)));
    pair.bulk(900_000_000);
    pair.wait_for_silence();
    let (bytes, packets) = pair.sent_there();
    let sums = watched.finish().remove("here").unwrap();
    assert_eq!((sums.rx.bytes, sums.rx.packets), (Bytes(bytes), Packets(packets)));
    assert!(sums.samples.len() > 50, "{} samples", sums.samples.len());
    for pair in sums.samples.windows(2) {
        assert_eq!(pair[0].start_ns + pair[0].interval_ns, pair[1].start_ns);
        assert_eq!(pair[1].start_ns % 10_000_000, 0);
        assert_eq!(pair[0].rx.total_bytes + pair[1].rx.bytes, pair[1].rx.total_bytes);
        assert!(u64::from(pair[1].rx.peak_1ms_bytes) <= pair[1].rx.bytes.get());
    }
}

#[test]
fn a_nic_that_vanishes_ends_and_the_others_go_on() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    sh(
        "ip link add gone0 type veth peer name gone1 && ip link set gone0 up && ip link set gone1 up",
    );
    // Only one NIC of a pair with both ends here is captured.
    let glob = globset::Glob::new("gone1").unwrap().compile_matcher();
    let filter = NicFilter { exclude: vec![glob], ..NicFilter::default() };
    let watched = start(CaptureConfig { filter, ..config(Duration::from_millis(20)) });
    let mut nics = watched.capture.nics();
    let captures = |nics: &mut tokio::sync::watch::Receiver<wire::message::Inventory>,
                    name: &str| {
        nics.borrow_and_update().nics.iter().any(|nic| nic.name.to_string() == name)
    };
    wait_until("both captured", || captures(&mut nics, "gone0") && captures(&mut nics, "here"));
    sh("ip link set here down && ip link del gone0");
    wait_until("the end of its capture", || !captures(&mut nics, "gone0"));
    assert!(captures(&mut nics, "here"), "a NIC that is down is kept");
    sh(
        "ip link set here up && ip link add gone0 type veth peer name gone1 && ip link set gone0 up",
    );
    wait_until("its return", || captures(&mut nics, "gone0"));
    let before = pair.sent_here();
    sh("ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev here nud permanent");
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..100 {
        socket.send_to(b"after", "10.9.0.2:9").unwrap();
    }
    pair.wait_for_silence();
    let after = pair.sent_here();
    let nics = watched.finish();
    let sums = &nics["here"];
    assert_eq!(sums.mix.tx.udp_packets, Packets(100));
    assert_eq!(sums.tx.packets, Packets(after.1), "{before:?}");
    assert!(nics.contains_key("gone0"));
    std::io::stdout().flush().unwrap();
}

#[test]
fn a_packet_that_an_srv6_end_unwraps_is_counted_once() {
    if !in_namespace() {
        return;
    }
    const SENT: u64 = 200;
    let pair = Pair::new().with_ipv6();
    let settings = "net.ipv6.conf.all.seg6_enabled=1 net.ipv6.conf.here.seg6_enabled=1";
    if !std::path::Path::new("/proc/sys/net/ipv6/conf/all/seg6_enabled").exists() {
        println!("not run: the kernel has no SRv6");
        return;
    }
    sh(&format!("sysctl -qw {settings}; ip addr add fd0a::1/128 dev here nodad"));
    let route = "ip -6 route add fd0a::1/128 encap seg6 mode encap segs fd09::1 dev there";
    pair.there_sh(route);
    // A receiver, so that nothing is answered.
    let sink = UdpSocket::bind("[fd0a::1]:9").unwrap();
    pair.wait_for_silence();
    let before = pair.sent_there();
    let watched = start(config(Duration::from_millis(50)));
    let traffic = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traffic.py");
    pair.there_sh(&format!("python3 {traffic} udp fd0a::1 {SENT} 100"));
    pair.wait_for_silence();
    let after = pair.sent_there();
    let sums = watched.finish().remove("here").unwrap();
    drop(sink);
    let sent = (after.0 - before.0, after.1 - before.1);
    assert!(sent.1 >= SENT, "{sent:?}");
    assert_eq!((sums.rx.bytes.get(), sums.rx.packets.get()), sent, "the sender's qdisc");
    assert_eq!(sums.rx.captured, sums.rx.packets);
    assert_eq!(sums.verdict, Verdict::Equal);
}

#[test]
fn packets_that_xdp_drops_beside_super_packets_are_a_bypass() {
    if !in_namespace() {
        return;
    }
    const DROPPED: u64 = 1000;
    if !nix::unistd::geteuid().is_root() || std::fs::metadata("/sys/fs/bpf").is_err() {
        println!("not run: XDP needs root of the first user namespace");
        return;
    }
    let pair = Pair::new();
    pair.offloads(true);
    let xdp = match testbed::generator::UdpDropped::on("here") {
        Ok(xdp) => xdp,
        Err(error) => {
            println!("not run: no XDP here: {error}");
            return;
        }
    };
    pair.wait_for_silence();
    let before = pair.sent_there();
    let watched = start(config(Duration::from_millis(50)));
    pair.bulk(10_000_000);
    let traffic = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/traffic.py");
    pair.there_sh(&format!("python3 {traffic} udp 10.9.0.1 {DROPPED} 100"));
    pair.wait_for_silence();
    let sent = pair.sent_there();
    let sums = watched.finish().remove("here").unwrap();
    drop(xdp);
    let kernel: u64 = sums.samples.iter().map(|sample| sample.kernel.rx_packets.get()).sum();
    println!("kernel {kernel}, captured {}, wire {}", sums.rx.captured, sums.rx.packets);
    assert!(sums.rx.captured < sums.rx.packets, "no super-packet was seen");
    assert_eq!(
        sums.rx.packets + Packets(DROPPED),
        Packets(sent.1 - before.1),
        "the sender's qdisc"
    );
    assert_eq!(kernel, sums.rx.captured.get() + DROPPED);
    assert!(kernel < sums.rx.packets.get(), "super-packets hide them");
    assert_eq!(sums.verdict, Verdict::Bypassed);
}

#[test]
fn what_a_small_ring_loses_is_counted_to_the_packet_and_marked_in_its_sample() {
    if !in_namespace() {
        return;
    }
    const SENT: u64 = 200_000;
    let pair = Pair::new();
    let ring = RingConfig { block_size: 4096, block_count: 4, ..RingConfig::default() };
    let watched = start(CaptureConfig { ring, ..config(Duration::from_millis(20)) });
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    let mut sent = 0;
    while sent < SENT {
        // The peer's refusals return errors of the socket, and such calls send nothing.
        sent += u64::from(socket.send_to(b"x", "10.9.0.2:9").is_ok());
    }
    pair.wait_for_silence();
    let offered = pair.sent_here().1 + pair.sent_there().1;
    let sums = watched.finish().remove("here").unwrap();
    assert!(sums.drops > 0, "the ring lost nothing");
    assert_eq!(sums.rx.captured + sums.tx.captured + Packets(sums.drops), Packets(offered));
    assert_eq!(sums.samples.iter().map(|sample| sample.drops.get()).sum::<u64>(), sums.drops);
    assert!(sums.samples.iter().any(|sample| sample.drops > Packets(0) && sample.freezes > 0));
    assert_eq!(sums.verdict, Verdict::RingLost(Packets(sums.drops)));
}

#[test]
fn without_the_virtio_header_every_sample_says_so_and_super_packets_are_inexact() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    let ring = RingConfig { vnet_header: false, ..RingConfig::default() };
    let watched = start(CaptureConfig { ring, ..config(Duration::from_millis(50)) });
    pair.bulk(50_000_000);
    pair.wait_for_silence();
    let sums = watched.finish().remove("here").unwrap();
    assert!(sums.samples.iter().all(|sample| sample.flags & flags::NO_VNET_HEADER != 0));
    assert_eq!(sums.rx.packets, sums.rx.captured);
    let (_, on_the_wire) = pair.sent_there();
    assert!(sums.rx.packets < Packets(on_the_wire), "super-packets were cut");
    assert!(sums.inexact > 0 && sums.inexact <= sums.rx.captured.get(), "{} inexact", sums.inexact);
}
