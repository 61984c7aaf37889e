//! Estimates by probes how far an agent's clock is ahead of the collector's.

use std::collections::VecDeque;

use wire::WallNs;
use wire::message::ProbeReply;

/// Number of probes kept. The one with the shortest round trip is the most exact.
const PROBES: usize = 6;

/// Estimates the offset of one agent's clock.
#[derive(Debug, Default)]
pub struct ClockOffset {
    /// Round-trip times and offsets, nanoseconds, the newest last.
    probes: VecDeque<(u64, i64)>,
    told: Option<i64>,
}

/// Smallest change of the offset that is reported, nanoseconds.
const WORTH_TELLING_NS: u64 = 1_000_000;

impl ClockOffset {
    /// Takes an answer that arrived at `now_ns`. Returns the offset in nanoseconds if it is new or has
    /// changed by at least a millisecond.
    ///
    /// The offset is taken at the middle of the round trip, as NTP does (RFC 5905, section 8):
    /// it is wrong by at most half of the shortest round trip.
    pub fn on_reply(&mut self, reply: ProbeReply, now_ns: WallNs) -> Option<i64> {
        let ProbeReply { asked_ns, arrived_ns, answered_ns } = reply;
        let held = answered_ns.checked_since(arrived_ns)?;
        let round_trip = now_ns.checked_since(asked_ns)?.checked_sub(held)?;
        let middle = |from: WallNs, to: WallNs| i128::midpoint(from.get().into(), to.get().into());
        let offset = middle(arrived_ns, answered_ns) - middle(asked_ns, now_ns);
        self.probes.push_back((round_trip, i64::try_from(offset).ok()?));
        if self.probes.len() > PROBES {
            self.probes.pop_front();
        }
        let (_, offset) = *self.probes.iter().min_by_key(|(round_trip, _)| round_trip)?;
        let changed = self.told.is_none_or(|told| told.abs_diff(offset) >= WORTH_TELLING_NS);
        changed.then(|| *self.told.insert(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn reply(asked: u64, arrived: u64, answered: u64) -> ProbeReply {
        ProbeReply {
            asked_ns: WallNs(asked),
            arrived_ns: WallNs(arrived),
            answered_ns: WallNs(answered),
        }
    }

    #[test]
    fn the_quickest_of_the_last_probes_tells_the_offset() {
        let mut clock = ClockOffset::default();
        // 10 ms there, 30 ms back, the agent ahead by 500 ms.
        let slow = clock.on_reply(reply(1000 * MS, 1510 * MS, 1511 * MS), WallNs(1041 * MS));
        assert_eq!(slow, Some(490 * MS.cast_signed()));
        let quick = clock.on_reply(reply(2000 * MS, 2501 * MS, 2501 * MS), WallNs(2002 * MS));
        assert_eq!(quick, Some(500 * MS.cast_signed()));
        assert_eq!(clock.on_reply(reply(3000 * MS, 3590 * MS, 3590 * MS), WallNs(3100 * MS)), None);
    }

    #[test]
    fn an_agent_behind_has_a_negative_offset() {
        let mut clock = ClockOffset::default();
        let offset = clock.on_reply(reply(1000 * MS, 400 * MS, 400 * MS), WallNs(1000 * MS));
        assert_eq!(offset, Some(-600 * MS.cast_signed()));
    }

    #[test]
    fn an_answer_that_can_not_be_is_ignored() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.on_reply(reply(2000, 500, 400), WallNs(3000)), None);
        assert_eq!(clock.on_reply(reply(2000, 0, u64::MAX), WallNs(3000)), None);
        assert_eq!(clock.on_reply(reply(5000, 1, 1), WallNs(3000)), None);
        assert_eq!(clock.on_reply(reply(0, u64::MAX, u64::MAX), WallNs(3000)), None);
    }
}
