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

/// Agents are back this soon after a restart of their collector, nanoseconds: `server.retry_interval`
/// is 10 s, and several may have to wait for each other.
const RETURN_NS: u64 = 120 * SECOND_NS;

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
    /// Since when it is up, as far as this collector knows.
    up_since_ns: WallNs,
    /// A client that connects until then has only lost this collector.
    resumes_until_ns: WallNs,
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
            up_since_ns: WallNs(0),
            resumes_until_ns: WallNs(0),
        }
    }
}

impl Presence {
    /// A client heard from before a restart. `up_since_ns`: 0 if it was down.
    pub fn restored(heard_ns: WallNs, up_since_ns: WallNs, now_ns: WallNs) -> Self {
        let was_up = up_since_ns != WallNs(0);
        let resumes_until_ns = if was_up { now_ns.saturating_add(RETURN_NS) } else { WallNs(0) };
        Self { heard_ns, unsure_ns: SAVED_NS, up_since_ns, resumes_until_ns, ..Self::default() }
    }

    pub fn on_connected(&mut self, now_ns: WallNs) {
        if !self.up() && now_ns >= self.resumes_until_ns {
            self.up_since_ns = now_ns;
        }
        self.resumes_until_ns = WallNs(0);
        self.connections = self.connections.saturating_add(1);
        (self.heard_ns, self.unsure_ns, self.quiet) = (now_ns, 0, QUIET);
    }

    pub const fn on_disconnected(&mut self, now_ns: WallNs) {
        self.connections = self.connections.saturating_sub(1);
        self.heard_ns = now_ns;
    }

    /// Since when it is up, 0 while it is not.
    pub const fn up_since_ns(&self) -> WallNs {
        if self.up() { self.up_since_ns } else { WallNs(0) }
    }

    /// Since when it is up, or down; `None`: not known.
    pub fn since(&self) -> Option<Time> {
        let since = if self.up() { Time(self.up_since_ns) } else { self.last_seen() };
        (since != Time(WallNs(0))).then_some(since)
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
                if !self.up() {
                    self.up_since_ns = self.elsewhere_ns;
                }
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
    fn a_client_is_up_since_it_connected_over_restarts_of_the_collector() {
        const NOW: WallNs = WallNs(1_800_000_000 * SECOND_NS);
        let at = |seconds: u64| Time(NOW + seconds * SECOND_NS);
        let mut presence = Presence::default();
        assert_eq!(presence.since(), None);
        presence.on_connected(at(0).0);
        // A second connection, before the first has ended.
        presence.on_connected(at(5).0);
        presence.on_disconnected(at(6).0);
        assert_eq!((presence.since(), presence.up_since_ns()), (Some(at(0)), at(0).0));
        // The collector restarts; the client is back in time, or not.
        let restarted = || Presence::restored(at(60).0, at(0).0, at(70).0);
        let mut back = restarted();
        back.on_connected(at(80).0);
        assert_eq!(back.since(), Some(at(0)));
        let mut late = restarted();
        late.on_connected(at(200).0);
        assert_eq!(late.since(), Some(at(200)));
        // It leaves.
        presence.on_disconnected(at(90).0);
        assert_eq!((presence.since(), presence.up_since_ns()), (Some(at(90)), WallNs(0)));
        presence.on_connected(at(95).0);
        assert_eq!(presence.since(), Some(at(95)));
        let mut down = Presence::restored(at(90).0, WallNs(0), at(100).0);
        down.on_connected(at(101).0);
        assert_eq!(down.since(), Some(at(101)));
    }

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
