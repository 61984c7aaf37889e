//! What is billed: rule, basis, units, committed rate. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use wire::Bytes;

use crate::store::Volume;

/// Which direction is billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BillingRule {
    /// What was transmitted.
    Tx,
    /// What was received.
    Rx,
    /// Both together.
    #[default]
    Sum,
    /// The larger one of both over the cycle.
    Max,
}

/// Which bytes of a packet are billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Basis {
    /// From the MAC header to the end of the payload, as all figures here.
    #[default]
    #[serde(rename = "L2")]
    L2,
    /// With the frame check sequence: 4 bytes more for each packet.
    #[serde(rename = "L2+FCS")]
    L2Fcs,
    /// Without the MAC header: 14 bytes less for each packet. VLAN tags stay in.
    #[serde(rename = "L3")]
    L3,
}

/// The unit of volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ByteUnit {
    /// 10^9 bytes.
    #[default]
    #[serde(rename = "GB")]
    Gigabyte,
    /// 2^30 bytes.
    #[serde(rename = "GiB")]
    Gibibyte,
}

/// Bytes of a packet's MAC header.
const MAC_HEADER: Bytes = Bytes(14);

/// Bytes of a packet's frame check sequence.
const FCS: Bytes = Bytes(4);

impl BillingRule {
    /// What counts of both directions.
    #[must_use]
    pub fn of(self, rx: Bytes, tx: Bytes) -> Bytes {
        match self {
            Self::Tx => tx,
            Self::Rx => rx,
            Self::Sum => rx.saturating_add(tx),
            Self::Max => rx.max(tx),
        }
    }

    /// Its name, as in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
            Self::Sum => "sum",
            Self::Max => "max",
        }
    }
}

impl Basis {
    /// The billed bytes of packets.
    #[must_use]
    pub fn of(self, Volume { bytes, packets }: Volume) -> Bytes {
        match self {
            Self::L2 => bytes,
            Self::L2Fcs => bytes.saturating_add(packets.of_each(FCS)),
            Self::L3 => bytes.saturating_sub(packets.of_each(MAC_HEADER)),
        }
    }

    /// Its name, as in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::L2Fcs => "L2+FCS",
            Self::L3 => "L3",
        }
    }
}

impl ByteUnit {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gigabyte => "GB",
            Self::Gibibyte => "GiB",
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Gigabyte => 1_000_000_000,
            Self::Gibibyte => 1 << 30,
        }
    }

    /// A volume in this unit, with three decimals, rounded: `1234.568 GB`.
    #[must_use]
    pub fn told(self, bytes: Bytes) -> String {
        let unit = u128::from(self.bytes());
        let thousandths = (u128::from(bytes.get()) * 1000 + unit / 2) / unit;
        format!("{}.{:03} {}", thousandths / 1000, thousandths % 1000, self.name())
    }
}

/// A rate that a contract names, bit/s: `1Gbit/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitRate(pub u64);

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rate; write a number and its unit, for example 500Mbit/s or 1.5Gbit/s")]
pub struct InvalidCommitRate(String);

/// Units of rates, bit/s, largest first.
const RATE_UNITS: [(&str, u64); 5] = [
    ("Tbit/s", 1_000_000_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1000),
    ("bit/s", 1),
];

impl FromStr for CommitRate {
    type Err = InvalidCommitRate;

    fn from_str(text: &str) -> Result<Self, InvalidCommitRate> {
        let parse = || {
            let is_digit = |c: char| c.is_ascii_digit() || c == '.';
            let (number, unit) = text.split_at(text.find(|c| !is_digit(c))?);
            let unit = unit.trim_start();
            let (_, unit) =
                RATE_UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |part: &str| (1..=12).contains(&part.len());
            if !digits(whole) || !digits(fraction) || fraction.contains('.') {
                return None;
            }
            let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
            let (whole, fraction) = (whole.parse::<u128>().ok()?, fraction.parse::<u128>().ok()?);
            let unit = u128::from(unit);
            let part = fraction * unit;
            // Half a bit is no rate.
            (part % scale == 0).then_some(())?;
            u64::try_from(whole * unit + part / scale).ok().filter(|bits| *bits > 0)
        };
        parse().map(Self).ok_or_else(|| InvalidCommitRate(text.to_owned()))
    }
}

impl fmt::Display for CommitRate {
    /// In the largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = RATE_UNITS.into_iter().find(|(_, bits)| self.0.is_multiple_of(*bits));
        let (name, bits) = whole.unwrap_or(("bit/s", 1));
        write!(f, "{}{name}", self.0 / bits)
    }
}

impl Serialize for CommitRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommitRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What is billed of the pooled traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Terms {
    /// Which direction.
    pub rule: BillingRule,
    /// Which bytes of a packet.
    pub basis: Basis,
    /// The unit of volumes.
    pub unit: ByteUnit,
    /// The volume of a cycle, bytes.
    #[schema(value_type = Option<u64>)]
    pub quota_bytes: Option<Bytes>,
    /// The committed 95th percentile.
    pub commit_bits_per_second: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Packets;

    #[test]
    fn rules_take_one_direction_both_or_the_larger() {
        // 700 received, 300 transmitted.
        let found = [BillingRule::Tx, BillingRule::Rx, BillingRule::Sum, BillingRule::Max]
            .map(|rule| rule.of(Bytes(700), Bytes(300)));
        assert_eq!(found, [300, 700, 1000, 700].map(Bytes));
        assert_eq!(BillingRule::Max.of(Bytes(1), Bytes(2)), Bytes(2));
    }

    #[test]
    fn bases_differ_by_whole_bytes_for_each_packet() {
        // 10 packets with 1000 bytes: FCS adds 10 x 4 = 40, L3 takes off 10 x 14 = 140.
        let volume = Volume { bytes: Bytes(1000), packets: Packets(10) };
        let found = [Basis::L2, Basis::L2Fcs, Basis::L3].map(|basis| basis.of(volume));
        assert_eq!(found, [1000, 1040, 860].map(Bytes));
    }

    #[test]
    fn units_differ_by_seven_percent() {
        // 2 x 10^12 bytes = 2000 GB; / 2^30 = 1862.645149 GiB.
        assert_eq!(ByteUnit::Gigabyte.told(Bytes(2_000_000_000_000)), "2000.000 GB");
        assert_eq!(ByteUnit::Gibibyte.told(Bytes(2_000_000_000_000)), "1862.645 GiB");
        assert_eq!(ByteUnit::Gigabyte.told(Bytes(1_234_567_890)), "1.235 GB");
    }

    #[test]
    fn rates_are_read_exactly_and_written_as_they_are_read() {
        for (text, bits) in [
            ("1Gbit/s", 1_000_000_000),
            ("1.5 Gbit/s", 1_500_000_000),
            ("500mbit/s", 500_000_000),
            ("7bit/s", 7),
        ] {
            assert_eq!(text.parse(), Ok(CommitRate(bits)), "{text}");
        }
        assert_eq!(CommitRate(1_500_000_000).to_string(), "1500Mbit/s");
        for text in ["", "1", "0Gbit/s", "1GB/s", "-1bit/s", "1.5bit/s", "1.2.3Gbit/s", "Gbit/s"] {
            assert_eq!(text.parse::<CommitRate>(), Err(InvalidCommitRate(text.into())), "{text}");
        }
    }
}
