//! The format stays the same. For each kind, bytes from released programs decode to the same value, and
//! the value encodes to the same bytes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use wire::codec::{self, Received};
use wire::frame::{Counts, Frame, Gap, KernelCounts, Mix, MixCounts, SIZE_CLASSES, Sample};
use wire::id::{NicName, SessionId};
use wire::message::{
    Ack, Agreed, Claim, Committed, Digests, Enroll, EnrollReply, EnrollRequest, Hello, Host,
    HostKey, Inventory, Message, Nic, Notice, Probe, ProbeReply, Refused, RenewRequest, SeqRange,
    Session, SessionDigest, TagText, Tags, Welcome,
};
use wire::talkers::{
    KeyKind, OwnerKind, Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind,
    address_bytes,
};
use wire::{Bytes, Packets, Seq, WallNs};

/// 15 January 2027, 08:00 UTC.
const START_NS: WallNs = WallNs(1_800_000_000_000_000_000);

const SESSION: SessionId = SessionId::new(0xfeed);

/// Offset of the kind in a header.
const KIND: usize = 5;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The bytes of released programs. `BLESS=1 cargo test -p wire --test golden` writes the file of a new
/// kind. An existing file is never rewritten, because it must stay readable.
fn held(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = folder().join(name).with_extension("bin");
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        fs::write(&path, bytes).unwrap();
    }
    fs::read(&path).unwrap()
}

fn nic() -> NicName {
    NicName::new("eth0").unwrap()
}

fn sample() -> Sample {
    let counts = Counts {
        bytes: Bytes(1),
        packets: Packets(2),
        captured: Packets(3),
        peak_1ms_bytes: 4,
        peak_10ms_bytes: 5,
        total_bytes: Bytes(6),
        total_packets: Packets(7),
    };
    Sample {
        nic: nic(),
        start_ns: START_NS,
        interval_ns: 500_000_000,
        rx: counts,
        tx: Counts { bytes: Bytes(0x0102_0304_0506_0708), ..counts },
        drops: Packets(8),
        freezes: 9,
        late: 10,
        inexact: 11,
        flags: 12,
        kernel: KernelCounts { rx_packets: Packets(13), ..KernelCounts::default() },
    }
}

fn frame() -> Frame {
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
        ..MixCounts::default()
    };
    let interval_ns = 10_000_000_000;
    let mix = Mix { nic: nic(), start_ns: START_NS, interval_ns, rx, ..Mix::default() };
    Frame {
        session: SESSION,
        first_seq: Seq(41),
        last_seq: Seq(42),
        gap: 0,
        samples: vec![sample()],
        mixes: vec![mix],
        talkers: vec![],
    }
}

/// Samples of two NICs, each predictable from the previous one, and the second of a gap.
fn series() -> Frame {
    let sample = |name: &str, n: u64| {
        let counts = |bytes: u64| Counts {
            bytes: Bytes(bytes),
            packets: Packets(3),
            captured: Packets(2),
            peak_1ms_bytes: 70,
            peak_10ms_bytes: 700,
            total_bytes: Bytes(n * bytes),
            total_packets: Packets(3 * n),
        };
        Sample {
            nic: NicName::new(name).unwrap(),
            start_ns: START_NS + n * 500_000_000,
            interval_ns: 500_000_000,
            rx: counts(1_000_000_007),
            tx: counts(90 + n),
            kernel: KernelCounts {
                rx_packets: Packets(2),
                rx_bytes: Bytes(1_000_000_007),
                ..Default::default()
            },
            ..Sample::default()
        }
    };
    Frame {
        session: SessionId::new(u64::MAX),
        first_seq: Seq(1),
        last_seq: Seq(i64::MAX as u64),
        gap: Gap::SpoolFull as u8,
        samples: vec![sample("eth0", 1), sample("wg0", 1), sample("eth0", 2), sample("eth0", 4)],
        mixes: Vec::new(),
        talkers: vec![],
    }
}

/// A frame too random to be packed.
fn full() -> Frame {
    const FULL: u64 = 0x0123_4567_89ab_cdef;
    let counts = Counts {
        bytes: Bytes(FULL),
        packets: Packets(FULL + 1),
        captured: Packets(FULL + 2),
        peak_1ms_bytes: 0x1122_3344,
        peak_10ms_bytes: 0x1122_3355,
        total_bytes: Bytes(FULL + 3),
        total_packets: Packets(FULL + 4),
    };
    let kernel = KernelCounts {
        rx_packets: Packets(5 * (FULL >> 3)),
        tx_packets: Packets(6 * (FULL >> 3)),
        rx_bytes: Bytes(7 * (FULL >> 3)),
        tx_bytes: Bytes(5 * (FULL >> 3)),
        dropped: Packets(FULL + 5),
        errors: Packets(FULL + 6),
    };
    let sample = Sample {
        nic: NicName::new("fifteen_bytes_x").unwrap(),
        start_ns: START_NS + 0x7777_7777,
        interval_ns: 80_000_000_000_123,
        rx: counts,
        tx: counts,
        drops: Packets(FULL + 7),
        freezes: 0x1234_5678,
        late: 0x2345_6789,
        inexact: 0x3456_789a,
        flags: 0x0fff_ffff,
        kernel,
    };
    let mut figures =
        MixCounts { size_packets: [Packets(FULL); SIZE_CLASSES], ..MixCounts::default() };
    figures.figures_mut().zip(FULL..).for_each(|(figure, value)| *figure = value);
    let Sample { nic, start_ns, interval_ns, .. } = sample;
    let mix = Mix { nic, start_ns, interval_ns, rx: figures, tx: figures, kernel };
    Frame {
        session: SessionId::new(0xfeed_f00d_1234_5678),
        first_seq: Seq(FULL),
        last_seq: Seq(FULL + 9),
        gap: 0,
        samples: vec![sample],
        mixes: vec![mix],
        talkers: vec![],
    }
}

/// A frame with the talkers of two NICs, and an owner of each kind.
fn talkers() -> Frame {
    let address = |text: &str| address_bytes(text.parse().unwrap());
    let list = |n: u64| {
        let key = TalkerKey {
            kind: KeyKind::LocalService as u8,
            protocol: 6,
            port: 443,
            address: address("192.0.2.7"),
            other: address("2001:db8::1"),
        };
        let talker = |protocol: u8, owner: u16| Talker {
            key: TalkerKey { protocol, ..key },
            bytes: Bytes(n * 1_000_003),
            packets: Packets(n * 701),
            owner,
        };
        TalkerList {
            total_bytes: Bytes(n * 4_000_000),
            total_packets: Packets(n * 3000),
            error_bytes: Bytes(n * 7),
            unlisted_bytes: Bytes(n * 900_000),
            distinct: n * 1234,
            distinct_error: n,
            talkers: vec![talker(6, 1), talker(17, 6), talker(1, 0)],
        }
    };
    let owner = |kind: OwnerKind| TalkerOwner {
        kind: kind as u8,
        name: format!("{kind:?}/名.service"),
        process: "nginx".into(),
    };
    let minute = Talkers {
        nic: nic(),
        start_ns: START_NS,
        interval_ns: 60_000_000_000,
        kind: TalkersKind::Minute as u8,
        rx: list(1),
        tx: TalkerList::default(),
        owners: OwnerKind::ALL.map(owner).to_vec(),
    };
    let moment = Talkers {
        nic: NicName::new("fifteen_bytes_x").unwrap(),
        kind: TalkersKind::Moment as u8,
        tx: list(3),
        ..minute.clone()
    };
    Frame { samples: vec![sample()], mixes: vec![], talkers: vec![minute, moment], ..frame() }
}

/// A message of each kind, with the names of their files.
fn messages() -> Vec<(&'static str, Message)> {
    let host = Host {
        agent_version: "0.1.0".into(),
        os: "Debian GNU/Linux 12".into(),
        kernel: "6.1.0".into(),
        cpus: 2,
        sample_interval_ns: 500_000_000,
    };
    let sessions = vec![Session { session: SESSION, started_ns: START_NS }];
    let key = HostKey { machine: [1; 16], boot: [2; 16] };
    let committed = [
        Committed { session: SESSION, seq: Seq(41) },
        Committed { session: SessionId::new(1), seq: Seq(0) },
    ];
    let digests = vec![SessionDigest { session: SESSION, digest: 0xd1_9e57 }];
    let missing = vec![SeqRange { first: Seq(4), last: Seq(5) }];
    let plain = Nic { name: nic(), index: 2, kind: "physical".into(), ..Nic::default() };
    let bond = Nic {
        name: NicName::new("fifteen_bytes_x").unwrap(),
        index: 7,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 9000,
        speed_bits: 100_000_000_000,
        kind: "a kind longer than what an archive holds inline".into(),
        up: true,
        stacked: true,
    };
    let reply = ProbeReply {
        asked_ns: START_NS,
        arrived_ns: START_NS + 0x0102_0304,
        answered_ns: START_NS + 0x0506_0708,
    };
    let (secret, csr_der) = (vec![9; 32], vec![0x30, 0x82, 1, 2, 3]);
    let client_id = "web-1.example.net".to_owned();
    let old = EnrollRequest {
        secret: secret.clone(),
        client_id: client_id.clone(),
        csr_der: csr_der.clone(),
    };
    let enroll = Enroll { secret, client_id, chosen: true, csr_der: csr_der.clone() };
    let pem =
        |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let enrolled = EnrollReply { certificate_pem: pem("TWluZQ=="), ca_pem: pem("Q0E=") };
    let (collector_version, alias) = ("0.1.0".into(), "web 1".into());
    let reason = "client web-1 was revoked; enroll it again".into();
    let tag = |key: &str, value: &str| TagText { key: key.into(), value: value.into() };
    let text = "the clock of this host is 3 s behind; 时钟".into();
    vec![
        ("hello", Message::Hello(Hello { sessions, alias, host })),
        ("claim", Message::Claim(Claim { host: key, session: SESSION })),
        ("agreed", Message::Agreed(Agreed { session: SESSION })),
        ("digests", Message::Digests(Digests { sessions: digests })),
        ("welcome", Message::Welcome(Welcome::default())),
        (
            "welcome_back",
            Message::Welcome(Welcome { collector_version, committed: committed.to_vec() }),
        ),
        (
            "ack",
            Message::Ack(Ack { session: SESSION, committed: Seq(2), received: Seq(3), missing }),
        ),
        ("inventory", Message::Inventory(Inventory { nics: vec![plain.clone()] })),
        ("inventory_of_two", Message::Inventory(Inventory { nics: vec![plain, bond] })),
        ("refused", Message::Refused(Refused { reason })),
        ("probe", Message::Probe(Probe { asked_ns: START_NS })),
        ("probe_reply", Message::ProbeReply(reply)),
        ("enroll_request", Message::EnrollRequest(old)),
        ("enroll", Message::Enroll(enroll)),
        ("enroll_reply", Message::EnrollReply(enrolled)),
        ("renew_request", Message::RenewRequest(RenewRequest { csr_der })),
        ("notice", Message::Notice(Notice { text })),
        (
            "tags",
            Message::Tags(Tags {
                tags: vec![tag("site", "ams"), tag("city", "东京/丸の内")],
                age_ns: 5,
            }),
        ),
    ]
}

#[test]
fn each_golden_message_is_read_and_written_as_ever() {
    for (name, message) in messages() {
        let bytes = codec::encode_message(&message).unwrap();
        let held = held(name, &bytes);
        assert_eq!(codec::decode(&held), Ok(Received::Message(message)), "{name}");
        assert!(held == bytes, "the bytes of {name} differ: the format has changed");
    }
}

#[test]
fn each_golden_frame_is_read_and_written_as_ever() {
    for (name, frame) in [
        ("packed_frame", frame()),
        ("series", series()),
        ("full_frame", full()),
        ("talkers_frame", talkers()),
    ] {
        let bytes = codec::encode_frame(&frame).unwrap();
        let held = held(name, &bytes);
        assert_eq!(codec::decode(&held), Ok(Received::Frame(frame)), "{name}");
        assert!(held == bytes, "the bytes of {name} differ: the format has changed");
    }
    // A packable frame is also read unpacked.
    assert_eq!(codec::decode(&held("frame", &[])), Ok(Received::Frame(frame())));
}

#[test]
fn digests_are_what_databases_hold() {
    assert_eq!(codec::digest(&frame()), 0xddc7_1a42_6247_e9d4);
    let digest = codec::digest(&talkers());
    assert_eq!(digest, 0xe32b4d47c7bd0b51);
    let mut other = talkers();
    other.talkers[1].tx.talkers[2].packets = Packets(1);
    assert_ne!(codec::digest(&other), digest);
}

#[test]
fn each_kind_has_a_golden_file_and_each_golden_file_is_read() {
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(codec::decode(&bytes).is_ok(), "{}", path.display());
        kinds.insert(bytes[KIND]);
    }
    let known = |kind: &u8| {
        let mut header = *b"NMON\x01\0\0\0\0\0\0\0";
        header[KIND] = *kind;
        codec::decode(&header) != Err(codec::CodecError::Kind(*kind))
    };
    assert_eq!(kinds, (0..=u8::MAX).filter(known).collect());
}
