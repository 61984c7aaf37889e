//! `/api/v1/series`: the traffic of one NIC over a range.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::id::ClientId;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, given, limits, within};
use crate::live::{CountsView, PointView, names};
use crate::store::{Point, PointCounts, Resolution, SeriesRange};
use crate::time::Time;

/// Default number of points.
const POINTS: u32 = 600;

/// Most points of an answer.
const POINTS_MAX: u32 = 10_000;

/// The NIC, the range and the resolution.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesParams {
    /// The client's id.
    #[param(min_length = 1)]
    client: String,
    /// The NIC's name.
    #[param(min_length = 1)]
    nic: String,
    /// Excludes intervals that start earlier. RFC 3339, or seconds since 1970. Default: 5 minutes
    /// before `to`.
    from: Option<Time>,
    /// Excludes intervals that start at this time or later. Default: now.
    to: Option<Time>,
    /// Most points in the answer. If there are more, neighbours are merged: their sums are added and
    /// the highest peak is kept. Default: 600.
    #[param(minimum = 1, maximum = 10_000)]
    max_points: Option<u32>,
    /// The table to read. Default: `auto`.
    resolution: Option<ResolutionName>,
}

/// The table that points are read from.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResolutionName {
    /// The finest table that isn't too long for the range.
    Auto,
    /// Samples.
    Raw,
    /// Rollup of one minute.
    #[serde(rename = "1m")]
    Minute,
    /// Rollup of 5 minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
}

/// What one NIC carried over a range.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SeriesView {
    client: String,
    nic: String,
    from: Time,
    to: Time,
    /// The table that the points were read from.
    resolution: ResolutionName,
    /// The points, oldest first. Time not covered by a point was not measured.
    points: Vec<PointView>,
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        let Point { start_ns, interval_ns, rx, tx, drops, flags } = point;
        let (time, flags) = (Time(start_ns), names(flags));
        Self { time, interval_ns, rx: rx.into(), tx: tx.into(), drops, flags }
    }
}

impl From<PointCounts> for CountsView {
    fn from(counts: PointCounts) -> Self {
        let PointCounts { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes } = counts;
        Self { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes }
    }
}

impl SeriesParams {
    fn range(self) -> Result<SeriesRange, ApiError> {
        let (from_ns, to_ns) = limits(self.from, self.to)?;
        Ok(SeriesRange {
            client: given("client", self.client)?,
            nic: given("nic", self.nic)?,
            from_ns,
            to_ns,
            limit: within("max_points", self.max_points, POINTS, POINTS_MAX)?,
            resolution: self.resolution.and_then(ResolutionName::table),
        })
    }
}

/// Traffic of one NIC over a range
#[utoipa::path(
    get, path = "/api/v1/series", tag = "history", params(SeriesParams),
    responses((status = 200, description = "At most `max_points` points",
               body = SeriesView), ApiError)
)]
pub(super) async fn series(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<SeriesParams>,
) -> Result<Answer<SeriesView>, ApiError> {
    let range = params.range()?;
    let series = app.ask(&asker, app.state.query.series(&range)).await?;
    let SeriesRange { client, nic, from_ns, to_ns, .. } = range;
    if series.points.is_empty() {
        must_exist(&app, &asker, &client, Some(&nic)).await?;
    }
    Ok(Answer(SeriesView {
        client,
        nic,
        from: Time(from_ns),
        to: Time(to_ns),
        resolution: series.resolution.into(),
        points: series.points.into_iter().map(PointView::from).collect(),
    }))
}

/// Tells an empty range from an unknown client or NIC.
pub(super) async fn must_exist(
    app: &App,
    asker: &Asker,
    client: &str,
    nic: Option<&str>,
) -> Result<(), ApiError> {
    let live = ClientId::new(client).ok().and_then(|id| app.state.live.client(&id));
    let is_live = |nic| live.iter().flat_map(|live| &live.nics).any(|known| known.nic == nic);
    if nic.map_or_else(|| live.is_some(), is_live) {
        return Ok(());
    }
    let clients = app.ask(asker, app.state.query.clients()).await?;
    let Some(known) = clients.iter().find(|known| known.client == client) else {
        return Err(ApiError::not_found("unknown_client", format!("no client {client:?}")));
    };
    let Some(nic) = nic else { return Ok(()) };
    if known.nics.iter().any(|known| known.name.as_str() == Some(nic)) {
        return Ok(());
    }
    Err(ApiError::not_found("unknown_nic", format!("client {client:?} has no NIC {nic:?}")))
}

impl ResolutionName {
    const fn table(self) -> Option<Resolution> {
        match self {
            Self::Auto => None,
            Self::Raw => Some(Resolution::Raw),
            Self::Minute => Some(Resolution::Minute),
            Self::FiveMinutes => Some(Resolution::FiveMinutes),
        }
    }
}

impl From<Resolution> for ResolutionName {
    fn from(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Raw => Self::Raw,
            Resolution::Minute => Self::Minute,
            Resolution::FiveMinutes => Self::FiveMinutes,
        }
    }
}
