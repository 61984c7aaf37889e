//! Frames of an agent, unpacked archives. Accepted frames are coarsened too.

use wire::codec::{self, Received};
use wire::frame::{Frame, Sample};
use wire::{Bytes, Packets};

use super::codec::{check, with_header};
use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "frame",
    about: "an agent's frame, its archive (wire::codec, wire::coarsen, wire::bounds)",
    input_max: 64 * KIB,
    memory_max: 4 * MIB,
    run,
};

/// `codec::kind::FRAME`, which never changes.
const KIND: u8 = 1;

fn run(input: &[u8]) {
    let Ok(received) = codec::decode(&with_header(KIND, input)) else { return };
    if let Received::Frame(frame) = &received {
        coarsen(frame);
    }
    check(received);
}

/// Coarsens samples of a NIC as a spool does. Sums are conserved up to the cap, peaks are maxima, and
/// the result can be encoded.
fn coarsen(frame: &Frame) {
    let Some((first, rest)) = frame.samples.split_first() else { return };
    let same: Vec<&Sample> = rest.iter().filter(|sample| sample.nic == first.nic).collect();
    let mut merged = *first;
    same.iter().for_each(|next| merged.merge(next));
    let sum = |figure: fn(&Sample) -> u64| {
        same.iter().fold(figure(first), |sum, next| sum.saturating_add(figure(next)))
    };
    assert_eq!(merged.rx.bytes, Bytes(sum(|it| it.rx.bytes.get())));
    assert_eq!(merged.tx.packets, Packets(sum(|it| it.tx.packets.get())));
    assert_eq!(merged.drops, Packets(sum(|it| it.drops.get())));
    assert_eq!(merged.kernel.errors, Packets(sum(|it| it.kernel.errors.get())));
    let peak = same.iter().map(|it| it.rx.peak_1ms_bytes).fold(first.rx.peak_1ms_bytes, u32::max);
    assert_eq!(merged.rx.peak_1ms_bytes, peak);
    let samples: Vec<Sample> = merged.pieces().collect();
    let frame = Frame { samples, mixes: Vec::new(), ..frame.clone() };
    codec::encode_frame(&frame).expect("a coarsened frame can be kept");
}
