//! From sampled intervals to numbered frames: a report has several intervals, and is split by NIC
//! if it doesn't fit a datagram.

use std::collections::BTreeMap;

use wire::codec::frame_len;
use wire::frame::{Frame, Mix, SAMPLES_MAX, Sample};
use wire::id::{NicName, SessionId};
use wire::{Seq, WallNs};

/// Longest frame that is sent as a datagram, bytes. QUIC starts with packets of 1,200 bytes
/// (RFC 9000, section 14) of which a datagram leaves about 40 to headers and tags.
pub const FRAME_LEN: usize = 1150;

/// Collects intervals into the frames of one session.
#[derive(Debug)]
pub struct Framer {
    session: SessionId,
    last_seq: Seq,
    /// Length of a report, nanoseconds.
    report_ns: u64,
    /// When the report that is being collected is due, nanoseconds since 1970.
    due_ns: Option<WallNs>,
    samples: Vec<Sample>,
    mixes: Vec<Mix>,
}

impl Framer {
    /// Starts a session, of which `last_seq` records are made already. A report covers
    /// `report_ns` nanoseconds.
    #[must_use]
    pub const fn new(session: SessionId, last_seq: Seq, report_ns: u64) -> Self {
        Self { session, last_seq, report_ns, due_ns: None, samples: Vec::new(), mixes: Vec::new() }
    }

    /// The session continues under a new id, with numbers lower by `lowered`.
    pub const fn go_on_as(&mut self, session: SessionId, lowered: u64) {
        self.session = session;
        self.last_seq = self.last_seq.saturating_sub(lowered);
    }

    /// Adds one interval of all NICs. Returns the report's frames once it is complete.
    pub fn add(&mut self, samples: Vec<Sample>, mixes: Vec<Mix>) -> Vec<Frame> {
        let start = samples.iter().map(|sample| sample.start_ns).min();
        let end = samples.iter().map(|it| it.start_ns.saturating_add(it.interval_ns)).max();
        self.samples.extend(samples.into_iter().flat_map(Sample::pieces));
        self.mixes.extend(mixes.into_iter().flat_map(Mix::pieces));
        let (Some(start), Some(end)) = (start, end) else { return Vec::new() };
        let full = start.saturating_add(self.report_ns);
        let due = *self.due_ns.get_or_insert(full);
        // If the clock was stepped back, the report must not grow beyond its length.
        let stepped_back = full < due;
        if end >= due || stepped_back || self.samples.len() >= SAMPLES_MAX / 2 {
            self.finish()
        } else {
            Vec::new()
        }
    }

    /// The frames of what has been collected so far.
    pub fn finish(&mut self) -> Vec<Frame> {
        self.due_ns = None;
        let samples = std::mem::take(&mut self.samples);
        let mixes = std::mem::take(&mut self.mixes);
        let mut by_nic: BTreeMap<NicName, (Vec<Sample>, Vec<Mix>)> = BTreeMap::new();
        for sample in samples {
            by_nic.entry(sample.nic).or_default().0.push(sample);
        }
        for mix in mixes {
            by_nic.entry(mix.nic).or_default().1.push(mix);
        }
        let mut frames = Vec::new();
        let (mut samples, mut mixes) = (Vec::new(), Vec::new());
        for (nic_samples, nic_mixes) in by_nic.into_values() {
            for sample in nic_samples {
                if frame_len(samples.len() + 1, mixes.len()) > FRAME_LEN {
                    frames.push(self.frame(&mut samples, &mut mixes));
                }
                samples.push(sample);
            }
            for mix in nic_mixes {
                if frame_len(samples.len(), mixes.len() + 1) > FRAME_LEN {
                    frames.push(self.frame(&mut samples, &mut mixes));
                }
                mixes.push(mix);
            }
        }
        if !samples.is_empty() || !mixes.is_empty() {
            frames.push(self.frame(&mut samples, &mut mixes));
        }
        frames
    }

    fn frame(&mut self, samples: &mut Vec<Sample>, mixes: &mut Vec<Mix>) -> Frame {
        self.last_seq += 1;
        Frame {
            session: self.session,
            first_seq: self.last_seq,
            last_seq: self.last_seq,
            gap: 0,
            samples: std::mem::take(samples),
            mixes: std::mem::take(mixes),
            talkers: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn interval(n: u64, nics: usize) -> Vec<Sample> {
        (0..nics)
            .map(|nic| Sample {
                nic: NicName::new(&format!("eth{nic}")).unwrap(),
                start_ns: WallNs(n * 500 * MS),
                interval_ns: 500 * MS,
                ..Sample::default()
            })
            .collect()
    }

    #[test]
    fn a_report_holds_the_intervals_of_its_time() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        assert_eq!(framer.add(interval(0, 1), vec![]), []);
        let frames = framer.add(interval(1, 1), vec![]);
        assert_eq!(frames.len(), 1);
        assert_eq!(
            (frames[0].session.get(), frames[0].first_seq, frames[0].samples.len()),
            (7, Seq(1), 2)
        );
        assert_eq!(framer.add(interval(2, 1), vec![]), []);
        assert_eq!(framer.finish()[0].first_seq, Seq(2));
        assert_eq!(framer.finish(), []);
    }

    #[test]
    fn what_fits_no_datagram_is_split_and_nothing_is_lost() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 500 * MS);
        let mix = |n: usize| Mix {
            nic: NicName::new(&format!("eth{n}")).unwrap(),
            start_ns: WallNs(0),
            interval_ns: 10_000 * MS,
            ..Mix::default()
        };
        let frames = framer.add(interval(0, 100), (0..100).map(mix).collect());
        assert!(frames.len() > 30);
        for (n, frame) in (1..).zip(&frames) {
            assert_eq!((frame.first_seq, frame.last_seq), (Seq(n), Seq(n)));
            assert!(wire::codec::encode_frame(frame).unwrap().len() <= FRAME_LEN);
        }
        assert_eq!(frames.iter().map(|frame| frame.samples.len()).sum::<usize>(), 100);
        assert_eq!(frames.iter().map(|frame| frame.mixes.len()).sum::<usize>(), 100);
    }

    #[test]
    fn a_host_that_slept_for_days_makes_records_that_can_be_read_back() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        let hours = 3_600_000 * MS;
        let mut slept = interval(4, 3);
        slept.iter_mut().for_each(|sample| sample.interval_ns = 100 * hours);
        let mix = Mix { nic: slept[0].nic, interval_ns: 100 * hours, ..Mix::default() };
        let frames = framer.add(slept, vec![mix]);
        assert!(frames.iter().all(|frame| frame.check().is_ok()));
        let lengths = frames.iter().flat_map(|frame| &frame.samples).map(|it| it.interval_ns);
        assert_eq!(lengths.sum::<u64>(), 3 * 100 * hours, "the samples cover all of the time");
    }

    #[test]
    fn a_clock_stepped_back_holds_no_report() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        assert_eq!(framer.add(interval(100, 1), vec![]), []);
        assert_eq!(framer.add(interval(10, 1), vec![]).len(), 1);
    }
}
