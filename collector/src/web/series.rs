//! `/api/v1/series`: what one NIC carried over a range.

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

/// Which points are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesParams {
    /// Whose NIC.
    #[param(min_length = 1)]
    client: String,
    /// Which NIC.
    #[param(min_length = 1)]
    nic: String,
    /// First start of an interval: RFC 3339, or seconds since 1970. Default: 5 minutes before `to`.
    from: Option<Time>,
    /// Intervals that start here or later are left out. Default: now.
    to: Option<Time>,
    /// Most points to give. Where there are more, neighbours are put together: sums are conserved,
    /// of peaks the highest is kept. Default: 600.
    #[param(minimum = 1, maximum = 10_000)]
    max_points: Option<u32>,
    /// From which table. Default: auto, the finest that has few enough rows for the range.
    resolution: Option<ResolutionName>,
}

/// From which table points are read.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ResolutionName {
    /// The finest that has few enough rows for the range.
    Auto,
    /// The samples themselves.
    Raw,
    /// Sums of a minute.
    #[serde(rename = "1m")]
    Minute,
    /// Sums of 5 minutes.
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
    /// Where the points come from.
    resolution: ResolutionName,
    /// The points, oldest first. Time that no point covers was not measured.
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

/// What one NIC carried over a range
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

/// Finds out why nothing was found: nothing was measured, or the client or NIC doesn't exist.
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
