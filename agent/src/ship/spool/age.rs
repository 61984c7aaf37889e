//! Age: how long ago something was written, by the spool's own clock, which is independent of the
//! wall clock.
//!
//! The spool's clock counts the nanoseconds since its file was made, with the boot-time clock, also
//! while the agent doesn't run. A reboot sets that clock to zero, and the time that the host was
//! off is unknown. So ages are never too long, but too short by that time. The spool's size bounds
//! what that keeps.

use wire::BootNs;

/// The spool's clock as it was at one reading of the boot-time clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Boot-time clock, nanoseconds.
    pub boot_ns: BootNs,
    /// The spool's, nanoseconds.
    pub spool_ns: u64,
}

impl Clock {
    /// The clock of a new file.
    pub const fn new(boot_ns: BootNs) -> Self {
        Self { boot_ns, spool_ns: 0 }
    }

    /// The clock as it is now, maybe after a reboot: if the boot-time clock is behind, it started
    /// again; if not, at least the difference has passed.
    pub fn resumed(self, boot_ns: BootNs) -> Self {
        let rebooted = boot_ns < self.boot_ns;
        let passed = if rebooted { boot_ns.get() } else { boot_ns - self.boot_ns };
        Self { boot_ns, spool_ns: self.spool_ns.saturating_add(passed) }
    }

    /// The spool's time at a boot time of this run, nanoseconds.
    pub const fn at(self, boot_ns: BootNs) -> u64 {
        self.spool_ns.saturating_add(boot_ns.saturating_since(self.boot_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_on_over_a_restart_and_never_too_fast_over_a_reboot() {
        let clock = Clock::new(BootNs(1000));
        assert_eq!(
            (clock.at(BootNs(1000)), clock.at(BootNs(1700)), clock.at(BootNs(5))),
            (0, 700, 0)
        );
        let restarted = clock.resumed(BootNs(1900));
        assert_eq!((restarted.at(BootNs(1900)), restarted.at(BootNs(2000))), (900, 1000));
        // After a reboot, first with a shorter and then with a longer time since.
        assert_eq!(restarted.resumed(BootNs(40)).at(BootNs(50)), 900 + 40 + 10);
        assert_eq!(restarted.resumed(BootNs(5000)).at(BootNs(5000)), 900 + 3100);
    }
}
