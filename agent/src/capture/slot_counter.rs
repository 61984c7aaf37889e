//! Counts a ring's packets into its bank of slots, each in the interval of its own timestamp.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use wire::{BootNs, WallNs};

use super::packet_sums::{PacketSums, Plain};
use super::ring::Packet;
use super::talker_counter::TalkerCounter;
use crate::account::bank::BankWriter;
use crate::account::burst::{Bursts, Peaks, StepStarts};
use crate::account::clock::{PacketClock, WallReading};
use crate::account::interval::{Attribution, SharedSchedule};

/// A time span whose packets are counted alike: in one slot and in one step of its peaks.
#[derive(Debug, Default)]
struct Span {
    /// Start, by the wall clock and by the boot-time clock.
    start_wall_ns: WallNs,
    start_boot_ns: BootNs,
    len_ns: u64,
    /// Bytes received and transmitted in it that no peak includes yet.
    bytes: [u64; 2],
}

impl Span {
    /// The span with these bounds in boot time; both times are of a packet in it.
    fn around(wall_ns: WallNs, boot_ns: BootNs, bounds: &Range<BootNs>) -> Self {
        Self {
            start_wall_ns: wall_ns.wrapping_sub(boot_ns - bounds.start),
            start_boot_ns: bounds.start,
            len_ns: bounds.end - bounds.start,
            bytes: [0; 2],
        }
    }

    #[inline]
    const fn holds(&self, wall_ns: WallNs) -> bool {
        wall_ns.wrapping_since(self.start_wall_ns) < self.len_ns
    }

    const fn boot_ns(&self, wall_ns: WallNs) -> BootNs {
        self.start_boot_ns.wrapping_add(wall_ns.wrapping_since(self.start_wall_ns))
    }
}

/// Blocks counted together. Their sums are added to the slots once, at the end.
#[derive(Debug)]
pub struct BlockGroup<'counting> {
    counting: &'counting mut SlotCounter,
    /// Wall time of the last packet, nanoseconds.
    last_ns: Option<WallNs>,
}

impl BlockGroup<'_> {
    /// Counts the packets of the next block.
    pub fn count<'block>(&mut self, packets: impl Iterator<Item = Packet<'block>>) {
        // Two loops: that without talkers costs what it did before there were any.
        match self.counting.talkers.take() {
            Some(mut talkers) => {
                self.count_each(packets, Some(&mut talkers));
                self.counting.talkers = Some(talkers);
            }
            None => self.count_each(packets, None),
        }
    }

    #[inline(always)]
    fn count_each<'block>(
        &mut self,
        packets: impl Iterator<Item = Packet<'block>>,
        mut talkers: Option<&mut TalkerCounter>,
    ) {
        let counting = &mut *self.counting;
        for packet in packets {
            self.last_ns = Some(packet.time_ns);
            match Plain::of(&packet) {
                Some(plain) if counting.span.holds(packet.time_ns) => {
                    let (bytes, direction) = counting.counts.add_plain(&packet, plain);
                    counting.span.bytes[direction as usize] += bytes;
                    if let Some(talkers) = &mut talkers {
                        talkers.add_plain(&packet, plain, bytes, direction);
                    }
                }
                _ => counting.count_any(packet, talkers.as_deref_mut()),
            }
        }
    }
}

impl Drop for BlockGroup<'_> {
    fn drop(&mut self) {
        let counting = &mut *self.counting;
        let mut talkers = counting.talkers.take();
        counting.settle(talkers.as_deref_mut());
        counting.talkers = talkers;
        let last_ns = self.last_ns.map_or(BootNs(0), |wall_ns| counting.span.boot_ns(wall_ns));
        counting.clock.has_come(last_ns);
        counting.bank.leave(last_ns);
    }
}

/// Counts the packets of one ring, several blocks at a time.
#[derive(Debug)]
pub struct SlotCounter {
    bank: BankWriter,
    schedule: Arc<SharedSchedule>,
    /// Version of the schedule in `attribution`.
    version: u64,
    attribution: Attribution,
    clock: PacketClock,
    /// Packets are early if they are older than this boot time and no newer packet has come before
    /// them.
    begin_ns: Option<BootNs>,
    /// The slot of the last packet.
    slot: u64,
    span: Span,
    /// Counts since they were last added to the slot.
    counts: PacketSums,
    /// Peaks of a slot and of the next one: around their boundary, packets of both interleave.
    tracks: [Track; 2],
    /// `None`: talkers aren't counted. Also while the packets of a block are counted, which has them then.
    talkers: Option<Box<TalkerCounter>>,
}

/// The peaks of one slot.
#[derive(Debug)]
struct Track {
    slot: u64,
    steps: StepStarts,
    /// Of rx and tx.
    bursts: [Bursts; 2],
}

impl Track {
    /// Starts with a slot that begins at the given boot time.
    fn new(slot: u64, start_ns: BootNs) -> Self {
        let steps = StepStarts::of_slot(start_ns);
        Self { slot, steps, bursts: [Bursts::new(steps), Bursts::new(steps)] }
    }

    /// The index of a slot's track.
    const fn place(slot: u64) -> usize {
        (slot % 2) as usize
    }
}

impl SlotCounter {
    /// Starts with a bank whose oldest open slot is `slot`, at a reading of the clocks. The kernel
    /// holds packets back for at most `hold`. Packets older than `begin_ns`, a boot time, are not
    /// counted: others of that time never reached the ring.
    #[must_use]
    pub fn new(
        bank: BankWriter,
        schedule: Arc<SharedSchedule>,
        slot: u64,
        reading: WallReading,
        hold: Duration,
        begin_ns: BootNs,
    ) -> Self {
        let (version, current) = schedule.get();
        let track = |slot| Track::new(slot, current.bounds(slot).start);
        let (this, next) = (track(slot), track(slot + 1));
        Self {
            bank,
            schedule,
            version,
            attribution: Attribution::new(current),
            clock: PacketClock::new(reading, hold),
            begin_ns: Some(begin_ns),
            slot,
            span: Span::default(),
            counts: PacketSums::default(),
            tracks: if Track::place(slot) == 0 { [this, next] } else { [next, this] },
            talkers: None,
        }
    }

    /// Counts talkers as well.
    #[must_use]
    pub fn with_talkers(mut self, talkers: Option<TalkerCounter>) -> Self {
        self.talkers = talkers.map(Box::new);
        self
    }

    /// Starts a batch of blocks; `reading` was made after the last of them was handed over.
    pub fn batch(&mut self, reading: WallReading) -> BlockGroup<'_> {
        self.clock.at_block(reading);
        self.attribution.at_block(self.bank.enter());
        if self.schedule.is_newer(self.version) {
            let (version, schedule) = self.schedule.get();
            self.version = version;
            self.attribution.reschedule(schedule);
        }
        if let Some(talkers) = &mut self.talkers {
            talkers.at_batch();
        }
        self.span = Span::default();
        BlockGroup { counting: self, last_ns: None }
    }

    /// Counts the packets of one block; `reading` was made after it was handed over.
    pub fn count<'block>(
        &mut self,
        packets: impl Iterator<Item = Packet<'block>>,
        reading: WallReading,
    ) {
        self.batch(reading).count(packets);
    }

    /// Counts a packet of any kind and time.
    #[cold]
    fn count_any(&mut self, packet: Packet<'_>, mut talkers: Option<&mut TalkerCounter>) {
        let boot_ns = self.clock.boot_ns(packet.time_ns);
        let place = self.attribution.place(boot_ns);
        if place.slot != self.slot {
            self.settle(talkers.as_deref_mut());
            self.slot = place.slot;
            let start_ns = self.attribution.start_of(place.slot);
            let track = &mut self.tracks[Track::place(place.slot)];
            if track.slot != place.slot {
                *track = Track::new(place.slot, start_ns);
            }
        }
        self.end_span();
        self.span = Span::around(packet.time_ns, boot_ns, &(boot_ns..boot_ns));
        if self.begin_ns.is_some_and(|begin_ns| boot_ns < begin_ns) {
            self.counts.early += 1;
            return;
        }
        self.begin_ns = None;
        let counted = self.counts.add(&packet);
        let (bytes, direction) = (counted.bytes.get(), counted.direction);
        if let Some(talkers) = talkers.filter(|_| !place.late) {
            talkers.enter(self.slot, &mut self.bank);
            talkers.add(&packet, &counted);
        }
        let Track { bursts, steps, .. } = &mut self.tracks[Track::place(self.slot)];
        bursts[direction as usize].add(boot_ns, bytes);
        if place.late {
            self.counts.late += u64::from(bytes > 0);
        } else if self.clock.is_steady() {
            let (slot, step) = (self.attribution.bounds(), steps.around(boot_ns));
            let bounds = slot.start.max(step.start)..slot.end.min(step.end);
            self.span = Span::around(packet.time_ns, boot_ns, &bounds);
        }
    }

    /// Adds the bytes of the span to the peaks.
    fn end_span(&mut self) {
        let bytes = std::mem::take(&mut self.span.bytes);
        let Track { bursts, .. } = &mut self.tracks[Track::place(self.slot)];
        for (bursts, bytes) in bursts.iter_mut().zip(bytes).filter(|(_, bytes)| *bytes > 0) {
            bursts.add(self.span.start_boot_ns, bytes);
        }
    }

    /// No block is ready at this reading.
    pub fn at_idle(&mut self, reading: WallReading) {
        self.clock.at_idle(reading);
    }

    /// Adds the counts to their slot. An empty tally touches no slot, so it may be sealed by then.
    fn settle(&mut self, talkers: Option<&mut TalkerCounter>) {
        self.end_span();
        let mut tally = self.counts.take();
        let [rx, tx] = &mut self.tracks[Track::place(self.slot)].bursts;
        for (traffic, bursts) in [(&mut tally.rx, rx), (&mut tally.tx, tx)] {
            let Peaks { of_1ms, of_10ms } = bursts.peaks();
            (traffic.peak_1ms_bytes, traffic.peak_10ms_bytes) = (of_1ms, of_10ms);
        }
        self.bank.add(self.slot, &mut tally);
        if let Some(talkers) = talkers {
            talkers.leave(&mut self.bank);
        }
    }
}
