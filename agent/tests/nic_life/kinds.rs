//! Kinds of NICs: which are captured, and that each byte counts once.

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::nic::choose::NicFilter;
use agent::nic::driver::Drivers;
use agent::nic::inventory::NicList;
use agent::sampler::CaptureConfig;
use wire::frame::flags;
use wire::{Bytes, Packets};

use crate::support::{ByName, Elsewhere, PACKET_LEN, Watched, config, globs, ready, send};
use testbed::{in_namespace, sh, wait_until};

/// Bytes of the host's total: rx and tx of every NIC that is part of it.
fn host_total(nics: &ByName) -> u64 {
    let samples = nics.values().flat_map(|sums| &sums.samples);
    let counting = samples.filter(|sample| sample.flags & flags::STACKED == 0);
    counting.map(|sample| (sample.rx.bytes + sample.tx.bytes).get()).sum()
}

fn including(include: &[&str]) -> CaptureConfig {
    let filter = NicFilter { include: globs(include), ..NicFilter::default() };
    CaptureConfig { filter, ..config(Duration::from_millis(20)) }
}

#[test]
fn a_bridge_and_its_ports_count_each_byte_of_a_wire_once() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    // A bridge joins two links: what one far end sends, the other receives. A snooping bridge would
    // send packets by itself (IGMP to 224.0.0.106, RFC 4286).
    sh(&format!(
        "ip link add br0 type bridge mcast_snooping 0; ip link set br0 up; {}{} \
         ip addr flush dev v1; ip addr flush dev v2; \
         ip link set v1 master br0; ip link set v2 master br0",
        elsewhere.veth("v1", 1),
        elsewhere.veth("v2", 2),
    ));
    let by_default = Watched::start(config(Duration::from_millis(20)));
    let all = Watched::start(including(&["br0"]));
    let names = |watched: &Watched| -> Vec<String> {
        watched.captured().iter().map(|nic| nic.name.to_string()).collect()
    };
    assert_eq!(names(&by_default).len(), 2, "{:?}", names(&by_default));
    assert!(all.nic("br0").unwrap().stacked);
    // 300 broadcasts from p1, which the bridge also receives itself.
    const SENT: u64 = 300;
    elsewhere.sh("ip addr add 10.9.1.2/24 broadcast 10.9.1.255 dev p1; python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for n in range(300): s.sendto(bytes(100), (\"10.9.1.255\", 9))'");
    for watched in [&by_default, &all] {
        watched.wait_for_sent("v2", SENT);
    }
    // Once on each of the two links.
    let expected = 2 * SENT * PACKET_LEN;
    assert_eq!(host_total(&by_default.finish()), expected);
    let nics = all.finish();
    assert_eq!(nics["br0"].rx.packets, Packets(SENT), "shown, but not in the total");
    assert_eq!(host_total(&nics), expected);
}

#[test]
fn of_a_pair_with_both_ends_here_one_counts() {
    if !in_namespace() {
        return;
    }
    let _silent = Elsewhere::new();
    sh(&format!("ip link add va type veth peer name vb; ip link set vb up; {}", ready("va", 1)));
    let watched = Watched::start(including(&["v*"]));
    let stacked: Vec<bool> = watched.captured().iter().map(|nic| nic.stacked).collect();
    assert_eq!(stacked.iter().filter(|stacked| **stacked).count(), 1);
    send(1, 200);
    watched.wait_for_sent("va", 200);
    let nics = watched.finish();
    assert_eq!((nics["va"].tx.packets, nics["vb"].rx.packets), (Packets(200), Packets(200)));
    assert_eq!(host_total(&nics), 200 * PACKET_LEN);
}

#[test]
fn include_and_exclude_are_globs_over_names() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    sh(&(elsewhere.veth("port1", 1) + &elsewhere.veth("port2", 2) + &elsewhere.veth("lab1", 3)));
    let filter = NicFilter {
        include: globs(&["lo"]),
        exclude: globs(&["lab*", "port[3-9]"]),
        ..NicFilter::default()
    };
    let watched = Watched::start(CaptureConfig { filter, ..config(Duration::from_millis(20)) });
    let mut names: Vec<String> =
        watched.captured().iter().map(|nic| nic.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["lo", "port1", "port2"]);
    sh(&format!("ip link set port2 down; ip link set port2 name lab2; {}", ready("lab2", 2)));
    watched.wait_for_end("port2");
    assert_eq!(watched.nic("lab2"), None, "a name that is excluded now");
}

#[test]
fn a_nic_is_promiscuous_only_where_that_is_asked_for() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth("a", 1));
    let promiscuity = || {
        let json = sh("ip -d -j link show dev a");
        let links: serde_json::Value = serde_json::from_str(&json).unwrap();
        links[0]["promiscuity"].as_u64().unwrap()
    };
    let plain = Watched::start(config(Duration::from_millis(20)));
    assert_eq!(promiscuity(), 0);
    let mut promiscuous = config(Duration::from_millis(20));
    promiscuous.ring.promiscuous = true;
    let promiscuous = Watched::start(promiscuous);
    assert_eq!(promiscuity(), 1);
    promiscuous.finish();
    // A program that is just starting may hold a copy of the socket until its exec.
    wait_until("the NIC to be as before", || promiscuity() == 0);
    plain.finish();
}

#[test]
fn speed_and_offloads_are_what_ethtool_says_and_a_change_of_speed_is_noticed() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth("port", 1));
    sh("ip tuntap add tun0 mode tun; ip link set dev tun0 up; ethtool -s tun0 speed 2500; \
        ethtool -K port tso off gro on lro off 2>/dev/null; ethtool -K port gso on");
    let links = NicList::open().unwrap().links().unwrap();
    let link = |name: &str| links.iter().find(|it| it.name.to_string() == name).unwrap();
    let mut drivers = Drivers::open();
    let mbit = |name: &str| {
        let speed = format!("ethtool {name} | sed -n 's,.*Speed: \\([0-9]*\\)Mb/s,\\1,p'");
        sh(&speed).trim().parse::<u64>().unwrap()
    };
    for name in ["port", "tun0"] {
        assert_eq!(drivers.speed_bits(link(name)), mbit(name) * 1_000_000, "{name}");
    }
    assert_eq!(drivers.speed_bits(link("lo")), 0, "it has none");
    let port = drivers.offloads(link("port")).unwrap();
    let is_on = |offload: &str| sh(&format!("ethtool -k port | grep '^{offload}: on' || true"));
    let known = [
        ("tso", "tcp-segmentation-offload"),
        ("gso", "generic-segmentation-offload"),
        ("gro", "generic-receive-offload"),
        ("lro", "large-receive-offload"),
    ];
    for (short, long) in known {
        assert_eq!(port.contains(&short), !is_on(long).is_empty(), "{short} in {port:?}");
    }
    assert!(port.contains(&"gro") && !port.contains(&"tso"), "{port:?}");
    let watched = Watched::start(config(Duration::from_millis(20)));
    assert_eq!(watched.nic("tun0").unwrap().speed_bits, 2_500_000_000);
    sh("ethtool -s tun0 speed 100");
    wait_until("the new speed", || {
        watched.nic("tun0").is_some_and(|nic| nic.speed_bits == 100_000_000)
    });
}

#[test]
fn the_loopback_has_each_packet_in_both_directions_as_the_kernel_counts_it() {
    if !in_namespace() {
        return;
    }
    let by_default = Watched::start(config(Duration::from_millis(20)));
    assert_eq!(by_default.captured(), []);
    let watched = Watched::start(including(&["lo"]));
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..250 {
        sender.send_to(&[7; 100], receiver.local_addr().unwrap()).unwrap();
    }
    watched.wait_for_sent("lo", 250);
    let lo = watched.finish().remove("lo").unwrap();
    assert_eq!((lo.rx.packets, lo.rx.bytes), (Packets(250), Bytes(250 * PACKET_LEN)));
    assert_eq!((lo.tx.packets, lo.tx.bytes), (Packets(250), Bytes(250 * PACKET_LEN)));
    assert_eq!(lo.kernel_tx_packets, 250);
}

#[test]
fn packets_of_a_tun_have_no_link_header() {
    if !in_namespace() {
        return;
    }
    let _silent = Elsewhere::new();
    // Writes 300 packets and counts those it reads.
    const PROGRAM: &str = r#"
import fcntl, os, struct, sys
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x0001 | 0x1000)) # IFF_TUN | IFF_NO_PI
print("up", flush=True)
sys.stdin.readline()
for n in range(300):
    os.write(tun, struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + 100, 1, 0, 64, 17, 0,
        bytes([10, 9, 1, 2]), bytes([10, 9, 1, 1])) + struct.pack("!HHHH", 7, 7, 108, 0) + bytes(100))
got = size = 0
while got < 400:
    packet = os.read(tun, 2000)
    if packet[9] == 17:
        got, size = got + 1, size + len(packet)
print(size, flush=True)
sys.stdin.readline()
"#;
    let mut program = Command::new("python3")
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut says = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut go = program.stdin.take().unwrap();
    assert_eq!(says.next().unwrap().unwrap(), "up");
    sh("ip link set tun0 up; ip addr add 10.9.1.1/24 dev tun0");
    let watched = Watched::start(config(Duration::from_millis(20)));
    watched.wait_for("tun0");
    // A receiver, so that nothing is refused with ICMP.
    let taker = UdpSocket::bind("10.9.1.1:7").unwrap();
    go.write_all(b"go\n").unwrap();
    for _ in 0..400 {
        taker.send_to(&[7; 100], "10.9.1.2:9").unwrap();
    }
    let size: u64 = says.next().unwrap().unwrap().parse().unwrap();
    watched.wait_for_sent("tun0", 400);
    go.write_all(b"go\n").unwrap();
    program.wait().unwrap();
    watched.wait_for_end("tun0");
    let tun = watched.finish().remove("tun0").unwrap();
    let len = PACKET_LEN - 14;
    assert_eq!((tun.rx.packets, tun.rx.bytes), (Packets(300), Bytes(300 * len)));
    assert_eq!((tun.tx.packets, tun.tx.bytes, size), (Packets(400), Bytes(400 * len), 400 * len));
}

#[test]
fn an_ifb_carries_copies_and_counts_in_no_total() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    // Packets that arrive at `a` are redirected over `ifb0`.
    sh(&format!(
        "ip link add ifb0 type ifb; ip link set ifb0 up; {} \
         tc qdisc add dev a ingress; tc filter add dev a parent ffff: protocol ip u32 \
         match u32 0 0 action mirred egress redirect dev ifb0",
        elsewhere.veth("a", 1)
    ));
    let watched = Watched::start(including(&["ifb0"]));
    assert!(watched.nic("ifb0").unwrap().stacked);
    elsewhere.sh("ip addr add 10.9.1.2/24 dev p1; \
         ip neigh replace 10.9.1.1 lladdr 02:00:00:00:00:01 dev p1 nud permanent; \
         python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(300): s.sendto(bytes(100), (\"10.9.1.1\", 9))'");
    wait_until("300 packets", || watched.so_far("a").rx.packets >= Packets(300));
    wait_until("300 on their way round", || {
        let ifb = watched.so_far("ifb0");
        ifb.rx.packets + ifb.tx.packets >= Packets(300)
    });
    let nics = watched.finish();
    assert_eq!(nics["a"].rx.packets, Packets(300));
    assert_eq!(host_total(&nics), 300 * PACKET_LEN);
}
