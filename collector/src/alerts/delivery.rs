//! What both outboxes have in common: counts, waits, and many alerts in one message.

use std::fmt::Write;
use std::time::Duration;

use super::message::MessageFacts;
use crate::store::AlertEvent;

/// Deliveries, by target and outcome: `sent`, `retried`, `failed`.
pub const DELIVERIES: &str = "netmon_alert_deliveries_total";

/// Messages that people get one by one. More at once come as one message, with up to this many lines.
pub(super) const SINGLE_MAX: usize = 5;
pub(super) const LINES_MAX: usize = 50;

/// First and longest wait before a message is tried again.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(300);

/// Adds to the deliveries of a target; adding 0 creates the series.
pub fn count(target: &str, outcome: &'static str, times: u64) {
    let labels = [("target", target.to_owned()), ("outcome", outcome.to_owned())];
    metrics::counter!(DELIVERIES, &labels).increment(times);
}

/// The wait after an attempt, doubled each time.
#[must_use]
pub fn wait(attempts: u32) -> Duration {
    let times = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY_FIRST.saturating_mul(times).min(RETRY_LONGEST)
}

/// Many alerts in one message: a line each.
pub(super) fn digest<'a>(all: impl Iterator<Item = &'a MessageFacts> + Clone) -> MessageFacts {
    let count = |state: &str| all.clone().filter(|facts| facts.state == state).count();
    let (firing, resolved) = (count(AlertEvent::Firing.name()), count(AlertEvent::Resolved.name()));
    let mut text = String::new();
    for facts in all.clone() {
        // Writing to a String can't fail.
        let _always = writeln!(text, "{}: {}", facts.state, facts.title);
    }
    let critical = all.clone().any(|it| it.severity == "critical" && it.state == "firing");
    let first = all.clone().next().cloned().unwrap_or_else(MessageFacts::example);
    let state = if firing > 0 { AlertEvent::Firing } else { AlertEvent::Resolved };
    MessageFacts {
        id: format!("{}-and-{}-more", first.id, (firing + resolved).saturating_sub(1)),
        state: state.name().to_owned(),
        title: format!("{} alerts: {firing} firing, {resolved} resolved", firing + resolved),
        text: text.trim_end().to_owned(),
        severity: if critical { "critical" } else { "warning" }.to_owned(),
        link: first.link.as_ref().and_then(|link| Some(link.split_once("#/")?.0.to_owned())),
        client: None,
        alias: None,
        nic: None,
        direction: None,
        name: None,
        talkers: None,
        ..first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 40, 300].map(|it| wait(it).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn many_alerts_become_one_message_with_a_line_each() {
        let mut all = vec![MessageFacts::example(); 7];
        all[6].state = "resolved".into();
        let digest = digest(all.iter());
        assert_eq!(digest.title, "7 alerts: 6 firing, 1 resolved");
        assert_eq!(digest.text.lines().count(), 7);
        assert_eq!(digest.link.as_deref(), Some("https://monitor.example.org/"));
        assert_eq!((digest.client, digest.severity.as_str()), (None, "critical"));
    }
}
