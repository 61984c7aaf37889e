//! The 95th percentile of an account, and how many more intervals may exceed what was committed. Pure.
//!
//! The NICs are pooled before anything is ranked: an interval has one rate, what all of them carried in
//! it together. Percentiles of the NICs, added up, would be another figure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::intervals::{PooledInterval, Rates};
use super::terms::{Basis, BillingRule};
use crate::store::percentile_95;

/// The 95th percentile of a cycle so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ranked {
    /// Of the measured intervals, bit/s. `null` if nothing was measured.
    pub bits_per_second: Option<u64>,
    /// The least that it can be, whatever was not measured.
    pub min_bits_per_second: Option<u64>,
    /// The most that it can be: links were full while nothing was measured. `null`: no bound is known.
    pub max_bits_per_second: Option<u64>,
}

/// What is left of a committed rate in this cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commit95 {
    /// The committed rate.
    pub bits_per_second: u64,
    /// Intervals that may exceed it: the highest 5 % of the cycle's, rounded down.
    pub allowed: u64,
    /// Intervals that have exceeded it. With the rule `max`: of the direction with more.
    pub exceeded: u64,
    /// How many more may; below 0, the cycle's percentile lies over the committed rate.
    pub bursts_left: i64,
}

/// Ranks the intervals that are over.
pub(super) fn ranked(intervals: &[PooledInterval], rule: BillingRule, basis: Basis) -> Ranked {
    let expected = || intervals.iter().filter(|it| it.expected);
    let max = expected().map(|it| it.highest(basis)).map(|it| it.unwrap_or(UNBOUNDED));
    Ranked {
        bits_per_second: percentile(intervals.iter().filter_map(|it| it.rates(basis)), rule),
        min_bits_per_second: percentile(expected().map(|it| it.lowest(basis)), rule),
        max_bits_per_second: percentile(max, rule).filter(|bits| *bits != u64::MAX),
    }
}

const UNBOUNDED: Rates = Rates { rx: u64::MAX, tx: u64::MAX };

fn percentile(rates: impl Iterator<Item = Rates>, rule: BillingRule) -> Option<u64> {
    let (one, other): (Vec<_>, Vec<_>) =
        rates.map(|rates| rates.ranked(rule)).map(|[one, other]| (one, other)).unzip();
    let of = |rates: Vec<Option<u64>>| percentile_95(rates.into_iter().flatten().collect());
    of(one).max(of(other))
}

/// What is left of a committed rate: of `intervals` those are over, `to_come` follow in this cycle.
/// Intervals without measurements are not ranked, and so allow nothing.
pub(super) fn commit_95(
    intervals: &[PooledInterval],
    to_come: u64,
    (rule, basis): (BillingRule, Basis),
    bits_per_second: u64,
) -> Commit95 {
    let rates = || intervals.iter().filter_map(|it| it.rates(basis)).map(|it| it.ranked(rule));
    let over = |at: usize| {
        let over = rates().filter(|rates| rates[at].is_some_and(|bits| bits > bits_per_second));
        over.count() as u64
    };
    let allowed = (rates().count() as u64 + to_come) / 20;
    let exceeded = over(0).max(over(1));
    let bursts_left = allowed.cast_signed() - exceeded.cast_signed();
    Commit95 { bits_per_second, allowed, exceeded, bursts_left }
}
