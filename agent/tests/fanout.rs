//! Rings that share a NIC's packets, opened during traffic.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::capture::ring::{Ring, RingConfig};
use testbed::{in_namespace, wait_until};

/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

#[test]
fn no_packet_is_in_two_rings_though_they_are_opened_under_traffic() {
    if !in_namespace() {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                sender.send_to(&number.to_ne_bytes(), receiver.local_addr().unwrap()).unwrap();
            }
        }
    });
    for round in 0..10 {
        let config = RingConfig { fanout: Some(round), ..RingConfig::default() };
        let mut seen = HashSet::new();
        let mut rings: Vec<Ring> = (0..3).map(|_| Ring::open("lo", &config).unwrap()).collect();
        wait_until("packets", || {
            rings.iter().any(|ring| ring.statistics().unwrap().has_unread_block().unwrap())
        });
        for ring in &mut rings {
            ring.mute().unwrap();
        }
        for ring in &mut rings {
            // Each block is handed over within twice the retire timeout.
            ring.wait(20).unwrap();
            while let Some(block) = ring.next_block() {
                for packet in block.packets() {
                    let number = packet.headers[HEADERS..].first_chunk().unwrap();
                    let number = u64::from_ne_bytes(*number);
                    let direction = packet.kind == libc::PACKET_OUTGOING;
                    assert!(seen.insert((number, direction)), "packet {number} is in two rings");
                }
            }
        }
        assert!(!seen.is_empty());
    }
    stop.store(true, Ordering::Relaxed);
    sender.join().unwrap();
}
