//! Encoding of frames and messages: written values are read back, and damaged ones are refused.
//! (`golden.rs` checks that the format stays the same.)

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use wire::codec::{self, CodecError, HEADER_LEN, LEN_MAX, Received};
use wire::frame::{Counts, Frame, KernelCounts, Mix, MixCounts, SAMPLES_MAX, Sample};
use wire::id::{NicName, SessionId};
use wire::message::{Ack, Message};
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

fn frame() -> impl Strategy<Value = Frame> {
    let samples = prop::collection::vec(sample(), 0..5);
    (
        any::<u64>(),
        1..1_000_000_u64,
        0..1000_u64,
        0..=3_u8,
        samples,
        prop::collection::vec(mix(), 0..3),
    )
        .prop_map(|(session, first_seq, more, gap, samples, mixes)| Frame {
            session: SessionId::new(session),
            first_seq: Seq(first_seq),
            last_seq: Seq(first_seq + more),
            gap,
            samples,
            mixes,
        })
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written(frame in frame()) {
        let bytes = codec::encode_frame(&frame).unwrap();
        prop_assert!(bytes.len() <= codec::frame_len(frame.samples.len(), frame.mixes.len()));
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
    fn noise_never_panics(kind in 0..20_u8, body in prop::collection::vec(any::<u8>(), 0..300)) {
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
    };
    let bytes = codec::encode_frame(&frame).unwrap();
    assert!(bytes.len() <= LEN_MAX as usize, "{}", bytes.len());
    assert_eq!(codec::decode(&bytes), Ok(Received::Frame(frame)));
}
