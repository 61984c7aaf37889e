//! Turns a batch into rows, ledgers and cursors; rollups follow from the rows. Pure: every store writes
//! the same.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use wire::frame::{Frame, Gap, Mix, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::talkers::Talkers;
use wire::{Bytes, Packets};

use crate::store::rows::batch::{Batch, SessionBatch};
use crate::store::rows::near::Near;
use crate::store::rows::nics::{Excess, TOO_MANY};

/// Index of a NIC in [`BatchRows::nics`].
pub type NicIndex = usize;

/// Everything that a batch adds to a store.
#[derive(Debug, Default)]
pub struct BatchRows<'a> {
    /// The NICs of the rows; rows refer to them by index.
    pub nics: Vec<(&'a ClientId, NicName)>,
    /// Rows of `bandwidth_stats`, grouped by NIC.
    pub samples: Vec<(NicIndex, &'a Sample)>,
    /// Rows of `traffic_mix`.
    pub mixes: Vec<(NicIndex, &'a Mix)>,
    /// Records of `talkers`, two rows each.
    pub talkers: Vec<(NicIndex, &'a Talkers)>,
    /// Rows of `gaps`.
    pub gaps: Vec<GapRow<'a>>,
    /// Additions to `session_nics`, each row once.
    pub ledgers: Vec<Ledger>,
    /// Rows of `quarantine` with their reasons: a frame, or what it has of NICs beyond the limit.
    pub quarantine: Vec<(Cow<'a, Frame>, &'a str)>,
    /// The advance of each session.
    pub cursors: Vec<Cursor<'a>>,
}

/// Sequence numbers without samples, for one NIC.
#[derive(Debug)]
pub struct GapRow<'a> {
    /// The gap.
    pub frame: &'a Frame,
    /// The reason, a number of [`Gap`].
    pub reason: u8,
    /// The NIC and its exact counts. `None` without a known NIC.
    pub sample: Option<(NicIndex, &'a Sample)>,
}

/// The sums of a session's samples on one NIC, and the totals that the agent kept itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The session.
    pub session: SessionId,
    /// The NIC.
    pub nic: NicIndex,
    /// The agent's totals before the first of these samples.
    pub first: Figures,
    /// The agent's totals after the last of these samples.
    pub last: Figures,
    /// The sums of the samples and gaps themselves.
    pub counted: Figures,
}

/// The figures whose conservation is proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes received.
    pub rx_bytes: Bytes,
    /// Bytes transmitted.
    pub tx_bytes: Bytes,
    /// Packets received.
    pub rx_packets: Packets,
    /// Packets transmitted.
    pub tx_packets: Packets,
}

/// The advance of a session, and the records that cover its numbers.
#[derive(Debug)]
pub struct Cursor<'a> {
    /// The session's part of the batch.
    pub session: &'a SessionBatch,
    /// Sequence numbers covered by its frames, of any kind.
    pub covered: u64,
    /// Those covered by gaps.
    pub gaps: u64,
    /// Those covered by frames in quarantine.
    pub quarantined: u64,
}

impl<'a> BatchRows<'a> {
    /// Everything that `batch` adds.
    #[must_use]
    pub fn of(batch: &'a Batch) -> Self {
        Self::without(batch, Excess::new())
    }

    /// Everything that `batch` adds if the store accepts no rows of some NICs, which go to quarantine.
    #[must_use]
    pub fn without(batch: &'a Batch, excess: Excess<'a>) -> Self {
        let mut builder = Builder { near: batch.near, excess, ..Builder::default() };
        batch.sessions.iter().for_each(|session| builder.add(session, batch));
        builder.finish()
    }
}

/// Sessions whose frames are not contiguous after the expected number: they can't be at the batch's
/// position.
#[must_use]
pub fn untiled(batch: &Batch) -> Vec<SessionId> {
    let tiles = |session: &&Arc<SessionBatch>| {
        let mut next = session.expected + 1;
        !session.frames.iter().all(|frame| {
            let follows = frame.session == session.session && frame.first_seq == next;
            next = frame.last_seq.saturating_add(1);
            follows && frame.first_seq <= frame.last_seq
        })
    };
    batch.sessions.iter().filter(tiles).map(|session| session.session).collect()
}

/// Number of sequence numbers that a frame covers.
#[must_use]
pub fn length(frame: &Frame) -> u64 {
    frame.last_seq - frame.first_seq + 1
}

#[derive(Debug, Default)]
struct Builder<'a> {
    facts: BatchRows<'a>,
    near: Near,
    excess: Excess<'a>,
    places: HashMap<(&'a ClientId, NicName), NicIndex>,
}

/// The running totals of a session's NIC, over consecutive samples.
#[derive(Debug)]
struct Running {
    nic: NicIndex,
    ledger: Option<Ledger>,
}

impl<'a> Builder<'a> {
    fn add(&mut self, session: &'a SessionBatch, batch: &'a Batch) {
        let (mut gaps, mut quarantined) = (0, 0);
        let mut running = HashMap::new();
        for frame in &session.frames {
            if let Some(why) = batch.refusal(frame) {
                quarantined += length(frame);
                self.facts.quarantine.push((Cow::Borrowed(frame), why));
            } else {
                if let Some(excess) = self.excess_of(&session.client, frame) {
                    quarantined += length(frame);
                    self.facts.quarantine.push((Cow::Owned(excess), TOO_MANY));
                }
                let rows = self.facts.gaps.len();
                self.add_frame(&session.client, frame, &mut running);
                gaps += if self.facts.gaps.len() == rows { 0 } else { length(frame) };
            }
        }
        self.facts.ledgers.extend(running.into_values().filter_map(|running| running.ledger));
        let covered = session.frames.iter().map(length).sum();
        self.facts.cursors.push(Cursor { session, covered, gaps, quarantined });
    }

    fn add_frame(
        &mut self,
        client: &'a ClientId,
        frame: &'a Frame,
        running: &mut HashMap<NicName, Running>,
    ) {
        let mut gap = frame.gap != 0;
        for sample in &frame.samples {
            if self.is_excess(client, sample.nic) {
                continue;
            }
            let running = running.entry(sample.nic).or_insert_with(|| {
                let nic = self.nic(client, sample.nic);
                Running { nic, ledger: None }
            });
            running.settle(frame.session, sample);
            let (nic, reason) = (running.nic, frame.gap);
            if reason != 0 {
                gap = false;
                self.facts.gaps.push(GapRow { frame, reason, sample: Some((nic, sample)) });
            } else if self.near.contains(sample.start_ns) {
                self.facts.samples.push((nic, sample));
            } else {
                let reason = Gap::Misdated as u8;
                self.facts.gaps.push(GapRow { frame, reason, sample: Some((nic, sample)) });
            }
        }
        // No NIC is known.
        if gap {
            self.facts.gaps.push(GapRow { frame, reason: frame.gap, sample: None });
        }
        for mix in &frame.mixes {
            if self.near.contains(mix.start_ns) && !self.is_excess(client, mix.nic) {
                let nic = self.nic(client, mix.nic);
                self.facts.mixes.push((nic, mix));
            }
        }
        for record in &frame.talkers {
            if self.near.contains(record.start_ns) && !self.is_excess(client, record.nic) {
                let nic = self.nic(client, record.nic);
                self.facts.talkers.push((nic, record));
            }
        }
    }

    fn is_excess(&self, client: &'a ClientId, nic: NicName) -> bool {
        // Check only if there are any: this runs for every sample.
        !self.excess.is_empty() && self.excess.contains(&(client, nic))
    }

    /// What a frame has of NICs beyond the limit.
    fn excess_of(&self, client: &'a ClientId, frame: &Frame) -> Option<Frame> {
        if self.excess.is_empty() {
            return None;
        }
        let samples = frame.samples.iter().filter(|it| self.is_excess(client, it.nic));
        let mixes = frame.mixes.iter().filter(|it| self.is_excess(client, it.nic));
        let talkers = frame.talkers.iter().filter(|it| self.is_excess(client, it.nic));
        let (samples, mixes): (Vec<_>, Vec<_>) =
            (samples.cloned().collect(), mixes.cloned().collect());
        let talkers: Vec<_> = talkers.cloned().collect();
        let any = !samples.is_empty() || !mixes.is_empty() || !talkers.is_empty();
        any.then_some(Frame { samples, mixes, talkers, ..*frame })
    }

    fn nic(&mut self, client: &'a ClientId, name: NicName) -> NicIndex {
        let nics = &mut self.facts.nics;
        *self.places.entry((client, name)).or_insert_with(|| {
            nics.push((client, name));
            nics.len() - 1
        })
    }

    fn finish(mut self) -> BatchRows<'a> {
        // Neighbours in the index become neighbours in the batch.
        self.facts.samples.sort_by_key(|(nic, _)| *nic);
        self.facts.ledgers.sort_unstable_by_key(|ledger| (ledger.session, ledger.nic));
        self.facts
    }
}

impl Running {
    fn settle(&mut self, session: SessionId, sample: &Sample) {
        let after = Figures {
            rx_bytes: sample.rx.total_bytes,
            tx_bytes: sample.tx.total_bytes,
            rx_packets: sample.rx.total_packets,
            tx_packets: sample.tx.total_packets,
        };
        let own = Figures {
            rx_bytes: sample.rx.bytes,
            tx_bytes: sample.tx.bytes,
            rx_packets: sample.rx.packets,
            tx_packets: sample.tx.packets,
        };
        let before = after.with(own, Bytes::saturating_sub, Packets::saturating_sub);
        let ledger = self.ledger.get_or_insert_with(|| Ledger {
            session,
            nic: self.nic,
            first: before,
            last: after,
            counted: Figures::default(),
        });
        ledger.first = ledger.first.with(before, Bytes::min, Packets::min);
        ledger.last = ledger.last.with(after, Bytes::max, Packets::max);
        ledger.counted = ledger.counted.with(own, Bytes::saturating_add, Packets::saturating_add);
    }
}

impl Figures {
    fn with(
        self,
        other: Self,
        bytes: impl Fn(Bytes, Bytes) -> Bytes,
        packets: impl Fn(Packets, Packets) -> Packets,
    ) -> Self {
        Self {
            rx_bytes: bytes(self.rx_bytes, other.rx_bytes),
            tx_bytes: bytes(self.tx_bytes, other.tx_bytes),
            rx_packets: packets(self.rx_packets, other.rx_packets),
            tx_packets: packets(self.tx_packets, other.tx_packets),
        }
    }

    /// The figures in the order of their columns.
    #[must_use]
    pub const fn to_array(self) -> [u64; 4] {
        [self.rx_bytes.get(), self.tx_bytes.get(), self.rx_packets.get(), self.tx_packets.get()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::epoch::Epoch;
    use wire::frame::Counts;
    use wire::{Seq, WallNs};

    fn sample(start_ns: u64, bytes: u64, total_bytes: u64) -> Sample {
        let rx = Counts {
            bytes: Bytes(bytes),
            packets: Packets(1),
            total_bytes: Bytes(total_bytes),
            total_packets: Packets(9),
            ..Counts::default()
        };
        let nic = NicName::new("eth0").unwrap();
        Sample { nic, start_ns: WallNs(start_ns), interval_ns: 1000, rx, ..Sample::default() }
    }

    fn frame(seq: u64, samples: Vec<Sample>) -> Frame {
        Frame {
            session: SessionId::new(1),
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        }
    }

    fn batch(frames: Vec<Frame>) -> Batch {
        let client = ClientId::new("web").unwrap();
        Batch::new(vec![SessionBatch::new(client, SessionId::new(1), Epoch(1), Seq(0), frames)])
    }

    #[test]
    fn a_gap_counts_in_the_ledger_and_is_no_sample() {
        let mut gap = frame(1, vec![sample(0, 70, 70)]);
        (gap.last_seq, gap.gap) = (Seq(5), Gap::SpoolFull as u8);
        let batch = batch(vec![gap, frame(6, vec![sample(0, 5, 75)])]);
        let facts = BatchRows::of(&batch);
        assert_eq!((facts.samples.len(), facts.gaps.len()), (1, 1));
        let ledger = &facts.ledgers[0];
        let bytes = (ledger.first.rx_bytes, ledger.last.rx_bytes, ledger.counted.rx_bytes);
        assert_eq!(bytes, (Bytes(0), Bytes(75), Bytes(75)));
        let cursor = &facts.cursors[0];
        assert_eq!((cursor.covered, cursor.gaps, cursor.quarantined), (6, 5, 0));
    }

    #[test]
    fn a_refused_frame_goes_to_quarantine_and_is_covered_all_the_same() {
        let mut batch =
            batch(vec![frame(1, vec![sample(0, 1, 1)]), frame(2, vec![sample(0, 1, 2)])]);
        batch.refused.insert((SessionId::new(1), Seq(2)), "why".into());
        let facts = BatchRows::of(&batch);
        assert_eq!((facts.samples.len(), facts.quarantine.len()), (1, 1));
        assert_eq!((facts.cursors[0].covered, facts.cursors[0].quarantined), (2, 1));
    }

    #[test]
    fn rows_of_a_nic_too_many_go_to_quarantine_and_the_other_nics_stay() {
        let pod = NicName::new("veth1").unwrap();
        let other = Sample { nic: pod, ..sample(0, 7, 7) };
        let talkers = ["veth1", "eth0"]
            .map(|nic| Talkers { nic: NicName::new(nic).unwrap(), ..Talkers::default() });
        let first = frame(1, vec![sample(0, 1, 1), other]);
        let batch = batch(vec![
            Frame { talkers: talkers.to_vec(), ..first },
            frame(2, vec![sample(0, 1, 2)]),
            Frame { gap: Gap::SpoolFull as u8, ..frame(3, vec![other]) },
        ]);
        let client = &batch.sessions[0].client;
        let facts = BatchRows::without(&batch, Excess::from([(client, pod)]));
        assert_eq!((facts.nics.len(), facts.samples.len(), facts.ledgers.len()), (1, 2, 1));
        assert!(facts.quarantine.iter().all(|(frame, _)| frame.samples == [other]));
        assert_eq!(facts.talkers.len(), 1);
        assert_eq!(facts.quarantine[0].0.talkers, [talkers[0].clone()]);
        assert!(matches!(facts.gaps[..], [GapRow { sample: None, .. }]));
        let Cursor { covered, gaps, quarantined, .. } = facts.cursors[0];
        assert_eq!((facts.quarantine.len(), covered, gaps, quarantined), (2, 3, 1, 2));
    }

    #[test]
    fn a_sample_dated_far_off_is_a_gap_with_exact_counts_and_its_own_time() {
        let day = 86_400_000_000_000;
        let mut batch = batch(vec![
            frame(1, vec![sample(1000 * day, 1, 1)]),
            frame(2, vec![sample(90_000 * day, 2, 3), sample(1000 * day, 4, 7)]),
            frame(3, vec![sample(0, 8, 15)]),
        ]);
        batch.near = Near::of([WallNs(1000 * day)], std::time::Duration::from_secs(400 * 86_400));
        let facts = BatchRows::of(&batch);
        assert_eq!((facts.samples.len(), facts.gaps.len()), (2, 2));
        let gaps = facts.gaps.iter().map(|gap| (gap.reason, gap.sample.unwrap().1.rx.bytes));
        assert!(gaps.eq([(Gap::Misdated as u8, Bytes(2)), (Gap::Misdated as u8, Bytes(8))]));
        assert_eq!(facts.ledgers[0].counted.rx_bytes, Bytes(15));
        assert_eq!((facts.cursors[0].covered, facts.cursors[0].gaps), (3, 2));
    }

    #[test]
    fn frames_that_leave_numbers_out_are_found() {
        assert_eq!(untiled(&batch(vec![frame(1, vec![]), frame(2, vec![])])), [] as [SessionId; 0]);
        assert_eq!(untiled(&batch(vec![frame(2, vec![])])), [SessionId::new(1)]);
        assert_eq!(untiled(&batch(vec![frame(1, vec![]), frame(3, vec![])])), [SessionId::new(1)]);
    }
}
