//! `/api/v1/percentile`: the 95th percentile as transit billing takes it.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{NicParams, Params};
use super::series::must_exist;
use crate::store::percentile::Percentile;
use crate::store::query::NicRange;
use crate::time::Time;

/// The rate of which 95 % of the measured 5-minute intervals stay at or below: their mean rates
/// are sorted, the highest 5 % dropped (rounded down), and the next one is the value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PercentileView {
    client: String,
    nic: String,
    /// Start of the first interval that lies in the range whole.
    from: Time,
    /// End of the last one.
    to: Time,
    /// Intervals in the range.
    intervals: u64,
    /// Of these, intervals of which something was measured: the others count in no way.
    measured: u64,
    /// Received; `null` if nothing was measured.
    rx_bits_per_second: Option<u64>,
    /// Transmitted; `null` if nothing was measured.
    tx_bits_per_second: Option<u64>,
    /// The larger of both.
    max_bits_per_second: Option<u64>,
}

/// The 95th percentile of what one NIC carried over a range
#[utoipa::path(
    get, path = "/api/v1/percentile", tag = "history", params(NicParams),
    responses((status = 200, description = "Of mean rates of 5 minutes each",
               body = PercentileView), ApiError)
)]
pub(super) async fn percentile(
    State(app): State<Arc<App>>,
    Params(params): Params<NicParams>,
) -> Result<Answer<PercentileView>, ApiError> {
    let range = params.range()?;
    let found = app.ask(app.state.query.percentile(&range)).await?;
    if found.measured == 0 {
        must_exist(&app, &range).await?;
    }
    let max_bits_per_second = found.max_bits_per_second();
    let NicRange { client, nic, .. } = range;
    let Percentile { from_ns, to_ns, intervals, measured, .. } = found;
    let Percentile { rx_bits_per_second, tx_bits_per_second, .. } = found;
    let (from, to) = (Time(from_ns), Time(to_ns));
    Ok(Answer(PercentileView {
        client,
        nic,
        from,
        to,
        intervals,
        measured,
        rx_bits_per_second,
        tx_bits_per_second,
        max_bits_per_second,
    }))
}
