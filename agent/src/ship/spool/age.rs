//! Age: how long ago something was written, by the spool's own clock, which is independent of the
//! wall clock.
//!
//! The spool's clock counts the nanoseconds since its file was made, with the boot-time clock, also
//! while the agent doesn't run. A reboot sets that clock to zero, and the time that the host was
//! off is unknown. So ages are never too long, but too short by that time. The spool's size bounds
//! what that keeps.

/// The spool's clock as it was at one reading of the boot-time clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Boot-time clock, nanoseconds.
    pub boot_ns: u64,
    /// The spool's, nanoseconds.
    pub spool_ns: u64,
}

impl Clock {
    /// The clock of a new file.
    pub const fn new(boot_ns: u64) -> Self {
        Self { boot_ns, spool_ns: 0 }
    }

    /// The clock as it is now, maybe after a reboot: if the boot-time clock is behind, it started
    /// again; if not, at least the difference has passed.
    pub fn resumed(self, boot_ns: u64) -> Self {
        let passed = boot_ns.checked_sub(self.boot_ns).unwrap_or(boot_ns);
        Self { boot_ns, spool_ns: self.spool_ns.saturating_add(passed) }
    }

    /// The spool's time at a boot time of this run, nanoseconds.
    pub const fn at(self, boot_ns: u64) -> u64 {
        self.spool_ns.saturating_add(boot_ns.saturating_sub(self.boot_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_on_over_a_restart_and_never_too_fast_over_a_reboot() {
        let clock = Clock::new(1000);
        assert_eq!((clock.at(1000), clock.at(1700), clock.at(5)), (0, 700, 0));
        let restarted = clock.resumed(1900);
        assert_eq!((restarted.at(1900), restarted.at(2000)), (900, 1000));
        // After a reboot, first with a shorter and then with a longer time since.
        assert_eq!(restarted.resumed(40).at(50), 900 + 40 + 10);
        assert_eq!(restarted.resumed(5000).at(5000), 900 + 3100);
    }
}
