//! Intervals: which slot of time a packet belongs to.
//!
//! Slots are numbered from 0 and cut by the boot-time clock, so that a step of the wall clock
//! moves no traffic. They begin at multiples of the interval in wall time, so that hosts align;
//! after a step the phase is set anew by making one slot longer.

use std::ops::Range;

use wire::BootNs;

use super::clock::Offset;
use super::shared::Shared;

/// Slots from one alignment to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence {
    /// Number of its first slot.
    first: u64,
    /// Boot time at which that starts, nanoseconds.
    start_ns: BootNs,
}

/// Where each slot begins and ends, in boot time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    interval_ns: u64,
    before: Sequence,
    now: Sequence,
}

impl Schedule {
    /// Slots of `interval_ns` (at least 1), of which slot 0 holds `boot_ns`.
    #[must_use]
    pub fn new(interval_ns: u64, boot_ns: BootNs, offset: Offset) -> Self {
        let into_slot = offset.wall_ns(boot_ns) % interval_ns;
        let start_ns = boot_ns.saturating_sub(into_slot);
        let sequence = Sequence { first: 0, start_ns };
        Self { interval_ns, before: sequence, now: sequence }
    }

    /// The slot that holds a boot time; slot 0 for what came before it.
    #[must_use]
    pub fn slot_of(&self, boot_ns: BootNs) -> u64 {
        if boot_ns >= self.now.start_ns {
            self.now.first + (boot_ns - self.now.start_ns) / self.interval_ns
        } else {
            let slots = boot_ns.saturating_since(self.before.start_ns) / self.interval_ns;
            let slot = self.before.first + slots;
            // The last slot before an alignment is the longer one.
            let last = self.now.first.saturating_sub(1);
            if slot < last { slot } else { last }
        }
    }

    /// The boot times that a slot holds.
    #[must_use]
    pub fn bounds(&self, slot: u64) -> Range<BootNs> {
        self.start_of(slot)..self.start_of(slot + 1)
    }

    fn start_of(&self, slot: u64) -> BootNs {
        let sequence = if slot >= self.now.first { self.now } else { self.before };
        sequence.start_ns + slot.saturating_sub(sequence.first) * self.interval_ns
    }

    /// True if slots from the one that holds `boot_ns` on belong to the newest alignment, so that
    /// the one before it can be forgotten.
    #[must_use]
    pub fn is_aligned(&self, boot_ns: BootNs) -> bool {
        boot_ns >= self.now.start_ns
    }

    /// The first slot of the newest alignment.
    #[must_use]
    pub const fn first_aligned(&self) -> u64 {
        self.now.first
    }

    /// The schedule after a step of the wall clock, which must be aligned: the same up to the slot after the one that
    /// holds `boot_ns`, which ends later, where the wall clock says so. A reader that learns of it
    /// with its next block has not yet met a packet to which it makes a difference.
    #[must_use]
    pub fn aligned(&self, boot_ns: BootNs, offset: Offset) -> Self {
        let first = self.slot_of(boot_ns) + 2;
        let early_ns = self.start_of(first);
        let wall_ns = offset.wall_ns(early_ns).next_multiple_of(self.interval_ns);
        let start_ns = offset.boot_ns(wall_ns);
        Self { interval_ns: self.interval_ns, before: self.now, now: Sequence { first, start_ns } }
    }
}

/// The schedule of all readers and the sampler, which alone changes it.
pub type SharedSchedule = Shared<Schedule>;

/// Where a packet is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketPlace {
    /// The slot.
    pub slot: u64,
    /// The packet belongs to another slot, one that can't be counted into any more (or, where
    /// the sampler stands still, not yet).
    pub late: bool,
}

/// Attributes packets to slots, block by block.
#[derive(Debug, Clone)]
pub struct Attribution {
    schedule: Schedule,
    /// Slots that may be counted into.
    open: Range<u64>,
    /// The slot of the last packet, and the boot times that it holds: empty where unknown.
    slot: u64,
    start_ns: BootNs,
    len_ns: u64,
}

impl Attribution {
    /// Starts with no open slot.
    #[must_use]
    pub const fn new(schedule: Schedule) -> Self {
        Self { schedule, open: 0..1, slot: 0, start_ns: BootNs(0), len_ns: 0 }
    }

    /// Takes a new schedule.
    pub const fn reschedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
        self.len_ns = 0;
    }

    /// Begins a block in which the given slots, at least one, are open.
    pub fn at_block(&mut self, open: Range<u64>) {
        if open != self.open {
            self.open = open;
            self.len_ns = 0;
        }
    }

    /// The boot times that the slot of the last packet holds, if that wasn't late.
    #[must_use]
    pub fn bounds(&self) -> Range<BootNs> {
        self.start_ns..self.start_ns + self.len_ns
    }

    /// Boot time at which a slot starts, nanoseconds.
    #[must_use]
    pub fn start_of(&self, slot: u64) -> BootNs {
        self.schedule.start_of(slot)
    }

    /// Where to count a packet.
    #[inline]
    pub fn place(&mut self, boot_ns: BootNs) -> PacketPlace {
        if boot_ns.wrapping_since(self.start_ns) < self.len_ns {
            return PacketPlace { slot: self.slot, late: false };
        }
        self.find(boot_ns)
    }

    /// Finds the slot of a packet that isn't in the last one's.
    #[cold]
    fn find(&mut self, boot_ns: BootNs) -> PacketPlace {
        let own = self.schedule.slot_of(boot_ns);
        let slot = own.clamp(self.open.start, self.open.end - 1);
        if slot == own {
            let bounds = self.schedule.bounds(slot);
            (self.slot, self.start_ns) = (slot, bounds.start);
            self.len_ns = bounds.end - bounds.start;
        }
        PacketPlace { slot, late: slot != own }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::clock::WallReading;
    use super::*;
    use wire::WallNs;

    const SECOND: u64 = 1_000_000_000;
    const INTERVAL: u64 = SECOND / 2;

    fn offset(wall_less_boot: u64) -> Offset {
        Offset::new(WallReading {
            before_ns: BootNs(0),
            wall_ns: WallNs(wall_less_boot),
            after_ns: BootNs(0),
        })
    }

    #[test]
    fn slots_begin_at_multiples_of_the_interval_in_wall_time() {
        let offset = offset(123 * SECOND + 7);
        let schedule = Schedule::new(INTERVAL, BootNs(40 * SECOND), offset);
        assert_eq!(schedule.slot_of(BootNs(40 * SECOND)), 0);
        for slot in 0..5 {
            let bounds = schedule.bounds(slot);
            assert_eq!(offset.wall_ns(bounds.start) % INTERVAL, 0);
            assert_eq!(schedule.slot_of(bounds.start), slot, "the start belongs to it");
            assert_eq!(schedule.slot_of(bounds.end - 1), slot);
            assert_eq!(schedule.slot_of(bounds.end), slot + 1, "the end to the next");
        }
    }

    #[test]
    fn what_is_sealed_goes_to_the_oldest_open_slot_as_late_and_the_future_to_the_newest() {
        let schedule = Schedule::new(INTERVAL, BootNs(100 * INTERVAL), offset(0));
        let mut attribution = Attribution::new(schedule);
        attribution.at_block(5..8);
        assert_eq!(attribution.place(BootNs(105 * INTERVAL)), PacketPlace { slot: 5, late: false });
        assert_eq!(
            attribution.place(BootNs(105 * INTERVAL - 1)),
            PacketPlace { slot: 5, late: true }
        );
        assert_eq!(attribution.place(BootNs(0)), PacketPlace { slot: 5, late: true });
        assert_eq!(attribution.place(BootNs(108 * INTERVAL)), PacketPlace { slot: 7, late: true });
        attribution.at_block(6..9);
        assert_eq!(attribution.place(BootNs(105 * INTERVAL)), PacketPlace { slot: 6, late: true });
    }

    proptest! {
        #[test]
        fn slots_tile_boot_time_through_alignments(
            boot in SECOND..1000 * SECOND,
            interval in 10_000_000..60 * SECOND,
            steps in proptest::collection::vec((0..100 * SECOND, 0..1000 * SECOND), 0..5),
        ) {
            let mut schedule = Schedule::new(interval, BootNs(boot), offset(0));
            let mut now = boot;
            for (later, wall) in steps {
                now += later;
                let current = schedule.slot_of(BootNs(now));
                let aligned = schedule.aligned(BootNs(now), offset(wall));
                // What readers may be counting into at that moment does not change.
                prop_assert_eq!(aligned.bounds(current), schedule.bounds(current));
                for slot in current..current + 6 {
                    let bounds = aligned.bounds(slot);
                    let len = bounds.end - bounds.start;
                    prop_assert!((interval..2 * interval).contains(&len));
                    prop_assert_eq!(aligned.slot_of(bounds.start), slot);
                    prop_assert_eq!(aligned.slot_of(bounds.end - 1), slot);
                    prop_assert_eq!(aligned.bounds(slot + 1).start, bounds.end);
                }
                let start = aligned.bounds(current + 2).start;
                prop_assert_eq!(offset(wall).wall_ns(start) % interval, 0);
                schedule = aligned;
                now = start.get();
            }
        }

        /// The short way through `place` equals the long way, whatever comes.
        #[test]
        fn packets_in_any_order_are_placed_as_a_search_would(
            blocks in proptest::collection::vec(
                (0..3u64, proptest::collection::vec(-3 * INTERVAL.cast_signed()..3 * INTERVAL.cast_signed(), 0..20)),
                1..50,
            ),
            on_boundary: bool,
        ) {
            const SLOTS: u64 = 8;
            let schedule = Schedule::new(INTERVAL, BootNs(SECOND), offset(0));
            let mut attribution = Attribution::new(schedule);
            let (mut open, mut time) = (0, SECOND);
            for (sealed, packets) in blocks {
                open += sealed;
                attribution.at_block(open..open + SLOTS);
                for by in packets {
                    time = time.saturating_add_signed(by).max(SECOND);
                    if on_boundary {
                        time = time.next_multiple_of(INTERVAL);
                    }
                    let own = (0..).find(|&slot| schedule.bounds(slot).contains(&BootNs(time))).unwrap();
                    let place = attribution.place(BootNs(time));
                    prop_assert!((open..open + SLOTS).contains(&place.slot));
                    prop_assert_eq!(place.late, place.slot != own);
                    prop_assert!(place.late || place.slot == own);
                    prop_assert!(own >= open || place.slot == open);
                }
            }
        }
    }
}
