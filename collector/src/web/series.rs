//! `/api/v1/series`: what one NIC carried over a range.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Serialize;
use wire::frame::flags;
use wire::id::ClientId;

use super::App;
use super::error::ApiError;
use crate::store::query::{Point, PointCounts, Resolution, SeriesRange};
use crate::time::{Time, now_ns};

/// Range where none is asked for, nanoseconds (5 minutes).
const RANGE_NS: u64 = 300_000_000_000;

/// Points where no number is asked for.
const POINTS: usize = 600;

/// Most points that may be asked for.
const POINTS_MAX: usize = 10_000;

#[derive(Debug, Serialize)]
pub(super) struct SeriesView {
    client: String,
    nic: String,
    from: Time,
    to: Time,
    resolution: &'static str,
    points: Vec<PointView>,
}

#[derive(Debug, Serialize)]
struct PointView {
    time: Time,
    interval_ns: u64,
    rx: CountsView,
    tx: CountsView,
    drops: u64,
    flags: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct CountsView {
    bytes: u64,
    packets: u64,
    captured: u64,
    peak_1ms_bytes: u32,
    peak_10ms_bytes: u32,
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        let Point { start_ns, interval_ns, rx, tx, drops, flags } = point;
        let (time, flags) = (Time(start_ns), flags::names(flags));
        Self { time, interval_ns, rx: rx.into(), tx: tx.into(), drops, flags }
    }
}

impl From<PointCounts> for CountsView {
    fn from(counts: PointCounts) -> Self {
        let PointCounts { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes } = counts;
        Self { bytes, packets, captured, peak_1ms_bytes, peak_10ms_bytes }
    }
}

pub(super) async fn series(
    State(app): State<Arc<App>>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<SeriesView>, ApiError> {
    let range = parse(&parameters, now_ns())?;
    let series = app.ask(app.state.query.series(&range)).await?;
    if series.points.is_empty() {
        must_exist(&app, &range).await?;
    }
    let SeriesRange { client, nic, from_ns, to_ns, .. } = range;
    Ok(Json(SeriesView {
        client,
        nic,
        from: Time(from_ns),
        to: Time(to_ns),
        resolution: resolution_name(series.resolution),
        points: series.points.into_iter().map(PointView::from).collect(),
    }))
}

/// Nothing was found: because nothing was measured, or because there is no such NIC?
async fn must_exist(app: &App, range: &SeriesRange) -> Result<(), ApiError> {
    let SeriesRange { client, nic, .. } = range;
    let live = ClientId::new(client).ok().and_then(|id| app.state.live.client(&id));
    if live.is_some_and(|live| live.nics.iter().any(|known| known.nic == *nic)) {
        return Ok(());
    }
    let clients = app.ask(app.state.query.clients()).await?;
    let Some(known) = clients.iter().find(|known| known.client == *client) else {
        return Err(ApiError::not_found("unknown_client", format!("no client {client:?}")));
    };
    if known.nics.iter().any(|known| known.name.as_str() == Some(nic)) {
        return Ok(());
    }
    Err(ApiError::not_found("unknown_nic", format!("client {client:?} has no NIC {nic:?}")))
}

/// What the parameters ask for.
fn parse(parameters: &[(String, String)], now_ns: u64) -> Result<SeriesRange, ApiError> {
    let [mut client, mut nic, mut from, mut to, mut points, mut resolution] = [None; 6];
    for (name, value) in parameters {
        let parameter = match name.as_str() {
            "client" => &mut client,
            "nic" => &mut nic,
            "from" => &mut from,
            "to" => &mut to,
            "points" => &mut points,
            "resolution" => &mut resolution,
            other => {
                let known = "client, nic, from, to, points, resolution";
                let message = format!("parameter {other:?} is unknown; known are {known}");
                return Err(ApiError::bad_parameter(message));
            }
        };
        if parameter.replace(value.as_str()).is_some() {
            return Err(ApiError::bad_parameter(format!("parameter {name:?} is given twice")));
        }
    }
    let to_ns = to.map_or(Ok(now_ns), |to| parse_time("to", to))?;
    let default_ns = to_ns.saturating_sub(RANGE_NS);
    let from_ns = from.map_or(Ok(default_ns), |from| parse_time("from", from))?;
    if from_ns >= to_ns {
        let (from, to) = (Time(from_ns), Time(to_ns));
        return Err(ApiError::bad_parameter(format!("from ({from}) must be before to ({to})")));
    }
    Ok(SeriesRange {
        client: required("client", client)?,
        nic: required("nic", nic)?,
        from_ns,
        to_ns,
        limit: points.map_or(Ok(POINTS), parse_points)?,
        resolution: resolution.map_or(Ok(None), parse_resolution)?,
    })
}

fn required(name: &str, value: Option<&str>) -> Result<String, ApiError> {
    let value = value.filter(|value| !value.is_empty());
    let missing = || ApiError::bad_parameter(format!("parameter {name:?} is missing"));
    value.map(str::to_owned).ok_or_else(missing)
}

fn parse_time(name: &str, text: &str) -> Result<u64, ApiError> {
    let wrong = || {
        ApiError::bad_parameter(format!(
            "{name}={text:?} is no time; give RFC 3339 as in 2024-01-01T12:00:00Z, or seconds \
             since 1970"
        ))
    };
    Time::parse(text).map(|time| time.0).ok_or_else(wrong)
}

fn parse_points(text: &str) -> Result<usize, ApiError> {
    let points = text.parse().ok().filter(|points| (1..=POINTS_MAX).contains(points));
    let wrong =
        || ApiError::bad_parameter(format!("points={text:?}; 1 to {POINTS_MAX} are allowed"));
    points.ok_or_else(wrong)
}

fn parse_resolution(text: &str) -> Result<Option<Resolution>, ApiError> {
    match text {
        "auto" => Ok(None),
        "raw" => Ok(Some(Resolution::Raw)),
        "1m" => Ok(Some(Resolution::Minute)),
        "5m" => Ok(Some(Resolution::FiveMinutes)),
        other => {
            let message = format!("resolution={other:?}; auto, raw, 1m and 5m are allowed");
            Err(ApiError::bad_parameter(message))
        }
    }
}

const fn resolution_name(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Raw => "raw",
        Resolution::Minute => "1m",
        Resolution::FiveMinutes => "5m",
    }
}
