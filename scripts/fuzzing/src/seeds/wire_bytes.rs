//! Seeds of the wire: frames, messages, tokens, certificates.

use rcgen::{CertificateParams, KeyPair};
use wire::certificate::Fingerprint;
use wire::codec::{HEADER_LEN, encode_frame, encode_message, frame_bytes};
use wire::frame::{Counts, Frame, KernelCounts, Mix, MixCounts, Sample};
use wire::id::{NicName, SessionId};
use wire::message::{
    Ack, Agreed, Claim, Committed, Digests, EnrollReply, EnrollRequest, Hello, Host, HostKey,
    Inventory, Message, Nic, Probe, ProbeReply, Refused, RenewRequest, SeqRange, Session,
    SessionDigest, TagText, Tags, Welcome,
};
use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, address_bytes};
use wire::token::{Address, Token, TokenSecret};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

use super::inputs::Seeds;

pub(super) fn all() -> Vec<(&'static str, Seeds)> {
    let (certificates, pem) = certificates();
    vec![
        ("codec", encoded()),
        ("frame", plain_frames()),
        ("packed", packed_frames()),
        ("message", of_kind_and_body(messages())),
        ("token", tokens()),
        ("certificate", certificates),
        ("pem", pem),
        ("delivery", steps()),
        ("live", rows_of_messages()),
    ]
}

fn nic(name: &str) -> NicName {
    NicName::new(name).unwrap()
}

/// The sample of the `n`th half second.
pub(super) fn sample(name: &str, n: u64) -> Sample {
    let counts = |bytes: u64| Counts {
        bytes: Bytes(bytes),
        packets: Packets(bytes / 900),
        captured: Packets(bytes / 1000),
        peak_1ms_bytes: u32::try_from(bytes / 100).unwrap(),
        peak_10ms_bytes: u32::try_from(bytes / 20).unwrap(),
        total_bytes: Bytes(bytes * n),
        total_packets: Packets(bytes / 900 * n),
    };
    let (rx, tx) = (counts(1_234_567 + n), counts(987 * n));
    Sample {
        nic: nic(name),
        start_ns: WallNs(1_800_000_000_000_000_000 + n * 500_000_000),
        interval_ns: 500_000_000,
        rx,
        tx,
        drops: Packets(n % 2),
        kernel: KernelCounts { rx_bytes: rx.bytes, rx_packets: rx.captured, ..Default::default() },
        ..Sample::default()
    }
}

fn mix(name: &str) -> Mix {
    let rx = MixCounts {
        size_packets: [
            Packets(1),
            Packets(2),
            Packets(3),
            Packets(4),
            Packets(5),
            Packets(6),
            Packets(7),
        ],
        ipv4_bytes: Bytes(12_345_678),
        tcp_packets: Packets(1700),
        ..MixCounts::default()
    };
    let (start_ns, interval_ns) = (1_800_000_000_000_000_000, 10_000_000_000);
    Mix { nic: nic(name), start_ns: WallNs(start_ns), interval_ns, rx, ..Mix::default() }
}

fn frames() -> Vec<(&'static str, Frame)> {
    let frame = |samples: Vec<Sample>, mixes: Vec<Mix>| Frame {
        session: SessionId::new(0xfeed_f00d_1234_5678),
        first_seq: Seq(41),
        last_seq: Seq(41),
        gap: 0,
        samples,
        mixes,
        talkers: vec![],
    };
    let one = frame(vec![sample("eth0", 3)], Vec::new());
    let two = frame(vec![sample("eth0", 3), sample("eth0", 4)], vec![mix("eth0")]);
    let nics = frame(vec![sample("eth0", 3), sample("wg0", 3), sample("eth0", 4)], Vec::new());
    let gap = Frame { first_seq: Seq(2), gap: 1, ..one.clone() };
    vec![("empty", frame(vec![], vec![])), ("one", one), ("two", two), ("nics", nics), ("gap", gap)]
}

/// Frames with talkers: alone, and beside samples.
fn with_talkers() -> Vec<(&'static str, Frame)> {
    let talker = |n: u8| Talker {
        key: TalkerKey {
            protocol: 6,
            port: 443,
            address: address_bytes([198, 51, 100, n].into()),
            ..TalkerKey::default()
        },
        bytes: Bytes(1_000_000 / u64::from(n)),
        packets: Packets(900),
        owner: u16::from(n % 2),
    };
    let list = TalkerList {
        total_bytes: Bytes(5_000_000),
        total_packets: Packets(9000),
        error_bytes: Bytes(100),
        unlisted_bytes: Bytes(300_000),
        distinct: 90,
        distinct_error: 3,
        talkers: (1..=3).map(talker).collect(),
    };
    let record = |start_ns| Talkers {
        nic: nic("eth0"),
        start_ns: WallNs(start_ns),
        interval_ns: 60_000_000_000,
        rx: list.clone(),
        tx: list.clone(),
        owners: vec![TalkerOwner { name: "web.service".into(), ..TalkerOwner::default() }],
        ..Talkers::default()
    };
    let of = |name| frames().into_iter().find(|it| it.0 == name).map(|it| it.1);
    let with = |frame: Option<Frame>, talkers| Frame { talkers, ..frame.unwrap() };
    let minute = 1_800_000_000_000_000_000;
    vec![
        ("talkers", with(of("empty"), vec![record(minute)])),
        ("coarse-talkers", with(of("one"), vec![record(minute), record(minute + 60_000_000_000)])),
    ]
}

fn encoded() -> Seeds {
    let frame = |(name, frame)| (name, encode_frame(&frame).unwrap());
    frames().into_iter().chain(with_talkers()).map(frame).chain(messages()).collect()
}

/// Archives of frames that are too random to be packed.
fn plain_frames() -> Seeds {
    let noisy = |(name, mut frame): (&'static str, Frame)| {
        for figures in frame.mixes.iter_mut().flat_map(|it| [&mut it.rx, &mut it.tx]) {
            figures.figures_mut().for_each(|it| *it = 0x0123_4567_89ab_cdef);
        }
        frame.samples.iter_mut().for_each(noise);
        let bytes = frame_bytes(&frame);
        (name, if bytes[5] == 1 { bytes[HEADER_LEN..].to_vec() } else { Vec::new() })
    };
    // Each is a frame that can't be packed.
    let mut seeds: Seeds = frames().into_iter().map(noisy).collect();
    seeds.retain(|(_, bytes)| !bytes.is_empty());
    let golden = include_bytes!("../../../../wire/tests/golden/frame.bin");
    seeds.push(("golden", golden[HEADER_LEN..].to_vec()));
    seeds
}

fn noise(sample: &mut Sample) {
    let full = 0x0123_4567_89ab_cdef;
    for counts in [&mut sample.rx, &mut sample.tx] {
        let (peak_1ms_bytes, peak_10ms_bytes) = (0x0123_4567, 0x0123_4567);
        *counts = Counts {
            bytes: Bytes(full),
            packets: Packets(full),
            captured: Packets(full),
            peak_1ms_bytes,
            peak_10ms_bytes,
            total_bytes: Bytes(full),
            total_packets: Packets(full),
        };
    }
    sample.drops = Packets(full);
    sample.kernel = KernelCounts {
        rx_packets: Packets(1),
        tx_packets: Packets(2),
        rx_bytes: Bytes(3),
        tx_bytes: Bytes(4),
        dropped: Packets(full),
        errors: Packets(full),
    };
    (sample.freezes, sample.late, sample.inexact, sample.flags) = (u32::MAX, u32::MAX, 1, 2);
}

fn packed_frames() -> Seeds {
    let body = |(name, frame)| (name, encode_frame(&frame).unwrap()[HEADER_LEN..].to_vec());
    frames().into_iter().map(body).collect()
}

fn of_kind_and_body(messages: Seeds) -> Seeds {
    let cut = |bytes: Vec<u8>| [&bytes[5..6], &bytes[HEADER_LEN..]].concat();
    messages.into_iter().map(|(name, bytes)| (name, cut(bytes))).collect()
}

fn messages() -> Seeds {
    let session = SessionId::new(0xfeed_f00d_1234_5678);
    let host = Host {
        agent_version: "0.1.0".into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-18-amd64".into(),
        cpus: 8,
        sample_interval_ns: 500_000_000,
    };
    let sessions = vec![
        Session { session: SessionId::new(7), started_ns: WallNs(1_700_000_000_000_000_000) },
        Session { session, started_ns: WallNs(1_800_000_000_000_000_000) },
    ];
    let hello = Hello { sessions, alias: "Käse web 1".into(), host };
    let known = vec![SessionDigest { session, digest: 0xd1_9e57 }];
    let committed = vec![Committed { session, seq: Seq(41) }];
    let welcome = Welcome { collector_version: "0.1.0".into(), committed };
    let missing =
        vec![SeqRange { first: Seq(4), last: Seq(5) }, SeqRange { first: Seq(9), last: Seq(12) }];
    let eth0 = Nic {
        name: nic("eth0"),
        index: 2,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        speed_bits: 10_000_000_000,
        kind: "physical".into(),
        up: true,
        stacked: false,
    };
    let vlan = Nic { name: nic("eth0.7"), kind: "vlan".into(), stacked: true, ..eth0.clone() };
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(vec!["web-1".into()]).unwrap();
    let csr_der = request.serialize_request(&key).unwrap().der().to_vec();
    let enroll =
        EnrollRequest { secret: vec![9; 32], client_id: "web-1".into(), csr_der: csr_der.clone() };
    let pem = request.self_signed(&key).unwrap().pem();
    let reply = EnrollReply { certificate_pem: pem.clone(), ca_pem: pem };
    let probe = ProbeReply { asked_ns: WallNs(1), arrived_ns: WallNs(2), answered_ns: WallNs(3) };
    let host = HostKey { machine: [1; 16], boot: [2; 16] };
    let reason = "another agent is connected as web-1".to_owned();
    let tag = |key: &str, value: &str| TagText { key: key.into(), value: value.into() };
    let tags = vec![tag("site", "ams"), tag("city", "东京/丸の内")];
    let said = |message| encode_message(&message).unwrap();
    vec![
        ("hello", said(Message::Hello(hello))),
        ("claim", said(Message::Claim(Claim { host, session }))),
        ("digests", said(Message::Digests(Digests { sessions: known }))),
        ("agreed", said(Message::Agreed(Agreed { session }))),
        ("welcome", said(Message::Welcome(welcome))),
        ("refused", said(Message::Refused(Refused { reason }))),
        ("ack", said(Message::Ack(Ack { session, committed: Seq(2), received: Seq(3), missing }))),
        ("inventory", said(Message::Inventory(Inventory { nics: vec![eth0, vlan] }))),
        ("probe", said(Message::Probe(Probe { asked_ns: WallNs(1_800_000_000_000_000_000) }))),
        ("probe-reply", said(Message::ProbeReply(probe))),
        ("enroll-request", said(Message::EnrollRequest(enroll))),
        ("enroll-reply", said(Message::EnrollReply(reply))),
        ("renew-request", said(Message::RenewRequest(RenewRequest { csr_der }))),
        ("tags", said(Message::Tags(Tags { tags, age_ns: 5 }))),
    ]
}

/// Events at the two ends of a window: a byte and two numbers each.
fn steps() -> Seeds {
    let row = |steps: &[(u8, u64, u64)]| {
        let bytes = steps.iter().flat_map(|(what, one, other)| {
            [&[*what][..], &one.to_le_bytes(), &other.to_le_bytes()].concat()
        });
        bytes.collect()
    };
    let arrive = [(4, 3, 3), (5, 1, 1), (6, 2, 2), (1, 1, 1), (1, 1, 1), (0, 1, 1), (4, 5, 90)];
    let send = [(0, 5, 5), (5, 5, 99), (7, 5, 5), (1, 9, 9), (4, 9, 9), (5, 9, 9), (3, 9, 9)];
    vec![("arrive", row(&arrive)), ("send", row(&send)), ("both", row(&[send, arrive].concat()))]
}

/// Messages of one agent, each preceded by its length.
fn rows_of_messages() -> Seeds {
    let with_len = |(_, bytes): (&str, Vec<u8>)| {
        [&u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat()
    };
    let mut seeds: Seeds = encoded().into_iter().map(|it| (it.0, with_len(it))).collect();
    seeds.retain(|(name, _)| ["hello", "inventory", "one", "two", "nics", "gap"].contains(name));
    let all = seeds.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    seeds.push(("all", all));
    let client = wire::id::ClientId::new("web-1").unwrap();
    let live = collector::live::Live::new();
    for (_, frame) in frames() {
        live.observe(&client, &frame, WallNs(1_800_000_000_000_000_000));
    }
    seeds.push(("saved", live.save().unwrap()));
    seeds
}

/// Tokens as text, and their contents, to which the target adds a checksum.
fn tokens() -> Seeds {
    let address = |host: &str, port| Address { host: host.into(), port };
    let token = |addresses| {
        Token::new(Fingerprint([7; 32]), TokenSecret([9; 32]), addresses).unwrap().to_string()
    };
    let content = |addresses: &[(&str, u16)]| {
        let mut bytes = [[7; 32], [9; 32]].concat();
        for (host, port) in addresses {
            bytes.extend(port.to_le_bytes());
            bytes.push(u8::try_from(host.len()).unwrap());
            bytes.extend(host.as_bytes());
        }
        bytes
    };
    let two = [address("collector.example", 8082), address("2001:db8::1", 18082)];
    vec![
        ("text", token(vec![]).into_bytes()),
        ("text-addresses", token(two.to_vec()).into_bytes()),
        ("content", content(&[])),
        ("content-address", content(&[("collector.example", 8082)])),
        ("content-addresses", content(&[("10.0.0.1", 1), ("2001:db8::1", 65535), ("x", 0)])),
    ]
}

/// As DER and as PEM.
fn certificates() -> (Seeds, Seeds) {
    let key = KeyPair::generate().unwrap();
    let named = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        CertificateParams::new(names).unwrap().self_signed(&key).unwrap()
    };
    let request = CertificateParams::new(vec!["web-1".into()]).unwrap();
    let csr = request.serialize_request(&key).unwrap();
    let (one, two) = (named(&["web-1"]), named(&["web-1", "10.0.0.1"]));
    let none = named(&[]);
    let der = vec![
        ("one-name", one.der().to_vec()),
        ("address-too", two.der().to_vec()),
        ("nameless", none.der().to_vec()),
        ("request", csr.der().to_vec()),
        ("nic-not-utf-8", b"\xff\xfe\xfd\xfc0".to_vec()),
        ("client-id", b"Web-1.example_net".to_vec()),
    ];
    let both = format!("# ours\n{}\r\n{}", one.pem(), two.pem());
    let pem = vec![
        ("one", one.pem().into_bytes()),
        ("both", both.into_bytes()),
        ("key", (one.pem() + &key.serialize_pem()).into_bytes()),
        ("request", csr.pem().unwrap().into_bytes()),
    ];
    (der, pem)
}
