//! From sampled intervals to numbered frames: a report has several intervals, and is split by NIC
//! if it doesn't fit a datagram.

use std::collections::BTreeMap;

use wire::codec::frame_len;
use wire::frame::{Frame, Mix, SAMPLES_MAX, Sample};
use wire::id::{NicName, SessionId};
use wire::talkers::Talkers;
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
    talkers: Vec<Talkers>,
}

impl Framer {
    /// Starts a session, of which `last_seq` records are made already. A report covers
    /// `report_ns` nanoseconds.
    #[must_use]
    pub const fn new(session: SessionId, last_seq: Seq, report_ns: u64) -> Self {
        Self {
            session,
            last_seq,
            report_ns,
            due_ns: None,
            samples: Vec::new(),
            mixes: Vec::new(),
            talkers: Vec::new(),
        }
    }

    /// The session continues under a new id, with numbers lower by `lowered`.
    pub const fn go_on_as(&mut self, session: SessionId, lowered: u64) {
        self.session = session;
        self.last_seq = self.last_seq.saturating_sub(lowered);
    }

    /// Adds records of talkers to the report. Each gets a frame of its own, because the rest of the
    /// report must fit datagrams, and a record with many long names doesn't.
    pub fn add_talkers(&mut self, records: impl IntoIterator<Item = Talkers>) {
        self.talkers.extend(records.into_iter().flat_map(Talkers::pieces));
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
        let most = self.samples.len().max(self.talkers.len());
        if end >= due || stepped_back || most >= SAMPLES_MAX / 2 {
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
                    frames.push(self.frame(&mut samples, &mut mixes, vec![]));
                }
                samples.push(sample);
            }
            for mix in nic_mixes {
                if frame_len(samples.len(), mixes.len() + 1) > FRAME_LEN {
                    frames.push(self.frame(&mut samples, &mut mixes, vec![]));
                }
                mixes.push(mix);
            }
        }
        if !samples.is_empty() || !mixes.is_empty() {
            frames.push(self.frame(&mut samples, &mut mixes, vec![]));
        }
        for record in std::mem::take(&mut self.talkers) {
            frames.push(self.frame(&mut samples, &mut mixes, vec![record]));
        }
        frames
    }

    fn frame(
        &mut self,
        samples: &mut Vec<Sample>,
        mixes: &mut Vec<Mix>,
        talkers: Vec<Talkers>,
    ) -> Frame {
        self.last_seq += 1;
        Frame {
            session: self.session,
            first_seq: self.last_seq,
            last_seq: self.last_seq,
            gap: 0,
            samples: std::mem::take(samples),
            mixes: std::mem::take(mixes),
            talkers,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner, address_bytes};
    use wire::{Bytes, Packets};

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

    /// A minute with 16 talkers per direction, of six services.
    fn minute(nic: &str) -> Talkers {
        let talkers: Vec<Talker> = (1..=16)
            .map(|n: u8| Talker {
                key: TalkerKey {
                    protocol: 6,
                    port: 443 + u16::from(n),
                    address: address_bytes([198, 51, 100, n].into()),
                    ..TalkerKey::default()
                },
                bytes: Bytes(200_000_000 / u64::from(n)),
                packets: Packets(150_000 / u64::from(n)),
                owner: u16::from(n % 6) + 1,
            })
            .collect();
        let list = TalkerList {
            total_bytes: Bytes(1_000_000_000),
            total_packets: Packets(900_000),
            error_bytes: Bytes(4096),
            unlisted_bytes: Bytes(12_500_000),
            distinct: 5000,
            distinct_error: 80,
            talkers,
        };
        let owner = |n: u8| TalkerOwner {
            name: format!("server-{n}.service"),
            process: "python3".to_owned(),
            ..TalkerOwner::default()
        };
        Talkers {
            nic: NicName::new(nic).unwrap(),
            start_ns: WallNs(0),
            interval_ns: 60_000 * MS,
            kind: 0,
            rx: list.clone(),
            tx: list,
            owners: (1..=6).map(owner).collect(),
        }
    }

    #[test]
    fn records_of_talkers_have_frames_of_their_own_after_their_report() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        framer.add_talkers([minute("eth0"), minute("eth1")]);
        assert_eq!(framer.add(interval(0, 2), vec![]), []);
        let frames = framer.add(interval(1, 2), vec![]);
        let numbers: Vec<Seq> = frames.iter().map(|frame| frame.first_seq).collect();
        assert_eq!(numbers, [Seq(1), Seq(2), Seq(3)]);
        assert_eq!((frames[0].samples.len(), frames[0].talkers.len()), (4, 0));
        for (frame, nic) in frames[1..].iter().zip(["eth0", "eth1"]) {
            assert_eq!((frame.samples.len(), &frame.talkers), (0, &vec![minute(nic)]));
        }
        assert_eq!(framer.finish(), []);
    }

    #[test]
    fn a_minute_of_16_talkers_whose_owners_are_known_fits_a_datagram() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        framer.add_talkers([minute("eth0")]);
        let encoded = wire::codec::encode_frame(&framer.finish()[0]).unwrap();
        assert!(encoded.len() <= FRAME_LEN, "{}", encoded.len());
    }

    #[test]
    fn a_host_that_slept_for_days_makes_records_that_can_be_read_back() {
        let mut framer = Framer::new(SessionId::new(7), Seq(0), 1000 * MS);
        let hours = 3_600_000 * MS;
        let mut slept = interval(4, 3);
        slept.iter_mut().for_each(|sample| sample.interval_ns = 100 * hours);
        let mix = Mix { nic: slept[0].nic, interval_ns: 100 * hours, ..Mix::default() };
        framer.add_talkers([Talkers { interval_ns: 100 * hours, ..minute("eth0") }]);
        let frames = framer.add(slept, vec![mix]);
        assert!(frames.iter().all(|frame| frame.check().is_ok()));
        let lengths = frames.iter().flat_map(|frame| &frame.talkers).map(|it| it.interval_ns);
        assert_eq!(lengths.sum::<u64>(), 100 * hours);
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
