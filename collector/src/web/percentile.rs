//! `/api/v1/percentile`: the 95th percentile of the traffic of a NIC or client, as used for transit
//! billing.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{Params, given, limits_within};
use super::series::must_exist;
use crate::store::{Percentile, PercentileRange};
use crate::time::Time;

/// Default range, nanoseconds (30 days).
const RANGE_NS: u64 = 30 * 86_400_000_000_000;

/// A NIC or a client, and a range of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PercentileParams {
    /// The client's id.
    #[param(min_length = 1)]
    client: String,
    /// The NIC's name. Default: the sum of all NICs except stacked ones.
    #[param(min_length = 1)]
    nic: Option<String>,
    /// Excludes intervals that start earlier. RFC 3339, or seconds since 1970. Default: 30 days before
    /// `to`.
    from: Option<Time>,
    /// Excludes intervals that end later. Default: now.
    to: Option<Time>,
}

/// The rate that 95 % of the measured 5-minute intervals don't exceed. The mean rates of all measured
/// intervals are sorted, the highest 5 % (rounded down) are dropped, and the highest that is left is
/// the value. The mean rate of a NIC is its bytes divided by the measured part of the interval. For a
/// client, the bytes of all its NICs are divided by the longest measured part of any of them.
/// Intervals without measurements are not included.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PercentileView {
    client: String,
    /// `null` if the figures are of all NICs together.
    nic: Option<String>,
    /// Start of the first interval.
    from: Time,
    /// End of the last interval.
    to: Time,
    /// Intervals between `from` and `to`.
    intervals: u64,
    /// Number of those intervals with measurements.
    measured_intervals: u64,
    /// `null` if nothing was measured.
    rx_bits_per_second: Option<u64>,
    /// `null` if nothing was measured.
    tx_bits_per_second: Option<u64>,
    /// The larger of the two directions.
    max_bits_per_second: Option<u64>,
}

/// 95th percentile of the traffic of a NIC or client over a range
#[utoipa::path(
    get, path = "/api/v1/percentile", tag = "history", params(PercentileParams),
    responses(
        (status = 200, description = "From 5-minute means, as transit billing takes it",
            body = PercentileView),
        ApiError
    )
)]
pub(super) async fn percentile(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<PercentileParams>,
) -> Result<Answer<PercentileView>, ApiError> {
    let PercentileParams { client, nic, from, to } = params;
    let (from_ns, to_ns) = limits_within(from, to, RANGE_NS)?;
    let client = given("client", client)?;
    let nic = nic.map(|nic| given("nic", nic)).transpose()?;
    let range = PercentileRange { client, nic, from_ns, to_ns };
    let found = app.ask(&asker, app.state.query.percentile(&range)).await?;
    if found.measured == 0 {
        must_exist(&app, &asker, &range.client, range.nic.as_deref()).await?;
    }
    let max_bits_per_second = found.max_bits_per_second();
    let Percentile { from_ns, to_ns, intervals, measured, .. } = found;
    Ok(Answer(PercentileView {
        client: range.client,
        nic: range.nic,
        from: Time(from_ns),
        to: Time(to_ns),
        intervals,
        measured_intervals: measured,
        rx_bits_per_second: found.rx_bits_per_second,
        tx_bits_per_second: found.tx_bits_per_second,
        max_bits_per_second,
    }))
}
