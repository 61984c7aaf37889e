//! A single NIC that appears, changes and disappears.

use std::time::Duration;

use agent::sampler::verdict::Verdict;
use wire::frame::flags;
use wire::{Bytes, Packets};

use crate::support::{Elsewhere, PACKET_LEN, Watched, config, ready, send, sent_by_ip};
use testbed::{in_namespace, sh, wait_until};

#[test]
fn a_nic_is_captured_as_it_comes_however_long_a_sample_is_and_one_made_anew_is_another() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    let watched = Watched::start(config(Duration::from_secs(60)));
    assert_eq!(watched.captured(), []);
    sh(&elsewhere.veth("a", 1));
    let first = watched.wait_for("a");
    send(1, 1000);
    assert_eq!(sent_by_ip("a"), 1000);
    sh("ip link del dev a");
    watched.wait_for_end("a");
    // Another NIC with the same name has its own counters; the name's totals continue.
    sh(&elsewhere.veth("a", 1));
    let second = watched.wait_for("a");
    assert_ne!(first.index, second.index);
    send(1, 500);
    let a = watched.finish().remove("a").unwrap();
    assert_eq!((a.tx.packets, a.tx.bytes), (Packets(1500), Bytes(1500 * PACKET_LEN)));
    assert_eq!(a.tx.total_packets, Packets(1500));
    assert_eq!(a.kernel_tx_packets, 1500, "the kernel's counters of both");
    assert_eq!(a.verdicts(), [Verdict::Equal; 2]);
    assert!(a.samples.iter().all(|sample| sample.flags & flags::PARTIAL != 0));
}

#[test]
fn renamed_resized_down_and_up_a_nic_goes_on_and_each_name_has_what_it_carried() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth("a", 1));
    let watched = Watched::start(config(Duration::from_millis(20)));
    send(1, 100);
    watched.wait_for_sent("a", 100);
    sh("ip link set dev a mtu 9000");
    wait_until("the MTU", || watched.nic("a").is_some_and(|nic| nic.mtu == 9000));
    // Kernels before 6.2 rename a NIC only while it is down.
    sh(&format!("ip link set dev a down; ip link set dev a name b; {}", ready("b", 1)));
    let renamed = watched.wait_for("b");
    assert_eq!(watched.nic("a"), None);
    wait_until("it is up", || watched.nic("b").is_some_and(|nic| nic.up));
    send(1, 30);
    watched.wait_for_sent("b", 30);
    sh("ip link set dev b down");
    wait_until("it is down", || watched.nic("b").is_some_and(|nic| !nic.up));
    sh(&ready("b", 1));
    wait_until("it is up again", || watched.nic("b").is_some_and(|nic| nic.up));
    send(1, 7);
    watched.wait_for_sent("b", 37);
    assert_eq!(watched.nic("b").unwrap().index, renamed.index);
    let mut nics = watched.finish();
    let (a, b) = (nics.remove("a").unwrap(), nics.remove("b").unwrap());
    assert_eq!((a.tx.packets, a.tx.total_packets), (Packets(100), Packets(100)));
    assert_eq!((b.tx.packets, b.tx.total_packets), (Packets(37), Packets(37)));
    assert_eq!(b.tx.bytes, Bytes(37 * PACKET_LEN));
    assert_eq!((a.ended.len(), b.verdicts()), (0, vec![Verdict::Equal]), "its capture never ended");
    assert_eq!(sent_by_ip("b"), 137);
}

#[test]
fn a_nic_that_was_in_another_namespace_is_captured_again() {
    if !in_namespace() {
        return;
    }
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth_at("a", "index 77", 1));
    let watched = Watched::start(config(Duration::from_millis(20)));
    assert_eq!(watched.wait_for("a").index, 77);
    send(1, 100);
    let (away, here) = (elsewhere.pid(), std::process::id());
    sh(&format!("ip link set dev a netns {away}"));
    watched.wait_for_end("a");
    let back = format!("nsenter -t {away} -n ip link set dev a netns {here}; {}", ready("a", 1));
    sh(&back);
    assert_eq!(watched.wait_for("a").index, 77);
    send(1, 20);
    watched.wait_for_sent("a", 120);
    // It may be gone so briefly that nobody noticed.
    sh(&format!("ip link set dev a netns {away}; {back}"));
    wait_until("the rings are new ones", || watched.so_far("a").ended.len() == 2);
    assert_eq!(watched.wait_for("a").index, 77);
    send(1, 3);
    watched.wait_for_sent("a", 123);
    let a = watched.finish().remove("a").unwrap();
    assert_eq!((a.tx.total_packets, a.verdicts()), (Packets(123), vec![Verdict::Equal; 3]));
}
