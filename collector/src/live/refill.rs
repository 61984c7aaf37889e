//! When the store is asked for a client's last hour. Takes events and times.
//!
//! What happened before this collector heard of a client, or while another collector did, is only in
//! the store; and what the client delivered shortly before gets there a little later.

use wire::WallNs;

/// How long after a client is heard of anew the store may still learn of what was before, nanoseconds:
/// agents are back, and what the writers hold is committed.
const SETTLED_NS: u64 = 180 * SECOND_NS;

/// Time between two questions about one client, nanoseconds.
const ASKED_NS: u64 = 60 * SECOND_NS;

/// Time between two questions about a whole hour, nanoseconds: what an agent kept during an outage gets
/// into the store late. In between, only the newest minutes are asked for.
const WHOLE_NS: u64 = 15 * ASKED_NS;

/// The newest minutes: those since the last question, and what writers may hold, nanoseconds.
const NEWEST_NS: u64 = 5 * ASKED_NS;

const SECOND_NS: u64 = 1_000_000_000;

/// What the store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingMinutes {
    /// The last hour.
    Hour,
    /// So much of its end, nanoseconds.
    Newest(u64),
}

/// Whether the store is to be asked for a client's last hour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refill {
    wanted_until_ns: WallNs,
    asked_ns: Option<WallNs>,
    /// When the whole hour was asked for.
    whole_ns: Option<WallNs>,
}

impl Refill {
    /// A client whose last hour is not known.
    pub const fn wanted(now_ns: WallNs) -> Self {
        Self { wanted_until_ns: now_ns.saturating_add(SETTLED_NS), asked_ns: None, whole_ns: None }
    }

    /// It may have been elsewhere before.
    pub const fn on_connected(&mut self, now_ns: WallNs) {
        self.wanted_until_ns = now_ns.saturating_add(SETTLED_NS);
    }

    /// What to ask for now. `elsewhere`: another collector hears from it.
    pub fn due(&self, elsewhere: bool, now_ns: WallNs) -> Option<MissingMinutes> {
        let over =
            |at: Option<WallNs>, length_ns| at.is_none_or(|at| now_ns.abs_diff(at) >= length_ns);
        let unsettled = now_ns < self.wanted_until_ns;
        let wanted = (elsewhere || unsettled) && over(self.asked_ns, ASKED_NS);
        let whole = unsettled || over(self.whole_ns, WHOLE_NS);
        wanted.then_some(if whole {
            MissingMinutes::Hour
        } else {
            MissingMinutes::Newest(NEWEST_NS)
        })
    }

    /// The store has answered, about the whole hour or its end.
    pub const fn on_answer(&mut self, whole: bool, now_ns: WallNs) {
        self.asked_ns = Some(now_ns);
        if whole {
            self.whole_ns = Some(now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_client_is_asked_for_at_once_and_until_all_is_in_the_store() {
        let mut refill = Refill::wanted(WallNs(0));
        let mut asked = Vec::new();
        for second in (0..600).step_by(10) {
            let now = WallNs(second * SECOND_NS);
            if let Some(missing) = refill.due(false, now) {
                assert_eq!(missing, MissingMinutes::Hour);
                asked.push(second);
                refill.on_answer(true, now);
            }
        }
        assert_eq!(asked, [0, 60, 120]);
        let now = WallNs(600 * SECOND_NS);
        refill.on_connected(now);
        assert!(refill.due(false, now + SECOND_NS).is_some());
    }

    #[test]
    fn of_a_client_at_another_collector_the_newest_minutes_are_asked_for_and_at_times_all() {
        let mut refill = Refill::default();
        let mut asked = Vec::new();
        assert_eq!(refill.due(false, WallNs(10_000 * SECOND_NS)), None);
        for second in (10_000..10_000 + 31 * 60).step_by(10) {
            let now = WallNs(second * SECOND_NS);
            if let Some(missing) = refill.due(true, now) {
                asked.push(missing);
                refill.on_answer(missing == MissingMinutes::Hour, now);
            }
        }
        let hours = asked.iter().enumerate().filter(|(_, it)| **it == MissingMinutes::Hour);
        let hours: Vec<usize> = hours.map(|(minute, _)| minute).collect();
        assert_eq!((asked.len(), hours), (31, vec![0, 15, 30]));
        let back = WallNs(6000 * SECOND_NS);
        assert!(refill.due(true, back).is_some(), "the clock was set back");
    }
}
