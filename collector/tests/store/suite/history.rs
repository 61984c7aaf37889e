//! Clients, and the events of their NICs.

use collector::store::{Commit, EventKind, NicEvent, NicRange};
use wire::WallNs;
use wire::frame::{Gap, KernelCounts, Mix, MixCounts, Sample, flags};
use wire::id::SessionId;
use wire::message::{Inventory, Nic};
use wire::{Bytes, Packets};

use super::place::{Place, opened};
use crate::batches::{SECOND, START, batch, client, hello, nic, sample};

pub async fn clients_are_known_with_their_nics_and_clock(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.open_sessions(&client("a.b"), &hello(&[]), WallNs(START + 5 * SECOND)).await.unwrap();
    let eth = |name: &str| Nic {
        name: nic(name),
        index: 2,
        mac: [2, 0, 0, 0, 0, 7],
        mtu: 9000,
        speed_bits: 100_000_000_000,
        kind: "physical".into(),
        up: true,
        stacked: false,
    };
    let inventory = Inventory { nics: vec![eth("eth1"), eth("eth0")] };
    store.record_inventory(&client("web"), &inventory, WallNs(START + SECOND)).await.unwrap();
    store.record_clock_offset(SessionId::new(1), -5_000_000).await.unwrap();
    let before_ns = collector::time::now_ns().floor(1000);
    store.commit(&agent.next(vec![sample("eth7", START, 1)])).await.unwrap();
    let clients = store.clients().await.unwrap();
    let ids: Vec<&str> = clients.iter().map(|client| client.client.as_str()).collect();
    assert_eq!(ids, ["a.b", "web"]);
    let web = &clients[1];
    assert_eq!((web.alias.as_str(), web.created_ns), ("the web server", WallNs(START)));
    // The time of the commit by the collector's clock.
    assert!((before_ns..=collector::time::now_ns()).contains(&web.last_seen_ns));
    assert_eq!((&web.host, web.clock_offset_ns), (&hello(&[]).host, Some(-5_000_000)));
    assert_eq!(web.nics, [eth("eth0"), eth("eth1")]);
    assert_eq!((clients[0].clock_offset_ns, clients[0].nics.len()), (None, 0));
    let fewer = Inventory { nics: vec![Nic { up: false, ..eth("eth1") }] };
    store.record_inventory(&client("web"), &fewer, WallNs(START + 2 * SECOND)).await.unwrap();
    assert_eq!(store.clients().await.unwrap()[1].nics, fewer.nics);
}

pub async fn a_mix_is_summed_over_its_range(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let mix = |n: u64| {
        let figures = (1..).map(|figure: u64| figure * n);
        let mut rx = MixCounts::default();
        rx.figures_mut().zip(figures).for_each(|(own, figure)| *own = figure);
        let tx = MixCounts { tcp_bytes: Bytes(n), ..MixCounts::default() };
        let start_ns = START + n * 10 * SECOND;
        Mix {
            nic: nic("eth0"),
            start_ns: WallNs(start_ns),
            interval_ns: 10 * SECOND,
            rx,
            tx,
            ..Mix::default()
        }
    };
    let mut frame = agent.frame(vec![sample("eth0", START, 1)]);
    frame.mixes = vec![mix(1), mix(2), mix(3), Mix { nic: nic("eth1"), ..mix(2) }];
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    let range = nic_range(START + 20 * SECOND, START + 40 * SECOND);
    let sum = store.mix(&range).await.unwrap();
    // The sum of the second and the third.
    assert_eq!((sum.interval_ns, sum.rx, sum.tx), (20 * SECOND, mix(5).rx, mix(5).tx));
    let none = store.mix(&nic_range(START, START + SECOND)).await.unwrap();
    assert_eq!((none.interval_ns, none.rx), (0, MixCounts::default()));
    let unknown = NicRange { client: "db".into(), ..range };
    assert_eq!(store.mix(&unknown).await.unwrap().interval_ns, 0);
}

pub async fn what_happened_to_a_nic_is_known(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let at = |seconds: u64| START + seconds * SECOND;
    let eth0 = Nic { name: nic("eth0"), index: 2, up: true, ..Nic::default() };
    let inventories: [(u64, &[bool]); 5] =
        [(1, &[true]), (2, &[true]), (3, &[false]), (4, &[true]), (5, &[])];
    for (seconds, ups) in inventories {
        let nics = ups.iter().map(|&up| Nic { up, ..eth0.clone() }).collect();
        let inventory = Inventory { nics };
        store.record_inventory(&client("web"), &inventory, WallNs(at(seconds))).await.unwrap();
    }
    let quiet = Sample { drops: Packets(0), ..sample("eth0", at(6), 1) };
    let lossy = Sample { drops: Packets(9), ..sample("eth0", at(7), 1) };
    let stepped = Sample { flags: flags::CLOCK_STEP | flags::STACKED, ..quiet };
    let stepped = Sample { start_ns: WallNs(at(8)), ..stepped };
    let other = Sample { nic: nic("eth1"), ..lossy };
    let first = agent.frame(vec![quiet, lossy, stepped, other]);
    let gap = agent.record(4, Gap::SpoolFull as u8, vec![sample("eth0", at(9), 1)]);
    store.commit(&batch([agent.batch(vec![first, gap])])).await.unwrap();

    let interval_ns = SECOND / 2;
    let event =
        |seconds, interval_ns, kind| NicEvent { time_ns: WallNs(at(seconds)), interval_ns, kind };
    let reason = Gap::SpoolFull as u8;
    let expected = [
        event(0, 0, EventKind::Started),
        event(3, 0, EventKind::LinkDown),
        event(4, 0, EventKind::LinkUp),
        event(5, 0, EventKind::LinkDown),
        event(7, interval_ns, EventKind::Lost { packets: Packets(9) }),
        event(8, interval_ns, EventKind::ClockStep),
        event(
            9,
            interval_ns,
            EventKind::Gap { reason, rx_bytes: Bytes(1001), tx_bytes: Bytes(2001) },
        ),
    ];
    let range = nic_range(START, at(60));
    assert_eq!(store.events(&range, 100).await.unwrap(), expected);
    assert_eq!(store.events(&range, 2).await.unwrap(), expected[5..]);
    assert_eq!(store.events(&nic_range(at(4), at(8)), 100).await.unwrap(), expected[2..5]);
    let unknown = NicRange { nic: "eth9".into(), ..range };
    assert_eq!(store.events(&unknown, 100).await.unwrap(), []);
}

fn nic_range(from_ns: u64, to_ns: u64) -> NicRange {
    NicRange {
        client: "web".into(),
        nic: "eth0".into(),
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
    }
}

pub async fn every_figure_of_a_mix_has_its_column(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let rx = MixCounts {
        multicast_packets: Packets(1),
        broadcast_packets: Packets(2),
        size_packets: [
            Packets(3),
            Packets(4),
            Packets(5),
            Packets(6),
            Packets(7),
            Packets(8),
            Packets(9),
        ],
        ipv4_bytes: Bytes(10),
        ipv6_bytes: Bytes(11),
        arp_bytes: Bytes(12),
        other_bytes: Bytes(13),
        tcp_packets: Packets(14),
        tcp_bytes: Bytes(15),
        udp_packets: Packets(16),
        udp_bytes: Bytes(17),
        icmp_packets: Packets(18),
        icmp_bytes: Bytes(19),
        other_transport_packets: Packets(20),
        other_transport_bytes: Bytes(21),
        tcp_syn_packets: Packets(22),
        tcp_rst_packets: Packets(23),
    };
    let tx = MixCounts { udp_bytes: Bytes(99), ..rx };
    let kernel = KernelCounts {
        rx_packets: Packets(31),
        tx_packets: Packets(32),
        rx_bytes: Bytes(33),
        tx_bytes: Bytes(34),
        dropped: Packets(35),
        errors: Packets(36),
    };
    let mix =
        Mix { nic: nic("eth0"), start_ns: WallNs(START), interval_ns: 10 * SECOND, rx, tx, kernel };
    let mut frame = agent.frame(vec![]);
    frame.mixes.push(mix);
    store.commit(&batch([agent.batch(vec![frame])])).await.unwrap();
    let columns = [
        "multicast_packets",
        "broadcast_packets",
        "size_64_packets",
        "size_127_packets",
        "size_255_packets",
        "size_511_packets",
        "size_1023_packets",
        "size_1518_packets",
        "size_over_1518_packets",
        "ipv4_bytes",
        "ipv6_bytes",
        "arp_bytes",
        "other_bytes",
        "tcp_packets",
        "tcp_bytes",
        "udp_packets",
        "udp_bytes",
        "icmp_packets",
        "icmp_bytes",
        "other_transport_packets",
        "other_transport_bytes",
        "tcp_syn_packets",
        "tcp_rst_packets",
    ];
    for (n, column) in (1..).zip(columns) {
        let read = place.numbers(&format!("SELECT rx_{column} FROM traffic_mix")).await;
        assert_eq!(read, [n], "{column}");
    }
    assert_eq!(place.numbers("SELECT tx_udp_bytes FROM traffic_mix").await, [99]);
    let kernel = ["rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "dropped", "errors"];
    for (n, column) in (31..).zip(kernel) {
        let read = place.numbers(&format!("SELECT kernel_{column} FROM traffic_mix")).await;
        assert_eq!(read, [n], "{column}");
    }
}
