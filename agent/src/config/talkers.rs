//! Section `monitor.talkers`: who sent and received how much.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::Problem;
use settings::units::parse_bit_rate;
use wire::talkers::TALKERS_MAX;

use crate::sampler::TalkersConfig;
use crate::talkers::Addresses;
use crate::talkers::moment::Thresholds;

/// Section `monitor.talkers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TalkersSection {
    /// False: talkers aren't counted.
    pub enabled: bool,
    /// Talkers that are listed of each minute and direction; 1 to 64. The others are in the rest.
    pub entries: usize,
    /// True: it is found out whose their traffic is on this host.
    pub owners: bool,
    /// What the collector is told of addresses: whole, prefix (/24 and /48) or off (no talkers).
    pub addresses: Addresses,
    /// Which samples are listed by themselves, with 64 talkers.
    pub on: ListedOn,
}

/// Section `monitor.talkers.on`: a sample that reaches one of these, in either direction, is listed by
/// itself. At most 8 in a row are, then one a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListedOn {
    /// Of what the link can carry; 1% to 100%, or off.
    pub utilisation: OrOff<Percent>,
    /// The fullest 10 ms of the sample, of what the link can carry; 1% to 100%, or off.
    pub peak: OrOff<Percent>,
    /// Bytes, as a rate; from 1kbit/s, or off. Also where the link's speed is unknown.
    pub rate: OrOff<BitRate>,
}

impl Default for TalkersSection {
    fn default() -> Self {
        Self {
            enabled: true,
            entries: 16,
            owners: true,
            addresses: Addresses::default(),
            on: ListedOn::default(),
        }
    }
}

impl Default for ListedOn {
    fn default() -> Self {
        let percent = |value| OrOff(Some(Percent(value)));
        Self { utilisation: percent(80.0), peak: percent(95.0), rate: OrOff(None) }
    }
}

/// A threshold that may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrOff<T>(pub Option<T>);

/// A percentage: `80%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

/// A rate in bit/s: `800Mbit/s`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct BitRate(pub f64);

/// Why a text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no threshold; write for example {1}, or off")]
pub struct InvalidThreshold(String, &'static str);

impl FromStr for Percent {
    type Err = InvalidThreshold;

    fn from_str(text: &str) -> Result<Self, InvalidThreshold> {
        let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
        number.map(Self).ok_or_else(|| InvalidThreshold(text.to_owned(), "80%"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for BitRate {
    type Err = InvalidThreshold;

    fn from_str(text: &str) -> Result<Self, InvalidThreshold> {
        parse_bit_rate(text)
            .map(Self)
            .ok_or_else(|| InvalidThreshold(text.to_owned(), "800Mbit/s or 9.5Gbit/s"))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
        let whole = prefixes.into_iter().find(|(by, _)| self.0 % by == 0.0);
        let (by, prefix) = whole.unwrap_or((1.0, ""));
        write!(f, "{}{prefix}bit/s", self.0 / by)
    }
}

impl<T: fmt::Display> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(threshold) => serializer.collect_str(threshold),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "off" {
            return Ok(Self(None));
        }
        text.parse().map(|threshold| Self(Some(threshold))).map_err(serde::de::Error::custom)
    }
}

impl TalkersSection {
    /// Whether talkers are to have owners: without talkers nobody needs to ask.
    #[must_use]
    pub const fn have_owners(&self) -> bool {
        self.enabled && self.owners
    }

    /// The section, in the sampler's form.
    #[must_use]
    pub fn config(&self) -> Option<TalkersConfig> {
        let ListedOn { utilisation, peak, rate } = &self.on;
        let on = Thresholds {
            utilisation: utilisation.0.map(|percent| percent.0),
            peak: peak.0.map(|percent| percent.0),
            rate: rate.0.map(|rate| rate.0),
            every: false,
        };
        self.enabled.then_some(TalkersConfig { entries: self.entries, on })
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let entries = 1..=TALKERS_MAX;
        Problem::unless_within("monitor.talkers.entries", &self.entries, &entries)?;
        let percents = Percent(1.0)..=Percent(100.0);
        for (key, percent) in [
            ("monitor.talkers.on.utilisation", &self.on.utilisation),
            ("monitor.talkers.on.peak", &self.on.peak),
        ] {
            percent.0.map_or(Ok(()), |it| Problem::unless_within(key, &it, &percents))?;
        }
        let rates = BitRate(1e3)..=BitRate(1e15);
        let rate = self.on.rate.0;
        rate.map_or(Ok(()), |it| Problem::unless_within("monitor.talkers.on.rate", &it, &rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_as_they_are_written() {
        for text in ["80%", "97.5%", "1%"] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), text);
        }
        assert_eq!("80 %".parse(), Ok(Percent(80.0)));
        assert_eq!("2.5Gbit/s".parse(), Ok(BitRate(2.5e9)));
        assert_eq!(BitRate(8e8).to_string(), "800Mbit/s");
        for text in ["80", "", "%", "much"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        assert!("80".parse::<BitRate>().is_err());
    }

    #[test]
    fn what_can_not_be_a_threshold_is_refused() {
        let refused = |on: ListedOn| {
            let section = TalkersSection { on, ..TalkersSection::default() };
            section.check().unwrap_err().key
        };
        let percent = |value| OrOff(Some(Percent(value)));
        let default = ListedOn::default;
        let utilisation = percent(0.0);
        assert_eq!(
            refused(ListedOn { utilisation, ..default() }),
            "monitor.talkers.on.utilisation"
        );
        assert_eq!(
            refused(ListedOn { peak: percent(f64::NAN), ..default() }),
            "monitor.talkers.on.peak"
        );
        let rate = OrOff(Some(BitRate(1.0)));
        assert_eq!(refused(ListedOn { rate, ..default() }), "monitor.talkers.on.rate");
        let off = ListedOn { utilisation: OrOff(None), peak: OrOff(None), rate: OrOff(None) };
        TalkersSection { on: off, ..TalkersSection::default() }.check().unwrap();
        for entries in [0, 65] {
            let section = TalkersSection { entries, ..TalkersSection::default() };
            assert_eq!(section.check().unwrap_err().key, "monitor.talkers.entries");
        }
    }

    #[test]
    fn nothing_is_counted_where_it_is_switched_off() {
        assert!(TalkersSection::default().config().is_some());
        let off = TalkersSection { enabled: false, ..TalkersSection::default() };
        assert_eq!(off.config(), None);
    }
}
