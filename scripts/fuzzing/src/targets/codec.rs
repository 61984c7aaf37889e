//! Datagrams, messages of streams and records of spools, from an agent, a collector or a file: header
//! and body.

use wire::codec::{self, HEADER_LEN, Received};
use wire::frame::{Frame, INTERVAL_MAX_NS, SAMPLES_MAX};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "codec",
    about: "what an agent or collector sends, header included (wire::codec::decode)",
    input_max: 64 * KIB,
    // The archive's text, its differences (1 MiB each), the frame, and its new encoding.
    memory_max: 8 * MIB,
    run,
};

fn run(input: &[u8]) {
    let Ok(received) = codec::decode(input) else { return };
    let header = codec::decode_header(*input.first_chunk().unwrap()).unwrap();
    assert_eq!(header.len() as usize, input.len() - HEADER_LEN, "the header holds the length");
    check(received);
}

/// Asserts that a decoded value is within its limits and encodes to an equal value.
pub(super) fn check(received: Received) {
    match received {
        Received::Frame(frame) => {
            check_frame(&frame);
            let bytes = codec::encode_frame(&frame).expect("an accepted frame can be sent on");
            assert!(bytes.len() <= codec::frame_size(&frame));
            check_talkers(&frame, &bytes);
            let digest = codec::digest(&frame);
            let Ok(Received::Frame(again)) = codec::decode(&bytes) else {
                panic!("not decoded again")
            };
            assert!(again == frame, "it survives a round trip");
            assert_eq!(codec::digest(&again), digest);
            assert_eq!(codec::encode_frame(&again).unwrap(), bytes);
        }
        Received::Message(message) => {
            message.check().expect("an accepted message passes its check");
            let bytes = codec::encode_message(&message).expect("an accepted message can be sent");
            let again = codec::decode(&bytes);
            assert!(again == Ok(Received::Message(message)), "it survives a round trip");
        }
    }
}

/// Records of talkers stay sound however they are merged, shortened, split or left out.
fn check_talkers(frame: &Frame, encoded: &[u8]) {
    let without = codec::without_talkers(encoded);
    assert_eq!(without.is_some(), !frame.talkers.is_empty());
    let Some((first, rest)) = frame.talkers.split_first() else { return };
    let Ok(Received::Frame(without)) = codec::decode(&without.unwrap()) else {
        panic!("what an older collector gets is not decoded")
    };
    assert_eq!(codec::digest(&without), codec::digest_without_talkers(frame));
    let mut merged = first.clone();
    let same = rest.iter().filter(|it| (it.nic, it.kind) == (first.nic, first.kind));
    same.for_each(|it| merged.merge(it));
    let total = merged.rx.total_bytes;
    merged.shorten(2);
    assert!(merged.rx.talkers.len() <= 2 && merged.rx.total_bytes == total);
    for record in merged.pieces() {
        let frame = Frame { talkers: vec![record], ..without.clone() };
        codec::encode_frame(&frame).expect("a coarser record can be kept");
    }
}

/// The limits that the database relies on.
fn check_frame(frame: &Frame) {
    const MAX: u64 = i64::MAX as u64;
    frame.check().expect("an accepted frame passes its check");
    assert!((Seq::FIRST..=frame.last_seq).contains(&frame.first_seq) && frame.last_seq <= Seq(MAX));
    assert!(frame.samples.len() <= SAMPLES_MAX && frame.mixes.len() <= SAMPLES_MAX);
    for sample in &frame.samples {
        assert!(sample.nic.as_str().is_some());
        assert!((1..=INTERVAL_MAX_NS).contains(&sample.interval_ns));
        assert!(sample.start_ns <= WallNs(MAX) && sample.drops <= Packets(MAX));
        for counts in [&sample.rx, &sample.tx] {
            let figures = [counts.bytes.get(), counts.packets.get(), counts.captured.get()];
            assert!(figures.iter().all(|it| *it <= MAX) && counts.total_bytes <= Bytes(MAX));
            assert!(counts.peak_1ms_bytes.max(counts.peak_10ms_bytes) <= i32::MAX as u32);
        }
    }
    for mix in &frame.mixes {
        assert!(mix.nic.as_str().is_some());
        assert!((1..=INTERVAL_MAX_NS).contains(&mix.interval_ns) && mix.start_ns <= WallNs(MAX));
        let mut counts = [mix.rx, mix.tx];
        assert!(counts.iter_mut().flat_map(|it| it.figures_mut()).all(|it| *it <= MAX));
    }
}

/// Prepends a header (laid out by [`codec`]) to a body.
pub(super) fn with_header(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&b"NMON"[..], &[codec::VERSION, kind, 0, 0], &len, body].concat()
}
