//! Where a client is: connected here, to another collector of the same store, or nowhere. Takes events,
//! times, and the register's answers.

use wire::WallNs;

use crate::time::Time;

const SECOND_NS: u64 = 1_000_000_000;

/// How long this collector may still commit data of a client that left, nanoseconds. Such commits don't
/// show the client at another collector.
const TAIL_NS: u64 = 15 * SECOND_NS;

/// Additional age that saved state may have, nanoseconds.
const SAVED_NS: u64 = 60 * SECOND_NS;

/// Number of register answers without news after which a client is down. That is 90 s: agents report at
/// least every 60 s, and the register is asked every 10 s.
const QUIET: u8 = 9;

/// Where a client is, and when it was last heard from.
#[derive(Debug)]
pub(super) struct Presence {
    /// Open connections; briefly two when a client reconnects.
    connections: u32,
    /// When this collector last heard from it; 0: never.
    heard_ns: WallNs,
    /// This long after that, it may still have been heard from here.
    unsure_ns: u64,
    /// The register's last answer.
    registered_ns: Option<WallNs>,
    /// Number of answers without news since the register showed the client at another collector.
    quiet: u8,
    /// When another collector heard from it.
    elsewhere_ns: WallNs,
}

impl Default for Presence {
    /// A client never heard from.
    fn default() -> Self {
        Self {
            connections: 0,
            heard_ns: WallNs(0),
            unsure_ns: 0,
            registered_ns: None,
            quiet: QUIET,
            elsewhere_ns: WallNs(0),
        }
    }
}

impl Presence {
    /// A client heard from before a restart.
    pub fn restored(heard_ns: WallNs) -> Self {
        Self { heard_ns, unsure_ns: SAVED_NS, ..Self::default() }
    }

    pub const fn on_connected(&mut self, now_ns: WallNs) {
        self.connections = self.connections.saturating_add(1);
        (self.heard_ns, self.unsure_ns, self.quiet) = (now_ns, 0, QUIET);
    }

    pub const fn on_disconnected(&mut self, now_ns: WallNs) {
        self.connections = self.connections.saturating_sub(1);
        self.heard_ns = now_ns;
    }

    pub const fn on_heard(&mut self, now_ns: WallNs) {
        self.heard_ns = now_ns;
    }

    /// Takes the register's time of the client's last sign of life. Call it every 10 s.
    pub fn on_registered(&mut self, last_seen_ns: WallNs, now_ns: WallNs) {
        // It was heard from while the clock was ahead.
        self.heard_ns = self.heard_ns.min(now_ns);
        let before = self.registered_ns.replace(last_seen_ns);
        self.quiet = self.quiet.saturating_add(1);
        let own_ns = self.heard_ns.saturating_add(self.unsure_ns).saturating_add(TAIL_NS);
        if last_seen_ns > own_ns {
            // A wrong clock may have written a time in the future.
            self.elsewhere_ns = now_ns.min(last_seen_ns);
            if before.is_some_and(|before| before < last_seen_ns) {
                self.quiet = 0;
            }
        }
    }

    /// True if it is connected here.
    pub const fn here(&self) -> bool {
        self.connections > 0
    }

    /// True if it is connected, here or to another collector of the same store.
    pub const fn up(&self) -> bool {
        self.here() || self.quiet < QUIET
    }

    /// True if another collector of the same store heard from it last.
    pub fn elsewhere(&self) -> bool {
        !self.here() && self.elsewhere_ns > self.heard_ns
    }

    /// When this collector last heard from it; 0: never.
    pub const fn heard_ns(&self) -> WallNs {
        self.heard_ns
    }

    /// When any collector last heard from it.
    pub fn last_seen(&self) -> Time {
        Time(if self.elsewhere() { self.elsewhere_ns } else { self.heard_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_heard_of_while_the_clock_was_ahead_is_found_at_another_collector() {
        const NOW: u64 = 1_800_000_000 * SECOND_NS;
        let mut presence = Presence::default();
        presence.on_connected(WallNs(2 * NOW));
        presence.on_disconnected(WallNs(2 * NOW));
        for later in [0, 20, 40] {
            let now = NOW + later * SECOND_NS;
            presence.on_registered(WallNs(now), WallNs(now));
        }
        assert!(presence.up() && presence.elsewhere());
        assert_eq!(presence.last_seen().0, WallNs(NOW + 40 * SECOND_NS));
    }
}
