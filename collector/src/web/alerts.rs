//! `/api/v1/alerts`: incidents that rules found and the messages about them, the rules, silences.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::WallNs;
use wire::id::ClientId;

use super::access::Asker;
use super::alerts_csv::{csv_answer, place};
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, given, within};
use crate::alerts::measure::Measure;
use crate::alerts::{AlertRule, side, title};
use crate::store::{
    AlertCursor, AlertDelivery, AlertIncident, AlertPage, AlertRange, AlertSilence, AlertSubject,
};
use crate::time::{Time, now_ns};

/// Incidents in an answer, by default and at most.
const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 500;

/// Which incidents are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertsParams {
    /// Only those that are `firing` now, or `resolved`. Default: both.
    #[param(inline)]
    state: Option<AlertState>,
    /// Only of the rule of this name.
    #[param(min_length = 1)]
    rule: Option<String>,
    /// Only of the client with this id.
    #[param(min_length = 1)]
    client: Option<String>,
    /// Excludes those that were over before this time. RFC 3339, or seconds since 1970. Default: no bound.
    #[param(value_type = Option<String>, example = "2024-01-01T12:00:00Z")]
    from: Option<Time>,
    /// Excludes those that fired at this time or later. Default: no bound.
    #[param(value_type = Option<String>, example = "2024-01-01T12:00:00Z")]
    to: Option<Time>,
    /// Continues a list: `next` of the answer before.
    #[param(min_length = 1)]
    cursor: Option<String>,
    /// Most of them. Default: 50; of CSV all.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `json`, or `csv` with a line for each, without messages; if the store fails meanwhile, the connection is
    /// cut. Default: json.
    #[param(inline)]
    format: Option<AlertsFormat>,
}

/// Whether an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AlertState {
    Firing,
    Resolved,
}

/// How incidents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum AlertsFormat {
    Json,
    Csv,
}

/// Incidents, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertsView {
    alerts: Vec<AlertView>,
    /// `cursor` of the request for those that come after these; `null` if there are none.
    next: Option<String>,
}

/// An incident: a time during which a rule's condition held for a subject.
#[derive(Debug, Serialize, ToSchema)]
struct AlertView {
    /// The same in its messages (`incident`).
    id: String,
    state: AlertState,
    /// What happened, in a line of English.
    title: String,
    /// The rule's name.
    rule: String,
    /// What the rule measures: `host_down`, `loss`, `utilisation` and others.
    measure: String,
    /// `warning` or `critical`.
    severity: String,
    /// The client, if it is about one.
    client: Option<String>,
    /// What its operator calls the client.
    alias: Option<String>,
    /// The NIC, if it is about one.
    nic: Option<String>,
    /// `rx` or `tx`, if it is about a direction.
    direction: Option<String>,
    /// The collector or account, if it is about one.
    name: Option<String>,
    /// When the condition began.
    since: Time,
    /// When the rule fired: the condition had held for the rule's `for`.
    fired: Time,
    /// When it was over.
    resolved: Option<Time>,
    /// How it ended: `calm` (the condition holds no more), `no_data` (nothing more was heard of the
    /// subject), `rule_removed`, `rule_changed` (its rule no longer applies to the subject), or
    /// `collector_gone` (about a collector of which nothing was heard for an hour).
    ended: Option<String>,
    /// The value when the rule fired.
    value: f64,
    /// The rule's bound then.
    bound: f64,
    /// On which side of the bound the value was: `above` or `below`.
    side: &'static str,
    /// The worst value of all; while it fires, that when it fired.
    worst: f64,
    /// When the worst value was measured.
    worst_at: Time,
    /// Unit of the three: `packets`, `percent`, `bits_per_second`, `seconds`, `bytes`, or empty if they
    /// are 1 for yes and 0 for no.
    unit: &'static str,
    /// More about it, for people; may be empty.
    detail: String,
    /// Why no message was sent when it fired: quiet hours, or a silence with its author and reason.
    muted: Option<String>,
    /// A message was queued that it fires. A muted incident is announced once it is no longer muted.
    announced: bool,
    /// Its messages, by event and target.
    deliveries: Vec<DeliveryView>,
}

/// A message about an incident.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryView {
    /// What it tells: `firing` or `resolved`.
    event: &'static str,
    /// The target's name.
    target: String,
    /// `waiting`, `sent` or `failed` (given up).
    state: String,
    /// How often it was tried.
    attempts: u32,
    /// When it was sent or given up.
    ended: Option<Time>,
    /// Why it was not sent yet, or at all.
    error: Option<String>,
}

/// Alerts: incidents that fire or are over, the newest first, with figures and messages
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "alerts", params(AlertsParams),
    responses(
        (status = 200, description = "Incidents of all collectors of the database",
            content((AlertsView = "application/json"), (String = "text/csv"))),
        ApiError
    )
)]
pub(super) async fn alerts(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<AlertsParams>,
) -> Result<Response, ApiError> {
    let (format, limited) = (params.format, params.limit.is_some());
    let mut range = params.range()?;
    if format == Some(AlertsFormat::Csv) {
        return csv_answer(app, asker, range, limited).await;
    }
    // One more, to know whether there are more.
    range.limit += 1;
    let mut page = app.ask(&asker, app.state.alerts.store.alerts(&range)).await?;
    let more = page.incidents.len() == range.limit;
    page.incidents.truncate(range.limit - 1);
    let last = page.incidents.last().filter(|_| more);
    let next = last.map(|it| Cursor(place(it)).to_string());
    Ok(Answer(AlertsView { alerts: views(&app, page), next }).into_response())
}

impl AlertsParams {
    fn range(self) -> Result<AlertRange, ApiError> {
        let (from_ns, to_ns) =
            (self.from.map_or(WallNs(0), |it| it.0), self.to.map_or(WallNs::MAX, |it| it.0));
        if from_ns >= to_ns {
            return Err(ApiError::bad_parameter("from must be before to"));
        }
        let after = self.cursor.map(|text| text.parse()).transpose();
        let after = after.map_err(|()| {
            ApiError::bad_parameter("cursor is not one that an answer had as `next`")
        })?;
        Ok(AlertRange {
            firing: self.state.map(|state| state == AlertState::Firing),
            from_ns,
            to_ns,
            rule: self.rule.map(|rule| given("rule", rule)).transpose()?,
            client: self.client.map(|client| given("client", client)).transpose()?,
            after: after.map(|Cursor(after)| after),
            limit: within("limit", self.limit, LIMIT, LIMIT_MAX)?,
        })
    }
}

/// A place in the list as callers get it: the time, and the id.
struct Cursor(AlertCursor);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0.fired_ns.get(), self.0.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ns, id) = text.split_once('-').ok_or(())?;
        let known = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let digits = ns.bytes().all(|b| b.is_ascii_digit());
        let ns = ns.parse().ok().filter(|_| known && digits).ok_or(())?;
        Ok(Self(AlertCursor { fired_ns: WallNs(ns), id: id.to_owned() }))
    }
}

fn views(app: &App, page: AlertPage) -> Vec<AlertView> {
    let mut deliveries: HashMap<String, Vec<DeliveryView>> = HashMap::new();
    for AlertDelivery { incident, event, target, state, attempts, ended_ns, error } in
        page.deliveries
    {
        let ended = ended_ns.map(Time);
        let view = DeliveryView { event: event.name(), target, state, attempts, ended, error };
        deliveries.entry(incident).or_default().push(view);
    }
    let view = |incident: AlertIncident| {
        let alias = ClientId::new(&incident.subject.client).ok();
        let alias = alias.and_then(|id| app.state.live.client(&id)).map(|it| it.alias);
        let deliveries = deliveries.remove(&incident.id).unwrap_or_default();
        AlertView::new(incident, alias, deliveries)
    };
    page.incidents.into_iter().map(view).collect()
}

/// A text, unless there is none.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl AlertView {
    fn new(it: AlertIncident, alias: Option<String>, deliveries: Vec<DeliveryView>) -> Self {
        let measure = Measure::of_name(&it.measure);
        let title = title(&it);
        let side = measure.map_or("", |measure| side(&it, measure).name());
        let AlertSubject { client, nic, direction, name } = it.subject;
        let state = match it.resolved_ns {
            None => AlertState::Firing,
            Some(_) => AlertState::Resolved,
        };
        Self {
            id: it.id,
            state,
            title,
            rule: it.rule,
            measure: it.measure,
            severity: it.severity,
            client: some(client),
            alias: alias.and_then(some),
            nic: some(nic),
            direction: some(direction),
            name: some(name),
            since: Time(it.since_ns),
            fired: Time(it.fired_ns),
            resolved: it.resolved_ns.map(Time),
            ended: it.ended,
            value: it.value,
            bound: it.bound,
            side,
            worst: it.worst,
            worst_at: Time(it.worst_ns),
            unit: measure.map_or("", |it| it.unit().name()),
            detail: it.detail,
            muted: it.muted,
            announced: it.announced,
            deliveries,
        }
    }
}

/// The rules in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesView {
    /// The time zone of quiet hours.
    time_zone: String,
    rules: Vec<RuleView>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
struct RuleView {
    name: String,
    /// What it measures: `host_down`, `loss`, `utilisation` and others.
    measure: &'static str,
    /// `warning` or `critical`.
    severity: &'static str,
    /// On which side of the bound it fires: `above` or `below`.
    side: &'static str,
    /// It fires beyond this value.
    bound: f64,
    /// It is over at this value or on its other side.
    clear: f64,
    /// Unit of both, as of incidents.
    unit: &'static str,
    /// How long the condition must hold.
    for_seconds: u64,
    /// How long it must be over.
    clear_for_seconds: u64,
    /// The only direction, `rx` or `tx`, if it has one.
    direction: Option<&'static str>,
    /// Names of its targets.
    targets: Vec<String>,
    /// When its quiet hours end, if they are now.
    quiet_until: Option<Time>,
}

/// The rules of alerts in force at this collector
#[utoipa::path(
    get, path = "/api/v1/alerts/rules", tag = "alerts",
    responses((status = 200, description = "Rules, by name", body = RulesView), ApiError)
)]
pub(super) async fn rules(State(app): State<Arc<App>>) -> Answer<RulesView> {
    let rules = (app.state.alerts.rules)();
    let now = now_ns();
    let view = |rule: &Arc<AlertRule>| RuleView {
        name: rule.name.to_string(),
        measure: rule.measure.name(),
        severity: rule.severity.name(),
        side: rule.bounds.side.name(),
        bound: rule.bounds.bound,
        clear: rule.bounds.clear,
        unit: rule.unit().name(),
        for_seconds: rule.bounds.hold.as_secs(),
        clear_for_seconds: rule.bounds.clear_hold.as_secs(),
        direction: rule.direction.map(crate::alerts::config::AlertDirection::name),
        targets: rule.targets.clone(),
        quiet_until: rule.quiet_until(now, &rules.zone).map(Time),
    };
    let time_zone = rules.zone.iana_name().unwrap_or("UTC").to_owned();
    Answer(RulesView { time_zone, rules: rules.rules.iter().map(view).collect() })
}

/// The silences that have not ended, the earliest end first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SilencesView {
    silences: Vec<SilenceView>,
}

/// A silence: no messages about what it matches. All parts that are set must match.
#[derive(Debug, Serialize, ToSchema)]
struct SilenceView {
    /// For `collector silence end`.
    id: String,
    /// The rule's name.
    rule: Option<String>,
    /// A glob of client ids.
    client: Option<String>,
    /// A glob of NICs' names.
    nic: Option<String>,
    /// A tag of the client, `key=value`.
    tag: Option<String>,
    /// When it begins.
    from: Time,
    /// When it ends.
    until: Time,
    /// Who set it.
    by: String,
    /// Why.
    reason: String,
}

/// Silences of alerts that hold now or later
#[utoipa::path(
    get, path = "/api/v1/alerts/silences", tag = "alerts",
    responses((status = 200, description = "Silences of all collectors of the database",
        body = SilencesView), ApiError)
)]
pub(super) async fn silences(
    State(app): State<Arc<App>>,
    asker: Asker,
) -> Result<Answer<SilencesView>, ApiError> {
    let silences = app.ask(&asker, app.state.alerts.store.silences(now_ns())).await?;
    let view = |it: AlertSilence| SilenceView {
        id: it.id,
        rule: some(it.rule),
        client: some(it.client),
        nic: some(it.nic),
        tag: some(it.tag),
        from: Time(it.from_ns),
        until: Time(it.until_ns),
        by: it.by,
        reason: it.reason,
    };
    Ok(Answer(SilencesView { silences: silences.into_iter().map(view).collect() }))
}
