//! Bounds: splits and caps measurements, so that every one becomes records that can be read back.
//!
//! A stalled sampler, a host that slept for a month or a driver with nonsense counters gives figures
//! beyond the limits of [`Frame::check`](crate::frame::Frame::check). Long intervals are split into
//! contiguous pieces, so that sums and times stay exact. Figures beyond any link are capped, and a
//! driver's own figures beyond that are left out.
//!
//! Spools of older agents may hold such figures. Their frames can still be read;
//! [`Frame::beyond_any_link`] detects them.

use crate::amount::{Bytes, Packets};
use crate::frame::{
    Counts, Frame, INTERVAL_MAX_NS, KernelCounts, MAX, MAX_PEAK, Mix, MixCounts, Sample, flags,
};
use crate::id::NicName;
use crate::talkers::{TalkerList, Talkers};
use crate::time::WallNs;

/// Upper limit of any NIC's speed, bytes/s: 8 Tbit/s, five ports of the fastest Ethernet (1.6 Tbit/s,
/// IEEE 802.3dj) in one bond.
pub const FASTEST: u64 = 1_000_000_000_000;

/// Most bytes or packets of one record: [`FASTEST`] for the longest record ([`INTERVAL_MAX_NS`], a
/// day), in packets of one byte. This is a hundredth of a signed 64-bit column's range.
pub const FIGURE_MAX: u64 = FASTEST * (INTERVAL_MAX_NS / 1_000_000_000);

/// Most pieces of one interval: anything longer than a year is no measurement.
const PIECES_MAX: u64 = 366;

/// The starts and lengths of contiguous pieces of an interval, each at most [`INTERVAL_MAX_NS`] long.
fn tiles(start_ns: WallNs, interval_ns: u64) -> impl Iterator<Item = (WallNs, u64)> {
    let start_ns = start_ns.min(WallNs(MAX - PIECES_MAX * INTERVAL_MAX_NS));
    let interval_ns = interval_ns.clamp(1, PIECES_MAX * INTERVAL_MAX_NS);
    (0..interval_ns.div_ceil(INTERVAL_MAX_NS)).map(move |n| {
        let offset = n * INTERVAL_MAX_NS;
        (start_ns + offset, (interval_ns - offset).min(INTERVAL_MAX_NS))
    })
}

impl Sample {
    /// Splits the sample into pieces of at most a day; usually it stays one. The first piece has all
    /// counts, because nobody knows when they happened. The others only cover the time.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let mut bounded = Self {
            rx: self.rx.bounded(),
            tx: self.tx.bounded(),
            drops: self.drops.min(Packets(FIGURE_MAX)),
            ..self
        };
        bounded.leave_out_nonsense();
        tiles(self.start_ns, self.interval_ns).enumerate().map(
            move |(n, (start_ns, interval_ns))| {
                let piece = if n == 0 { bounded } else { bounded.went_on() };
                Self { start_ns, interval_ns, ..piece }
            },
        )
    }

    /// Leaves out a driver's figures if they are beyond any link, and flags the sample. Returns true if
    /// it did.
    pub fn leave_out_nonsense(&mut self) -> bool {
        let nonsense = self.kernel.is_beyond();
        if nonsense {
            self.kernel = KernelCounts::default();
            self.flags |= flags::NO_KERNEL_COUNTS;
        }
        nonsense
    }

    /// The following piece of the same NIC, without counts.
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
            // One-time events belong to the first piece only.
            flags: self.flags & !(flags::CLOCK_STEP | flags::PARTIAL),
            ..Self::default()
        }
    }
}

impl Mix {
    /// Splits the mix into pieces of at most a day. The first piece has all counts.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        tiles(self.start_ns, self.interval_ns).enumerate().map(
            move |(n, (start_ns, interval_ns))| {
                let mut piece = Self { nic: self.nic, start_ns, interval_ns, ..Self::default() };
                if n == 0 {
                    piece.rx = self.rx.bounded();
                    piece.tx = self.tx.bounded();
                    piece.kernel = self.kernel;
                    piece.leave_out_nonsense();
                }
                piece
            },
        )
    }

    /// Like [`Sample::leave_out_nonsense`].
    pub fn leave_out_nonsense(&mut self) -> bool {
        let nonsense = self.kernel.is_beyond();
        if nonsense {
            self.kernel = KernelCounts::default();
        }
        nonsense
    }
}

impl Talkers {
    /// Splits the record into pieces of at most a day; usually it stays one. The first piece has the
    /// lists, as the first piece of a sample has the counts.
    pub fn pieces(mut self) -> impl Iterator<Item = Self> {
        let (start_ns, interval_ns) = (self.start_ns, self.interval_ns);
        let (nic, kind) = (self.nic, self.kind);
        for list in [&mut self.rx, &mut self.tx] {
            list.name_nobody_beyond(FIGURE_MAX);
        }
        let mut first = Some(self);
        tiles(start_ns, interval_ns).map(move |(start_ns, interval_ns)| {
            let piece = first.take().unwrap_or_else(|| Self { nic, kind, ..Self::default() });
            Self { start_ns, interval_ns, ..piece }
        })
    }
}

impl TalkerList {
    /// Caps totals beyond any link like those of samples; then nothing is known of who had them.
    fn name_nobody_beyond(&mut self, most: u64) {
        if self.total_bytes > Bytes(most) || self.total_packets > Packets(most) {
            let total_bytes = self.total_bytes.min(Bytes(most));
            *self = Self {
                total_bytes,
                total_packets: self.total_packets.min(Packets(most)),
                error_bytes: total_bytes,
                unlisted_bytes: total_bytes,
                ..Self::default()
            };
        }
    }
}

impl Frame {
    /// The NIC and the figure of the first count that no link can carry ([`FIGURE_MAX`]), if any.
    /// Ignores drivers' own figures: [`Sample::leave_out_nonsense`] handles those.
    #[must_use]
    pub fn beyond_any_link(&self) -> Option<(NicName, u64)> {
        let of_sample = |sample: &Sample| {
            let Sample { rx, tx, drops, .. } = sample;
            let figures = [rx, tx].map(|it| [it.bytes.get(), it.packets.get(), it.captured.get()]);
            let most = figures.into_iter().flatten().chain([drops.get()]).max();
            most.map(|most| (sample.nic, most))
        };
        let of_mix = |mix: &Mix| {
            let figures = mix.rx.figures().chain(mix.tx.figures());
            figures.max().map(|most| (mix.nic, most))
        };
        let of_talkers = |it: &Talkers| {
            let figures = |list: &TalkerList| list.total_bytes.get().max(list.total_packets.get());
            (it.nic, figures(&it.rx).max(figures(&it.tx)))
        };
        let samples = self.samples.iter().filter_map(of_sample);
        let mixes = self.mixes.iter().filter_map(of_mix);
        let mut most = samples.chain(mixes).chain(self.talkers.iter().map(of_talkers));
        most.find(|(_, most)| *most > FIGURE_MAX)
    }
}

impl Counts {
    fn bounded(self) -> Self {
        Self {
            bytes: self.bytes.min(Bytes(FIGURE_MAX)),
            packets: self.packets.min(Packets(FIGURE_MAX)),
            captured: self.captured.min(Packets(FIGURE_MAX)),
            peak_1ms_bytes: self.peak_1ms_bytes.min(MAX_PEAK),
            peak_10ms_bytes: self.peak_10ms_bytes.min(MAX_PEAK),
            total_bytes: self.total_bytes.min(Bytes(MAX)),
            total_packets: self.total_packets.min(Packets(MAX)),
        }
    }
}

impl KernelCounts {
    /// True if no link can have carried the driver's figures.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        self.figures().any(|figure| figure > FIGURE_MAX)
    }
}

impl MixCounts {
    fn bounded(mut self) -> Self {
        self.figures_mut().for_each(|figure| *figure = (*figure).min(FIGURE_MAX));
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{self, Received};
    use crate::frame::Frame;
    use crate::id::{NicName, SessionId};
    use crate::seq::Seq;
    use crate::talkers::Talker;

    const HOUR: u64 = 3_600_000_000_000;

    fn sample(interval_ns: u64, bytes: u64) -> Sample {
        let rx = Counts {
            bytes: Bytes(bytes),
            packets: Packets(3),
            total_bytes: Bytes(bytes),
            ..Counts::default()
        };
        let (nic, flags) = (NicName::new("eth0").unwrap(), flags::CLOCK_STEP | flags::STACKED);
        Sample { nic, start_ns: WallNs(5), interval_ns, rx, flags, ..Sample::default() }
    }

    #[test]
    fn a_sleep_of_26_hours_is_two_pieces_with_one_count() {
        let pieces: Vec<Sample> = sample(26 * HOUR, 700).pieces().collect();
        let times: Vec<_> = pieces.iter().map(|it| (it.start_ns, it.interval_ns)).collect();
        assert_eq!(times, [(WallNs(5), 24 * HOUR), (WallNs(5 + 24 * HOUR), 2 * HOUR)]);
        assert_eq!((pieces[0].rx.bytes, pieces[1].rx.bytes), (Bytes(700), Bytes(0)));
        assert_eq!((pieces[1].rx.total_bytes, pieces[1].flags), (Bytes(700), flags::STACKED));
        assert_eq!(sample(HOUR, 1).pieces().collect::<Vec<_>>(), [sample(HOUR, 1)]);
    }

    #[test]
    fn a_figure_that_no_link_carries_is_named_with_its_nic() {
        let frame = |sample, mix| Frame {
            session: SessionId::new(1),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples: vec![sample],
            mixes: vec![mix],
            talkers: vec![],
        };
        let nic = NicName::new("eth0").unwrap();
        let honest = frame(sample(HOUR, FIGURE_MAX), Mix { nic, ..Mix::default() });
        assert_eq!(honest.beyond_any_link(), None);
        let mut hostile = honest.clone();
        hostile.samples[0].tx.packets = Packets(FIGURE_MAX + 1);
        assert_eq!(hostile.beyond_any_link(), Some((nic, FIGURE_MAX + 1)));
        let mut hostile = honest;
        hostile.mixes[0].rx.udp_bytes = Bytes(MAX);
        assert_eq!(hostile.beyond_any_link(), Some((nic, MAX)));
    }

    #[test]
    fn a_driver_that_counts_beyond_any_link_counts_nothing() {
        let kernel = KernelCounts {
            rx_bytes: Bytes(u64::MAX),
            tx_bytes: Bytes(5),
            ..KernelCounts::default()
        };
        let pieces: Vec<Sample> = Sample { kernel, ..sample(HOUR, 1) }.pieces().collect();
        assert_eq!(pieces[0].kernel, KernelCounts::default());
        assert_ne!(pieces[0].flags & flags::NO_KERNEL_COUNTS, 0);
        assert_eq!(pieces[0].rx.bytes, Bytes(1));
    }

    fn talkers(start_ns: u64, interval_ns: u64, figure: u64) -> Talkers {
        let talker = Talker { bytes: Bytes(figure / 2), packets: Packets(1), ..Talker::default() };
        let list = TalkerList {
            total_bytes: Bytes(figure),
            total_packets: Packets(figure),
            talkers: if figure == 0 { vec![] } else { vec![talker] },
            ..TalkerList::default()
        };
        Talkers {
            nic: NicName::new("eth0").unwrap(),
            start_ns: WallNs(start_ns),
            interval_ns,
            rx: list.clone(),
            tx: list,
            ..Talkers::default()
        }
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
                bytes: Bytes(figure), packets: Packets(figure), captured: Packets(figure), peak_1ms_bytes: small,
                peak_10ms_bytes: small, total_bytes: Bytes(figure), total_packets: Packets(figure),
            };
            let kernel = KernelCounts { rx_bytes: Bytes(figure), errors: Packets(figure), ..KernelCounts::default() };
            let nic = NicName::new("eth0").unwrap();
            let sample = Sample {
                nic, start_ns: WallNs(start_ns), interval_ns, rx: counts, tx: counts, drops: Packets(figure), freezes: small,
                late: small, inexact: small, flags: small, kernel,
            };
            let mut figures = MixCounts::default();
            figures.figures_mut().for_each(|it| *it = figure);
            let mix = Mix { nic, start_ns: WallNs(start_ns), interval_ns, rx: figures, tx: figures, kernel };
            let frame = Frame {
                session: SessionId::new(1), first_seq: Seq(1), last_seq: Seq(1), gap: 0,
                samples: sample.pieces().collect(), mixes: mix.pieces().collect(), talkers: vec![] };
            let of_talkers = Frame {
                samples: vec![], mixes: vec![], talkers: talkers(start_ns, interval_ns, figure).pieces().collect(), ..frame.clone()
            };
            let in_frames = |record: &Talkers| Frame { talkers: vec![record.clone()], ..of_talkers.clone() };
            for frame in of_talkers.talkers.iter().map(in_frames) {
                let encoded = codec::encode_frame(&frame).unwrap();
                prop_assert_eq!(codec::decode(&encoded), Ok(Received::Frame(frame)));
            }
            let spans = |it: &Talkers| (it.start_ns, it.interval_ns);
            let of_samples: Vec<_> = frame.samples.iter().map(|it| (it.start_ns, it.interval_ns)).collect();
            prop_assert_eq!(of_talkers.talkers.iter().map(spans).collect::<Vec<_>>(), of_samples);
            prop_assert_eq!(of_talkers.talkers[0].rx.total_bytes, frame.samples[0].rx.bytes);
            prop_assert_eq!(of_talkers.beyond_any_link(), None);
            let encoded = codec::encode_frame(&frame).unwrap();
            prop_assert_eq!(codec::decode(&encoded), Ok(Received::Frame(frame.clone())));
            let covered: u64 = frame.samples.iter().map(|it| it.interval_ns).sum();
            prop_assert_eq!(covered, interval_ns.clamp(1, PIECES_MAX * INTERVAL_MAX_NS));
            let bytes: Bytes = frame.samples.iter().map(|it| it.rx.bytes).sum();
            prop_assert_eq!(bytes, Bytes(figure.min(FIGURE_MAX)));
            prop_assert_eq!(frame.beyond_any_link(), None);
            prop_assert!(!frame.clone().samples.iter_mut().any(Sample::leave_out_nonsense));
            prop_assert!(!frame.clone().mixes.iter_mut().any(Mix::leave_out_nonsense));
        }
    }
}
