//! What rules measure: units, sides, defaults, and how values are read and shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use settings::{Interval, Size, units};
use utoipa::ToSchema;

use crate::time::rough;

/// What a rule measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A client is connected to no collector of the store.
    HostDown,
    /// Packets of a sample that were dropped because the ring was full.
    Loss,
    /// A NIC's rate against the speed of its link, per direction.
    Utilisation,
    /// The highest rate of any 1 ms of a sample, per direction.
    #[serde(rename = "peak_1ms")]
    Peak1ms,
    /// The rate of a NIC or a whole client, per direction.
    Rate,
    /// How far a client's clock is off the collector's.
    Clock,
    /// How long a certificate of the collector or of a connected client is still valid.
    Certificate,
    /// The store fails.
    Store,
    /// Free space for the collector's data.
    Disk,
    /// A warning that was given in the running cycle of an account.
    Account,
}

/// The unit of a measure's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 1 if it is so, else 0.
    Fact,
    /// Packets.
    Packets,
    /// Percent.
    Percent,
    /// Bits per second.
    BitsPerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// On which side of its bound a value breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// Where a measure's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasureSource {
    /// Each sample, as it arrives.
    Sample,
    /// The state of each client, looked at every second.
    Client,
    /// The collector itself, looked at every second.
    Collector,
}

/// What a rule has where its config says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// The bound; `None`: it must be set.
    pub bound: Option<f64>,
    /// How long the condition must hold.
    pub hold: Duration,
    /// How long it must be over.
    pub clear_hold: Duration,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::HostDown,
        Self::Loss,
        Self::Utilisation,
        Self::Peak1ms,
        Self::Rate,
        Self::Clock,
        Self::Certificate,
        Self::Store,
        Self::Disk,
        Self::Account,
    ];

    /// Its name in config, database and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostDown => "host_down",
            Self::Loss => "loss",
            Self::Utilisation => "utilisation",
            Self::Peak1ms => "peak_1ms",
            Self::Rate => "rate",
            Self::Clock => "clock",
            Self::Certificate => "certificate",
            Self::Store => "store",
            Self::Disk => "disk",
            Self::Account => "account",
        }
    }

    /// The measure of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The unit of its values.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::HostDown | Self::Store | Self::Account => Unit::Fact,
            Self::Loss => Unit::Packets,
            Self::Utilisation => Unit::Percent,
            Self::Peak1ms | Self::Rate => Unit::BitsPerSecond,
            Self::Clock | Self::Certificate => Unit::Seconds,
            Self::Disk => Unit::Bytes,
        }
    }

    /// The side on which values break a rule; `None`: the rule chooses.
    #[must_use]
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::Rate => None,
            Self::Certificate | Self::Disk => Some(Side::Below),
            _ => Some(Side::Above),
        }
    }

    /// Where its values come from. `whole`: the rule is about whole clients, not NICs.
    #[must_use]
    pub const fn source(self, whole: bool) -> MeasureSource {
        match self {
            Self::Loss | Self::Utilisation | Self::Peak1ms => MeasureSource::Sample,
            Self::Rate if !whole => MeasureSource::Sample,
            Self::Rate | Self::HostDown | Self::Clock => MeasureSource::Client,
            // Of connected clients too.
            Self::Certificate | Self::Store | Self::Disk | Self::Account => {
                MeasureSource::Collector
            }
        }
    }

    /// True if its values are about clients, or about clients too.
    #[must_use]
    pub const fn is_about_clients(self) -> bool {
        !matches!(self, Self::Store | Self::Disk | Self::Account)
    }

    /// True if it tells directions apart.
    #[must_use]
    pub const fn has_directions(self) -> bool {
        matches!(self, Self::Utilisation | Self::Peak1ms | Self::Rate)
    }

    /// What a rule has where its config says nothing.
    #[must_use]
    pub const fn defaults(self) -> Defaults {
        let (bound, hold, clear_hold) = match self {
            // An agent that restarts, or goes to another collector, is back within this.
            Self::HostDown => (Some(0.5), 60, 10),
            // One sample can lose packets, so it is over when none did for a while.
            Self::Loss => (Some(0.0), 0, 300),
            Self::Utilisation => (Some(90.0), 30, 60),
            Self::Peak1ms => (None, 0, 300),
            Self::Rate => (None, 30, 60),
            // Clocks are compared every few seconds, and a step is soon corrected.
            Self::Clock => (Some(1.0), 60, 60),
            // They renew themselves a third of their life, 30 days, before they expire.
            Self::Certificate => (Some(14.0 * 86_400.0), 0, 60),
            Self::Store => (Some(0.5), 10, 10),
            Self::Account => (Some(0.5), 0, 60),
            // Four times `limits.disk_free_min`.
            Self::Disk => (Some((1u64 << 30) as f64), 10, 60),
        };
        Defaults {
            bound,
            hold: Duration::from_secs(hold),
            clear_hold: Duration::from_secs(clear_hold),
        }
    }
}

impl Side {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

impl Unit {
    /// Its name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fact => "",
            Self::Packets => "packets",
            Self::Percent => "percent",
            Self::BitsPerSecond => "bits_per_second",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    /// Reads a value with its unit.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let wrong = |what: &str| format!("{text:?} is not {what}");
        let (value, what) = match self {
            Self::Fact => return Err("this measure has no bound; leave it out".to_owned()),
            Self::Packets => (
                text.trim_end_matches("packets").trim().parse().ok(),
                "a number of packets, as 100",
            ),
            Self::Percent => {
                (text.strip_suffix('%').unwrap_or(text).trim().parse().ok(), "a percentage, as 90%")
            }
            Self::BitsPerSecond => {
                (units::parse_bit_rate(text), "a rate, as 800Mbit/s or 9.5Gbit/s")
            }
            Self::Seconds => (
                text.parse().ok().map(|it: Interval| it.0.as_secs_f64()),
                "a duration, as 1s or 14d",
            ),
            Self::Bytes => {
                (text.parse().ok().map(|it: Size| as_f64(it.0)), "a size, as 500MiB or 2GiB")
            }
        };
        let value: Option<f64> = value;
        value.filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(|| wrong(what))
    }

    /// A value for people, with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Fact => if value > 0.5 { "yes" } else { "no" }.to_owned(),
            Self::Packets if value == 1.0 => "1 packet".to_owned(),
            Self::Packets => format!("{value:.0} packets"),
            Self::Percent => format!("{} %", trimmed(value)),
            Self::BitsPerSecond => units::bit_rate(value / 8.0),
            Self::Seconds if value <= 0.0 => "0 s".to_owned(),
            Self::Seconds => rough(Duration::from_secs_f64(value.min(1e12))),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "shown roughly"
            )]
            Self::Bytes => units::bytes(value.max(0.0) as u64),
        }
    }
}

/// One decimal, without a useless zero.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[allow(clippy::cast_precision_loss, reason = "a bound needs no more than 53 bits")]
const fn as_f64(figure: u64) -> f64 {
    figure as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_shown_with_their_units() {
        for (unit, text, value, shown) in [
            (Unit::Percent, "90%", 90.0, "90 %"),
            (Unit::Percent, "97.25 %", 97.25, "97.2 %"),
            (Unit::Packets, "100 packets", 100.0, "100 packets"),
            (Unit::BitsPerSecond, "9.5Gbit/s", 9.5e9, "9.50 Gbit/s"),
            (Unit::BitsPerSecond, "800 Mbps", 8e8, "800 Mbit/s"),
            (Unit::BitsPerSecond, "500 kbit/s", 5e5, "500 kbit/s"),
            (Unit::Seconds, "14d", 1_209_600.0, "14 days"),
            (Unit::Seconds, "500ms", 0.5, "0.5 s"),
            (Unit::Bytes, "1GiB", 1_073_741_824.0, "1.07 GB"),
        ] {
            assert_eq!(unit.parse(text), Ok(value), "{text}");
            assert_eq!(unit.show(value), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        for (unit, text) in [
            (Unit::Percent, "much"),
            (Unit::Percent, "-5%"),
            (Unit::Packets, "NaN"),
            (Unit::BitsPerSecond, "5"),
            (Unit::BitsPerSecond, "5GB/s"),
            (Unit::Seconds, "5"),
            (Unit::Bytes, "few"),
        ] {
            let why = unit.parse(text).unwrap_err();
            assert!(why.contains(" is not ") && why.contains(", as "), "{why}");
        }
        assert!(Unit::Fact.parse("1").unwrap_err().contains("leave it out"));
    }

    #[test]
    fn each_measure_has_one_name() {
        for measure in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.name());
            assert_eq!(Measure::of_name(measure.name()), Some(measure));
        }
    }
}
