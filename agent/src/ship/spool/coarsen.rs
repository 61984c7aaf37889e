//! Coarsening in a full spool: the oldest records lose resolution, never totals.

use std::collections::BTreeMap;

use wire::WallNs;
use wire::frame::{Frame, Gap, Mix, Sample};
use wire::id::NicName;
use wire::talkers::{TALKERS_MAX, Talkers, TalkersKind};

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

    /// The most talkers that a list of the level has. Samples of a minute need little room, and
    /// longer lists would shorten the time for which there is room.
    const fn talkers_max(self) -> usize {
        match self {
            Self::Exact | Self::TenSeconds => TALKERS_MAX,
            Self::Minute => 4,
            Self::Gap => 0,
        }
    }
}

/// Makes consecutive records of one session coarser: records whose samples begin in the same
/// interval of the level become one, which covers all their sequence numbers. Gaps of different
/// reasons stay apart, from each other and from what is none; so does what would not fit a record.
///
/// Talkers of minutes stay, in shorter lists, up to samples of a minute. Those of a single sample go
/// with it. A gap names nobody.
#[must_use]
pub fn coarsen(frames: Vec<Frame>, level: Coarseness) -> Vec<Frame> {
    let mut coarse: Vec<Frame> = Vec::new();
    let mut group = None;
    for mut frame in frames {
        if level == Coarseness::Gap && frame.gap == 0 {
            become_gap(&mut frame, Gap::SpoolFull);
        }
        frame.talkers.retain(|record| record.kind != TalkersKind::Moment as u8);
        let of_frame = time_of(&frame).map(|time| time / level.interval_ns());
        // A frame without samples merges with its neighbour: talkers come while the next ones do.
        if let Some(last) = coarse.last_mut()
            && last.gap == frame.gap
            && (of_frame.is_none() || group.is_none() || of_frame == group)
            && let Some(both) = absorbed(last, &frame, level)
        {
            *last = both;
            group = group.or(of_frame);
        } else {
            group = of_frame;
            let none = Frame { samples: vec![], mixes: vec![], talkers: vec![], ..frame };
            coarse.push(absorbed(&none, &frame, level).unwrap_or(frame));
        }
    }
    coarse
}

/// When a frame's samples begin.
fn time_of(frame: &Frame) -> Option<WallNs> {
    frame.samples.iter().map(|sample| sample.start_ns).min()
}

/// Replaces a frame by a gap with its exact counts.
pub(super) fn become_gap(frame: &mut Frame, reason: Gap) {
    frame.gap = reason as u8;
    frame.mixes.clear();
    frame.talkers.clear();
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

/// Merges a frame with the next, with one sample, one mix and one record of talkers per NIC; `None` if
/// the result would be invalid.
fn absorbed(before: &Frame, frame: &Frame, level: Coarseness) -> Option<Frame> {
    let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
    for sample in before.samples.iter().chain(&frame.samples) {
        samples.entry(sample.nic).and_modify(|sum| sum.merge(sample)).or_insert(*sample);
    }
    let mut mixes: BTreeMap<NicName, Mix> = BTreeMap::new();
    for mix in before.mixes.iter().chain(&frame.mixes) {
        mixes.entry(mix.nic).and_modify(|sum| sum.merge(mix)).or_insert(*mix);
    }
    let mut talkers: BTreeMap<NicName, Talkers> = BTreeMap::new();
    for record in before.talkers.iter().chain(&frame.talkers) {
        let same = talkers.entry(record.nic);
        same.and_modify(|sum| sum.merge(record)).or_insert_with(|| record.clone());
    }
    talkers.values_mut().for_each(|record| record.shorten(level.talkers_max()));
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
mod tests;
