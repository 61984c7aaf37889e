//! Points in time: nanoseconds since 1970 (UTC) inside, RFC 3339 outside.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use wire::WallNs;

/// The wall clock now, nanoseconds since 1970 (UTC).
#[must_use]
pub fn now_ns() -> WallNs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallNs(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The boot clock. It is never stepped and runs on while the host sleeps, so durations that include
/// sleep use it.
#[must_use]
pub fn boot() -> Duration {
    // Reading this clock can't fail (clock_gettime(2)).
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Detects steps of the wall clock by the boot clock.
#[derive(Debug, Default)]
pub struct ClockSteps {
    /// The wall clock less the boot clock, nanoseconds.
    offset_ns: Option<i128>,
}

/// Smaller changes don't count, because NTP adjusts clocks.
const STEP_NS: u128 = 1_000_000_000;

impl ClockSteps {
    /// True if the wall clock was stepped since the last call.
    pub fn stepped(&mut self, wall_ns: WallNs, boot: Duration) -> bool {
        let offset_ns =
            i128::from(wall_ns.get()) - i128::try_from(boot.as_nanos()).unwrap_or(i128::MAX);
        let before = self.offset_ns.replace(offset_ns);
        before.is_some_and(|before_ns| before_ns.abs_diff(offset_ns) >= STEP_NS)
    }
}

/// A duration for people, in the largest unit of which it has at least two: `26 h`, `21 days`.
#[must_use]
pub fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "days"), (3600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    unit.map_or_else(
        || format!("{:.1} s", length.as_secs_f64()),
        |(unit, name)| format!("{} {name}", (seconds + unit / 2) / unit),
    )
}

/// A point in time, nanoseconds since 1970 (UTC). Reads as RFC 3339 in text and JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2024-01-01T12:00:00.5Z")]
pub struct Time(pub WallNs);

impl Time {
    /// Reads RFC 3339 or seconds since 1970, which may have a fraction. `None` if it is neither,
    /// or before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(ns) = parse_seconds(text) {
            return Some(Self(WallNs(ns)));
        }
        // In a query an unescaped `+` of an offset arrives as a space.
        let time: Timestamp = text.replace(' ', "+").parse().ok()?;
        u64::try_from(time.as_nanosecond()).ok().map(|ns| Self(WallNs(ns)))
    }
}

/// `1700000000` or `1700000000.25`, exactly.
fn parse_seconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 64 bits of nanoseconds end in 2554, within the calendar.
        let time = Timestamp::from_nanosecond(i128::from(self.0.get())).unwrap_or(Timestamp::MAX);
        time.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no time; give RFC 3339 as in 2024-01-01T12:00:00Z, or seconds since \
                 1970"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_and_as_unix_seconds() {
        let noon = Some(Time(WallNs(1_704_110_400_000_000_000)));
        for text in [
            "2024-01-01T12:00:00Z",
            "2024-01-01T13:00:00+01:00",
            "2024-01-01T13:00:00 01:00",
            "1704110400",
            "1704110400.0",
        ] {
            assert_eq!(Time::parse(text), noon, "{text}");
        }
        assert_eq!(Time::parse("1704110400.25"), Some(Time(WallNs(1_704_110_400_250_000_000))));
        for text in ["", "now", "-1", "1.", ".5", "1e9", "2024-01-01", "1960-01-01T00:00:00Z"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
        assert_eq!(Time::parse("99999999999999999999"), None);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_noticed_once_and_a_sleep_is_none() {
        let (mut steps, second) = (ClockSteps::default(), Duration::from_secs);
        let wall = |seconds: u64| WallNs(seconds * 1_000_000_000);
        assert!(!steps.stepped(wall(1000), second(10)));
        assert!(!steps.stepped(wall(1005), second(15)));
        assert!(steps.stepped(wall(9000), second(16)));
        assert!(!steps.stepped(wall(9500), second(516)), "the host slept");
        assert!(steps.stepped(wall(5), second(517)));
        assert!(!steps.stepped(wall(6), second(518)));
    }

    #[test]
    fn lengths_are_told_roughly() {
        let told = |seconds| rough(Duration::from_millis(seconds));
        assert_eq!(told(14_200), "14.2 s");
        assert_eq!(told(3_600_000), "60 min");
        assert_eq!(told(93_600_000), "26 h");
        assert_eq!(told(730 * 86_400_000), "730 days");
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(Time(WallNs(1_704_110_400_500_000_000)).to_string(), "2024-01-01T12:00:00.5Z");
        assert_eq!(Time(WallNs::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }
}
