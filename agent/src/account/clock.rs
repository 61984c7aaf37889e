//! Time: packets are stamped by the wall clock, which can be stepped; intervals are cut by the
//! boot-time clock, which can't. This is the conversion between them.
//!
//! The wall clock minus the boot-time clock only changes by steps: NTP adjusts both alike, and both
//! run on while the host sleeps.

use std::time::Duration;

use wire::{BootNs, WallNs};

/// Difference by which the offset may move without being called a step: smaller ones displace a
/// packet by no more than this.
const TOLERANCE_NS: u64 = 100_000;

/// How far packets in the ring may be out of order: CPUs stamp a packet before they reserve its
/// place.
pub const OUT_OF_ORDER_NS: u64 = 1_000_000;

/// The wall clock, read between two readings of the boot-time clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallReading {
    /// Boot-time clock before, nanoseconds.
    pub before_ns: BootNs,
    /// Wall clock, nanoseconds since 1970 (UTC).
    pub wall_ns: WallNs,
    /// Boot-time clock after, nanoseconds.
    pub after_ns: BootNs,
}

/// Wall clock minus boot-time clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset(i64);

impl Offset {
    /// The offset by one reading.
    #[must_use]
    pub fn new(reading: WallReading) -> Self {
        let before = reading.before_ns;
        Self(difference(reading.wall_ns, before + (reading.after_ns - before) / 2))
    }

    /// Compares the offset with a reading: tells the new one where the clock was stepped, and
    /// follows it where the difference is too small to be a step.
    pub fn observe(&mut self, reading: WallReading) -> Option<Self> {
        let low = difference(reading.wall_ns, reading.after_ns);
        let high = difference(reading.wall_ns, reading.before_ns);
        let nearest = self.0.clamp(low, high);
        if nearest.abs_diff(self.0) > TOLERANCE_NS {
            return Some(Self::new(reading));
        }
        self.0 = nearest;
        None
    }

    /// The boot time of a wall time; 0 for one from before the host was booted.
    #[must_use]
    #[inline]
    pub const fn boot_ns(self, wall_ns: WallNs) -> BootNs {
        let boot_ns = wall_ns.get().wrapping_sub(self.0.cast_unsigned()).cast_signed();
        BootNs(if boot_ns < 0 { 0 } else { boot_ns.cast_unsigned() })
    }

    /// The wall time of a boot time.
    #[must_use]
    pub const fn wall_ns(self, boot_ns: BootNs) -> WallNs {
        WallNs(boot_ns.get().saturating_add_signed(self.0))
    }
}

/// How far the wall clock is ahead; times are far from the ends of the range.
const fn difference(wall_ns: WallNs, boot_ns: BootNs) -> i64 {
    wall_ns.get().wrapping_sub(boot_ns.get()).cast_signed()
}

/// Turns the wall times of a ring's packets, in their order, into boot times.
#[derive(Debug, Clone)]
pub struct PacketClock {
    offset: Offset,
    /// Set while packets from before a step may still be in the ring.
    step: Option<Step>,
    /// Every packet that is still to come is later than this boot time.
    floor_ns: BootNs,
    /// Longest time for which a packet is in the ring before the reader can see it.
    hold_ns: u64,
}

/// A step of the wall clock.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// The offset before it.
    old: Offset,
    /// Boot time at which it was noticed.
    noticed_ns: BootNs,
    /// Boot time of the first packet that came from after it.
    first_ns: Option<BootNs>,
}

impl PacketClock {
    /// Starts with a reading; the kernel holds packets back for at most `hold` before it hands
    /// their block over.
    #[must_use]
    pub fn new(reading: WallReading, hold: Duration) -> Self {
        let hold_ns = u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX);
        let floor_ns = reading.before_ns.saturating_sub(hold_ns);
        Self { offset: Offset::new(reading), step: None, floor_ns, hold_ns }
    }

    /// Takes a reading made after a block was handed over, before its packets are counted.
    pub fn at_block(&mut self, reading: WallReading) {
        let old = self.offset;
        if let Some(new) = self.offset.observe(reading) {
            self.offset = new;
            self.step = Some(Step { old, noticed_ns: reading.after_ns, first_ns: None });
        }
    }

    /// Takes a reading made when no block was ready: what comes now is no older than what the
    /// kernel holds back.
    pub fn at_idle(&mut self, reading: WallReading) {
        self.at_block(reading);
        self.floor_ns = self.floor_ns.max(reading.before_ns.saturating_sub(self.hold_ns));
    }

    /// The boot time of the next packet of the ring.
    #[inline]
    pub fn boot_ns(&mut self, wall_ns: WallNs) -> BootNs {
        match self.step {
            None => self.offset.boot_ns(wall_ns),
            Some(step) => self.boot_ns_around(step, wall_ns),
        }
    }

    /// True if every packet that is still to come is by the present offset.
    #[must_use]
    pub const fn is_steady(&self) -> bool {
        self.step.is_none()
    }

    /// A packet of this boot time has come: those that are still to come are hardly older.
    pub fn has_come(&mut self, boot_ns: BootNs) {
        self.floor_ns = self.floor_ns.max(boot_ns.saturating_sub(OUT_OF_ORDER_NS));
    }

    /// Chooses between the offset before the step and the one after it. The ring is nearly in
    /// order of time: packets from before the step come first, none of them later than its notice,
    /// and a few between the first ones from after it ([`OUT_OF_ORDER_NS`]).
    #[cold]
    fn boot_ns_around(&mut self, step: Step, wall_ns: WallNs) -> BootNs {
        let old = step.old.boot_ns(wall_ns);
        let is_before = match step.first_ns {
            None => (self.floor_ns..=step.noticed_ns).contains(&old),
            Some(first_ns) => (first_ns.saturating_sub(OUT_OF_ORDER_NS)..=first_ns).contains(&old),
        };
        if is_before {
            self.has_come(old);
            return old;
        }
        // Right but for two steps at once, between which nothing can be known.
        let new = self.offset.boot_ns(wall_ns).max(self.floor_ns);
        let first_ns = step.first_ns.unwrap_or(new);
        let all_come = new >= first_ns.saturating_add(OUT_OF_ORDER_NS);
        self.step = (!all_come).then_some(Step { first_ns: Some(first_ns), ..step });
        new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;
    /// A wall time and a boot time that belong together.
    const WALL: WallNs = WallNs(1_700_000_000 * SECOND);
    const BOOT: BootNs = BootNs(5_000 * SECOND);

    fn reading(boot_ns: BootNs, stepped_by: i64) -> WallReading {
        let wall_ns = (WALL + (boot_ns - BOOT)).saturating_add_signed(stepped_by);
        WallReading { before_ns: boot_ns - 30, wall_ns, after_ns: boot_ns + 30 }
    }

    fn packet(boot_ns: BootNs, stepped_by: i64) -> WallNs {
        reading(boot_ns, stepped_by).wall_ns
    }

    fn clock() -> PacketClock {
        PacketClock::new(reading(BOOT, 0), Duration::from_millis(20))
    }

    #[test]
    fn a_reading_that_took_long_is_no_step() {
        let mut offset = Offset::new(reading(BOOT, 0));
        let slow = WallReading { after_ns: BOOT + SECOND, ..reading(BOOT, 0) };
        assert_eq!(offset.observe(slow), None);
        let slow = WallReading { before_ns: BOOT - SECOND, ..reading(BOOT, 0) };
        assert_eq!(offset.observe(slow), None);
        assert_eq!(offset.wall_ns(BOOT), WALL);
    }

    #[test]
    fn a_step_is_told_in_either_direction_and_a_nudge_is_followed() {
        for by in [3600 * SECOND.cast_signed(), -200_000, 200_000] {
            let mut offset = Offset::new(reading(BOOT, 0));
            let new = offset.observe(reading(BOOT + 5, by)).unwrap();
            assert_eq!(new.boot_ns(packet(BOOT + 9, by)), BOOT + 9);
        }
        let mut offset = Offset::new(reading(BOOT, 0));
        assert_eq!(offset.observe(reading(BOOT, 90_000)), None);
        assert!(offset.boot_ns(packet(BOOT, 90_000)).abs_diff(BOOT) <= 30);
    }

    #[test]
    fn a_block_that_spans_a_step_is_split_where_the_step_was() {
        for by in [3600 * SECOND.cast_signed(), -3600 * SECOND.cast_signed()] {
            let mut clock = clock();
            clock.at_block(reading(BOOT + 10 * MS, by));
            let times = [1, 2, 3, 6, 7, 8].map(|ms| BOOT + ms * MS);
            for (n, time) in times.into_iter().enumerate() {
                let stepped_by = if n < 3 { 0 } else { by };
                assert_eq!(clock.boot_ns(packet(time, stepped_by)), time, "packet {n} by {by}");
            }
        }
    }

    #[test]
    fn a_packet_from_before_a_step_that_comes_behind_one_from_after_it_keeps_its_time() {
        for by in [3600 * SECOND.cast_signed(), -3600 * SECOND.cast_signed()] {
            let mut clock = clock();
            clock.at_block(reading(BOOT + 10 * MS, by));
            let step = BOOT + 5 * MS;
            for time in [step - MS, step + MS / 10, step - MS / 10, step + MS / 2, step - MS / 5] {
                let stepped_by = if time < step { 0 } else { by };
                assert_eq!(clock.boot_ns(packet(time, stepped_by)), time, "by {by}");
                assert!(!clock.is_steady(), "more of them may come");
            }
            assert_eq!(clock.boot_ns(packet(step + 2 * MS, by)), step + 2 * MS);
            assert!(clock.is_steady(), "none is so far out of order");
        }
    }

    #[test]
    fn an_idle_nic_places_its_first_packet_after_a_step_by_the_new_clock() {
        for by in [SECOND.cast_signed(), -SECOND.cast_signed()] {
            let mut clock = clock();
            clock.at_idle(reading(BOOT + 100 * SECOND, by));
            let time = BOOT + 100 * SECOND + 400 * MS;
            clock.at_block(reading(time + MS, by));
            assert_eq!(clock.boot_ns(packet(time, by)), time, "by {by}");
        }
    }

    proptest! {
        /// A reader that may be suspended reads packets through several steps of the clock, each
        /// noticed before the next and all greater than what the ring holds back.
        #[test]
        fn through_steps_every_packet_is_placed_at_its_own_time(
            gaps in proptest::collection::vec(1..5 * MS, 1..200),
            block_len in 1..50usize,
            step_at in 0..200usize,
            by in prop_oneof![SECOND..100_000 * SECOND],
            forward: bool,
        ) {
            let by = if forward { by.cast_signed() } else { -by.cast_signed() };
            let mut clock = clock();
            let mut time = BOOT;
            let packets: Vec<_> = gaps.iter().enumerate().map(|(n, gap)| {
                time += *gap;
                (time, if n < step_at { 0 } else { by })
            }).collect();
            for block in packets.chunks(block_len) {
                let &(last, stepped_by) = block.last().unwrap();
                clock.at_block(reading(last + MS / 10, stepped_by));
                for &(time, stepped_by) in block {
                    let placed = clock.boot_ns(packet(time, stepped_by));
                    prop_assert!(placed.abs_diff(time) <= 60, "{} off", placed.abs_diff(time));
                }
            }
        }
    }
}
