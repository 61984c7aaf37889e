//! Splits samples with more packets than a row holds, such as a coarsened minute of a very fast NIC,
//! into several over the same time, so that ordinary rows stay small. Pure: every store does the same.

use wire::bounds::FIGURE_MAX;
use wire::frame::{Counts, Frame, KernelCounts, Sample};
use wire::{Bytes, Packets};

use crate::store::rows::columns::{count_figures, peak_figures};

/// Most packets in a row of `bandwidth_stats`: its columns have 32 bits.
const ROW_MAX: u64 = i32::MAX as u64;

/// Most parts of a sample: a minute at 2.3 billion packets/s.
const PARTS_MAX: u64 = 64;

/// Number of rows of a frame.
#[must_use]
pub fn rows(frame: &Frame) -> usize {
    let parts = frame.samples.iter().map(|it| usize::try_from(parts(it)).unwrap_or(1));
    // Of talkers, a row of each direction, and one of each owner.
    let talkers = frame.talkers.iter().map(|it| 2 + it.owners.len());
    parts.sum::<usize>() + frame.mixes.len() + talkers.sum::<usize>()
}

/// True if a frame fits the tables unchanged.
pub(in crate::store) fn is_fit(frame: &Frame) -> bool {
    let kernels = frame.samples.iter().map(|it| &it.kernel);
    let mut kernels = kernels.chain(frame.mixes.iter().map(|it| &it.kernel));
    let fits = |sample| frame.gap != 0 || fits(sample);
    frame.samples.iter().all(fits)
        && !kernels.any(KernelCounts::is_beyond)
        && frame.beyond_any_link().is_none()
}

/// Fits a frame, or returns the reason why it can't, leaving the frame unchanged.
pub(in crate::store) fn fit_frame(frame: &mut Frame) -> Result<(), String> {
    if let Some((nic, figure)) = frame.beyond_any_link() {
        let nic = nic.as_str().unwrap_or_default();
        return Err(format!("{figure} on NIC {nic} is more than any link carries ({FIGURE_MAX})"));
    }
    let mut samples = frame.samples.clone();
    for sample in &mut samples {
        sample.leave_out_nonsense();
    }
    if frame.gap == 0 {
        samples = samples.iter().flat_map(split).collect();
        if !samples.iter().all(fits) {
            return Err("a figure is larger than its column holds".to_owned());
        }
    }
    frame.samples = samples;
    for mix in &mut frame.mixes {
        mix.leave_out_nonsense();
    }
    Ok(())
}

/// True if a sample's figures fit the small columns of `bandwidth_stats`.
fn fits(sample: &Sample) -> bool {
    let [_, _, packets @ ..] = count_figures(sample);
    let small = packets.into_iter().chain([sample.drops.get(), sample.flags.into()]);
    let peaks = peak_figures(sample).map(u64::from);
    small.chain(peaks).all(|figure| figure <= ROW_MAX)
}

/// Number of parts in which a sample fits into rows; 1 if it never fits.
fn parts(sample: &Sample) -> u64 {
    let Sample { rx, tx, .. } = sample;
    let figures = [rx.packets, rx.captured, tx.packets, tx.captured, sample.drops];
    let parts = figures.into_iter().max().unwrap_or_default().get().div_ceil(ROW_MAX).max(1);
    if parts <= PARTS_MAX.min(sample.interval_ns) { parts } else { 1 }
}

/// Splits a sample into several of equal length, oldest first. Their sums are its sums, their totals
/// end at its totals, and each has its peaks, because nobody knows which part had them.
fn split(sample: &Sample) -> impl Iterator<Item = Sample> + use<> {
    let (sample, parts) = (*sample, parts(sample));
    (0..parts).map(move |part| {
        let until = |figure: u64, part: u64| {
            #[allow(clippy::cast_possible_truncation, reason = "at most the figure")]
            let until = (u128::from(figure) * u128::from(part) / u128::from(parts)) as u64;
            until
        };
        let share = |figure: u64| until(figure, part + 1) - until(figure, part);
        #[allow(clippy::cast_possible_truncation, reason = "at most the figure")]
        let small = |figure: u32| share(figure.into()) as u32;
        let bytes = |bytes: Bytes| Bytes(share(bytes.get()));
        let packets = |packets: Packets| Packets(share(packets.get()));
        let counts = |it: Counts| {
            let after = |figure: u64| figure - until(figure, part + 1);
            Counts {
                bytes: bytes(it.bytes),
                packets: packets(it.packets),
                captured: packets(it.captured),
                total_bytes: it.total_bytes.saturating_sub(Bytes(after(it.bytes.get()))),
                total_packets: it.total_packets.saturating_sub(Packets(after(it.packets.get()))),
                ..it
            }
        };
        let KernelCounts { rx_packets, tx_packets, rx_bytes, tx_bytes, dropped, errors } =
            sample.kernel;
        Sample {
            start_ns: sample.start_ns + until(sample.interval_ns, part),
            interval_ns: share(sample.interval_ns),
            rx: counts(sample.rx),
            tx: counts(sample.tx),
            drops: packets(sample.drops),
            freezes: small(sample.freezes),
            late: small(sample.late),
            inexact: small(sample.inexact),
            kernel: KernelCounts {
                rx_packets: packets(rx_packets),
                tx_packets: packets(tx_packets),
                rx_bytes: bytes(rx_bytes),
                tx_bytes: bytes(tx_bytes),
                dropped: packets(dropped),
                errors: packets(errors),
            },
            ..sample
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::{Bytes, WallNs};

    proptest! {
        #[test]
        fn parts_tile_the_time_and_put_together_are_the_sample(
            packets in 1..PARTS_MAX * ROW_MAX,
            small in any::<u32>(),
            bytes in 0..1_u64 << 62,
            interval_ns in PARTS_MAX..1_u64 << 40,
        ) {
            let (peak_1ms_bytes, peak_10ms_bytes) = (7, small / 2);
            let (total_bytes, total_packets) = (bytes + 5, packets + 9);
            let rx = Counts {
                bytes: Bytes(bytes), packets: Packets(packets), captured: Packets(packets / 3),
                peak_1ms_bytes, peak_10ms_bytes, total_bytes: Bytes(total_bytes), total_packets: Packets(total_packets),
            };
            let kernel = KernelCounts { rx_packets: Packets(packets), errors: Packets(3), ..KernelCounts::default() };
            let sample = Sample {
                start_ns: WallNs(1_000), interval_ns, rx, tx: Counts { packets: Packets(1), ..rx }, drops: Packets(packets / 2),
                freezes: small, late: 1, inexact: small / 7, flags: 9, kernel,
                ..Sample::default()
            };
            let parts: Vec<Sample> = split(&sample).collect();
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].start_ns + pair[0].interval_ns, pair[1].start_ns);
                let grown = pair[1].rx.total_packets - pair[0].rx.total_packets;
                prop_assert_eq!(grown, pair[1].rx.packets);
            }
            prop_assert!(parts.iter().all(|part| part.rx.packets <= Packets(ROW_MAX)));
            let mut whole = parts[0];
            parts[1..].iter().for_each(|part| whole.merge(part));
            prop_assert_eq!(whole, sample);
        }
    }

    #[test]
    fn what_no_nic_can_have_carried_stays_whole() {
        let rx = Counts { packets: Packets(u64::MAX / 2), ..Counts::default() };
        let sample = Sample { interval_ns: 1 << 40, rx, ..Sample::default() };
        assert_eq!(parts(&sample), 1);
        let short =
            Sample { interval_ns: 1, rx: Counts { packets: Packets(1 << 33), ..rx }, ..sample };
        assert_eq!(parts(&short), 1);
    }
}
