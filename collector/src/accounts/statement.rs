//! The statement of an account for one cycle: what was used, what is left, and how it looks. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::WallNs;

use super::config::BilledAccount;
use super::cycle::{CycleBounds, CycleName};
use super::meter::Metered;
use super::terms::Terms;
use crate::time::Time;

/// Whether a cycle is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CycleState {
    /// It has not begun.
    Ahead,
    /// It is the current one.
    Running,
    /// It is over; what arrives late still counts.
    Closed,
}

impl CycleState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Running => "running",
            Self::Closed => "closed",
        }
    }
}

/// The statement of an account for one cycle.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Statement {
    /// The account.
    pub account: String,
    /// The cycle: the month in which it begins.
    #[schema(value_type = String, example = "2026-11")]
    pub cycle: CycleName,
    /// Its start.
    pub from: Time,
    /// Its end, not included.
    pub to: Time,
    /// Its start on the clocks of its zone.
    pub from_told: String,
    /// Its end on the clocks of its zone.
    pub to_told: String,
    /// As of when it is.
    pub as_of: Time,
    /// Whether it is over.
    pub state: CycleState,
    /// What is billed.
    pub terms: Terms,
    /// What was measured.
    pub metered: Metered,
    /// Members of which the store knows no NIC.
    pub unknown_members: Vec<String>,
    /// Billed bytes.
    pub used_bytes: u64,
    /// The most that they may be. `null`: no bound is known.
    pub used_max_bytes: Option<u64>,
    /// What is left of the quota; below 0 over it.
    pub left_bytes: Option<i64>,
    /// How much of the quota is used.
    pub used_percent: Option<f64>,
    /// Billed bytes at the end of a running cycle, as it looks.
    pub projected_bytes: Option<u64>,
    /// How much of the quota that is.
    pub projected_percent: Option<f64>,
}

impl Statement {
    /// Puts it together.
    #[must_use]
    pub fn new(
        account: &BilledAccount,
        bounds: CycleBounds,
        as_of_ns: WallNs,
        metered: Metered,
        unknown_members: Vec<String>,
    ) -> Self {
        let BilledAccount { name, terms, schedule, .. } = account;
        let CycleBounds { name: cycle, from_ns, to_ns } = bounds;
        let used_bytes = metered.billed_bytes;
        let projected_bytes = metered.outlook.map(|outlook| outlook.bytes);
        let quota = terms.quota_bytes;
        Self {
            account: name.to_string(),
            cycle,
            from: Time(from_ns),
            to: Time(to_ns),
            from_told: schedule.told(from_ns),
            to_told: schedule.told(to_ns),
            as_of: Time(as_of_ns),
            state: match as_of_ns {
                now if now < from_ns => CycleState::Ahead,
                now if now < to_ns => CycleState::Running,
                _ => CycleState::Closed,
            },
            terms: *terms,
            used_bytes,
            used_max_bytes: metered.billed_max_bytes,
            left_bytes: quota.map(|quota| difference(quota, used_bytes)),
            used_percent: quota.map(|quota| percent(used_bytes, quota)),
            projected_bytes,
            projected_percent: projected_bytes
                .zip(quota)
                .map(|(bytes, quota)| percent(bytes, quota)),
            metered,
            unknown_members,
        }
    }
}

/// One number less another.
fn difference(from: u64, less: u64) -> i64 {
    let difference = i128::from(from) - i128::from(less);
    i64::try_from(difference.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or_default()
}

/// A part of a whole in percent, to a hundredth, rounded down: 100 is said when it is reached.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}
