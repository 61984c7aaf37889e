//! The system's clocks, read in one place.

use nix::time::{ClockId, clock_getres, clock_gettime};
use wire::{BootNs, WallNs};

use crate::account::clock::WallReading;

fn read_clock(clock: ClockId) -> u64 {
    // Reading these two clocks can't fail (clock_gettime(2)).
    clock_gettime(clock).map_or(0, |time| {
        let part = |part: i64| u64::try_from(part).unwrap_or(0);
        part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
    })
}

/// The boot-time clock, nanoseconds: never stepped, and runs on while the host sleeps.
#[must_use]
pub fn boot_ns() -> BootNs {
    BootNs(read_clock(ClockId::CLOCK_BOOTTIME))
}

/// A boot of the kernel, by 64 random bits of its id. Zero: unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BootId(pub u64);

impl BootId {
    /// False if the system doesn't tell.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }
}

/// The wall clock, nanoseconds since 1970 (UTC).
#[must_use]
pub fn wall_ns() -> WallNs {
    WallNs(read_clock(ClockId::CLOCK_REALTIME))
}

/// The kernel's tick, nanoseconds: 1 to 10 ms.
#[must_use]
pub fn tick_ns() -> u64 {
    // A coarse clock is set with each tick.
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).ok();
    tick.and_then(|tick| u64::try_from(tick.tv_nsec()).ok()).unwrap_or(10_000_000)
}

/// The wall clock between two readings of the boot-time clock.
#[must_use]
pub fn read() -> WallReading {
    let before_ns = boot_ns();
    let wall_ns = wall_ns();
    WallReading { before_ns, wall_ns, after_ns: boot_ns() }
}

/// When the kernel stamped a packet, by the wall clock, nanoseconds since 1970 (UTC).
#[cfg(not(feature = "clock-seam"))]
#[inline]
#[must_use]
pub const fn stamped(wall_ns: WallNs) -> WallNs {
    wall_ns
}

#[cfg(feature = "clock-seam")]
pub use self::seam::stamped;

/// Tests shift the clocks that a program reads, but not the kernel's, which stamps packets. So the
/// stamps are shifted here by the same file.
#[cfg(feature = "clock-seam")]
mod seam {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    /// How often the file is read.
    const LOOK: Duration = Duration::from_millis(50);

    /// A time and how far the clock is ahead from then on, nanoseconds.
    type Step = (WallNs, i64);

    /// When the file was read, and what it says.
    static STEPS: Mutex<(Option<Instant>, Vec<Step>)> = Mutex::new((None, Vec::new()));

    /// Without tests nothing is shifted.
    #[must_use]
    pub fn stamped(wall_ns: WallNs) -> WallNs {
        let Ok(mut steps) = STEPS.lock() else { return wall_ns };
        if steps.0.is_none_or(|at| at.elapsed() >= LOOK) {
            let text = std::env::var("NETMON_TEST_CLOCK").and_then(|path| {
                std::fs::read_to_string(path).map_err(|_| std::env::VarError::NotPresent)
            });
            let step = |line: &str| {
                let mut words = line.split(' ');
                Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
            };
            let read = text.unwrap_or_default().lines().filter_map(step).collect();
            *steps = (Some(Instant::now()), read);
        }
        let step = steps.1.iter().rev().find(|(from, _)| *from <= wall_ns);
        wall_ns.saturating_add_signed(step.map_or(0, |(_, ahead)| *ahead))
    }
}
