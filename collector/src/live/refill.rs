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

const SECOND_NS: u64 = 1_000_000_000;

/// Whether the store is to be asked for a client's last hour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refill {
    wanted_until_ns: WallNs,
    asked_ns: Option<WallNs>,
}

impl Refill {
    /// A client whose last hour is not known.
    pub const fn wanted(now_ns: WallNs) -> Self {
        Self { wanted_until_ns: now_ns.saturating_add(SETTLED_NS), asked_ns: None }
    }

    /// It may have been elsewhere before.
    pub const fn on_connected(&mut self, now_ns: WallNs) {
        self.wanted_until_ns = now_ns.saturating_add(SETTLED_NS);
    }

    /// Whether to ask now. `elsewhere`: another collector hears from it.
    pub fn due(&self, elsewhere: bool, now_ns: WallNs) -> bool {
        let since = self.asked_ns.map(|asked| now_ns.abs_diff(asked));
        (elsewhere || now_ns < self.wanted_until_ns) && since.is_none_or(|since| since >= ASKED_NS)
    }

    /// The store has answered.
    pub const fn on_answer(&mut self, now_ns: WallNs) {
        self.asked_ns = Some(now_ns);
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
            if refill.due(false, now) {
                asked.push(second);
                refill.on_answer(now);
            }
        }
        assert_eq!(asked, [0, 60, 120]);
        let now = WallNs(600 * SECOND_NS);
        refill.on_connected(now);
        assert!(refill.due(false, now + SECOND_NS));
    }

    #[test]
    fn a_client_at_another_collector_is_asked_for_each_minute() {
        let mut refill = Refill::default();
        let later = WallNs(10_000 * SECOND_NS);
        assert!(!refill.due(false, later));
        assert!(refill.due(true, later));
        refill.on_answer(later);
        assert!(!refill.due(true, later + 59 * SECOND_NS));
        assert!(refill.due(true, later + 60 * SECOND_NS));
        assert!(refill.due(true, later.saturating_sub(3600 * SECOND_NS)), "the clock was set back");
    }
}
