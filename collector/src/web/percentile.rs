//! `/api/v1/percentile`: the 95th percentile of what a NIC or a client carried, as transit billing
//! takes it.

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
    /// Whose.
    #[param(min_length = 1)]
    client: String,
    /// Which NIC. Default: all together, but for those that were stacked.
    #[param(min_length = 1)]
    nic: Option<String>,
    /// Intervals that start earlier are left out: RFC 3339, or seconds since 1970. Default: 30 days
    /// before `to`.
    from: Option<Time>,
    /// Intervals that end later are left out. Default: now.
    to: Option<Time>,
}

/// The rate that 95 % of the measured 5-minute intervals don't exceed: their mean rates are sorted,
/// the highest 5 % dropped (rounded down), and the next is the value. A rate is over the time that
/// was measured of its interval; a client's is that of the bytes of its NICs, over the longest time
/// that one of them was measured. Intervals of which nothing was measured count as nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PercentileView {
    client: String,
    /// `null`: all together.
    nic: Option<String>,
    /// Start of the first interval.
    from: Time,
    /// End of the last interval.
    to: Time,
    /// Intervals between `from` and `to`.
    intervals: u64,
    /// Of these, intervals of which something was measured.
    measured_intervals: u64,
    /// `null` if nothing was measured.
    rx_bits_per_second: Option<u64>,
    /// `null` if nothing was measured.
    tx_bits_per_second: Option<u64>,
    /// The larger of both.
    max_bits_per_second: Option<u64>,
}

/// The 95th percentile of what a NIC or a client carried over a range
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
