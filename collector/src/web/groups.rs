//! `/api/v1/groups`: the traffic of groups of clients over a range.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use settings::Interval;
use utoipa::{IntoParams, ToSchema};
use wire::Bytes;
use wire::causes::InFull;
use wire::tag::{TagError, TagKey};

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, given, limits_within, tags};
use crate::live::PointView;
use crate::store::{Group, GroupPoint, GroupsFound, GroupsRange};
use crate::time::Time;

/// Default range, nanoseconds (a day).
const RANGE_NS: u64 = 86_400_000_000_000;

/// Points of a group where no step is asked for, and at most.
const POINTS: u64 = 300;
const POINTS_MAX: u64 = 1000;

/// Steps to choose from, minutes: they tile an hour, a day or a week.
const STEPS: [u64; 8] = [5, 15, 30, 60, 180, 360, 1440, 10_080];

const MINUTE_NS: u64 = 60_000_000_000;

/// The groups, the range and the step.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupsParams {
    /// The tag's key whose values are the groups. Default: one group of all clients.
    #[param(example = "site")]
    by: Option<String>,
    /// `client`: each client is a group of its own. Not together with `by`.
    each: Option<EachName>,
    /// Only clients while they had all of these tags, separated by commas: `site=ams,role=cache`.
    tag: Option<String>,
    /// Only this client, by its id.
    #[param(min_length = 1)]
    client: Option<String>,
    /// Start of the range, rounded down to whole steps. RFC 3339, or seconds since 1970. Default: a day
    /// before `to`.
    #[param(value_type = Option<String>, example = "2024-01-01T12:00:00Z")]
    from: Option<Time>,
    /// End of the range, rounded up to whole steps. Default: now.
    #[param(value_type = Option<String>, example = "2024-01-02T12:00:00Z")]
    to: Option<Time>,
    /// Length of a point, in whole minutes since 1970 (UTC): `5m`, `1h`, `1d`. Steps that are no multiple
    /// of 5 minutes go back as far as `retention.rollup_1m`. Default: at most 300 points.
    #[param(value_type = Option<String>)]
    step: Option<Interval>,
    /// `false`: groups without their points, for their sums alone. Default: `true`.
    points: Option<bool>,
}

/// What is a group of its own.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EachName {
    /// Each client.
    Client,
}

/// The traffic of groups of clients. A client's traffic counts to the value that its tag had at that time,
/// changes from the 5-minute mark before them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupsView {
    /// The tag's key.
    by: Option<String>,
    /// What is a group of its own.
    each: Option<EachName>,
    from: Time,
    to: Time,
    /// Length of a point, nanoseconds.
    step_ns: u64,
    /// Days (UTC) that are left out in whole or in part: they are packed in the background, and reading all of
    /// their rows would take too long. Of those the newest were read. No group has points in what is left out,
    /// sums lack it, and the percentiles over the range are `null`. 0: nothing is missing.
    missing_days: usize,
    /// The groups, by value; the largest, if there are too many.
    groups: Vec<GroupView>,
    /// All other groups together: of over 100, or fewer over a long range, those with the fewest bytes. `null`:
    /// there are no others.
    other: Option<OtherView>,
}

/// Groups that are too many to be shown one by one.
#[derive(Debug, Serialize, ToSchema)]
struct OtherView {
    /// How many values of the tag, or clients, it stands for.
    values: usize,
    /// Their traffic together; its `value` is `null`.
    #[serde(flatten)]
    group: GroupView,
}

/// One group.
#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    /// The tag's value, or the client's id; `null`: the clients without such a tag, or all.
    value: Option<String>,
    /// Clients that were in it at some time of the range.
    clients: usize,
    /// Sums over the range, without what `missing_days` are about.
    #[schema(value_type = u64)]
    rx_bytes: Bytes,
    #[schema(value_type = u64)]
    tx_bytes: Bytes,
    /// The 95th percentile over the range, as `/api/v1/percentile` takes it: the bytes of all NICs are added
    /// up by interval before anything is sorted. `null` if nothing was measured, or days are missing.
    rx_p95_bits_per_second: Option<u64>,
    tx_p95_bits_per_second: Option<u64>,
    /// 5-minute intervals in the range, and those with measurements.
    intervals: u64,
    measured_intervals: u64,
    /// Oldest first. Time not covered by a point was not measured, or is left out: `missing_days`. None where
    /// `points=false`.
    points: Vec<GroupPointView>,
}

/// What a group carried in one step. Sums are of all NICs, except stacked ones; a peak is the highest of any
/// one NIC.
#[derive(Debug, Serialize, ToSchema)]
struct GroupPointView {
    #[serde(flatten)]
    point: PointView,
    /// The 95th percentile within the step, if it is at least an hour long.
    rx_p95_bits_per_second: Option<u64>,
    tx_p95_bits_per_second: Option<u64>,
}

impl GroupsParams {
    fn range(&self) -> Result<GroupsRange, ApiError> {
        let times = limits_within(self.from, self.to, RANGE_NS)?;
        let refused = |error: TagError| ApiError::bad_parameter(format!("by: {}", error.in_full()));
        let by = self.by.as_deref().map(TagKey::new).transpose().map_err(refused)?;
        if by.is_some() && self.each.is_some() {
            let message = "by and each can't be there both: leave one out";
            return Err(ApiError::bad_parameter(message));
        }
        let client = self.client.clone().map(|id| given("client", id)).transpose()?;
        let length_ns = times.1 - times.0;
        let mut steps = STEPS.iter().map(|minutes| minutes * MINUTE_NS);
        let few = |step_ns: &u64| length_ns / step_ns <= POINTS;
        let chosen_ns = steps.find(few).unwrap_or(10_080 * MINUTE_NS);
        let step_ns = self.step.map_or(chosen_ns, |step| nanos(step.0));
        let range = GroupsRange::new(by, tags(self.tag.as_deref())?, times, step_ns);
        let range = GroupsRange { each_client: self.each.is_some(), client, ..range };
        let points = (range.to_ns - range.from_ns) / range.step_ns;
        if points > POINTS_MAX {
            let message = format!(
                "{points} points of {} each; at most {POINTS_MAX} are allowed: choose a longer step or a \
                 shorter range",
                Interval(Duration::from_nanos(range.step_ns))
            );
            return Err(ApiError::bad_parameter(message));
        }
        Ok(range)
    }
}

fn nanos(step: Duration) -> u64 {
    u64::try_from(step.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Sums, peaks and percentiles of groups of clients over a range
#[utoipa::path(
    get, path = "/api/v1/groups", tag = "history", params(GroupsParams),
    responses((status = 200, description = "From rollups, exact to the byte",
               body = GroupsView), ApiError)
)]
pub(super) async fn groups(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<GroupsParams>,
) -> Result<Answer<GroupsView>, ApiError> {
    let range = params.range()?;
    let found = app.ask(&asker, app.state.query.groups(&range)).await?;
    let GroupsFound { mut groups, missing_days } = found;
    let with_points = params.points.unwrap_or(true);
    let view = |group| GroupView::of(group, with_points);
    let other = groups.pop_if(|last| last.others > 0);
    let other = other.map(|it| OtherView { values: it.others, group: view(it) });
    Ok(Answer(GroupsView {
        by: range.by.map(String::from),
        each: params.each,
        from: Time(range.from_ns),
        to: Time(range.to_ns),
        step_ns: range.step_ns,
        missing_days,
        groups: groups.into_iter().map(view).collect(),
        other,
    }))
}

impl GroupView {
    fn of(Group { value, clients, points, percentile, .. }: Group, with_points: bool) -> Self {
        let sum = |of: fn(&GroupPoint) -> Bytes| {
            points.iter().map(of).fold(Bytes(0), Bytes::saturating_add)
        };
        Self {
            value,
            clients,
            rx_bytes: sum(|it| it.point.rx.bytes),
            tx_bytes: sum(|it| it.point.tx.bytes),
            rx_p95_bits_per_second: percentile.rx_bits_per_second,
            tx_p95_bits_per_second: percentile.tx_bits_per_second,
            intervals: percentile.intervals,
            measured_intervals: percentile.measured,
            points: points.into_iter().filter(|_| with_points).map(GroupPointView::from).collect(),
        }
    }
}

impl From<GroupPoint> for GroupPointView {
    fn from(GroupPoint { point, percentile }: GroupPoint) -> Self {
        Self {
            point: point.into(),
            rx_p95_bits_per_second: percentile.map(|[rx, _]| rx),
            tx_p95_bits_per_second: percentile.map(|[_, tx]| tx),
        }
    }
}
