//! The timeline: which slots are due, and which wall time they cover.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use wire::{BootNs, WallNs};

use crate::account::bank::SLOTS;
use crate::account::clock::{Offset, WallReading};
use crate::account::interval::Schedule;

/// Longest wait for a reader that has fallen behind, nanoseconds.
const PATIENCE_MAX_NS: u64 = 1_000_000_000;

/// Decides when slots are taken. Times are boot times in nanoseconds unless they say otherwise.
#[derive(Debug)]
pub struct Timeline {
    schedule: Schedule,
    /// How long after its end a slot may still receive packets.
    hold_ns: u64,
    /// How much longer to wait for a reader that has fallen behind.
    patience_ns: u64,
    /// Since when a reader has been behind.
    behind_since_ns: Option<BootNs>,
    /// The oldest slot that was not taken yet.
    next: u64,
    /// Wall clock minus boot-time clock as of now.
    offset: Offset,
    /// The clock offsets that date slots, each valid from a slot on.
    anchors: VecDeque<(u64, Offset)>,
    /// The wall clock was stepped and the slots are not aligned to it yet.
    misaligned: bool,
}

/// Slots that are taken together: one, or more after the sampler stood still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSlots {
    /// The slots.
    pub slots: Range<u64>,
    /// The boot time that they cover.
    pub bounds: Range<BootNs>,
    /// The wall clock was stepped: what follows is dated by its new time.
    pub stepped: bool,
}

impl Timeline {
    /// Starts with the slot that holds the time of a reading.
    #[must_use]
    pub fn new(interval: Duration, reading: WallReading, hold: Duration) -> Self {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let offset = Offset::new(reading);
        let schedule = Schedule::new(ns(interval), reading.before_ns, offset);
        Self {
            schedule,
            hold_ns: ns(hold),
            patience_ns: ns(interval).saturating_mul(SLOTS / 4).min(PATIENCE_MAX_NS),
            behind_since_ns: None,
            next: 0,
            offset,
            anchors: VecDeque::from([(0, offset)]),
            misaligned: false,
        }
    }

    /// Sets how long after its end a slot may still receive packets: rings come and go.
    pub fn set_hold(&mut self, hold: Duration) {
        self.hold_ns = u64::try_from(hold.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Where slots begin and end.
    #[must_use]
    pub const fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// The oldest slot that was not taken yet.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// When the next slot can be taken.
    #[must_use]
    pub fn due_ns(&self) -> BootNs {
        self.schedule.bounds(self.next).end.saturating_add(self.hold_ns)
    }

    /// Takes a reading of the clocks. Gives the new schedule if a step of the wall clock changes
    /// it: slots begin at multiples of the interval in wall time again.
    pub fn observe(&mut self, reading: WallReading) -> Option<Schedule> {
        if let Some(offset) = self.offset.observe(reading) {
            self.offset = offset;
            self.misaligned = true;
        }
        if !self.misaligned || !self.schedule.is_aligned(self.schedule.bounds(self.next).start) {
            return None;
        }
        self.misaligned = false;
        self.schedule = self.schedule.aligned(reading.before_ns, self.offset);
        self.anchors.push_back((self.schedule.first_aligned(), self.offset));
        Some(self.schedule)
    }

    /// The slots to take now, if the next one is due and `has_counted` all packets up to its end,
    /// or those have been waited for long enough. The wait counts from when the reader was found
    /// behind: after a pause of the whole process it has had no time at all until then. After
    /// standing still for so long that slots could have come round, all that are due are taken
    /// together.
    pub fn take(
        &mut self,
        now_ns: BootNs,
        has_counted: impl FnOnce(BootNs) -> bool,
    ) -> Option<DueSlots> {
        if now_ns < self.due_ns() {
            return None;
        }
        let until = self.ended(now_ns.saturating_sub(self.hold_ns));
        if has_counted(self.schedule.bounds(until - 1).end) {
            self.behind_since_ns = None;
        } else if now_ns < *self.behind_since_ns.get_or_insert(now_ns) + self.patience_ns {
            return None;
        }
        Some(self.take_until(until))
    }

    /// Like [`Timeline::take`], when all packets up to `end_ns` are known to be counted.
    pub fn take_ended(&mut self, end_ns: BootNs) -> Option<DueSlots> {
        if end_ns < self.schedule.bounds(self.next).end {
            return None;
        }
        Some(self.take_until(self.ended(end_ns)))
    }

    /// The slot up to which ended slots are taken at once.
    fn ended(&self, end_ns: BootNs) -> u64 {
        let open = self.schedule.slot_of(end_ns);
        if open >= self.next + SLOTS / 2 { open } else { self.next + 1 }
    }

    /// All slots that are left, up to the last one, which ends at `end_ns`.
    pub fn take_rest(&mut self, end_ns: BootNs) -> DueSlots {
        let until = self.schedule.slot_of(end_ns).max(self.next) + 1;
        let mut span = self.take_until(until);
        span.bounds.end = end_ns.max(span.bounds.start + 1);
        span
    }

    fn take_until(&mut self, until: u64) -> DueSlots {
        let slots = self.next..until;
        let bounds =
            self.schedule.bounds(slots.start).start..self.schedule.bounds(slots.end - 1).end;
        self.next = until;
        let stepped =
            self.anchors.get(1).is_some_and(|(slot, _)| (slots.start + 1..=until).contains(slot));
        while self.anchors.get(1).is_some_and(|(slot, _)| *slot < until) {
            self.anchors.pop_front();
        }
        DueSlots { slots, bounds, stepped }
    }

    /// The wall time of a boot time within the slots that were just taken, nanoseconds since
    /// 1970 (UTC).
    #[must_use]
    pub fn wall_ns(&self, boot_ns: BootNs) -> WallNs {
        let slot = self.schedule.slot_of(boot_ns);
        let anchor = self.anchors.iter().rev().find(|(first, _)| *first <= slot);
        anchor
            .or_else(|| self.anchors.front())
            .map_or(self.offset, |(_, offset)| *offset)
            .wall_ns(boot_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const INTERVAL: u64 = 500 * MS;
    const HOLD: u64 = 20 * MS;
    /// A boot time and the wall time that belongs to it, both at the start of a slot.
    const BOOT: BootNs = BootNs(1000 * INTERVAL);
    const WALL: WallNs = WallNs(4_000_000 * INTERVAL);

    fn reading(boot_ns: BootNs, stepped_by: i64) -> WallReading {
        let wall_ns = (WALL + (boot_ns - BOOT)).saturating_add_signed(stepped_by);
        WallReading { before_ns: boot_ns, wall_ns, after_ns: boot_ns }
    }

    fn timeline() -> Timeline {
        let (interval, hold) = (Duration::from_nanos(INTERVAL), Duration::from_nanos(HOLD));
        Timeline::new(interval, reading(BOOT + 100 * MS, 0), hold)
    }

    #[test]
    fn a_slot_is_taken_once_its_packets_must_have_come() {
        let mut timeline = timeline();
        assert_eq!(timeline.take(BOOT + INTERVAL + HOLD - 1, |_| true), None);
        let span = timeline.take(BOOT + INTERVAL + HOLD, |_| true).unwrap();
        assert_eq!((span.slots, span.bounds), (0..1, BOOT..BOOT + INTERVAL));
        assert!(!span.stepped);
        assert_eq!(timeline.wall_ns(BOOT), WALL);
        assert_eq!(timeline.take(BOOT + INTERVAL + HOLD, |_| true), None);
        assert_eq!(timeline.due_ns(), BOOT + 2 * INTERVAL + HOLD);
    }

    #[test]
    fn a_reader_that_has_fallen_behind_is_waited_for_but_not_for_ever() {
        let mut timeline = timeline();
        let due = timeline.due_ns();
        let behind = |end| {
            assert_eq!(end, BOOT + INTERVAL);
            false
        };
        assert_eq!(timeline.take(due, behind), None);
        assert_eq!(timeline.take(due + PATIENCE_MAX_NS - 1, behind), None);
        let span = timeline.take(due + PATIENCE_MAX_NS, behind).unwrap();
        assert_eq!(span.slots, 0..1);
    }

    #[test]
    fn after_standing_still_all_that_is_due_is_taken_at_once() {
        let mut timeline = timeline();
        let now = BOOT + 10_000 * INTERVAL + HOLD;
        let span = timeline.take(now, |_| true).unwrap();
        assert_eq!((span.slots, span.bounds), (0..10_000, BOOT..now - HOLD));
        assert_eq!(timeline.take(now, |_| true), None);
    }

    #[test]
    fn a_reader_that_stood_still_as_the_sampler_did_is_waited_for_all_the_same() {
        for pause in [5, 10_000] {
            let mut timeline = timeline();
            let now = BOOT + pause * INTERVAL + HOLD;
            assert_eq!(timeline.take(now, |_| false), None);
            assert_eq!(timeline.take(now + PATIENCE_MAX_NS - 1, |_| false), None);
            let all = BOOT + (pause + 1) * INTERVAL;
            let counted = |end| end <= all;
            assert!(timeline.take(now + INTERVAL, counted).is_some(), "it has caught up");
        }
    }

    #[test]
    fn patience_with_a_reader_that_is_stuck_is_spent_once() {
        let mut timeline = timeline();
        let now = timeline.due_ns() + PATIENCE_MAX_NS;
        assert_eq!(timeline.take(timeline.due_ns(), |_| false), None);
        assert_eq!(timeline.take(now, |_| false).unwrap().slots, 0..1);
        assert_eq!(timeline.take(now, |_| false).unwrap().slots, 1..2);
    }

    #[test]
    fn the_rest_ends_where_capture_did() {
        let mut timeline = timeline();
        let span = timeline.take_rest(BOOT + 3 * INTERVAL + 7);
        assert_eq!((span.slots, span.bounds), (0..4, BOOT..BOOT + 3 * INTERVAL + 7));
    }

    #[test]
    fn a_step_is_said_once_and_later_slots_are_dated_by_the_new_time() {
        let by = 3_600_123 * MS.cast_signed();
        let mut timeline = timeline();
        assert_eq!(timeline.observe(reading(BOOT + 200 * MS, 0)), None);
        let schedule = timeline.observe(reading(BOOT + 300 * MS, by)).unwrap();
        assert_eq!(timeline.observe(reading(BOOT + 301 * MS, by)), None);
        let (mut stepped, mut end) = (0, BOOT);
        for n in 0..6 {
            let span = timeline.take(timeline.due_ns(), |_| true).unwrap();
            assert_eq!((span.slots, span.bounds.start), (n..n + 1, end), "no gap, no overlap");
            assert_eq!(span.bounds, schedule.bounds(n));
            stepped += u32::from(span.stepped);
            end = span.bounds.end;
            let wall = timeline.wall_ns(span.bounds.start);
            assert_eq!(wall % INTERVAL, 0, "slots begin at multiples of the interval");
            let moved = if n < 2 { 0 } else { by };
            assert_eq!(wall, reading(span.bounds.start, moved).wall_ns);
        }
        assert_eq!(stepped, 1);
    }

    #[test]
    fn steps_in_a_row_leave_no_gap_and_end_aligned() {
        let mut timeline = timeline();
        let (mut end, mut by) = (BOOT, 0);
        for n in 0..40 {
            let now = timeline.due_ns();
            if n < 20 {
                by += (n % 7 - 3) * 10_007 * MS.cast_signed();
            }
            timeline.observe(reading(now - 10 * MS, by));
            timeline.observe(reading(now, by));
            let span = timeline.take(now, |_| true).unwrap();
            assert_eq!(span.bounds.start, end);
            end = span.bounds.end;
        }
        assert_eq!(timeline.wall_ns(end - 1) / INTERVAL + 1, reading(end, by).wall_ns / INTERVAL);
    }
}
