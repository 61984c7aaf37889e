//! The table of cases. For every kind of traffic, packets and bytes equal the count of a qdisc on the
//! sender (the kernel's own count of the wire), and the mix equals the sender's report.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watched;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use testbed::{PATIENCE, Pair, in_namespace, sh, wait_until};
use watched::{Watched, config, start};
use wire::frame::{Mix, MixCounts};
use wire::{Bytes, Packets};

/// Packets and bytes on the wire.
type Wire = (u64, u64);

/// A case: its name, the function that sends its traffic and returns what it sent, and the figures of
/// the mix to compare with that.
struct Case {
    name: &'static str,
    make: fn(&Pair) -> Option<Wire>,
    mix: Option<fn(&Mix) -> Wire>,
}

const fn case(name: &'static str, make: fn(&Pair) -> Option<Wire>) -> Case {
    Case { name, make, mix: None }
}

/// A case in which the sender's TCP counts segments, not bytes.
const fn tcp(name: &'static str, make: fn(&Pair) -> Option<Wire>) -> Case {
    Case { name, make, mix: Some(|mix| (mix.rx.tcp_packets.get(), 0)) }
}

const fn mixed(name: &'static str, make: fn(&Pair) -> Option<Wire>, mix: fn(&Mix) -> Wire) -> Case {
    Case { name, make, mix: Some(mix) }
}

const fn udp(counts: &MixCounts) -> Wire {
    (counts.udp_packets.get(), counts.udp_bytes.get())
}

const fn icmp(counts: &MixCounts) -> Wire {
    (counts.icmp_packets.get(), counts.icmp_bytes.get())
}

const CASES: [Case; 34] = [
    tcp("TCP v4, offloads on", |pair| bulk(pair, true, "10.9.0.1", 100_000_000)),
    tcp("TCP v6, offloads on", |pair| bulk(pair, true, "[fd09::1]", 50_000_000)),
    tcp("TCP v4, offloads off", |pair| bulk(pair, false, "10.9.0.1", 30_000_000)),
    tcp("TCP v6, offloads off", |pair| bulk(pair, false, "[fd09::1]", 30_000_000)),
    tcp("TCP v4, 300 flows", |pair| flows(pair, "10.9.0.1", 300)),
    tcp("TCP v6, 300 flows", |pair| flows(pair, "[fd09::1]", 300)),
    mixed("UDP v4, 1 to 1,472 B", |pair| udp_sizes(pair, "10.9.0.1", "1472"), |mix| udp(&mix.rx)),
    mixed("UDP v6, 1 to 1,452 B", |pair| udp_sizes(pair, "fd09::1", "1452"), |mix| udp(&mix.rx)),
    mixed("UDP v4, jumbo", |pair| jumbo(pair, "10.9.0.1 50 1473 8000 8972"), |mix| udp(&mix.rx)),
    mixed("UDP v6, jumbo", |pair| jumbo(pair, "fd09::1 50 1453 8000 8952"), |mix| udp(&mix.rx)),
    mixed("UDP GSO v4, rx", |pair| there(pair, "gso 10.9.0.1 50 56333 1400"), |mix| udp(&mix.rx)),
    mixed("UDP GSO v6, rx", |pair| there(pair, "gso fd09::1 50 56333 1400"), |mix| udp(&mix.rx)),
    mixed("UDP GSO v4, tx", |_| here("gso 10.9.0.2 50 60001 1000"), |mix| udp(&mix.tx)),
    mixed("UDP GSO v6, tx", |_| here("gso fd09::2 50 60001 1000"), |mix| udp(&mix.tx)),
    mixed(
        "ARP",
        |pair| there(pair, "frames there arp 100"),
        |mix| (mix.rx.broadcast_packets.get(), mix.rx.arp_bytes.get()),
    ),
    mixed(
        "broadcast",
        |pair| there(pair, "frames there broadcast 100"),
        |mix| (mix.rx.broadcast_packets.get(), mix.rx.udp_bytes.get()),
    ),
    mixed("multicast", |pair| there(pair, "frames there multicast 100"), |mix| udp(&mix.rx)),
    mixed(
        "unknown protocol",
        |pair| there(pair, "frames there unknown 100"),
        |mix| (mix.rx.other_bytes.get() / 94, mix.rx.other_bytes.get()),
    ),
    mixed(
        "VLAN, rx (tag stripped)",
        |pair| there(pair, "frames there vlan 100"),
        |mix| udp(&mix.rx),
    ),
    mixed("VLAN, tx (tag in-band)", |_| here("frames here vlan 100"), |mix| udp(&mix.tx)),
    mixed(
        "QinQ, rx (tag stripped)",
        |pair| there(pair, "frames there qinq 100"),
        |mix| udp(&mix.rx),
    ),
    mixed("QinQ, tx (tags in-band)", |_| here("frames here qinq 100"), |mix| udp(&mix.tx)),
    mixed(
        "five tags, rx (one stripped)",
        |pair| there(pair, "frames there five-tags 100"),
        |mix| udp(&mix.rx),
    ),
    mixed("five tags, tx", |_| here("frames here five-tags 100"), |mix| udp(&mix.tx)),
    mixed(
        "UDP v4 behind AH",
        |pair| there(pair, "frames there authenticated 100"),
        |mix| udp(&mix.rx),
    ),
    mixed(
        "SYN behind eight extensions",
        |pair| there(pair, "frames there extensions 100"),
        |mix| (mix.rx.tcp_syn_packets.get(), mix.rx.tcp_bytes.get()),
    ),
    mixed("ICMP v4, rx", |pair| there(pair, "ping 10.9.0.1 50 56"), |mix| icmp(&mix.rx)),
    mixed("ICMP v4, tx", |_| here("ping 10.9.0.2 50 1000"), |mix| icmp(&mix.tx)),
    mixed("ICMP v6, rx", |pair| there(pair, "ping fd09::1 50 56"), |mix| icmp(&mix.rx)),
    mixed("ICMP v6, tx", |_| here("ping fd09::2 50 1000"), |mix| icmp(&mix.tx)),
    case("fragments v4, rx", |pair| untold(there(pair, "udp 10.9.0.1 20 1473 20000 65000"))),
    case("fragments v6, rx", |pair| untold(there(pair, "udp fd09::1 20 1473 20000 65000"))),
    case("fragments v4, tx", |_| untold(here("udp 10.9.0.2 20 1473 20000 65000"))),
    case("fragments v6, tx", |_| untold(here("udp fd09::2 20 1473 20000 65000"))),
];

/// Parses the output of the traffic program.
fn said(text: &str) -> Option<Wire> {
    let (packets, bytes) = text.trim().split_once(' ')?;
    Some((packets.parse().unwrap(), bytes.parse().unwrap()))
}

/// The command line of the traffic program.
fn maker(arguments: &str) -> String {
    format!("python3 {}/tests/fixtures/traffic.py {arguments}", env!("CARGO_MANIFEST_DIR"))
}

fn there(pair: &Pair, arguments: &str) -> Option<Wire> {
    said(&pair.there_sh(&maker(arguments)))
}

fn here(arguments: &str) -> Option<Wire> {
    said(&sh(&maker(arguments)))
}

/// TCP segments that the other end sent, including retransmitted ones (RFC 4022).
fn segments(pair: &Pair) -> u64 {
    let text = pair.there_sh("grep ^Tcp: /proc/net/snmp");
    let mut lines = text.lines().map(|line| line.split_whitespace());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let counted = names.zip(values).filter(|(name, _)| ["OutSegs", "RetransSegs"].contains(name));
    counted.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

fn bulk(pair: &Pair, offloads: bool, here: &str, bytes: u64) -> Option<Wire> {
    let before = segments(pair);
    pair.offloads(offloads);
    pair.bulk_to(here, bytes);
    pair.offloads(true);
    pair.wait_for_silence();
    Some((segments(pair) - before, 0))
}

fn flows(pair: &Pair, address: &str, count: usize) -> Option<Wire> {
    let before = segments(pair);
    let listener = TcpListener::bind(format!("{address}:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(count) {
            let mut stream = stream.unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            stream.write_all(&[1; 700]).unwrap();
        }
    });
    there(pair, &format!("flows {} {port} {count}", address.trim_matches(['[', ']'])));
    server.join().unwrap();
    pair.wait_for_silence();
    Some((segments(pair) - before, 0))
}

fn udp_sizes(pair: &Pair, host: &str, largest: &str) -> Option<Wire> {
    there(pair, &format!("udp {host} 30 1 2 17 18 19 22 23 60 64 200 500 981 1024 1400 {largest}"))
}

fn jumbo(pair: &Pair, arguments: &str) -> Option<Wire> {
    let mtu = |mtu: u32| {
        sh(&format!("ip link set here mtu {mtu}"));
        pair.there_sh(&format!("ip link set there mtu {mtu}"));
    };
    mtu(9000);
    let sent = there(pair, &format!("udp {arguments}"));
    mtu(1500);
    sent
}

/// The sender counts datagrams, not their fragments.
const fn untold(_: Option<Wire>) -> Option<Wire> {
    None
}

const fn mix_of(now: Wire, before: Wire) -> Wire {
    (now.0 - before.0, now.1 - before.1)
}

/// One line of the table.
fn row(table: &mut String, name: &str, ours: [Wire; 2], truth: [Wire; 2], sender: Option<Wire>) {
    let show = |(packets, bytes): Wire| format!("{packets:>7} / {bytes:>9}");
    let sender = sender.map_or_else(|| "-".to_owned(), show);
    writeln!(
        table,
        "{name:24} | rx {} = {} | tx {} = {} | {sender}",
        show(ours[0]),
        show(truth[0]),
        show(ours[1]),
        show(truth[1])
    )
    .unwrap();
}

/// The traffic of `here`: our counts, and those of the qdiscs on both ends.
fn compare(watched: &Watched, pair: &Pair) -> ([Wire; 2], [Wire; 2], Mix) {
    let sums = watched.now("here");
    let swap = |(bytes, packets)| (packets, bytes);
    let ours = [&sums.rx, &sums.tx].map(|it| (it.packets.get(), it.bytes.get()));
    (ours, [swap(pair.sent_there()), swap(pair.sent_here())], sums.mix)
}

#[test]
fn every_kind_of_traffic_is_exact_in_packets_and_bytes() {
    if !in_namespace() {
        return;
    }
    let pair = Pair::new().with_ipv6();
    let watched = start(config(Duration::from_millis(20)));
    // Leave out what was sent before capture began.
    let settled = |before: [Wire; 2]| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (ours, truth, mix) = compare(&watched, &pair);
            let since = [mix_of(truth[0], before[0]), mix_of(truth[1], before[1])];
            if ours == since || Instant::now() > deadline {
                return (ours, since, mix);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let before = compare(&watched, &pair).1;
    let (mut ours, mut truth, mut mix) = settled(before);
    let mut table = String::from("\ncase: our packets / bytes = the qdisc's | the sender's\n");
    for case in &CASES {
        let sent = (case.make)(&pair);
        let now = settled(before);
        let delta = |now: [Wire; 2], before: [Wire; 2]| {
            [mix_of(now[0], before[0]), mix_of(now[1], before[1])]
        };
        row(&mut table, case.name, delta(now.0, ours), delta(now.1, truth), sent);
        assert_eq!(now.0, now.1, "{}: ours, and the qdiscs'\n{table}", case.name);
        if let Some(figures) = case.mix {
            let counted = mix_of(figures(&now.2), figures(&mix));
            assert_eq!(Some(counted), sent, "{}: mix, and what was sent\n{table}", case.name);
        }
        (ours, truth, mix) = now;
    }
    pair.wait_for_silence();
    let (ours, truth, _) = settled(before);
    assert_eq!(ours, truth, "packets came later\n{table}");
    let sums = &watched.finish()["here"];
    assert_eq!((sums.drops, sums.inexact), (0, 0), "\n{table}");
    println!("{table}");
}

/// The program behind a tun.
struct Tun {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Tun {
    fn new(arguments: &str) -> Self {
        let mut child = Command::new("bash")
            .args(["-c", &format!("exec {}", maker(arguments))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    fn next(&mut self) -> String {
        self.said.next().unwrap().unwrap()
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

#[test]
fn a_tun_without_link_layer_is_exact_in_both_directions() {
    if !in_namespace() {
        return;
    }
    let mut tun = Tun::new("tun 500 300");
    assert_eq!(tun.next(), "up");
    let watched = start(config(Duration::from_millis(20)));
    tun.go_on();
    let received = said(&tun.next()).unwrap();
    let socket = UdpSocket::bind("10.8.0.1:0").unwrap();
    for len in 1..=400 {
        socket.send_to(&vec![7; len], "10.8.0.2:9").unwrap();
    }
    tun.go_on();
    let sent = said(&tun.next()).unwrap();
    wait_until("the last packet", || watched.now("tun0").tx.packets >= Packets(sent.0));
    let sums = watched.finish().remove("tun0").unwrap();
    let mut table = String::new();
    let ours = [&sums.rx, &sums.tx].map(|it| (it.packets.get(), it.bytes.get()));
    row(&mut table, "tun", ours, [received, sent], None);
    println!("{table}");
    assert_eq!(ours, [received, sent], "ours, and what the program behind it wrote and read");
    assert_eq!(sums.mix.rx.udp_packets, Packets(received.0));
    assert_eq!(sums.mix.rx.ipv4_bytes, Bytes(received.1));
    // The program reads 400 datagrams, and the host's refusals of its own.
    assert_eq!(sums.mix.tx.udp_packets, Packets(400));
    tun.go_on();
    tun.child.wait().unwrap();
}
