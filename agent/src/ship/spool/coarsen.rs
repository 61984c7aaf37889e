//! Coarsening in a full spool: the oldest records lose resolution, never totals.

use std::collections::BTreeMap;

use wire::frame::{Frame, Gap, Mix, Sample};
use wire::id::NicName;
use wire::talkers::Talkers;

/// Resolution of a record. Each level is made from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Coarseness {
    /// As it was made.
    Exact = 0,
    /// Samples of 10 s.
    TenSeconds = 1,
    /// Samples of one minute.
    Minute = 2,
    /// A gap with exact counts, of a day at most.
    Gap = 3,
}

impl Coarseness {
    /// All levels that can be made coarser, finest first.
    pub const COARSENABLE: [Self; 4] = [Self::Exact, Self::TenSeconds, Self::Minute, Self::Gap];

    /// The level that records of this one are made into.
    #[must_use]
    pub const fn coarser(self) -> Self {
        match self {
            Self::Exact => Self::TenSeconds,
            Self::TenSeconds => Self::Minute,
            Self::Minute | Self::Gap => Self::Gap,
        }
    }

    /// The level of a number, the coarsest if there is none.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Exact,
            1 => Self::TenSeconds,
            2 => Self::Minute,
            _ => Self::Gap,
        }
    }

    /// Length of the intervals of a level, nanoseconds.
    const fn interval_ns(self) -> u64 {
        match self {
            Self::Exact => 1,
            Self::TenSeconds => 10_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Gap => wire::frame::INTERVAL_MAX_NS / 2,
        }
    }
}

/// Makes consecutive records of one session coarser: records whose samples begin in the same
/// interval of the level become one, which covers all their sequence numbers. Gaps of different
/// reasons stay apart, from each other and from what is none; so does what would not fit a record.
#[must_use]
pub fn coarsen(frames: Vec<Frame>, level: Coarseness) -> Vec<Frame> {
    let mut coarse: Vec<Frame> = Vec::new();
    let mut group = None;
    for mut frame in frames {
        if level == Coarseness::Gap && frame.gap == 0 {
            frame.gap = Gap::SpoolFull as u8;
            frame.mixes.clear();
            frame.talkers.clear();
        }
        let start = frame.samples.iter().map(|sample| sample.start_ns).min();
        let of_frame = start.map(|start| start / level.interval_ns());
        // A frame without samples merges with its neighbour.
        if let Some(last) = coarse.last_mut()
            && last.gap == frame.gap
            && (of_frame.is_none() || of_frame == group)
            && let Some(both) = absorbed(last, &frame)
        {
            *last = both;
        } else {
            group = of_frame;
            let none = Frame { samples: vec![], mixes: vec![], talkers: vec![], ..frame };
            coarse.push(absorbed(&none, &frame).unwrap_or(frame));
        }
    }
    coarse
}

/// Makes records that wait in memory for an unwritable spool coarser, so that they stay few:
/// half of them, the older ones, by the finest level that takes effect.
#[must_use]
pub fn coarsen_pending(mut frames: Vec<Frame>) -> std::collections::VecDeque<Frame> {
    let newer = frames.split_off(frames.len() / 2);
    let few = frames.len() / 2;
    for level in [Coarseness::TenSeconds, Coarseness::Minute, Coarseness::Gap] {
        frames = coarsen(frames, level);
        if frames.len() <= few {
            break;
        }
    }
    frames.into_iter().chain(newer).collect()
}

/// Merges a frame with the next, with one sample, one mix and one record of talkers of each kind per
/// NIC; `None` if the result would be
/// invalid.
fn absorbed(before: &Frame, frame: &Frame) -> Option<Frame> {
    let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
    for sample in before.samples.iter().chain(&frame.samples) {
        samples.entry(sample.nic).and_modify(|sum| sum.merge(sample)).or_insert(*sample);
    }
    let mut mixes: BTreeMap<NicName, Mix> = BTreeMap::new();
    for mix in before.mixes.iter().chain(&frame.mixes) {
        mixes.entry(mix.nic).and_modify(|sum| sum.merge(mix)).or_insert(*mix);
    }
    let mut talkers: BTreeMap<(NicName, u8), Talkers> = BTreeMap::new();
    for record in before.talkers.iter().chain(&frame.talkers) {
        let same = talkers.entry((record.nic, record.kind));
        same.and_modify(|sum| sum.merge(record)).or_insert_with(|| record.clone());
    }
    let samples = samples.into_values().collect();
    let both = Frame {
        last_seq: frame.last_seq,
        samples,
        mixes: mixes.into_values().collect(),
        talkers: talkers.into_values().collect(),
        ..*before
    };
    both.check().is_ok().then_some(both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::frame::Counts;
    use wire::id::SessionId;

    use super::*;
    use wire::{Bytes, Packets, Seq, WallNs};

    const HALF_SECOND: u64 = 500_000_000;

    fn frames(count: u64) -> Vec<Frame> {
        let sample = |n: u64, nic| Sample {
            nic: NicName::new(nic).unwrap(),
            start_ns: WallNs(n * HALF_SECOND),
            interval_ns: HALF_SECOND,
            rx: Counts {
                bytes: Bytes(n),
                packets: Packets(1),
                peak_1ms_bytes: 5,
                ..Counts::default()
            },
            ..Sample::default()
        };
        (0..count)
            .map(|n| Frame {
                session: SessionId::new(1),
                first_seq: Seq(n + 1),
                last_seq: Seq(n + 1),
                gap: 0,
                samples: vec![sample(n, "eth0"), sample(n, "eth1")],
                mixes: vec![],
                talkers: vec![],
            })
            .collect()
    }

    fn bytes(frames: &[Frame]) -> Bytes {
        frames.iter().flat_map(|frame| &frame.samples).map(|sample| sample.rx.bytes).sum()
    }

    fn assert_tiles(frames: &[Frame], last: u64) {
        let mut next = Seq::FIRST;
        for frame in frames {
            assert_eq!(frame.first_seq, next);
            assert_eq!(frame.check(), Ok(()));
            next = frame.last_seq + 1;
        }
        assert_eq!(next, Seq(last + 1));
    }

    #[test]
    fn each_level_tiles_the_same_numbers_and_conserves_the_sums() {
        let exact = frames(1000);
        let (sum, ten) = (bytes(&exact), coarsen(exact, Coarseness::TenSeconds));
        assert_eq!((ten.len(), bytes(&ten)), (50, sum));
        assert_tiles(&ten, 1000);
        assert_eq!((ten[0].samples.len(), ten[0].samples[0].interval_ns), (2, 10_000_000_000));
        let minute = coarsen(ten, Coarseness::Minute);
        assert_eq!((minute.len(), bytes(&minute)), (9, sum));
        assert_tiles(&minute, 1000);
        let gap = coarsen(minute, Coarseness::Gap);
        assert_eq!((gap.len(), bytes(&gap), gap[0].gap), (1, sum, Gap::SpoolFull as u8));
        assert_tiles(&gap, 1000);
    }

    #[test]
    fn what_waits_in_memory_becomes_fewer_and_keeps_its_sums() {
        let exact = frames(1000);
        let sum = bytes(&exact);
        let fewer: Vec<Frame> = coarsen_pending(exact).into();
        assert_eq!((fewer.len(), bytes(&fewer)), (525, sum));
        assert_tiles(&fewer, 1000);
    }

    /// Any samples that can be in a record: of some NICs, at any times, of any length allowed.
    fn any_frames() -> impl Strategy<Value = Vec<Frame>> {
        let hour = 3_600_000_000_000_u64;
        let time = prop_oneof![0..48 * hour, 0..HALF_SECOND, Just(20 * 8766 * hour)];
        let length = prop_oneof![Just(HALF_SECOND), 1..=24 * hour];
        let sample =
            (time, length, 0..3_u8, 0..2_u32).prop_map(|(start_ns, interval_ns, nic, step)| {
                let rx = Counts { bytes: Bytes(1), ..Counts::default() };
                let nic = NicName::new(&format!("eth{nic}")).unwrap();
                let flags = step * wire::frame::flags::CLOCK_STEP;
                Sample {
                    nic,
                    start_ns: WallNs(start_ns),
                    interval_ns,
                    rx,
                    flags,
                    ..Sample::default()
                }
            });
        let samples = prop::collection::vec(sample, 0..6);
        prop::collection::vec((samples, 0..2_u8), 1..30).prop_map(|frames| {
            let frame = |(seq, (samples, gap)): (u64, (Vec<Sample>, u8))| {
                let mix = |it: &Sample| Mix {
                    nic: it.nic,
                    start_ns: it.start_ns,
                    interval_ns: it.interval_ns,
                    ..Mix::default()
                };
                let mixes = samples.iter().map(mix).collect();
                Frame {
                    session: SessionId::new(1),
                    first_seq: Seq(seq),
                    last_seq: Seq(seq),
                    gap,
                    samples,
                    mixes,
                    talkers: vec![],
                }
            };
            (1..).zip(frames).map(frame).collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_is_coarsened_can_be_read_back_and_keeps_its_sums(mut frames in any_frames()) {
            let (sum, last) = (bytes(&frames), frames.len() as u64);
            for level in [Coarseness::TenSeconds, Coarseness::Minute, Coarseness::Gap, Coarseness::Gap] {
                frames = coarsen(frames, level);
                assert_tiles(&frames, last);
                prop_assert_eq!(bytes(&frames), sum);
            }
        }
    }

    #[test]
    fn more_nics_than_a_record_holds_stay_in_records_of_their_own() {
        let nics = wire::frame::SAMPLES_MAX as u64;
        let frame = |seq: u64| Frame {
            session: SessionId::new(1),
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples: frames(1)[0].samples[..1]
                .iter()
                .map(|it| Sample {
                    nic: NicName::new(&format!("v{}", seq % (2 * nics))).unwrap(),
                    ..*it
                })
                .collect(),
            mixes: vec![],
            talkers: vec![],
        };
        let coarse = coarsen((1..=2 * nics).map(frame).collect(), Coarseness::Gap);
        assert_eq!(coarse.len(), 2);
        assert_tiles(&coarse, 2 * nics);
    }

    #[test]
    fn a_gap_never_covers_more_than_a_frame_may() {
        let days = frames(5 * 86_400).into_iter().step_by(600).zip(1..).map(|(frame, seq)| Frame {
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            ..frame
        });
        let gaps = coarsen(days.collect(), Coarseness::Gap);
        assert!(gaps.len() > 1);
        assert!(gaps.iter().all(|gap| gap.check().is_ok()));
    }
}
