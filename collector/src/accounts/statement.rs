//! The statement of an account for one cycle: what was used, what is left, and how it looks. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Bytes, Packets, WallNs};

use super::config::BilledAccount;
use super::cycle::{CycleBounds, CycleName};
use super::metered::Metered;
use super::terms::Terms;
use crate::store::{AccountCycle, AccountWarning, EntryKind, KeptEntry};
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
    /// Nothing changes it any more.
    Frozen,
}

impl CycleState {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Running => "running",
            Self::Closed => "closed",
            Self::Frozen => "frozen",
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
    /// The opening balance, bytes.
    #[schema(value_type = u64)]
    pub opening_bytes: Bytes,
    /// Billed bytes, with the opening balance.
    #[schema(value_type = u64)]
    pub used_bytes: Bytes,
    /// The most that they may be. `null`: no bound is known.
    #[schema(value_type = Option<u64>)]
    pub used_max_bytes: Option<Bytes>,
    /// What is left of the quota; below 0 over it.
    pub left_bytes: Option<i64>,
    /// How much of the quota is used.
    pub used_percent: Option<f64>,
    /// Billed bytes at the end of a running cycle, as it looks.
    #[schema(value_type = Option<u64>)]
    pub projected_bytes: Option<Bytes>,
    /// How much of the quota that is.
    pub projected_percent: Option<f64>,
    /// What the provider says was used, bytes.
    #[schema(value_type = Option<u64>)]
    pub provider_bytes: Option<Bytes>,
    /// By how much that is more than what was used, in percent.
    pub provider_percent: Option<f64>,
    /// By how much a frozen cycle would be more with what has arrived since. `null`: the sums are
    /// deleted by age, or it isn't frozen.
    pub late_bytes: Option<i64>,
    /// SHA-256 over a frozen cycle.
    pub digest: Option<String>,
    /// What operators typed in for it, oldest first; of a kind, the last one holds.
    pub entries: Vec<EntryView>,
    /// The warnings that were given in it.
    pub warnings: Vec<WarningView>,
}

/// What an operator typed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryView {
    /// `opening` or `provider`.
    pub kind: String,
    /// The figure.
    #[schema(value_type = u64)]
    pub bytes: Bytes,
    /// Why.
    pub reason: String,
    /// Who, as far as the system knows.
    pub operator: String,
    /// When.
    pub at: Time,
}

/// A warning that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WarningView {
    /// `80%`, `projected`, `commit` or `commit_projected`.
    pub warning: String,
    /// When.
    pub at: Time,
    /// What it said.
    pub message: String,
}

/// What is kept of a statement as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct KeptStatement {
    from_told: String,
    to_told: String,
    terms: Terms,
    metered: Metered,
    unknown_members: Vec<String>,
}

/// A kept statement that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the frozen cycle {cycle} of account {account} can't be read")]
pub struct UnreadableCycle {
    account: String,
    cycle: String,
    #[source]
    error: serde_json::Error,
}

impl Statement {
    /// Puts it together, with what operators typed in for it.
    #[must_use]
    pub fn new(
        account: &BilledAccount,
        bounds: CycleBounds,
        as_of_ns: WallNs,
        (metered, unknown_members): (Metered, Vec<String>),
        entries: &[KeptEntry],
    ) -> Self {
        let BilledAccount { name, terms, schedule, .. } = account;
        let CycleBounds { name: cycle, from_ns, to_ns } = bounds;
        let kept = KeptStatement {
            from_told: schedule.told(from_ns),
            to_told: schedule.told(to_ns),
            terms: *terms,
            metered,
            unknown_members,
        };
        let state = match as_of_ns {
            now if now < from_ns => CycleState::Ahead,
            now if now < to_ns => CycleState::Running,
            _ => CycleState::Closed,
        };
        let opening = last(entries, cycle, EntryKind::Opening).unwrap_or_default();
        let times = [from_ns, to_ns, as_of_ns].map(Time);
        Self::of((name.as_str(), cycle), times, state, kept, opening).with(entries)
    }

    /// A frozen statement, with what operators typed in since.
    ///
    /// # Errors
    /// It was changed.
    pub fn frozen(kept: &AccountCycle, entries: &[KeptEntry]) -> Result<Self, UnreadableCycle> {
        let AccountCycle { account, cycle, .. } = kept;
        let unreadable =
            |error| UnreadableCycle { account: account.clone(), cycle: cycle.clone(), error };
        let statement: KeptStatement = serde_json::from_str(&kept.statement).map_err(unreadable)?;
        let name: CycleName =
            cycle.parse().map_err(serde::de::Error::custom).map_err(unreadable)?;
        let times = [kept.starts_ns, kept.ends_ns, kept.as_of_ns].map(Time);
        let opening = kept.opening_bytes;
        let it = Self::of((account, name), times, CycleState::Frozen, statement, opening);
        Ok(Self { digest: Some(kept.digest.clone()), ..it.with(entries) })
    }

    fn of(
        (account, cycle): (&str, CycleName),
        [from, to, as_of]: [Time; 3],
        state: CycleState,
        kept: KeptStatement,
        opening_bytes: Bytes,
    ) -> Self {
        let KeptStatement { from_told, to_told, terms, metered, unknown_members } = kept;
        let with_opening = |bytes: Bytes| bytes.saturating_add(opening_bytes);
        let used_bytes = with_opening(metered.billed_bytes);
        let projected_bytes = metered.outlook.map(|outlook| with_opening(outlook.bytes));
        let quota = terms.quota_bytes;
        Self {
            account: account.to_owned(),
            cycle,
            from,
            to,
            from_told,
            to_told,
            as_of,
            state,
            terms,
            opening_bytes,
            used_bytes,
            used_max_bytes: metered.billed_max_bytes.map(with_opening),
            left_bytes: quota.map(|quota| difference(quota, used_bytes)),
            used_percent: quota.map(|quota| percent(used_bytes, quota)),
            projected_bytes,
            projected_percent: projected_bytes
                .zip(quota)
                .map(|(bytes, quota)| percent(bytes, quota)),
            metered,
            unknown_members,
            provider_bytes: None,
            provider_percent: None,
            late_bytes: None,
            digest: None,
            entries: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn with(self, entries: &[KeptEntry]) -> Self {
        let provider_bytes = last(entries, self.cycle, EntryKind::Provider);
        let used = self.used_bytes;
        Self {
            provider_bytes,
            provider_percent: provider_bytes
                .filter(|_| used > Bytes(0))
                .map(|bytes| more(bytes, used)),
            entries: of_cycle(entries, self.cycle).map(EntryView::from).collect(),
            ..self
        }
    }

    /// The same with the warnings that were given, oldest first; of the same time, by percent.
    #[must_use]
    pub fn with_warnings(self, mut warnings: Vec<AccountWarning>) -> Self {
        let percent = |it: &AccountWarning| it.warning.strip_suffix('%')?.parse::<u16>().ok();
        warnings.sort_by_key(|it| (it.at_ns, percent(it).unwrap_or(u16::MAX)));
        Self { warnings: warnings.into_iter().map(WarningView::from).collect(), ..self }
    }

    /// The same as it is kept; frozen at a time, nanoseconds since 1970 (UTC), with its evidence.
    #[must_use]
    pub fn kept(&self, frozen: Option<(WallNs, String)>) -> AccountCycle {
        let Self { terms, metered, .. } = self;
        let statement = KeptStatement {
            from_told: self.from_told.clone(),
            to_told: self.to_told.clone(),
            terms: *terms,
            metered: metered.clone(),
            unknown_members: self.unknown_members.clone(),
        };
        // Stores have signed numbers.
        let most = |figure: u64| figure.min(i64::MAX.cast_unsigned());
        let most_bytes = |bytes: Bytes| Bytes(most(bytes.get()));
        let (frozen_ns, evidence) = frozen.unzip();
        let [rx_bytes, tx_bytes] = [metered.rx_bytes, metered.tx_bytes].map(Bytes::get);
        let [rx_packets, tx_packets] = [metered.rx_packets, metered.tx_packets].map(Packets::get);
        let kept = AccountCycle {
            account: self.account.clone(),
            cycle: self.cycle.to_string(),
            starts_ns: self.from.0,
            ends_ns: self.to.0,
            as_of_ns: self.as_of.0,
            frozen_ns,
            rule: terms.rule.name().to_owned(),
            basis: terms.basis.name().to_owned(),
            counted: [rx_bytes, tx_bytes, rx_packets, tx_packets].map(most),
            opening_bytes: most_bytes(self.opening_bytes),
            used_bytes: most_bytes(self.used_bytes),
            used_max_bytes: self.used_max_bytes.map(most_bytes),
            quota_bytes: terms.quota_bytes.map(most_bytes),
            missing_ns: most(metered.missing_ns),
            p95_bits_per_second: metered.p95.bits_per_second.map(most),
            commit_bits_per_second: terms.commit_bits_per_second.map(most),
            // It has no maps with other keys than texts, which alone can fail.
            statement: serde_json::to_string(&statement).unwrap_or_default(),
            evidence: evidence.unwrap_or_default(),
            digest: String::new(),
        };
        let digest = if frozen_ns.is_some() { kept.seal() } else { String::new() };
        AccountCycle { digest, ..kept }
    }
}

fn of_cycle(entries: &[KeptEntry], cycle: CycleName) -> impl Iterator<Item = &KeptEntry> {
    let cycle = cycle.to_string();
    entries.iter().filter(move |kept| kept.entry.cycle == cycle)
}

/// The last figure of a kind for a cycle.
fn last(entries: &[KeptEntry], cycle: CycleName, kind: EntryKind) -> Option<Bytes> {
    let of_kind = of_cycle(entries, cycle).filter(|kept| kept.entry.kind == kind);
    of_kind.last().map(|kept| kept.entry.bytes)
}

impl From<&KeptEntry> for EntryView {
    fn from(kept: &KeptEntry) -> Self {
        let entry = &kept.entry;
        Self {
            kind: entry.kind.name().to_owned(),
            bytes: entry.bytes,
            reason: entry.reason.clone(),
            operator: entry.operator.clone(),
            at: Time(WallNs(entry.at_s.saturating_mul(1_000_000_000))),
        }
    }
}

impl From<AccountWarning> for WarningView {
    fn from(AccountWarning { warning, at_ns, message, .. }: AccountWarning) -> Self {
        Self { warning, at: Time(at_ns), message }
    }
}

/// One number less another.
pub(super) fn difference(from: Bytes, less: Bytes) -> i64 {
    let difference = i128::from(from.get()) - i128::from(less.get());
    i64::try_from(difference.clamp(i64::MIN.into(), i64::MAX.into())).unwrap_or_default()
}

/// A part of a whole in percent, to a hundredth, rounded down: 100 is said when it is reached.
fn percent(part: Bytes, whole: Bytes) -> f64 {
    let hundredths = u128::from(part.get()) * 10_000 / u128::from(whole.get().max(1));
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

/// By how much one is more than another, in percent, to a hundredth.
fn more(one: Bytes, other: Bytes) -> f64 {
    let [one, other] = [one, other].map(|bytes| i128::from(bytes.get()));
    let hundredths = (one - other) * 10_000 / other.max(1);
    let most = i128::from(i32::MAX);
    f64::from(i32::try_from(hundredths.clamp(-most, most)).unwrap_or(i32::MAX)) / 100.0
}
