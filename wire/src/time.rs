//! Points in time by the two clocks that agents and collectors read. Lengths of time are plain
//! nanoseconds or [`std::time::Duration`].

use std::ops::{Div, Rem};

use rkyv::{Archive, Deserialize, Serialize};

use crate::number::point;

/// A time by the wall clock: nanoseconds since 1970 (UTC). 64 bits end in 2554.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct WallNs(pub u64);

/// A time by the boot clock (`CLOCK_BOOTTIME`): nanoseconds since the kernel booted. It is never
/// stepped and runs on while the host sleeps.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct BootNs(pub u64);

/// What times can do besides: they are tiled by intervals, and moved by the offset between clocks.
macro_rules! time {
    ($name:ident) => {
        impl $name {
            /// The time so much later, or earlier if negative; within the range.
            #[must_use]
            pub const fn saturating_add_signed(self, length_ns: i64) -> Self {
                Self(self.0.saturating_add_signed(length_ns))
            }

            /// The time so much later, modulo 2^64.
            #[inline]
            #[must_use]
            pub const fn wrapping_add(self, length_ns: u64) -> Self {
                Self(self.0.wrapping_add(length_ns))
            }

            /// The time so much earlier, modulo 2^64.
            #[inline]
            #[must_use]
            pub const fn wrapping_sub(self, length_ns: u64) -> Self {
                Self(self.0.wrapping_sub(length_ns))
            }

            /// The length of time since another time, modulo 2^64: huge if that is later.
            #[inline]
            #[must_use]
            pub const fn wrapping_since(self, other: Self) -> u64 {
                self.0.wrapping_sub(other.0)
            }

            /// When the interval began that the time falls into.
            #[must_use]
            pub const fn floor(self, interval_ns: u64) -> Self {
                Self(self.0 / interval_ns * interval_ns)
            }

            /// The first time from this one on at which an interval begins.
            #[must_use]
            pub const fn next_multiple_of(self, interval_ns: u64) -> Self {
                Self(self.0.next_multiple_of(interval_ns))
            }
        }

        /// The number of the interval that a time falls into.
        impl Div<u64> for $name {
            type Output = u64;

            #[inline]
            fn div(self, interval_ns: u64) -> u64 {
                self.0 / interval_ns
            }
        }

        /// How far into its interval a time is.
        impl Rem<u64> for $name {
            type Output = u64;

            #[inline]
            fn rem(self, interval_ns: u64) -> u64 {
                self.0 % interval_ns
            }
        }
    };
}

point!(WallNs);
point!(BootNs);
time!(WallNs);
time!(BootNs);
