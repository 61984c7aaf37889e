//! Counters of one NIC that never decrease, even if frames come twice, late or out of order. Each is
//! the sum of the highest totals received of every session of the client.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::frame::{Counts, Sample};
use wire::id::SessionId;
use wire::{Bytes, Packets, WallNs};

use crate::time::Time;

/// Number of sessions kept apart. Beyond that, the one silent longest is added to the sum.
const SESSIONS_MAX: usize = 64;

/// Totals of one NIC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Received.
    pub rx: Total,
    /// Transmitted.
    pub tx: Total,
}

/// Totals of one direction, on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Total {
    /// Bytes.
    #[schema(value_type = u64)]
    pub bytes: Bytes,
    /// Packets.
    #[schema(value_type = u64)]
    pub packets: Packets,
}

impl Totals {
    /// A sample's totals of its session.
    #[must_use]
    pub const fn of(sample: &Sample) -> Self {
        Self { rx: Total::of(&sample.rx), tx: Total::of(&sample.tx) }
    }

    /// What a sample itself counted.
    #[must_use]
    pub fn counted_in(sample: &Sample) -> Self {
        let counts = |counts: &Counts| Total { bytes: counts.bytes, packets: counts.packets };
        Self { rx: counts(&sample.rx), tx: counts(&sample.tx) }
    }

    fn each(
        &mut self,
        other: Self,
        bytes: fn(Bytes, Bytes) -> Bytes,
        packets: fn(Packets, Packets) -> Packets,
    ) {
        for (own, other) in [(&mut self.rx, other.rx), (&mut self.tx, other.tx)] {
            own.bytes = bytes(own.bytes, other.bytes);
            own.packets = packets(own.packets, other.packets);
        }
    }
}

impl Total {
    const fn of(counts: &Counts) -> Self {
        Self { bytes: counts.total_bytes, packets: counts.total_packets }
    }
}

/// Packets that a NIC's figures lack or misplace, both directions; totals that only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// Dropped because the ring was full; no other figure includes them.
    pub drops: Packets,
    /// Counted in a later interval than their own.
    pub late: Packets,
    /// Counted as captured although they are or may be super-packets.
    pub inexact: Packets,
}

impl Losses {
    /// The losses of a sample.
    pub fn of(sample: &Sample) -> Self {
        Self {
            drops: sample.drops,
            late: Packets(sample.late.into()),
            inexact: Packets(sample.inexact.into()),
        }
    }

    /// Adds others.
    pub const fn add(&mut self, other: Self) {
        self.drops = self.drops.saturating_add(other.drops);
        self.late = self.late.saturating_add(other.late);
        self.inexact = self.inexact.saturating_add(other.inexact);
    }
}

/// The counters of one NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Totals of sessions no longer kept apart.
    carried: Totals,
    /// The highest totals of each session, the most recently updated at the end.
    sessions: Vec<(SessionId, Totals)>,
    /// When it began at zero, by the collector's clock; 0: unknown.
    #[serde(default)]
    since_ns: WallNs,
}

impl Counter {
    /// Takes the totals of a session.
    pub fn observe(&mut self, session: SessionId, totals: Totals) {
        let known = self.sessions.iter().rposition(|(known, _)| *known == session);
        let mut highest = known.map_or_else(Totals::default, |index| self.sessions.remove(index).1);
        highest.each(totals, Bytes::max, Packets::max);
        if self.sessions.len() == SESSIONS_MAX {
            let (_, oldest) = self.sessions.remove(0);
            self.carried.each(oldest, Bytes::saturating_add, Packets::saturating_add);
        }
        self.sessions.push((session, highest));
    }

    /// True until it has counted.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Sets when it began at zero, by the collector's clock.
    pub const fn begin(&mut self, since_ns: WallNs) {
        self.since_ns = since_ns;
    }

    /// When it began at zero, by the collector's clock, if that is known.
    #[must_use]
    pub fn since(&self) -> Option<Time> {
        Some(Time(self.since_ns)).filter(|since| since.0 > WallNs(0))
    }

    /// The totals over all sessions.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = self.carried;
        for (_, totals) in &self.sessions {
            sum.each(*totals, Bytes::saturating_add, Packets::saturating_add);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn received(bytes: u64) -> Totals {
        Totals {
            rx: Total { bytes: Bytes(bytes), packets: Packets(0) },
            tx: Total { bytes: Bytes(0), packets: Packets(0) },
        }
    }

    #[test]
    fn a_new_session_goes_on_from_where_the_counter_was() {
        let mut counter = Counter::default();
        counter.observe(SessionId::new(1), received(100));
        counter.observe(SessionId::new(2), received(7));
        assert_eq!(counter.totals(), received(107));
        // The rest of the first session.
        counter.observe(SessionId::new(1), received(120));
        assert_eq!(counter.totals(), received(127));
    }

    #[test]
    fn what_is_heard_twice_or_late_changes_nothing() {
        let mut counter = Counter::default();
        for bytes in [10, 30, 20, 30, 10] {
            counter.observe(SessionId::new(1), received(bytes));
        }
        assert_eq!(counter.totals(), received(30));
    }

    #[test]
    fn sessions_past_the_most_told_apart_still_count() {
        let mut counter = Counter::default();
        for session in 0..3 * SESSIONS_MAX as u64 {
            counter.observe(SessionId::new(session), received(1));
        }
        assert_eq!(counter.sessions.len(), SESSIONS_MAX);
        assert_eq!(counter.totals(), received(3 * SESSIONS_MAX as u64));
    }
}
