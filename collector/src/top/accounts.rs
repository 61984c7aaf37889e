//! The accounts in a line: how much of their quotas is used, and what is left of committed rates.

use ratatui::style::Stylize;
use ratatui::text::Line;
use serde::Deserialize;

/// The running cycles of all accounts, as the API answers.
#[derive(Debug, Deserialize)]
pub(super) struct AccountList {
    accounts: Vec<TopAccount>,
}

/// One account, as far as it is shown.
#[derive(Debug, Clone, Deserialize)]
struct TopAccount {
    account: String,
    used_percent: Option<f64>,
    projected_percent: Option<f64>,
    metered: TopMetered,
    warnings: Vec<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
struct TopMetered {
    commit: Option<TopCommit>,
}

#[derive(Debug, Clone, Deserialize)]
struct TopCommit {
    bursts_left: i64,
}

impl AccountList {
    /// None.
    pub(super) const fn none() -> Self {
        Self { accounts: Vec::new() }
    }

    /// All of them, those with warnings first; `None` without any.
    pub(super) fn line(&self) -> Option<Line<'static>> {
        let mut accounts: Vec<&TopAccount> = self.accounts.iter().collect();
        accounts.sort_by_key(|it| it.warnings.is_empty());
        let told: Vec<String> = accounts.iter().map(|it| it.told()).collect();
        let text = format!("Accounts: {}", told.join("; "));
        let first = accounts.first()?;
        Some(if first.warnings.is_empty() { text.dim().into() } else { text.yellow().into() })
    }
}

impl TopAccount {
    fn told(&self) -> String {
        let used = self.used_percent.map(|percent| format!("{percent:.1} % used"));
        let projected = self.projected_percent.map(|percent| format!("{percent:.0} % at its end"));
        let bursts = self.metered.commit.as_ref().map(|it| match it.bursts_left {
            left if left < 0 => format!("{} bursts too many", -left),
            left => format!("{left} bursts left"),
        });
        let parts: Vec<String> = [used, projected, bursts].into_iter().flatten().collect();
        match parts.is_empty() {
            true => self.account.clone(),
            false => format!("{} {}", self.account, parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_told_in_a_line_those_with_warnings_first() {
        assert!(AccountList::none().line().is_none());
        let list: AccountList = serde_json::from_str(
            r#"{"accounts": [
                {"account": "lab", "used_percent": null, "projected_percent": null, "warnings": [],
                 "metered": {"commit": null}, "more": 1},
                {"account": "transit", "used_percent": null, "projected_percent": null, "warnings": [],
                 "metered": {"commit": {"bursts_left": -2}}},
                {"account": "web", "used_percent": 85.71, "projected_percent": 120.4,
                 "metered": {"commit": {"bursts_left": 7}}, "warnings": [{"warning": "80%"}]}]}"#,
        )
        .unwrap();
        let line = list.line().unwrap().to_string();
        let expected = "Accounts: web 85.7 % used, 120 % at its end, 7 bursts left; lab; \
                        transit 2 bursts too many";
        assert_eq!(line, expected);
    }
}
