//! Config values: durations, sizes, secrets and lists.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo, SpanRound, Unit};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration, written with units: `500ms`, `1m30s`, `7d`. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub Duration);

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration; write a number and its unit, for example 500ms, 1m30s or 7d")]
pub struct InvalidInterval(String);

impl Interval {
    /// From milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// From seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// From days of 24 hours.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self::secs(days * 86_400)
    }
}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        let days = SpanRelativeTo::days_are_24_hours();
        let span = text.parse::<Span>().and_then(|span| span.to_duration(days));
        let duration = span.ok().and_then(|span| Duration::try_from(span).ok());
        duration.map(Self).ok_or_else(|| InvalidInterval(text.to_owned()))
    }
}

impl Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = SpanRound::new().largest(Unit::Day).days_are_24_hours();
        match Span::try_from(self.0).and_then(|span| span.round(parts)) {
            Ok(span) => write!(f, "{span:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

/// A number of bytes, written with a unit: `64MiB` (2^20 bytes each), `64MB` (10^6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size; write a number and its unit, for example 256KiB, 64MiB or 64MB")]
pub struct InvalidSize(String);

impl Size {
    /// From KiB.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// From MiB.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        // The parser uses floating point, which is inexact beyond 2^53.
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (whole, unit) = text.split_at(end);
        if !whole.is_empty() && !unit.starts_with('.') {
            let unit: bytesize::ByteSize = format!("1{unit}").parse().map_err(|_| invalid())?;
            let bytes = whole.parse::<u64>().ok().and_then(|it| it.checked_mul(unit.as_u64()));
            return bytes.map(Self).ok_or_else(invalid);
        }
        let size = text.parse::<bytesize::ByteSize>();
        size.map(|size| Self(size.as_u64())).map_err(|_| invalid())
    }
}

impl Display for Size {
    /// Uses the largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole = units.into_iter().find(|(bits, _)| self.0.trailing_zeros() >= *bits);
        match whole.filter(|_| self.0 > 0) {
            Some((bits, unit)) => write!(f, "{}{unit}", self.0 >> bits),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Reads and writes a type as text.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

serde_as_text!(Interval);
serde_as_text!(Size);

/// A text shown nowhere, neither by `Debug` nor by serialisation.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Text shown instead of a secret.
    const MASK: &str = "***";

    /// Keeps a text secret.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for its actual use.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::MASK)
    }
}

/// Reads a list: a YAML list, or one text with commas as in a variable or flag. For
/// `#[serde(deserialize_with = "settings::list")]`.
///
/// # Errors
/// The first entry that is not a valid `T`.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    struct Entries<T>(PhantomData<T>);

    fn entry<T: FromStr<Err: Display>, E: de::Error>(text: &str) -> Result<T, E> {
        let text = text.trim();
        text.parse().map_err(|why| E::custom(format_args!("{text:?}: {why}")))
    }

    impl<'de, T: FromStr<Err: Display>> Visitor<'de> for Entries<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.split(',').filter(|text| !text.trim().is_empty()).map(entry).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            while let Some(text) = seq.next_element::<String>()? {
                entries.push(entry(&text)?);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_any(Entries(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_with_their_units() {
        let written = [("500ms", 500), ("1m30s", 90_000), ("7d", 604_800_000), ("1.5s", 1500)];
        for (text, millis) in written {
            assert_eq!(text.parse(), Ok(Interval::millis(millis)), "{text}");
        }
        for (interval, text) in [
            (Interval::millis(500), "500ms"),
            (Interval::days(400), "400d"),
            (Interval::secs(90), "1m 30s"),
            (Interval::secs(600), "10m"),
            (Interval::secs(0), "0s"),
        ] {
            assert_eq!(interval.to_string(), text);
            assert_eq!(text.parse(), Ok(interval));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "5 parsecs", "-5s", "5s ago", "1mo", "s", "1e3s"] {
            assert_eq!(text.parse::<Interval>(), Err(InvalidInterval(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written_with_their_units() {
        let written = [("64MiB", 64 << 20), ("64MB", 64_000_000), ("1.5 GiB", 3 << 29), ("7", 7)];
        for (text, bytes) in written {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for (size, text) in [
            (Size::kib(256), "256KiB"),
            (Size::mib(64), "64MiB"),
            (Size(64_000_000), "62500KiB"),
            (Size(7), "7B"),
            (Size(0), "0B"),
            (Size((1 << 53) + 1), "9007199254740993B"),
            (Size(u64::MAX), "18446744073709551615B"),
        ] {
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse(), Ok(size));
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "big", "-1MiB", "64 MiBB", "1e999GB", "99999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(InvalidSize(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("hunter2".to_owned());
        let shown = format!("{secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, "*** \"***\"");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
