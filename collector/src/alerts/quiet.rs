//! Quiet hours: daily windows without messages, by a time zone's clock.
//!
//! A window begins on the days it names, at its start, and lasts until the next time that the clock
//! shows its end. When clocks are changed, an hour that comes twice counts the first time, and an hour
//! that is left out as the one after.

use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use wire::WallNs;

/// A daily window: `22:00-06:00`, or `Sat,Sun 00:00-24:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// Days on which it begins, from Monday.
    days: [bool; 7],
    start: Time,
    /// `None`: midnight at the end of the day.
    end: Option<Time>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FromStr for QuietHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no time of day; write 22:00-06:00, or Sat,Sun 00:00-24:00");
        let (days, hours) = match text.trim().rsplit_once(' ') {
            Some((days, hours)) => (Some(days), hours),
            None => (None, text.trim()),
        };
        let days = days.map_or(Some([true; 7]), named_days).ok_or_else(wrong)?;
        let (start, end) = hours.split_once('-').ok_or_else(wrong)?;
        let start = time(start).ok_or_else(wrong)?;
        let end = match end {
            "24:00" => None,
            end => Some(time(end).ok_or_else(wrong)?),
        };
        if end == Some(start) {
            return Err(format!("{text:?} has no length; the whole day is 00:00-24:00"));
        }
        Ok(Self { days, start, end })
    }
}

/// `Sat,Sun` or `Mon-Fri`.
fn named_days(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAYS.iter().position(|it| name.trim().eq_ignore_ascii_case(it));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // Over the end of the week, as in Fri-Mon.
        for at in first..=last + if last < first { 7 } else { 0 } {
            days[at % 7] = true;
        }
    }
    Some(days)
}

/// `22:00`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |it: &str| it.len() == 2 && it.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

impl QuietHours {
    /// When the window ends that `now_ns` lies in, if it lies in one. Times are nanoseconds since 1970
    /// (UTC).
    #[must_use]
    pub fn until(&self, now_ns: WallNs, zone: &TimeZone) -> Option<WallNs> {
        let now = Timestamp::from_nanosecond(i128::from(now_ns.get())).ok()?;
        let today = zone.to_datetime(now).date();
        // The one of today, and that of yesterday, which may last until today.
        [0, 1].into_iter().find_map(|ago| {
            let day = today.checked_sub(ago.days()).ok()?;
            if !self.days[day_number(day.weekday())] {
                return None;
            }
            let start = at(day, self.start, zone)?;
            let end = match self.end {
                Some(end) if end > self.start => at(day, end, zone)?,
                Some(end) => at(day.tomorrow().ok()?, end, zone)?,
                None => at(day.tomorrow().ok()?, Time::midnight(), zone)?,
            };
            let inside = start <= now && now < end;
            inside.then(|| u64::try_from(end.as_nanosecond()).ok().map(WallNs))?
        })
    }
}

fn day_number(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// An hour that comes twice is the first; one that is left out, the one after.
fn at(day: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(day.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn ns(text: &str) -> WallNs {
        let ns = text.parse::<Timestamp>().unwrap().as_nanosecond();
        WallNs(u64::try_from(ns).unwrap())
    }

    fn hours(text: &str) -> QuietHours {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_lasts_over_midnight() {
        let (night, utc) = (hours("22:00-06:00"), TimeZone::UTC);
        for (now, until) in [
            ("2026-11-26T21:59:59Z", None),
            ("2026-11-26T22:00:00Z", Some("2026-11-27T06:00:00Z")),
            ("2026-11-27T05:59:59Z", Some("2026-11-27T06:00:00Z")),
            ("2026-11-27T06:00:00Z", None),
        ] {
            assert_eq!(night.until(ns(now), &utc), until.map(ns), "{now}");
        }
    }

    #[test]
    fn a_window_belongs_to_the_days_on_which_it_begins() {
        let utc = TimeZone::UTC;
        // 2026-11-27 is a Friday.
        let night = hours("Fri 22:00-06:00");
        assert_eq!(night.until(ns("2026-11-28T05:00:00Z"), &utc), Some(ns("2026-11-28T06:00:00Z")));
        assert_eq!(night.until(ns("2026-11-27T05:00:00Z"), &utc), None);
        let weekend = hours("Sat,Sun 00:00-24:00");
        assert_eq!(
            weekend.until(ns("2026-11-29T23:59:00Z"), &utc),
            Some(ns("2026-11-30T00:00:00Z"))
        );
        assert_eq!(weekend.until(ns("2026-11-30T00:00:00Z"), &utc), None);
        assert!(hours("Fri-Mon 10:00-11:00").until(ns("2026-11-30T10:30:00Z"), &utc).is_some());
        assert!(hours("Mon-Fri 10:00-11:00").until(ns("2026-11-28T10:30:00Z"), &utc).is_none());
    }

    /// Berlin, 2026: clocks go from 02:00 to 03:00 on 29 March (01:00 UTC), and from 03:00 to 02:00 on
    /// 25 October (01:00 UTC).
    #[test]
    fn a_night_is_an_hour_shorter_in_spring_and_longer_in_autumn() {
        let (night, berlin) = (hours("22:00-06:00"), zone("Europe/Berlin"));
        for (start, length_h) in [
            ("2026-03-27T21:00:00Z", 8),
            ("2026-03-28T21:00:00Z", 7),
            ("2026-10-24T20:00:00Z", 9),
            ("2026-10-25T21:00:00Z", 8),
        ] {
            let start = ns(start);
            let end = night.until(start, &berlin).unwrap();
            assert_eq!((end - start) / 3_600_000_000_000, length_h);
            assert_eq!(night.until(start - 1, &berlin), None);
            assert_eq!(night.until(end, &berlin), None);
        }
    }

    #[test]
    fn an_hour_left_out_is_the_one_after_and_of_one_that_comes_twice_the_first_counts() {
        let berlin = zone("Europe/Berlin");
        // 02:30 is not on the clock on 29 March: 03:30 stands for it, 01:30 UTC.
        let end = hours("01:00-02:30").until(ns("2026-03-29T00:15:00Z"), &berlin);
        assert_eq!(end, Some(ns("2026-03-29T01:30:00Z")));
        // 02:30 comes twice on 25 October, at 00:30 and 01:30 UTC.
        let window = hours("02:30-04:00");
        assert_eq!(window.until(ns("2026-10-25T00:29:59Z"), &berlin), None);
        assert_eq!(
            window.until(ns("2026-10-25T00:30:00Z"), &berlin),
            Some(ns("2026-10-25T03:00:00Z"))
        );
        assert_eq!(
            window.until(ns("2026-10-25T01:15:00Z"), &berlin),
            Some(ns("2026-10-25T03:00:00Z"))
        );
    }

    #[test]
    fn what_is_no_window_is_refused_with_an_example() {
        for text in ["", "22:00", "22-06", "25:00-06:00", "Foo 22:00-06:00", "22:00-6:00", "a-b"] {
            assert!(text.parse::<QuietHours>().unwrap_err().contains("22:00-06:00"), "{text}");
        }
        assert!("08:00-08:00".parse::<QuietHours>().unwrap_err().contains("00:00-24:00"));
    }

    proptest! {
        /// An independent computation: minute by minute, the clock's face decides, where it shows each
        /// time once.
        #[test]
        fn outside_of_clock_changes_the_clock_face_decides(
            minute in 0u64..1440 * 300, from in 0u32..1440, length in 1u32..1440,
        ) {
            // 1 November 2026 to 27 March 2027, in New York and Berlin's winter only.
            let now = ns("2026-11-02T00:00:00Z") + (minute % (1440 * 120)) * 60_000_000_000;
            let to = (from + length) % 1440;
            let text = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
            let berlin = zone("Europe/Berlin");
            let face = Timestamp::from_nanosecond(i128::from(now.get())).unwrap().to_zoned_datetime(berlin.clone());
            let face = u32::from(face.hour().unsigned_abs()) * 60 + u32::from(face.minute().unsigned_abs());
            let inside = if from < to { from <= face && face < to } else { face >= from || face < to };
            prop_assert_eq!(hours(&text).until(now, &berlin).is_some(), inside, "{} at {}", text, face);
        }
    }
}
