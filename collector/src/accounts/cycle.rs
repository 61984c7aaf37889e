//! Cycles: which time a billing month covers. Pure.
//!
//! A cycle begins at an anchor (day, time of day, zone) and ends at the next one. It is named by the
//! month in which it begins, in its zone. In months without the day it begins on the last one, and the
//! next month has the day again: 31 gives 31 January, 28 February, 31 March.
//!
//! Days on which clocks change: a cycle is as long as the calendar says, an hour shorter or longer. An
//! anchor that clocks skip is moved on by what they skip (02:30 to 03:30); of one that they show twice,
//! the first counts.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use wire::WallNs;

use crate::store::FIVE_MINUTES_NS;

/// When an account's cycles begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleSchedule {
    /// Day of the month, 1 to 31.
    day: i8,
    time: Time,
    zone: TimeZone,
}

/// The time zone database has no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone {0:?}; write a name of the IANA database, as Europe/Berlin or UTC")]
pub struct UnknownZone(String);

/// The month in which a cycle begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CycleName {
    year: i16,
    month: i8,
}

/// A text that names no cycle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cycle; write the month in which it begins, as 2026-11")]
pub struct InvalidCycle(String);

/// One cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleBounds {
    /// Its name.
    pub name: CycleName,
    /// Its start, nanoseconds since 1970 (UTC); a multiple of 5 minutes.
    pub from_ns: WallNs,
    /// Its end, not included; a multiple of 5 minutes.
    pub to_ns: WallNs,
}

impl CycleSchedule {
    /// Cycles that begin on this day of the month (1 to 31), at this time, in this zone.
    ///
    /// # Errors
    /// There is no such zone.
    pub fn new(day: i8, time: Time, zone: &str) -> Result<Self, UnknownZone> {
        Ok(Self { day, time, zone: zone_named(zone).ok_or_else(|| UnknownZone(zone.to_owned()))? })
    }

    /// The cycle of this name.
    #[must_use]
    pub fn cycle(&self, name: CycleName) -> CycleBounds {
        let (from_ns, to_ns) = (self.start(name), self.start(name.next()));
        CycleBounds { name, from_ns, to_ns }
    }

    /// The cycle that a time lies in, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn cycle_at(&self, time_ns: WallNs) -> CycleBounds {
        let time = timestamp(time_ns).to_zoned_datetime(self.zone.clone());
        let month = CycleName { year: time.year(), month: time.month() };
        let begun = if self.start(month) <= time_ns { month } else { month.previous() };
        self.cycle(begun)
    }

    /// A time on the clocks of its zone: `2026-11-01 00:00 CET`.
    #[must_use]
    pub fn told(&self, time_ns: WallNs) -> String {
        timestamp(time_ns)
            .to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M %Z")
            .to_string()
    }

    /// Nanoseconds since 1970 (UTC). Rounded down to 5 minutes: since 1972, every zone is a multiple of
    /// 15 minutes away from UTC, so only older cycles are.
    fn start(&self, CycleName { year, month }: CycleName) -> WallNs {
        let first = Date::constant(year, month, 1);
        let last = first.last_of_month();
        let date = Date::new(year, month, self.day).map_or(last, |date| date.min(last));
        let start = date.to_datetime(self.time).to_zoned_datetime(self.zone.clone());
        // Fails only at the ends of the calendar.
        let start_ns = start.map_or(0, |start| start.timestamp().as_nanosecond());
        WallNs(u64::try_from(start_ns.max(0)).unwrap_or(u64::MAX)).floor(FIVE_MINUTES_NS)
    }
}

/// The zone from the system's database, or from the one that is built in, if the system has no such
/// zone or no database at all.
fn zone_named(name: &str) -> Option<TimeZone> {
    let built_in = || TimeZoneDatabase::bundled().get(name);
    jiff::tz::db().get(name).or_else(|_| built_in()).ok()
}

fn timestamp(time_ns: WallNs) -> Timestamp {
    // 64 bits of nanoseconds end in 2554, within the calendar.
    Timestamp::from_nanosecond(i128::from(time_ns.get())).unwrap_or(Timestamp::MAX)
}

impl CycleName {
    /// The next month.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self { year, month: 12 } => Self { year: year + 1, month: 1 },
            Self { year, month } => Self { year, month: month + 1 },
        }
    }

    /// The month before.
    #[must_use]
    pub const fn previous(self) -> Self {
        match self {
            Self { year, month: 1 } => Self { year: year - 1, month: 12 },
            Self { year, month } => Self { year, month: month - 1 },
        }
    }
}

impl FromStr for CycleName {
    type Err = InvalidCycle;

    fn from_str(text: &str) -> Result<Self, InvalidCycle> {
        let invalid = || InvalidCycle(text.to_owned());
        let (year, month) = text.split_once('-').ok_or_else(invalid)?;
        let digits = |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(invalid());
        }
        let (year, month) =
            (year.parse().map_err(|_| invalid())?, month.parse().map_err(|_| invalid())?);
        // Nanoseconds since 1970 end in 2554.
        if (1970..2550).contains(&year) && (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for CycleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl Serialize for CycleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CycleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 12 * FIVE_MINUTES_NS;

    fn schedule(day: i8, (hour, minute): (i8, i8), zone: &str) -> CycleSchedule {
        CycleSchedule::new(day, Time::constant(hour, minute, 0, 0), zone).unwrap()
    }

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    fn cycle(schedule: &CycleSchedule, name: &str) -> (u64, u64) {
        let CycleBounds { from_ns, to_ns, .. } = schedule.cycle(name.parse().unwrap());
        (from_ns.get(), to_ns.get())
    }

    #[test]
    fn calendar_months_have_28_to_31_days() {
        // 31 d x 24 h = 744 h; February 2026 has 28 d = 672 h, February 2028 has 29 d = 696 h; 30 d = 720 h.
        let utc = schedule(1, (0, 0), "UTC");
        let hours = [("2026-01", 744), ("2026-02", 672), ("2028-02", 696), ("2026-04", 720)];
        for (name, hours) in hours {
            let (from, to) = cycle(&utc, name);
            assert_eq!(to - from, hours * HOUR, "{name}");
        }
        assert_eq!(
            cycle(&utc, "2026-12"),
            (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z"))
        );
    }

    #[test]
    fn day_31_is_the_last_day_of_shorter_months_and_day_31_again_after() {
        // 31 Jan to 28 Feb: 28 d. 28 Feb to 31 Mar: 31 d. 31 Mar to 30 Apr: 30 d. 29 Feb in 2028.
        let utc = schedule(31, (0, 0), "UTC");
        for (name, from, days) in [
            ("2026-01", "2026-01-31T00:00:00Z", 28),
            ("2026-02", "2026-02-28T00:00:00Z", 31),
            ("2026-03", "2026-03-31T00:00:00Z", 30),
            ("2026-04", "2026-04-30T00:00:00Z", 31),
            ("2028-02", "2028-02-29T00:00:00Z", 31),
        ] {
            assert_eq!(cycle(&utc, name), (at(from), at(from) + days * 24 * HOUR), "{name}");
        }
    }

    #[test]
    fn clocks_set_forward_make_a_cycle_an_hour_shorter_and_back_an_hour_longer() {
        // Berlin, 2026: forward on 29 March (02:00 becomes 03:00), back on 25 October. March: CET at
        // its start (-1 h), CEST at its end (-2 h): 31 x 24 - 1 = 743 h. October: 31 x 24 + 1 = 745 h.
        let berlin = schedule(1, (0, 0), "Europe/Berlin");
        let march = (at("2026-02-28T23:00:00Z"), at("2026-03-31T22:00:00Z"));
        assert_eq!(cycle(&berlin, "2026-03"), march);
        assert_eq!(march.1 - march.0, 743 * HOUR);
        let october = (at("2026-09-30T22:00:00Z"), at("2026-10-31T23:00:00Z"));
        assert_eq!(cycle(&berlin, "2026-10"), october);
        assert_eq!(october.1 - october.0, 745 * HOUR);
    }

    #[test]
    fn an_anchor_that_clocks_skip_moves_on_and_of_one_shown_twice_the_first_counts() {
        // Berlin skips 02:00 to 03:00 on 29 March 2026: 02:30 is 03:30 CEST = 01:30 UTC.
        let skipped = schedule(29, (2, 30), "Europe/Berlin");
        assert_eq!(cycle(&skipped, "2026-03").0, at("2026-03-29T01:30:00Z"));
        // New York shows 01:30 twice on 1 November 2026: first as EDT (-4 h) = 05:30 UTC.
        let twice = schedule(1, (1, 30), "America/New_York");
        assert_eq!(cycle(&twice, "2026-11").0, at("2026-11-01T05:30:00Z"));
        // Lord Howe moves by half an hour: +11:00 in January, +10:30 in July.
        let howe = schedule(1, (0, 0), "Australia/Lord_Howe");
        assert_eq!(cycle(&howe, "2026-01").0, at("2025-12-31T13:00:00Z"));
        assert_eq!(cycle(&howe, "2026-07").0, at("2026-06-30T13:30:00Z"));
        // Kathmandu is 5:45 ahead.
        let nepal = schedule(1, (0, 0), "Asia/Kathmandu");
        assert_eq!(cycle(&nepal, "2026-07").0, at("2026-06-30T18:15:00Z"));
    }

    #[test]
    fn every_time_lies_in_exactly_one_cycle() {
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
            for day in [1, 15, 29, 31] {
                let schedule = schedule(day, (2, 30), zone);
                let mut name: CycleName = "2025-11".parse().unwrap();
                for _ in 0..30 {
                    let CycleBounds { from_ns, to_ns, .. } = schedule.cycle(name);
                    assert!(from_ns % FIVE_MINUTES_NS == 0 && from_ns < to_ns);
                    let of = |time_ns| schedule.cycle_at(time_ns).name;
                    let found = (of(from_ns - 1), of(from_ns), of(to_ns - 1), of(to_ns));
                    assert_eq!(found, (name.previous(), name, name, name.next()), "{zone} {day}");
                    name = name.next();
                }
            }
        }
    }

    #[test]
    fn zones_are_known_without_the_systems_database() {
        let built_in = TimeZoneDatabase::bundled();
        for zone in ["Europe/Berlin", "Asia/Shanghai", "US/Eastern", "UTC"] {
            assert!(built_in.get(zone).is_ok() && zone_named(zone).is_some(), "{zone}");
        }
        let told = CycleSchedule::new(1, Time::midnight(), "Europe/Berlim").unwrap_err();
        assert_eq!(told, UnknownZone("Europe/Berlim".into()));
    }

    #[test]
    fn cycles_are_named_by_the_month_in_which_they_begin() {
        for text in ["2026-11", "2027-01", "1970-12"] {
            assert_eq!(text.parse::<CycleName>().unwrap().to_string(), text);
        }
        for text in
            ["", "2026", "2026-1", "2026-13", "2026-00", "26-01", "1969-12", "9999-01", "+026-01"]
        {
            assert_eq!(text.parse::<CycleName>(), Err(InvalidCycle(text.into())), "{text}");
        }
        let berlin = schedule(1, (0, 0), "Europe/Berlin");
        assert_eq!(berlin.told(WallNs(at("2026-10-31T23:00:00Z"))), "2026-11-01 00:00 CET");
    }
}
