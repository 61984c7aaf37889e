//! Tests of coarsening.

use proptest::prelude::*;
use wire::frame::Counts;
use wire::id::SessionId;
use wire::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner};

use super::*;
use wire::{Bytes, Packets, Seq};

const HALF_SECOND: u64 = 500_000_000;

fn frames(count: u64) -> Vec<Frame> {
    let sample = |n: u64, nic| Sample {
        nic: NicName::new(nic).unwrap(),
        start_ns: WallNs(n * HALF_SECOND),
        interval_ns: HALF_SECOND,
        rx: Counts { bytes: Bytes(n), packets: Packets(1), peak_1ms_bytes: 5, ..Counts::default() },
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
            Sample { nic, start_ns: WallNs(start_ns), interval_ns, rx, flags, ..Sample::default() }
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

/// Minutes of one NIC: bytes per talker, of which a record lists the largest `listed`. Each has an
/// address that is its place.
#[derive(Debug, Clone)]
struct Minutes {
    truth: Vec<[u64; 12]>,
    listed: usize,
    missed: u64,
}

fn key(n: usize) -> TalkerKey {
    let address = [u8::try_from(n + 1).unwrap(); 16];
    TalkerKey { address, ..TalkerKey::default() }
}

impl Minutes {
    fn any() -> impl Strategy<Value = Self> {
        let minute = prop::array::uniform12(0..5000_u64);
        (prop::collection::vec(minute, 1..6), 0..12_usize, 0..50_u64)
            .prop_map(|(truth, listed, missed)| Self { truth, listed, missed })
    }

    /// The list of a minute, in which each talker lacks up to `missed` bytes.
    fn list(&self, minute: usize) -> TalkerList {
        let mut talkers: Vec<Talker> = self.truth[minute]
            .iter()
            .enumerate()
            .map(|(n, bytes)| Talker {
                key: key(n),
                bytes: Bytes(bytes.saturating_sub(self.missed)),
                owner: 1,
                ..Talker::default()
            })
            .collect();
        talkers.sort_by_key(|it| std::cmp::Reverse(it.bytes));
        let largest = talkers.get(self.listed).map_or(Bytes(0), |it| it.bytes);
        talkers.truncate(self.listed);
        TalkerList {
            total_bytes: Bytes(self.truth[minute].iter().sum()),
            error_bytes: Bytes(self.missed),
            unlisted_bytes: largest + Bytes(self.missed),
            talkers,
            ..TalkerList::default()
        }
    }

    /// Frames as they are made: a report every five seconds, and the records of the minute after its last
    /// report, or after the first of the next minute if they are `late`.
    fn frames(&self, late: bool) -> Vec<Frame> {
        let nic = NicName::new("eth0").unwrap();
        let mut frames = Vec::new();
        for (minute, truth) in self.truth.iter().enumerate() {
            let start_ns = WallNs(minute as u64 * 60_000_000_000);
            let part = |n: u64| Sample {
                nic,
                start_ns: start_ns + n * 5_000_000_000,
                interval_ns: 5_000_000_000,
                rx: Counts {
                    bytes: Bytes(if n == 7 { truth.iter().sum() } else { 0 }),
                    ..Counts::default()
                },
                ..Sample::default()
            };
            let record = |kind: TalkersKind, start_ns, interval_ns| Talkers {
                nic,
                kind: kind as u8,
                start_ns,
                interval_ns,
                rx: self.list(minute),
                owners: vec![TalkerOwner { name: "web.service".into(), ..Default::default() }],
                ..Talkers::default()
            };
            let peak = part(7);
            let moment = record(TalkersKind::Moment, peak.start_ns, peak.interval_ns);
            let of_minute = record(TalkersKind::Minute, start_ns, 60_000_000_000);
            let parts = if late { u64::from(start_ns > WallNs(0))..13 } else { 0..12 };
            let parts = parts.map(|n| (vec![part(n)], vec![]));
            let records = [moment, of_minute].map(|it| (vec![], vec![it]));
            for (samples, talkers) in parts.chain(records) {
                let seq = Seq(frames.len() as u64 + 1);
                let (session, gap, mixes) = (SessionId::new(1), 0, vec![]);
                frames.push(Frame {
                    session,
                    first_seq: seq,
                    last_seq: seq,
                    gap,
                    samples,
                    mixes,
                    talkers,
                });
            }
        }
        frames
    }

    /// Asserts that records say nothing false of the minutes that they cover. Gives the bytes of all.
    fn assert_true(&self, frames: &[Frame]) -> u64 {
        let records = frames.iter().flat_map(|frame| &frame.talkers);
        let mut all = 0;
        for record in records.filter(|it| it.kind == TalkersKind::Minute as u8) {
            let minute = |ns: u64| usize::try_from(ns / 60_000_000_000).unwrap();
            let first = minute(record.start_ns.get());
            let covered = &self.truth[first..first + minute(record.interval_ns)];
            let truth = |n: usize| Bytes(covered.iter().map(|minute| minute[n]).sum());
            let list = &record.rx;
            assert_eq!(list.total_bytes, (0..12).map(truth).sum());
            all += list.total_bytes.get();
            for n in 0..12 {
                match list.talkers.iter().find(|it| it.key == key(n)) {
                    Some(it) => {
                        assert!(it.bytes <= truth(n) && truth(n) <= it.bytes + list.error_bytes);
                        assert_eq!(record.owners[usize::from(it.owner) - 1].name, "web.service");
                    }
                    None => assert!(truth(n) <= list.unlisted_bytes, "{list:?}"),
                }
            }
        }
        all
    }
}

proptest! {
    #[test]
    fn coarser_records_of_talkers_keep_their_totals_and_say_nothing_false(
        minutes in Minutes::any(),
        late in any::<bool>(),
    ) {
        let mut frames = minutes.frames(late);
        let (last, sum) = (frames.len() as u64, bytes(&frames));
        prop_assert_eq!(minutes.assert_true(&frames), sum.get());
        for (level, count, most) in [
            (Coarseness::TenSeconds, 6, TALKERS_MAX),
            (Coarseness::Minute, 1, 4),
        ] {
            frames = coarsen(frames, level);
            assert_tiles(&frames, last);
            let count = minutes.truth.len() * count + usize::from(late);
            prop_assert_eq!(frames.len(), count, "a record with samples");
            prop_assert_eq!(minutes.assert_true(&frames), sum.get());
            let records: Vec<_> = frames.iter().flat_map(|frame| &frame.talkers).collect();
            prop_assert_eq!(records.len(), minutes.truth.len());
            prop_assert!(records.iter().all(|it| it.rx.talkers.len() <= most));
        }
        frames = coarsen(frames, Coarseness::Gap);
        assert_tiles(&frames, last);
        prop_assert_eq!(bytes(&frames), sum);
        prop_assert!(frames.iter().all(|frame| frame.talkers.is_empty()));
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
