//! A real ring in the test's network namespace, with a known number of packets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Instant;

use agent::capture::probe::{self, VnetHeaderSupport};
use agent::capture::ring::{BlockPackets, Ring, RingConfig, RingError};
use settings::InFull;
use testbed::{PATIENCE, in_namespace, sh};
use wire::Packets;

#[test]
fn every_packet_on_loopback_is_seen_once_per_direction() {
    if !in_namespace() {
        return;
    }
    const SENT: u64 = 1000;
    const PAYLOAD: usize = 300;
    const WIRE_LEN: u32 = 14 + 20 + 8 + 300;

    let mut ring = Ring::open("lo", &RingConfig::default()).unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..SENT {
        sender.send_to(&[7; PAYLOAD], receiver.local_addr().unwrap()).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let (mut rx, mut tx) = (0, 0);
    while (rx < SENT || tx < SENT) && Instant::now() < deadline {
        while let Some(block) = ring.next_block() {
            for packet in block.packets() {
                assert_eq!(packet.len, WIRE_LEN);
                assert_eq!(packet.headers.len(), RingConfig::default().snaplen as usize);
                assert!(!packet.vnet.unwrap().is_gso());
                if packet.kind == libc::PACKET_OUTGOING { tx += 1 } else { rx += 1 }
            }
        }
        ring.wait(100).unwrap();
    }
    assert_eq!((rx, tx), (SENT, SENT));
    let statistics = ring.statistics().unwrap().take().unwrap();
    assert_eq!((statistics.offered, statistics.dropped), (Packets(2 * SENT), Packets(0)));
}

#[test]
fn a_nic_that_does_not_exist_is_named_in_the_error() {
    if !in_namespace() {
        return;
    }
    let error = Ring::open("nosuchnic0", &RingConfig::default()).unwrap_err().in_full().to_string();
    assert!(error.contains("nosuchnic0") && error.contains("ip link"), "{error}");
    let error = Ring::open("sixteen_bytes_ab", &RingConfig::default()).unwrap_err();
    assert!(matches!(error, RingError::NicName(_)), "{error}");
}

#[test]
fn a_packet_that_no_virtio_header_expresses_is_a_drop_and_hides_no_other() {
    if !in_namespace() {
        return;
    }
    const PLAIN: u64 = 300;
    const LARGE: u64 = 30;
    // A tap written to like a guest does: plain datagrams, and datagrams to be fragmented
    // (VIRTIO_NET_HDR_GSO_UDP), which the kernel accepts and can't describe.
    const WRITER: &str = r#"
import fcntl, os, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"tap0", 0x0002 | 0x1000 | 0x4000))
os.system("sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1; ip link set tap0 up")
print("up", flush=True)
sys.stdin.readline()
def datagram(payload):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + payload, 1, 0, 64, 17, 0,
                     bytes([10, 8, 0, 1]), bytes([10, 8, 0, 2]))
    udp = struct.pack("!HHHH", 7, 7, 8 + payload, 0)
    return bytes(6) + bytes([2, 0, 0, 0, 0, 9]) + b"\x08\x00" + ip + udp + bytes(payload)
for n in range(300):
    os.write(tap, bytes(10) + datagram(100))
    if n % 10 == 5:
        os.write(tap, struct.pack("<BBHHHH", 0, 3, 42, 1480, 0, 0) + datagram(3000))
print("sent", flush=True)
sys.stdin.readline()
"#;
    let mut writer = Command::new("python3")
        .args(["-c", WRITER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "up");
    let ring = RingConfig { block_size: 16 << 10, block_count: 16, ..RingConfig::default() };
    let mut ring = Ring::open("tap0", &ring).unwrap();
    writer.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "sent");
    let (mut seen, mut statistics) = (0, ring.statistics().unwrap());
    let (mut offered, mut dropped) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while (seen < PLAIN || offered < PLAIN + LARGE) && Instant::now() < deadline {
        while let Some(block) = ring.next_block() {
            for packet in block.packets() {
                assert_eq!((packet.len, packet.vnet.unwrap().is_gso()), (142, false));
                seen += 1;
            }
        }
        ring.wait(20).unwrap();
        let now = statistics.take().unwrap();
        (offered, dropped) = (offered + now.offered.get(), dropped + now.dropped.get());
    }
    assert_eq!((offered, seen, dropped), (PLAIN + LARGE, PLAIN, LARGE), "{}", sh("ip -s link"));
    writer.kill().unwrap();
    writer.wait().unwrap();
}

#[test]
fn the_probe_finds_what_the_virtio_header_expresses_or_says_why_it_can_not() {
    if !in_namespace() {
        return;
    }
    // Linux 6.2 is the first to describe UDP GSO.
    let release = sh("uname -r");
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let expresses_udp = (numbers.next(), numbers.next()) >= (Some(6), Some(2));
    let found = probe::examine();
    assert_eq!(found == VnetHeaderSupport::Full, expresses_udp, "{release}: {found}");
    assert_eq!(found == VnetHeaderSupport::DropsUdp, !expresses_udp, "{release}: {found}");

    let untried = |why: &str| {
        let found = probe::examine();
        assert!(
            matches!(&found, VnetHeaderSupport::Untried(text) if text.contains(why)),
            "{found}"
        );
        assert!(found.is_usable());
    };
    sh("ethtool -K lo tx-udp-segmentation off");
    untried("no UDP GSO");
    sh("ip link set lo down");
    untried("loopback");
}

#[test]
fn a_block_ends_however_many_packets_its_descriptor_names() {
    const DESCRIPTOR: usize = 48;
    const AFTER_STATUS: usize = 12;
    const PLACE: usize = 208;
    let mut block = vec![0; DESCRIPTOR + 2 * PLACE];
    block[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
    block[16] = 48;
    for (at, next) in [(DESCRIPTOR, 208u32), (DESCRIPTOR + PLACE, 0)] {
        block[at..at + 4].copy_from_slice(&next.to_ne_bytes());
        // Its status, and the offset of its bytes.
        (block[at + 20], block[at + 24]) = (1, 92);
    }
    assert_eq!(BlockPackets::of_block(&block[AFTER_STATUS..], true).count(), 2);
    // The next offset points into the place itself.
    block[DESCRIPTOR] = 8;
    assert_eq!(BlockPackets::of_block(&block[AFTER_STATUS..], true).count(), 1);
}

#[test]
fn each_safety_comment_names_an_invariant_of_the_ring() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/capture/ring");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        texts.push(std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let texts = texts.concat();
    let is_known = |name: &str| texts.contains(&format!("//! - **{name}, "));
    let mut named = 0;
    for comment in texts.split("// SAFETY: ").skip(1) {
        let names = comment.split(';').next().unwrap();
        assert!(names.split(", ").all(is_known), "{names}: name invariants of the ring (R1, ...)");
        named += 1;
    }
    assert_eq!(named, texts.matches("unsafe {").count() + texts.matches("unsafe impl").count());
}
