//! Many NICs at once, and many rings on one.

use std::net::UdpSocket;
use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::nic::choose::NicFilter;
use agent::nic::inventory::NicList;
use agent::nic::roster::{Action, LinkEvent, Roster};
use agent::nic::watch::Watch;
use agent::sampler::CaptureConfig;
use agent::sampler::verdict::Verdict;

use crate::support::{Elsewhere, PACKET_LEN, Watched, config, send, sent_by_ip};
use testbed::{in_namespace, sh, wait_until};
use wire::{BootNs, Bytes};

#[test]
fn two_hundred_nics_that_come_at_once_are_all_captured_in_bounded_memory() {
    if !in_namespace() {
        return;
    }
    const NICS: u8 = 200;
    let elsewhere = Elsewhere::new();
    // The default divided by 16.
    let ring = RingConfig { block_size: 4096, block_count: 256, ..RingConfig::default() };
    let most = 32 << 20;
    let config = CaptureConfig { ring, ring_memory: most, ..config(Duration::from_millis(100)) };
    let packets = |net: u8| u64::from(net % 50 + 1);
    let watched = Watched::start(config);
    let mut batch = String::new();
    for net in 1..=NICS {
        batch += &format!(
            "link add v{net} type veth peer name p{net} netns {}\nlink set v{net} up\n\
             addr add 10.9.{net}.1/24 dev v{net}\n\
             neigh add 10.9.{net}.2 lladdr 02:00:00:00:00:02 dev v{net} nud permanent\n",
            elsewhere.pid()
        );
    }
    let up: String = (1..=NICS).map(|net| format!("link set p{net} up\n")).collect();
    sh(&format!("ip -batch - <<'END'\n{batch}END"));
    elsewhere.sh(&format!("ip -batch - <<\"END\"\n{up}END"));
    for net in 1..=NICS {
        watched.wait_for(&format!("v{net}"));
    }
    assert_eq!(watched.captured().len(), usize::from(NICS));
    for net in 1..=NICS {
        send(net, packets(net));
    }
    let mapped = mapped_by_rings();
    assert!(mapped <= most, "{mapped} bytes of rings");
    for net in 1..=NICS {
        watched.wait_for_sent(&format!("v{net}"), packets(net));
    }
    // All disappear at once.
    let gone: String = (1..=NICS).map(|net| format!("link del v{net}\n")).collect();
    sh(&format!("ip -batch - <<'END'\n{gone}END"));
    watched.wait_for_end("v200");
    wait_until("the end of all", || watched.captured().is_empty());
    wait_until("the memory is free", || mapped_by_rings() == 0);
    let nics = watched.finish();
    for net in 1..=NICS {
        let sums = &nics[&format!("v{net}")];
        assert_eq!(sums.tx.bytes, Bytes(packets(net) * PACKET_LEN));
        assert_eq!(sums.verdicts(), [Verdict::Equal], "v{net}");
    }
}

#[test]
fn the_end_of_each_nic_is_told_once_also_if_it_comes_while_samples_are_taken() {
    if !in_namespace() {
        return;
    }
    const NICS: usize = 32;
    const ROUNDS: usize = 25;
    let _silent = Elsewhere::new();
    let ring = RingConfig { block_size: 4096, block_count: 8, ..RingConfig::default() };
    let watched = Watched::start(CaptureConfig { ring, ..config(Duration::from_millis(10)) });
    let batch = |command: &str| {
        let lines: String =
            (0..NICS).map(|nic| command.replace("NAME", &format!("br{nic}"))).collect();
        sh(&format!("ip -batch - <<'END'\n{lines}END"));
    };
    for _ in 0..ROUNDS {
        batch("link add NAME type bridge\nlink set NAME up\n");
        wait_until("capture on all", || watched.captured().len() == NICS);
        batch("link del NAME\n");
        wait_until("the end of all", || watched.captured().is_empty());
    }
    let nics = watched.finish();
    let ends: Vec<usize> = (0..NICS).map(|nic| nics[&format!("br{nic}")].ended.len()).collect();
    assert_eq!(ends, [ROUNDS; NICS]);
}

#[test]
fn events_that_overrun_the_socket_are_made_up_for_by_one_dump() {
    if !in_namespace() {
        return;
    }
    let _silent = Elsewhere::new();
    let mut watch = Watch::open().unwrap();
    let mut inventory = NicList::open().unwrap();
    let mut roster = Roster::new(NicFilter::default());
    roster.on_dump(inventory.links().unwrap(), |_| true);
    let batch: String =
        (0..300).map(|n| format!("link add br{n} type bridge\nlink set br{n} up\n")).collect();
    sh(&format!("ip -batch - <<'END'\n{batch}END"));
    let mut overruns = 0;
    let mut read = |roster: &mut Roster| {
        watch.read(|event| {
            overruns += usize::from(event == LinkEvent::Overrun);
            roster.on_event(event);
        });
    };
    read(&mut roster);
    assert!(roster.is_stale());
    roster.on_dump(inventory.links().unwrap(), |_| true);
    read(&mut roster);
    assert!(!roster.is_stale(), "later events need no other dump");
    assert_eq!(overruns, 1);
    let opened = std::iter::from_fn(|| roster.next(BootNs(0)));
    assert_eq!(opened.filter(|action| matches!(action, Action::Open(..))).count(), 300);
}

/// Size of all mapped rings of this process, bytes.
fn mapped_by_rings() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rings = maps.lines().filter(|line| line.contains("socket:["));
    let range = rings.filter_map(|line| line.split_once(' ')?.0.split_once('-'));
    let hex = |text| u64::from_str_radix(text, 16).unwrap();
    range.map(|(start, end)| hex(end) - hex(start)).sum()
}

#[test]
fn the_rings_of_a_nic_share_its_packets_and_each_counts_once() {
    if !in_namespace() {
        return;
    }
    const FLOWS: u16 = 64;
    const EACH: u64 = 500;
    let elsewhere = Elsewhere::new();
    sh(&elsewhere.veth("a", 1));
    let watched =
        Watched::start(CaptureConfig { rings_per_nic: 4, ..config(Duration::from_millis(20)) });
    let sockets: Vec<UdpSocket> =
        (0..FLOWS).map(|_| UdpSocket::bind("10.9.1.1:0").unwrap()).collect();
    for _ in 0..EACH {
        for socket in &sockets {
            socket.send_to(&[7; 100], "10.9.1.2:9").unwrap();
        }
    }
    let sent = u64::from(FLOWS) * EACH;
    watched.wait_for_sent("a", sent);
    let a = watched.finish().remove("a").unwrap();
    assert_eq!((a.tx.bytes, a.drops), (Bytes(sent * PACKET_LEN), 0));
    assert_eq!((sent_by_ip("a"), a.verdicts()), (sent, vec![Verdict::Equal]));
}
