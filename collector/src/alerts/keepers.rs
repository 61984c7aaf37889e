//! How incidents end that no collector stands behind any more. Pure.
//!
//! Each collector confirms the open incidents that rules of it are about. So collectors of one database may
//! have different rules, and a config that changes on one after the other ends nothing too early.

use std::time::Duration;

use super::measure::{Measure, MeasureSource};
use super::rule::AlertRules;
use crate::store::{AlertIncident, UnconfirmedAlert};

/// Interval in which a collector confirms what it stands behind.
pub const CONFIRM: Duration = Duration::from_secs(30);

/// Confirmations that other collectors may miss before one ends what it was the last to stand behind.
const MISSED: u32 = 3;

/// How long a collector may be away before another one ends what that one stood behind: longer than an
/// upgrade or a move takes.
const GONE: Duration = Duration::from_secs(3600);

/// How an incident ends now that nobody stands behind, if it does. `own`: the asking collector's name in
/// incidents about it; `confirm`: interval of confirmations.
pub(super) fn ended(
    incident: &AlertIncident,
    unconfirmed: &UnconfirmedAlert,
    (rules, own): (&AlertRules, &str),
    confirm: Duration,
) -> Option<&'static str> {
    if is_about_another(incident, own) {
        return (unconfirmed.since >= GONE).then_some("collector_gone");
    }
    let patience = if unconfirmed.own { confirm * MISSED } else { GONE };
    let known = rules.position_of(&incident.rule, &incident.measure).is_some();
    (unconfirmed.since >= patience).then_some(if known { "rule_changed" } else { "rule_removed" })
}

/// True if an incident is about another collector itself.
fn is_about_another(incident: &AlertIncident, own: &str) -> bool {
    let of_collector = Measure::of_name(&incident.measure).is_some_and(|measure| {
        measure.source(false) == MeasureSource::Collector && measure != Measure::Account
    });
    of_collector && incident.subject.client.is_empty() && incident.subject.name != own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::AlertsSection;
    use crate::store::AlertSubject;

    fn incident(rule: &str, measure: &str, client: &str, name: &str) -> AlertIncident {
        let subject =
            AlertSubject { client: client.into(), name: name.into(), ..AlertSubject::default() };
        AlertIncident {
            rule: rule.into(),
            measure: measure.into(),
            subject,
            ..AlertIncident::default()
        }
    }

    #[test]
    fn what_was_this_ones_ends_soon_and_what_was_anothers_after_an_hour() {
        let section = r#"{"rules": {"down": {"measure": "host_down", "clients": ["db-*"]}}}"#;
        let section: AlertsSection = serde_json::from_str(section).unwrap();
        let rules = AlertRules::of(&section).unwrap();
        let own = ("collector a", "collector b");
        for (incident, after_s, own_one, ends) in [
            (incident("down", "host_down", "web-1", ""), 89, true, None),
            (incident("down", "host_down", "web-1", ""), 90, true, Some("rule_changed")),
            // Another collector's rule was about it until lately, and that one may come back.
            (incident("down", "host_down", "web-1", ""), 3599, false, None),
            (incident("down", "host_down", "web-1", ""), 3600, false, Some("rule_changed")),
            (incident("gone", "host_down", "web-1", ""), 90, true, Some("rule_removed")),
            // The rule of this name measures something else now.
            (incident("down", "clock", "web-1", ""), 90, true, Some("rule_removed")),
            (incident("disk", "disk", "", own.0), 90, true, Some("rule_removed")),
            (incident("disk", "disk", "", own.1), 3599, true, None),
            (incident("disk", "disk", "", own.1), 3600, false, Some("collector_gone")),
            (
                incident("bill", "account", "", "transit 80% 2026-11"),
                90,
                true,
                Some("rule_removed"),
            ),
            (incident("cert", "certificate", "web-1", ""), 90, true, Some("rule_removed")),
        ] {
            let since = Duration::from_secs(after_s);
            let unconfirmed = UnconfirmedAlert { id: String::new(), since, own: own_one };
            let found = ended(&incident, &unconfirmed, (&rules, own.0), CONFIRM);
            assert_eq!(found, ends, "{} after {after_s} s", incident.rule);
        }
    }
}
