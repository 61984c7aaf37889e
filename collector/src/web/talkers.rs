//! `/api/v1/talkers`: who had the traffic of a NIC, over a range or in one record.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use wire::WallNs;
use wire::id::ClientId;
use wire::talkers::TalkersKind;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, given, limits_within, within};
use super::series::must_exist;
use super::talkers_csv;
use super::talkers_view::{ByName, DirectionName, RecordKind, TalkersFormat, TalkersView};
use crate::store::{GroupedTalkers, TalkersAt, TalkersRange};
use crate::time::Time;

/// Default range, nanoseconds (an hour).
const RANGE_NS: u64 = 3_600_000_000_000;

/// Talkers in an answer, by default and at most: a record of a moment has up to 64 per direction.
const LIMIT: u32 = 8;
const LIMIT_MAX: u32 = 1000;

/// Intervals in an answer, by default and at most.
const INTERVALS: u32 = 60;
const INTERVALS_MAX: u32 = 1440;

/// A record of a minute that ended at most this long before a time is the nearest to it. The newest minute
/// has not been sent yet.
const NEAR_NS: u64 = 120_000_000_000;

/// The NIC, the direction, the time and the grouping.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TalkersParams {
    /// The client's id.
    #[param(min_length = 1)]
    client: String,
    /// The NIC's name.
    #[param(min_length = 1)]
    nic: String,
    /// The direction. Default: `rx`.
    #[param(inline)]
    direction: Option<DirectionName>,
    /// Start of the range: records that touch it are included whole. RFC 3339, or seconds since 1970. Default:
    /// an hour before `to`.
    #[param(value_type = Option<String>, example = "2024-01-01T12:00:00Z")]
    from: Option<Time>,
    /// End of the range. Default: now.
    #[param(value_type = Option<String>, example = "2024-01-01T13:00:00Z")]
    to: Option<Time>,
    /// Instead of a range: the record of the sample at this time, if it broke a threshold of the agent; else
    /// that of its minute, or of a minute that ended at most 2 minutes before.
    #[param(value_type = Option<String>, example = "2024-01-01T12:00:00.5Z")]
    at: Option<Time>,
    /// What talkers are put together by. Default: `host`.
    #[param(inline)]
    by: Option<ByName>,
    /// Most talkers in the answer; the others are in `rest`. Default: 8.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Most intervals in the answer, each of whole minutes. Default: 60.
    #[param(minimum = 1, maximum = 1440)]
    intervals: Option<u32>,
    /// `true`: with the names of addresses that the collector's resolver knows, if `http.dns` is on. Never
    /// waits: names that are not known yet are there with a later request. Default: `false`.
    names: Option<bool>,
    /// `json`, or `csv` with a line for each talker. Default: json.
    #[param(inline)]
    format: Option<TalkersFormat>,
}

impl TalkersParams {
    fn range(&self) -> Result<TalkersRange, ApiError> {
        if self.at.is_some() && (self.from.is_some() || self.to.is_some()) {
            let message = "at can't be there beside from or to: leave one out";
            return Err(ApiError::bad_parameter(message));
        }
        let (from_ns, to_ns) = match self.at {
            Some(Time(at_ns)) => (at_ns, at_ns.saturating_add(1)),
            None => limits_within(self.from, self.to, RANGE_NS)?,
        };
        Ok(TalkersRange {
            client: given("client", self.client.clone())?,
            nic: given("nic", self.nic.clone())?,
            direction: self.direction.unwrap_or(DirectionName::Rx).into(),
            from_ns,
            to_ns,
            by: self.by.unwrap_or(ByName::Host).into(),
            limit: within("limit", self.limit, LIMIT, LIMIT_MAX)?,
            buckets: within("intervals", self.intervals, INTERVALS, INTERVALS_MAX)?,
        })
    }
}

/// Who had the traffic of a NIC
#[utoipa::path(
    get, path = "/api/v1/talkers", tag = "talkers", params(TalkersParams),
    responses(
        (status = 200, description = "The largest talkers, with bounds of their error; with \
            `unattributed` and `rest` they add up to the total",
            content((TalkersView = "application/json"), (String = "text/csv"))),
        ApiError
    )
)]
pub(super) async fn talkers(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<TalkersParams>,
) -> Result<Response, ApiError> {
    let range = params.range()?;
    let (kind, found) = match params.at {
        Some(Time(at_ns)) => one(&app, &asker, &range, at_ns).await?,
        None => {
            let found = app.ask(&asker, app.state.talkers.store.talkers(&range)).await?;
            (RecordKind::Minute, found)
        }
    };
    if found.records == 0 {
        must_exist(&app, &asker, &range.client, Some(&range.nic)).await?;
    }
    let speed = speed(&app, &range);
    let names = app.state.talkers.names.as_ref().filter(|_| params.names == Some(true));
    let mut view = TalkersView::new(&range, kind, found, speed);
    view.add_names(names, app.state.talkers.names.is_some());
    Ok(match params.format {
        Some(TalkersFormat::Csv) => talkers_csv::of_nic(&view),
        Some(TalkersFormat::Json) | None => Answer(view).into_response(),
    })
}

/// The record of a sample, or else of its minute.
async fn one(
    app: &App,
    asker: &Asker,
    range: &TalkersRange,
    at_ns: WallNs,
) -> Result<(RecordKind, GroupedTalkers), ApiError> {
    let ask = |kind, within_ns| TalkersAt {
        client: range.client.clone(),
        nic: range.nic.clone(),
        kind,
        at_ns,
        within_ns,
    };
    let moment = ask(TalkersKind::Moment, 0);
    if let Some(record) = app.ask(asker, app.state.talkers.store.talkers_at(&moment)).await? {
        return Ok((RecordKind::Moment, GroupedTalkers::of_record(&record, range)));
    }
    let minute = ask(TalkersKind::Minute, NEAR_NS);
    let record = app.ask(asker, app.state.talkers.store.talkers_at(&minute)).await?;
    let found = record.map(|record| GroupedTalkers::of_record(&record, range));
    Ok((RecordKind::Minute, found.unwrap_or_default()))
}

/// The speed of the NIC's link, bit/s, if it is known and its own.
fn speed(app: &App, range: &TalkersRange) -> Option<u64> {
    let client = app.state.live.client(&ClientId::new(&range.client).ok()?)?;
    let nic = client.nics.into_iter().find(|nic| nic.nic == range.nic)?;
    Some(nic.speed_bits_per_second).filter(|speed| *speed > 0)
}
