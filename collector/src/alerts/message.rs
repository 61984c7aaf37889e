//! What messages say: what happened, in numbers, and where to look.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use wire::WallNs;

use super::measure::{Measure, Side, Unit};
use super::message_talkers::AlertTalkers;
use crate::store::{AlertEvent, AlertIncident, AlertSubject};
use crate::time::{Time, rough};

/// How much of the time before and after the moment its link shows, nanoseconds.
const AROUND_NS: u64 = 120_000_000_000;

/// The facts of a message. Templates know them by these names; a webhook without a template gets them
/// as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageFacts {
    /// The same each time that this message is sent: for receivers to drop what they have.
    #[serde(default)]
    pub id: String,
    /// The same in all messages about one incident.
    #[serde(default)]
    pub incident: String,
    /// `firing` or `resolved`.
    pub state: String,
    /// What happened, in a line.
    pub title: String,
    /// The same with times and numbers, in lines.
    pub text: String,
    /// The page at the moment; `null` if `alerts.url` isn't set.
    pub link: Option<String>,
    /// The rule's name.
    pub rule: String,
    /// What it measures.
    pub measure: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// The client, if it is about one.
    pub client: Option<String>,
    /// What its operator calls the client.
    pub alias: Option<String>,
    /// The NIC.
    pub nic: Option<String>,
    /// `rx` or `tx`.
    pub direction: Option<String>,
    /// The collector or account, if it is about one.
    pub name: Option<String>,
    /// The value when it fired.
    pub value: f64,
    /// The rule's bound.
    pub bound: f64,
    /// The worst value so far.
    pub worst: f64,
    /// Unit of the three.
    pub unit: String,
    /// When the worst value was measured.
    pub worst_at: Time,
    /// When the condition began.
    pub since: Time,
    /// When the rule fired.
    pub fired: Time,
    /// When it was over.
    pub resolved: Option<Time>,
    /// More, if there is any.
    pub detail: String,
    /// Who had the traffic of the NIC, if it is about that and it is known.
    #[serde(default)]
    pub talkers: Option<AlertTalkers>,
}

/// What texts need beside the incident.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// What its operator calls the client; may be empty.
    pub alias: &'a str,
    /// Where people reach the pages.
    pub url: Option<&'a str>,
    /// The time zone of times.
    pub zone: &'a TimeZone,
}

impl MessageFacts {
    /// The facts of an incident. It needs no id yet.
    #[must_use]
    pub fn new(incident: &AlertIncident, words: Words<'_>) -> Self {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let AlertSubject { client, nic, direction, name } = &incident.subject;
        let event = match incident.resolved_ns {
            None => AlertEvent::Firing,
            Some(_) => AlertEvent::Resolved,
        };
        Self {
            id: String::new(),
            incident: String::new(),
            state: event.name().to_owned(),
            title: title(incident),
            text: lines(incident, words),
            link: words.url.map(|url| link(url, incident)),
            rule: incident.rule.clone(),
            measure: incident.measure.clone(),
            severity: incident.severity.clone(),
            client: text(client),
            alias: Some(words.alias.to_owned()).filter(|alias| !alias.is_empty()),
            nic: text(nic),
            direction: text(direction),
            name: text(name),
            value: incident.value,
            bound: incident.bound,
            worst: incident.worst,
            unit: unit(incident).name().to_owned(),
            worst_at: Time(incident.worst_ns),
            since: Time(incident.since_ns),
            fired: Time(incident.fired_ns),
            resolved: incident.resolved_ns.map(Time),
            detail: incident.detail.clone(),
            talkers: None,
        }
    }

    /// The same as the message of an incident.
    #[must_use]
    pub fn of_incident(self, incident: &str, event: AlertEvent) -> Self {
        let id = format!("{incident}-{}", event.name());
        Self { id, incident: incident.to_owned(), ..self }
    }

    /// Some facts, to try templates with.
    #[must_use]
    pub fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            id: "0123456789abcdef-firing".to_owned(),
            incident: "0123456789abcdef".to_owned(),
            state: "firing".to_owned(),
            title: "web-1 eth0 rx: 97.3 % of the link, above 90 %".to_owned(),
            text: "since 2026-11-26 09:12:03 UTC\nrule full".to_owned(),
            link: text("https://monitor.example.org/#/client/web-1/eth0"),
            rule: "full".to_owned(),
            measure: Measure::Utilisation.name().to_owned(),
            severity: "critical".to_owned(),
            client: text("web-1"),
            alias: text("the web server"),
            nic: text("eth0"),
            direction: text("rx"),
            name: None,
            value: 97.3,
            bound: 90.0,
            worst: 98.1,
            unit: "percent".to_owned(),
            worst_at: Time(WallNs(1_795_684_330_000_000_000)),
            since: Time(WallNs(1_795_684_323_000_000_000)),
            fired: Time(WallNs(1_795_684_353_000_000_000)),
            resolved: None,
            detail: String::new(),
            talkers: None,
        }
    }
}

/// What happened, in a line: who, what, how much.
#[must_use]
pub fn title(incident: &AlertIncident) -> String {
    let AlertSubject { client, nic, direction, name } = &incident.subject;
    let parts = [client, nic, direction, name];
    let who: Vec<&str> =
        parts.into_iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    let who = who.join(" ");
    // Of a newer collector.
    let Some(measure) = Measure::of_name(&incident.measure) else {
        return format!("{who}: {}", incident.measure);
    };
    let unit = measure.unit();
    let (value, bound) = (unit.show(incident.value), unit.show(incident.bound));
    let side = side(incident, measure).name();
    if incident.resolved_ns.is_some() {
        let over = match (measure, incident.ended.as_deref()) {
            (_, Some("no_data")) => "no more data, so this alert ends".to_owned(),
            (_, Some("rule_removed")) => "its rule is gone, so this alert ends".to_owned(),
            (_, Some("rule_changed")) => {
                "its rule no longer applies, so this alert ends".to_owned()
            }
            (_, Some("collector_gone")) => {
                "nothing was heard of this collector for an hour, so this alert ends".to_owned()
            }
            (Measure::Account, _) => "a new cycle has begun".to_owned(),
            (Measure::HostDown, _) => "up again".to_owned(),
            (Measure::Store, _) => "the store works again".to_owned(),
            (Measure::Loss, _) => "no more packets lost".to_owned(),
            (Measure::Certificate, _) => "the certificate was renewed".to_owned(),
            (measure, _) => format!("{} is no longer {side} {bound}", noun(measure)),
        };
        return format!("{who}: {over}");
    }
    match measure {
        Measure::HostDown => format!("{who}: down"),
        Measure::Store => format!("{who}: the store fails"),
        // The warning names its account.
        Measure::Account if !incident.detail.is_empty() => incident.detail.clone(),
        Measure::Account => format!("{who}: warning of an account"),
        Measure::Loss => format!("{who}: {value} lost"),
        Measure::Utilisation => format!("{who}: {value} of the link, {side} {bound}"),
        Measure::Certificate if incident.value <= 0.0 => {
            format!("{who}: a certificate has expired")
        }
        Measure::Certificate => format!("{who}: a certificate expires in {value}"),
        measure => format!("{who}: {} {value}, {side} {bound}", noun(measure)),
    }
}

/// The unit of its values. Of what a newer collector measures, none is known.
fn unit(incident: &AlertIncident) -> Unit {
    Measure::of_name(&incident.measure).map_or(Unit::Fact, Measure::unit)
}

/// On which side of its bound the value was when the rule fired.
#[must_use]
pub fn side(incident: &AlertIncident, measure: Measure) -> Side {
    let by_value = if incident.value < incident.bound { Side::Below } else { Side::Above };
    measure.side().unwrap_or(by_value)
}

/// What a measure is called in a title.
const fn noun(measure: Measure) -> &'static str {
    match measure {
        Measure::HostDown => "host",
        Measure::Loss => "loss",
        Measure::Utilisation => "utilisation",
        Measure::Peak1ms => "peak of 1 ms",
        Measure::Rate => "rate",
        Measure::Clock => "clock is off by",
        Measure::Certificate => "certificate",
        Measure::Store => "store",
        Measure::Disk => "free space",
        Measure::Account => "account",
    }
}

/// Times and numbers, a line each.
fn lines(incident: &AlertIncident, words: Words<'_>) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _always = writeln!(text, "{line}");
    };
    let time = |ns: WallNs| local(ns, words.zone);
    if !words.alias.is_empty() {
        line(format_args!("host: {}", words.alias));
    }
    line(format_args!("since: {}", time(incident.since_ns)));
    if let Some(resolved_ns) = incident.resolved_ns {
        let lasted = Duration::from_nanos(resolved_ns.saturating_since(incident.since_ns));
        line(format_args!("over: {}, after {}", time(resolved_ns), rough(lasted)));
    }
    let unit = unit(incident);
    if unit != Unit::Fact {
        let (worst, at) = (unit.show(incident.worst), time(incident.worst_ns));
        line(format_args!("worst: {worst} at {at}"));
    }
    let told = incident.measure == Measure::Account.name();
    if !incident.detail.is_empty() && !told {
        line(format_args!("{}", incident.detail));
    }
    line(format_args!("rule: {} ({})", incident.rule, incident.severity));
    text.trim_end().to_owned()
}

/// A time by the clock of a zone.
fn local(ns: WallNs, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ns.get())).unwrap_or(Timestamp::MAX);
    time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// The page at the moment of an incident.
fn link(url: &str, incident: &AlertIncident) -> String {
    let AlertSubject { client, nic, direction, .. } = &incident.subject;
    let url = url.trim_end_matches('/');
    if client.is_empty() {
        return format!("{url}/");
    }
    // The moment that counts: the worst one, which is the only one of an event.
    let worst_ns = incident.worst_ns;
    let begin = incident.since_ns.min(worst_ns).max(worst_ns.saturating_sub(3_600_000_000_000));
    let (from, to) = (begin.saturating_sub(AROUND_NS), worst_ns.saturating_add(AROUND_NS));
    let [from, to] = [from, to].map(|ns| ns / 1_000_000);
    let page = format!("{url}/#/client/{}/{}?from={from}&to={to}", escaped(client), escaped(nic));
    if nic.is_empty() {
        return page;
    }
    // With the talkers of that moment.
    let way = if direction == "tx" { "tx" } else { "rx" };
    format!("{page}&talkers={way}-host-rate&at={}", worst_ns / 1_000_000)
}

/// A part of a path, as `encodeURIComponent` writes it.
fn escaped(part: &str) -> String {
    let mut text = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _always = write!(text, "%{byte:02X}");
        }
    }
    text
}
