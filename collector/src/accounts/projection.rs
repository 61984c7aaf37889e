//! The volume of a cycle at its end, as it looks now. Pure.

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
    let (last, method) = match measured.len().checked_sub(WEEK) {
        Some(older) => (&measured[older..], OutlookMethod::MeanOfSevenDays),
        None if measured.len() >= LEAST => (&measured[..], OutlookMethod::MeanSoFar),
        None => return None,
    };
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
