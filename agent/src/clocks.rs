//! The system's clocks, read in one place.

use nix::time::{ClockId, clock_getres, clock_gettime};

use crate::account::clock::Reading;

fn read_clock(clock: ClockId) -> u64 {
    // Reading these two clocks can't fail (clock_gettime(2)).
    clock_gettime(clock).map_or(0, |time| {
        let part = |part: i64| u64::try_from(part).unwrap_or(0);
        part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
    })
}

/// The boot-time clock, nanoseconds: never stepped, and runs on while the host sleeps.
#[must_use]
pub fn boot_ns() -> u64 {
    read_clock(ClockId::CLOCK_BOOTTIME)
}

/// The wall clock, nanoseconds since 1970 (UTC).
#[must_use]
pub fn wall_ns() -> u64 {
    read_clock(ClockId::CLOCK_REALTIME)
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
pub fn read() -> Reading {
    let before_ns = boot_ns();
    let wall_ns = wall_ns();
    Reading { before_ns, wall_ns, after_ns: boot_ns() }
}
