//! A real ring in a network namespace of the test's own, against a known number of packets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use agent::capture::ring::{Ring, RingConfig, RingError};
use common::in_namespace;

#[test]
fn every_packet_on_loopback_is_seen_once_per_direction() {
    if !in_namespace("every_packet_on_loopback_is_seen_once_per_direction") {
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
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut rx, mut tx) = (0, 0);
    while (rx < SENT || tx < SENT) && Instant::now() < deadline {
        while let Some(block) = ring.next_block() {
            for packet in block.packets() {
                assert_eq!(packet.len, WIRE_LEN);
                assert_eq!(packet.headers.len(), 128);
                assert!(!packet.vnet.is_gso());
                if packet.kind == libc::PACKET_OUTGOING { tx += 1 } else { rx += 1 }
            }
        }
        ring.wait(100).unwrap();
    }
    assert_eq!((rx, tx), (SENT, SENT));
    let statistics = ring.statistics().unwrap().take().unwrap();
    assert_eq!((statistics.offered, statistics.dropped), (2 * SENT, 0));
}

#[test]
fn a_nic_that_does_not_exist_is_named_in_the_error() {
    if !in_namespace("a_nic_that_does_not_exist_is_named_in_the_error") {
        return;
    }
    let error = Ring::open("nosuchnic0", &RingConfig::default()).unwrap_err().to_string();
    assert!(error.contains("nosuchnic0") && error.contains("ip link"), "{error}");
    let error = Ring::open("sixteen_bytes_ab", &RingConfig::default()).unwrap_err();
    assert!(matches!(error, RingError::NicName(_)), "{error}");
}
