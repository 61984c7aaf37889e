//! Encoding of frames and messages: written values are read back, and damaged ones are refused.
//! (`golden.rs` checks that the format stays the same.)

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use wire::bounds::FIGURE_MAX;
use wire::codec::{self, CodecError, HEADER_LEN, LEN_MAX, Received};
use wire::frame::{
    Counts, Frame, KernelCounts, Mix, MixCounts, SAMPLES_MAX, SAMPLES_WITH_TALKERS_MAX, Sample,
};
use wire::id::{NicName, SessionId};
use wire::message::{Ack, Message};
use wire::talkers::{
    OWNER_NAME_MAX, OWNERS_MAX, RECORDS_MAX, TALKERS_MAX, Talker, TalkerKey, TalkerList,
    TalkerOwner, Talkers,
};
use wire::{Bytes, Packets, Seq, WallNs};

const FIGURE: std::ops::RangeInclusive<u64> = 0..=i64::MAX as u64;

fn nic() -> impl Strategy<Value = NicName> {
    "[a-z0-9._@-]{1,15}".prop_map(|name| NicName::new(&name).unwrap())
}

fn counts() -> impl Strategy<Value = Counts> {
    (prop::array::uniform5(FIGURE), 0..=i32::MAX as u32, 0..=i32::MAX as u32).prop_map(
        |([bytes, packets, captured, total_bytes, total_packets], peak_1ms, peak_10ms)| Counts {
            bytes: Bytes(bytes),
            packets: Packets(packets),
            captured: Packets(captured),
            peak_1ms_bytes: peak_1ms,
            peak_10ms_bytes: peak_10ms,
            total_bytes: Bytes(total_bytes),
            total_packets: Packets(total_packets),
        },
    )
}

fn sample() -> impl Strategy<Value = Sample> {
    (nic(), FIGURE, 10_000_000..60_000_000_000_u64, counts(), counts(), any::<[u32; 4]>()).prop_map(
        |(nic, start_ns, interval_ns, rx, tx, [freezes, late, inexact, flags])| Sample {
            nic,
            start_ns: WallNs(start_ns),
            interval_ns,
            rx,
            tx,
            drops: Packets(3),
            freezes,
            late,
            inexact,
            flags,
            kernel: KernelCounts { rx_packets: Packets(start_ns), ..KernelCounts::default() },
        },
    )
}

fn mix() -> impl Strategy<Value = Mix> {
    (nic(), FIGURE, prop::array::uniform7(FIGURE)).prop_map(|(nic, start_ns, size_packets)| Mix {
        nic,
        start_ns: WallNs(start_ns),
        interval_ns: 10_000_000_000,
        rx: MixCounts { size_packets: size_packets.map(Packets), ..MixCounts::default() },
        tx: MixCounts { udp_bytes: Bytes(start_ns), ..MixCounts::default() },
        kernel: KernelCounts::default(),
    })
}

fn list() -> impl Strategy<Value = TalkerList> {
    let key = (0..=6_u8, any::<u8>(), any::<u16>(), any::<[u8; 16]>(), any::<[u8; 16]>());
    let key = key.prop_map(|(kind, protocol, port, address, other)| TalkerKey {
        kind,
        protocol,
        port,
        address,
        other,
    });
    let talkers = prop::collection::btree_map(key, (0..1_000_000_u64, 0..=2_u16), 0..9);
    (talkers, any::<[u16; 5]>()).prop_map(|(talkers, [rest, packets, error, more, distinct])| {
        let talker = |(key, (bytes, owner))| Talker {
            key,
            bytes: Bytes(bytes),
            packets: Packets(bytes / 100),
            owner,
        };
        let mut talkers: Vec<Talker> = talkers.into_iter().map(talker).collect();
        talkers.sort_by_key(|it| std::cmp::Reverse(it.bytes));
        let (bytes, error): (u64, u64) =
            (talkers.iter().map(|it| it.bytes.get()).sum(), error.into());
        TalkerList {
            total_bytes: Bytes(bytes + u64::from(rest)),
            total_packets: Packets(bytes / 100 + u64::from(packets)),
            error_bytes: Bytes(error),
            unlisted_bytes: Bytes(error + u64::from(more)),
            distinct: distinct.into(),
            distinct_error: 9,
            talkers,
        }
    })
}

fn talkers() -> impl Strategy<Value = Talkers> {
    let owner = (0..=5_u8, "[^\\x00]{0,60}", "[ -~]{0,15}");
    let owner = owner.prop_map(|(kind, name, process)| TalkerOwner { kind, name, process });
    (nic(), FIGURE, 0..=1_u8, list(), list(), prop::array::uniform2(owner)).prop_map(
        |(nic, start_ns, kind, rx, tx, owners)| Talkers {
            nic,
            start_ns: WallNs(start_ns),
            interval_ns: 60_000_000_000,
            kind,
            rx,
            tx,
            owners: owners.to_vec(),
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let samples = prop::collection::vec(sample(), 0..5);
    (
        any::<u64>(),
        1..1_000_000_u64,
        0..1000_u64,
        0..=3_u8,
        samples,
        prop::collection::vec(mix(), 0..3),
        prop::collection::vec(talkers(), 0..3),
    )
        .prop_map(|(session, first_seq, more, gap, samples, mixes, talkers)| Frame {
            session: SessionId::new(session),
            first_seq: Seq(first_seq),
            last_seq: Seq(first_seq + more),
            gap,
            samples,
            mixes,
            talkers,
        })
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written(frame in frame()) {
        let bytes = codec::encode_frame(&frame).unwrap();
        prop_assert!(bytes.len() <= codec::frame_size(&frame));
        prop_assert_eq!(codec::decode(&bytes), Ok(Received::Frame(frame)));
    }

    #[test]
    fn no_alignment_of_the_buffer_matters(frame in frame(), shift in 0..16_usize) {
        let mut shifted = vec![0; shift];
        shifted.extend(codec::encode_frame(&frame).unwrap());
        prop_assert_eq!(codec::decode(&shifted[shift..]), Ok(Received::Frame(frame)));
    }

    #[test]
    fn damage_never_panics(
        frame in frame(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = codec::encode_frame(&frame).unwrap();
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _checked = codec::decode(&bytes);
        prop_assert!(codec::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn noise_never_panics(kind in 0..25_u8, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"NMON\x01".to_vec();
        bytes.extend([kind, 0, 0]);
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
        let _checked = codec::decode(&bytes);
    }
}

fn header(of: &[u8]) -> [u8; HEADER_LEN] {
    *of.first_chunk().unwrap()
}

#[test]
fn another_protocol_another_version_and_too_much_are_told_apart() {
    let bytes = codec::encode_message(&Message::Ack(Ack::default())).unwrap();
    let mut http = header(&bytes);
    http[..4].copy_from_slice(b"GET ");
    assert_eq!(codec::decode_header(http), Err(CodecError::Magic(*b"GET ")));
    let mut newer = header(&bytes);
    newer[4] = 2;
    assert_eq!(codec::decode_header(newer), Err(CodecError::Version(2)));
    assert!(CodecError::Version(2).to_string().contains("same release"));
    for at in [6, 7] {
        let mut reserved = header(&bytes);
        reserved[at] = 1;
        let said = codec::decode_header(reserved);
        assert!(matches!(said, Err(CodecError::Reserved(_))), "{said:?}");
    }
    let mut huge = header(&bytes);
    huge[8..].copy_from_slice(&(LEN_MAX + 1).to_le_bytes());
    assert_eq!(codec::decode_header(huge), Err(CodecError::TooLong(LEN_MAX + 1)));
    let mut unknown = bytes.clone();
    unknown[5] = 200;
    assert_eq!(codec::decode(&unknown), Err(CodecError::Kind(200)));
}

#[test]
fn the_largest_record_of_talkers_is_below_the_limit_and_too_many_are_refused() {
    let nic = NicName::new("eth0").unwrap();
    // Nothing that packing could leave out.
    let owners: Vec<TalkerOwner> = (0..OWNERS_MAX)
        .map(|_| TalkerOwner { kind: 5, name: "n".repeat(OWNER_NAME_MAX), process: "p".repeat(15) })
        .collect();
    let talkers = (0..64_u8).map(|n| Talker {
        key: TalkerKey { kind: 1, protocol: 17, port: 0x1111, address: [n; 16], other: [9; 16] },
        bytes: Bytes(0x3_1111_1111_1111),
        packets: Packets(0x3_1111_1111_1111),
        owner: 0x11,
    });
    let list = TalkerList {
        total_bytes: Bytes(FIGURE_MAX),
        total_packets: Packets(FIGURE_MAX),
        error_bytes: Bytes(0x3_1111_1111_1111),
        unlisted_bytes: Bytes(0x3_1111_1111_1111),
        distinct: 0x3_1111_1111_1111,
        distinct_error: 0x3_1111_1111_1111,
        talkers: talkers.collect(),
    };
    assert_eq!(list.talkers.len(), TALKERS_MAX);
    let record = Talkers {
        nic,
        start_ns: WallNs(0x7111_1111_1111_1111),
        interval_ns: 60_000_000_000,
        kind: 1,
        rx: list.clone(),
        tx: list,
        owners,
    };
    let frame = |records: usize, samples: usize| Frame {
        session: SessionId::new(1),
        first_seq: Seq(1),
        last_seq: Seq(1),
        gap: 0,
        samples: vec![Sample { nic, interval_ns: 1, ..Sample::default() }; samples],
        mixes: vec![],
        talkers: vec![record.clone(); records],
    };
    let most = frame(RECORDS_MAX, 0);
    let bytes = codec::encode_frame(&most).unwrap();
    assert!(bytes.len() <= codec::frame_size(&most).min(LEN_MAX as usize), "{}", bytes.len());
    assert_eq!(codec::decode(&bytes), Ok(Received::Frame(most)));
    assert!(codec::encode_frame(&frame(RECORDS_MAX + 1, 0)).is_err());
    assert!(codec::encode_frame(&frame(1, SAMPLES_WITH_TALKERS_MAX)).is_ok());
    assert!(codec::encode_frame(&frame(1, SAMPLES_WITH_TALKERS_MAX + 1)).is_err());
}

#[test]
fn the_largest_frame_is_below_the_limit() {
    let sample = Sample {
        nic: NicName::new("eth0").unwrap(),
        interval_ns: 500_000_000,
        ..Sample::default()
    };
    let mix = Mix { nic: sample.nic, interval_ns: 10_000_000_000, ..Mix::default() };
    let frame = Frame {
        session: SessionId::new(1),
        first_seq: Seq(1),
        last_seq: Seq(1),
        gap: 0,
        samples: vec![sample; SAMPLES_MAX],
        mixes: vec![mix; SAMPLES_MAX],
        talkers: vec![],
    };
    let bytes = codec::encode_frame(&frame).unwrap();
    assert!(bytes.len() <= LEN_MAX as usize, "{}", bytes.len());
    assert_eq!(codec::decode(&bytes), Ok(Received::Frame(frame)));
}
