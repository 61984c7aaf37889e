//! Bounds: what was measured, whatever it says, becomes records that can be read back.
//!
//! A sampler that stood still, a host that slept for a month and a driver that counts nonsense
//! all give figures beyond what [`Frame::check`](crate::frame::Frame::check) allows. Long times
//! are split into pieces that tile them, so that sums and times stay exact; figures beyond what
//! the database's columns hold are cut there.

use crate::frame::{
    Counts, INTERVAL_MAX_NS, KernelCounts, MAX, MAX_PEAK, Mix, MixCounts, Sample, flags,
};

/// Most pieces of one time: what goes on for longer than a year is no measurement.
const PIECES_MAX: u64 = 366;

/// The starts and lengths of pieces that tile a time, each at most [`INTERVAL_MAX_NS`] long.
fn tiles(start_ns: u64, interval_ns: u64) -> impl Iterator<Item = (u64, u64)> {
    let start_ns = start_ns.min(MAX - PIECES_MAX * INTERVAL_MAX_NS);
    let interval_ns = interval_ns.clamp(1, PIECES_MAX * INTERVAL_MAX_NS);
    (0..interval_ns.div_ceil(INTERVAL_MAX_NS)).map(move |n| {
        let offset = n * INTERVAL_MAX_NS;
        (start_ns + offset, (interval_ns - offset).min(INTERVAL_MAX_NS))
    })
}

impl Sample {
    /// The sample as pieces of a day at most: most often itself. The first has all that was
    /// counted, for nobody knows when that was; the others say that time went on.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let bounded = Self {
            rx: self.rx.bounded(),
            tx: self.tx.bounded(),
            drops: self.drops.min(MAX),
            kernel: self.kernel.bounded(),
            ..self
        };
        tiles(self.start_ns, self.interval_ns).enumerate().map(
            move |(n, (start_ns, interval_ns))| {
                let piece = if n == 0 { bounded } else { bounded.went_on() };
                Self { start_ns, interval_ns, ..piece }
            },
        )
    }

    /// Nothing more of the same NIC.
    fn went_on(&self) -> Self {
        let totals = |counts: &Counts| Counts {
            total_bytes: counts.total_bytes,
            total_packets: counts.total_packets,
            ..Counts::default()
        };
        Self {
            nic: self.nic,
            rx: totals(&self.rx),
            tx: totals(&self.tx),
            // What happened once is told once.
            flags: self.flags & !(flags::CLOCK_STEP | flags::PARTIAL),
            ..Self::default()
        }
    }
}

impl Mix {
    /// The mix as pieces of a day at most, of which the first has all that was counted.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        tiles(self.start_ns, self.interval_ns).enumerate().map(
            move |(n, (start_ns, interval_ns))| {
                let mut piece = Self { nic: self.nic, start_ns, interval_ns, ..Self::default() };
                if n == 0 {
                    piece.rx = self.rx.bounded();
                    piece.tx = self.tx.bounded();
                    piece.kernel = self.kernel.bounded();
                }
                piece
            },
        )
    }
}

impl Counts {
    fn bounded(self) -> Self {
        Self {
            bytes: self.bytes.min(MAX),
            packets: self.packets.min(MAX),
            captured: self.captured.min(MAX),
            peak_1ms_bytes: self.peak_1ms_bytes.min(MAX_PEAK),
            peak_10ms_bytes: self.peak_10ms_bytes.min(MAX_PEAK),
            total_bytes: self.total_bytes.min(MAX),
            total_packets: self.total_packets.min(MAX),
        }
    }
}

impl KernelCounts {
    fn bounded(self) -> Self {
        Self {
            rx_packets: self.rx_packets.min(MAX),
            tx_packets: self.tx_packets.min(MAX),
            rx_bytes: self.rx_bytes.min(MAX),
            tx_bytes: self.tx_bytes.min(MAX),
            dropped: self.dropped.min(MAX),
            errors: self.errors.min(MAX),
        }
    }
}

impl MixCounts {
    fn bounded(mut self) -> Self {
        self.figures_mut().for_each(|figure| *figure = (*figure).min(MAX));
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{self, Received};
    use crate::frame::Frame;
    use crate::id::NicName;

    const HOUR: u64 = 3_600_000_000_000;

    fn sample(interval_ns: u64, bytes: u64) -> Sample {
        let rx = Counts { bytes, packets: 3, total_bytes: bytes, ..Counts::default() };
        let (nic, flags) = (NicName::new("eth0").unwrap(), flags::CLOCK_STEP | flags::STACKED);
        Sample { nic, start_ns: 5, interval_ns, rx, flags, ..Sample::default() }
    }

    #[test]
    fn a_sleep_of_26_hours_is_two_pieces_with_one_count() {
        let pieces: Vec<Sample> = sample(26 * HOUR, 700).pieces().collect();
        let times: Vec<_> = pieces.iter().map(|it| (it.start_ns, it.interval_ns)).collect();
        assert_eq!(times, [(5, 24 * HOUR), (5 + 24 * HOUR, 2 * HOUR)]);
        assert_eq!((pieces[0].rx.bytes, pieces[1].rx.bytes), (700, 0));
        assert_eq!((pieces[1].rx.total_bytes, pieces[1].flags), (700, flags::STACKED));
        assert_eq!(sample(HOUR, 1).pieces().collect::<Vec<_>>(), [sample(HOUR, 1)]);
    }

    fn any_time() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..100 * HOUR, Just(0), Just(u64::MAX)]
    }

    proptest! {
        #[test]
        fn whatever_was_measured_can_be_read_back(
            start_ns in any_time(),
            interval_ns in any_time(),
            figure in any_time(),
            small: u32,
        ) {
            let counts = Counts {
                bytes: figure, packets: figure, captured: figure, peak_1ms_bytes: small,
                peak_10ms_bytes: small, total_bytes: figure, total_packets: figure,
            };
            let kernel = KernelCounts { rx_bytes: figure, errors: figure, ..KernelCounts::default() };
            let nic = NicName::new("eth0").unwrap();
            let sample = Sample {
                nic, start_ns, interval_ns, rx: counts, tx: counts, drops: figure, freezes: small,
                late: small, inexact: small, flags: small, kernel,
            };
            let mut figures = MixCounts::default();
            figures.figures_mut().for_each(|it| *it = figure);
            let mix = Mix { nic, start_ns, interval_ns, rx: figures, tx: figures, kernel };
            let frame = Frame {
                session: 1, first_seq: 1, last_seq: 1, gap: 0,
                samples: sample.pieces().collect(), mixes: mix.pieces().collect(),
            };
            let encoded = codec::encode_frame(&frame).unwrap();
            prop_assert_eq!(codec::decode(&encoded), Ok(Received::Frame(frame.clone())));
            let covered: u64 = frame.samples.iter().map(|it| it.interval_ns).sum();
            prop_assert_eq!(covered, interval_ns.clamp(1, PIECES_MAX * INTERVAL_MAX_NS));
            let bytes: u64 = frame.samples.iter().map(|it| it.rx.bytes).sum();
            prop_assert_eq!(bytes, figure.min(MAX));
        }
    }
}
