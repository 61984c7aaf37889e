//! The volume and the 95th percentile of a cycle at its end, as it looks now. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Bytes;

use super::intervals::PooledInterval;
use super::terms::{Basis, BillingRule};
use crate::store::{FIVE_MINUTES_NS, Volume};

/// Intervals of a week: traffic differs by weekday, so a whole week says most about the next one.
const WEEK: usize = 7 * 288;

/// Fewest measured intervals for an outlook: one hour.
const LEAST: usize = 12;

/// A cycle's volume at its end, if things go on as they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outlook {
    /// Billed bytes at the end, without the opening balance.
    #[schema(value_type = u64)]
    pub bytes: Bytes,
    /// How it is reckoned.
    pub method: OutlookMethod,
}

/// How an outlook is reckoned: what was carried so far, and this mean rate over the time to come and
/// the time that was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutlookMethod {
    /// The mean of the last 7 days that were measured.
    MeanOfSevenDays,
    /// The mean of all that was measured, while it is less than 7 days.
    MeanSoFar,
}

impl OutlookMethod {
    /// In words.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::MeanOfSevenDays => "at the mean of the last 7 days",
            Self::MeanSoFar => "at the mean so far",
        }
    }
}

/// A cycle's 95th percentile at its end, if things go on as they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PercentileOutlook {
    /// The percentile, bit/s.
    pub bits_per_second: u64,
    /// How it is reckoned.
    pub method: PercentileMethod,
}

/// How the percentile at the end is reckoned: of all measured intervals, and of these again, in equal parts, in
/// place of those to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PercentileMethod {
    /// Those of the last 7 days that were measured.
    AsLastSevenDays,
    /// All that were measured, while it is less than 7 days.
    AsSoFar,
}

impl PercentileMethod {
    /// In words.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::AsLastSevenDays => "if the rest is as the last 7 days",
            Self::AsSoFar => "if the rest is as all so far",
        }
    }
}

/// The measured intervals that say most about those to come, and whether they are a whole week. `None` while
/// less than an hour was measured.
fn lately<'a>(measured: &'a [&'a PooledInterval]) -> Option<(&'a [&'a PooledInterval], bool)> {
    match measured.len().checked_sub(WEEK) {
        Some(older) => Some((&measured[older..], true)),
        None => (measured.len() >= LEAST).then_some((measured, false)),
    }
}

/// The 95th percentile at the end, after these intervals, which are over, with so many `to_come`. Intervals that
/// were not measured are not ranked.
pub(super) fn percentile_outlook(
    intervals: &[PooledInterval],
    to_come: u64,
    (rule, basis): (BillingRule, Basis),
) -> Option<PercentileOutlook> {
    let measured: Vec<&PooledInterval> = intervals.iter().filter(|it| it.is_measured()).collect();
    let (last, week) = lately(&measured)?;
    // Weights in parts of an interval, for each of the last ones stands for a part of those to come.
    let parts = last.len() as u64;
    let dropped = (measured.len() as u64 + to_come) / 20 * parts;
    let first_of_last = measured.len() - last.len();
    let ranked = |at: usize| {
        let rates = measured.iter().enumerate().filter_map(|(n, it)| {
            let weight = if n < first_of_last { parts } else { parts + to_come };
            Some((it.rates(basis)?.ranked(rule)[at]?, weight))
        });
        let mut rates: Vec<(u64, u64)> = rates.collect();
        rates.sort_unstable_by(|one, other| other.cmp(one));
        let mut above = 0;
        rates.into_iter().find_map(|(bits, weight)| {
            above += weight;
            (above > dropped).then_some(bits)
        })
    };
    let method = if week { PercentileMethod::AsLastSevenDays } else { PercentileMethod::AsSoFar };
    let bits_per_second = ranked(0).max(ranked(1))?;
    Some(PercentileOutlook { bits_per_second, method })
}

/// The outlook after these intervals, which are over, with `to_come_ns` left of the cycle. `counted` is
/// what was carried in them, and in times of which only the sums are known. `None` while less than an
/// hour was measured.
pub(super) fn outlook(
    intervals: &[PooledInterval],
    (rx, tx): (Volume, Volume),
    to_come_ns: u64,
    (rule, basis): (BillingRule, Basis),
) -> Option<Outlook> {
    let measured: Vec<&PooledInterval> = intervals.iter().filter(|it| it.is_measured()).collect();
    let (last, week) = lately(&measured)?;
    let method = if week { OutlookMethod::MeanOfSevenDays } else { OutlookMethod::MeanSoFar };
    let length_ns = |it: &PooledInterval| it.covered_ns.min(FIVE_MINUTES_NS);
    let last_ns: u64 = last.iter().map(|it| length_ns(it)).sum();
    let expected = intervals.iter().filter(|it| it.expected && it.unplaced.is_nothing());
    let missing_ns: u64 = expected.map(|it| FIVE_MINUTES_NS - length_ns(it)).sum();
    let more = |bytes: Bytes| {
        let more = u128::from(bytes.get()) * u128::from(to_come_ns + missing_ns)
            / u128::from(last_ns.max(1));
        Bytes(u64::try_from(more).unwrap_or(u64::MAX))
    };
    let at_the_end = |counted: Volume, of: fn(&PooledInterval) -> Volume| {
        let lately = last.iter().map(|it| basis.of(of(it))).fold(Bytes(0), Bytes::saturating_add);
        basis.of(counted).saturating_add(more(lately))
    };
    let bytes = rule.of(at_the_end(rx, |it| it.rx), at_the_end(tx, |it| it.tx));
    Some(Outlook { bytes, method })
}
