//! The warnings of a cycle. Pure: which are due; that each is given once per cycle is the store's part.

use settings::units::bit_rate;
use wire::Bytes;

use super::config::BilledAccount;
use super::statement::Statement;

/// Measured intervals of a cycle before its outlook is warned of: a day, for nights are not like days.
const OUTLOOK_AFTER: u64 = 288;

/// A warning: its name and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueWarning {
    /// `80%`, `projected`, `commit` or `commit_projected`.
    pub name: String,
    /// For people.
    pub message: String,
}

/// The names of all warnings that an account can have.
#[must_use]
pub fn warning_names(account: &BilledAccount) -> Vec<String> {
    let percents = account.warn.iter().map(|percent| format!("{percent}%"));
    percents.chain(["projected", "commit", "commit_projected"].map(str::to_owned)).collect()
}

/// The warnings that a running cycle gives reason for.
#[must_use]
pub fn due_warnings(account: &BilledAccount, statement: &Statement) -> Vec<DueWarning> {
    let Statement { terms, metered, used_bytes, projected_bytes, .. } = statement;
    let unit = terms.unit;
    let of = format!("{}, cycle {}", statement.account, statement.cycle);
    let mut due = Vec::new();
    if let Some(quota) = terms.quota_bytes {
        let reached = |percent: &&u16| {
            u128::from(used_bytes.get()) * 100 >= u128::from(quota.get()) * u128::from(**percent)
        };
        let (used, whole) = (unit.told(*used_bytes), unit.told(quota));
        due.extend(account.warn.iter().filter(reached).map(|percent| DueWarning {
            name: format!("{percent}%"),
            message: format!("{of}: {used} of {whole} are used, {percent} % or more"),
        }));
        let outlook = projected_bytes.zip(metered.outlook).filter(|(bytes, _)| {
            account.warn_projected && *bytes > quota && metered.measured_intervals >= OUTLOOK_AFTER
        });
        due.extend(outlook.map(|(bytes, outlook)| DueWarning {
            name: "projected".to_owned(),
            message: format!(
                "{of}: it will end at {} of {whole}, {}",
                unit.told(bytes),
                outlook.method.told()
            ),
        }));
    }
    due.extend(metered.commit.filter(|commit| commit.bursts_left < 0).map(|commit| DueWarning {
        name: "commit".to_owned(),
        message: format!(
            "{of}: {} intervals exceeded {}, {} may",
            commit.exceeded,
            super::terms::CommitRate(commit.bits_per_second),
            commit.allowed
        ),
    }));
    let outlook = metered.commit.zip(metered.p95_outlook).filter(|(commit, outlook)| {
        account.warn_projected
            && commit.bursts_left >= 0
            && outlook.bits_per_second > commit.bits_per_second
            && metered.measured_intervals >= OUTLOOK_AFTER
    });
    due.extend(outlook.map(|(commit, outlook)| DueWarning {
        name: "commit_projected".to_owned(),
        message: format!(
            "{of}: its 95th percentile will end at {}, over {}, {}",
            bit_rate(Bytes(outlook.bits_per_second / 8).as_f64()),
            super::terms::CommitRate(commit.bits_per_second),
            outlook.method.told()
        ),
    }));
    due
}
