//! Talkers of real rings: moments with their sockets, and this host's own addresses.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watched;

use std::net::UdpSocket;
use std::time::Duration;

use agent::sampler::{CaptureConfig, TalkersConfig};
use agent::talkers::moment::Thresholds;
use agent::talkers::{SeenSockets, TalkersReport};
use testbed::generator::{Generator, udp_packet};
use testbed::{Pair, in_namespace, sh, wait_until};
use watched::{Watched, config, start};
use wire::Packets;
use wire::talkers::{KeyKind, TALKERS_MAX, Talker, TalkersKind, address_of};

/// Capture with samples of 50 ms and lists of `on`.
fn watch(on: Thresholds) -> Watched {
    let talkers = Some(TalkersConfig { entries: TALKERS_MAX, on });
    start(CaptureConfig { talkers, ..config(Duration::from_millis(50)) })
}

/// The first list of a moment that names a talker of a kind, of that NIC `here`.
fn moment(watched: &Watched, is: impl Fn(&Talker) -> bool) -> Option<TalkersReport> {
    let moments = watched.now("here").talkers.into_iter();
    let mut moments = moments.filter(|it| it.record.kind == TalkersKind::Moment as u8);
    moments.find(|it| it.record.rx.talkers.iter().chain(&it.record.tx.talkers).any(&is))
}

#[test]
fn a_burst_is_named_with_its_socket_in_a_list_of_its_own_sample() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    pair.wait_for_silence();
    let watched = watch(Thresholds { rate: Some(1e6), ..Thresholds::default() });
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..300 {
        socket.send_to(&[0; 1000], "10.9.0.2:9").unwrap();
    }
    let sent = |talker: &Talker| talker.key.port == 9;
    wait_until("the list of the burst", || moment(&watched, sent).is_some());
    let TalkersReport { record, tx_seen, .. } = moment(&watched, sent).unwrap();
    let sums = watched.finish().remove("here").unwrap();
    let sample = sums.samples.iter().find(|it| it.start_ns == record.start_ns).unwrap();
    assert_eq!(record.interval_ns, sample.interval_ns);
    assert_eq!(record.tx.total_bytes, sample.tx.bytes, "it is of that very sample");
    let first = record.tx.talkers[0];
    assert_eq!(KeyKind::of(first.key.kind), Some(KeyKind::RemoteService));
    assert_eq!(address_of(first.key.address), Some("10.9.0.2".parse().unwrap()));
    assert_eq!((first.key.protocol, first.key.port), (17, 9));
    let SeenSockets::One(pair) = tx_seen[0] else { panic!("{:?}", tx_seen[0]) };
    assert_eq!((pair.local, pair.remote.port()), (socket.local_addr().unwrap(), 9));
}

#[test]
fn traffic_for_others_has_both_ends_until_the_address_is_this_hosts() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new();
    pair.there_sh("ip route add 198.51.100.0/24 via 10.9.0.1");
    pair.wait_for_silence();
    let watched = watch(Thresholds::EVERY);
    let send = |port: u16| {
        let python = format!(
            "import socket; s = socket.socket(2, 2); s.bind(('', 40000))\n\
             for _ in range(20): s.sendto(b'x' * 1000, ('198.51.100.7', {port}))"
        );
        pair.there_sh(&format!("python3 -c \"{python}\""));
    };
    let other = |port: u16| {
        let found = moment(&watched, |talker| talker.key.port == port)?.record;
        let talker = found.rx.talkers.into_iter().find(|talker| talker.key.port == port)?;
        Some(address_of(talker.key.other))
    };
    send(7);
    wait_until("the first list", || other(7).is_some());
    assert_eq!(other(7), Some(Some("198.51.100.7".parse().unwrap())));
    sh("ip address add 198.51.100.7/32 dev here");
    // The agent reads addresses 200 ms after an event at the latest, if it has just read them: what it has
    // seen before may be listed either way.
    let mut port = 100;
    wait_until("the address to be known", || {
        port += 1;
        send(port);
        let mut end = None;
        wait_until("a list of what was sent", || {
            end = other(port);
            end.is_some()
        });
        end == Some(None)
    });
    drop(watched.finish());
}

#[test]
fn a_flood_of_forged_senders_loses_nothing_and_its_lists_add_up() {
    if !in_namespace() {
        return;
    }
    // As many as the ring holds while its reader has no CPU: what is lost is not the machine's fault.
    const BURST: u32 = 30_000;
    const BURSTS: u32 = 3;
    let pair = Pair::new();
    sh("ethtool -K here gro on");
    pair.wait_for_silence();
    let generator = match Generator::from_random("here", u32::MAX) {
        Ok(generator) => generator,
        Err(error) => {
            println!("not run: XDP needs root of the first user namespace: {error}");
            return;
        }
    };
    let watched = watch(Thresholds::default());
    let before = watched.now("here").rx.packets;
    // TCP, a header of 20 bytes with SYN.
    let mut syn = udp_packet(60);
    (syn[23], syn[46], syn[47]) = (6, 5 << 4, 2);
    for bursts in 1..=BURSTS {
        generator.send(&syn, BURST).unwrap();
        let sent = before + Packets(u64::from(bursts * BURST));
        wait_until("the flood to be counted", || watched.now("here").rx.packets >= sent);
    }
    let sums = watched.finish().remove("here").unwrap();
    assert_eq!(sums.drops, 0);
    let flood = u64::from(BURSTS * BURST);
    assert!(sums.mix.rx.tcp_syn_packets >= Packets(flood));
    let minutes = sums.talkers.iter().map(|it| &it.record);
    let lists: Vec<_> = minutes.filter(|it| it.kind == TalkersKind::Minute as u8).collect();
    let listed: Packets = lists.iter().map(|it| it.rx.total_packets).sum();
    assert_eq!(listed, sums.rx.packets, "entries and rest are the samples' sum");
    let distinct: u64 = lists.iter().map(|it| it.rx.distinct).sum();
    let error: u64 = lists.iter().map(|it| it.rx.distinct_error).sum();
    // Two packets have one sender by chance, once in a million.
    assert!(distinct.abs_diff(flood) <= 4 * error + 10, "{distinct} of {flood}, within {error}");
    assert!(lists.iter().all(|it| it.rx.rest().0 <= it.rx.total_bytes));
}
