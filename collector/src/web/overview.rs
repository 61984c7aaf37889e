//! `/api/v1/overview`: the last hour of all clients.

use std::sync::Arc;

use axum::extract::State;
use tokio::task::spawn_blocking;

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use crate::live::OverviewView;
use crate::time::now_ns;

/// What all clients carried in each minute of the last hour
#[utoipa::path(
    get, path = "/api/v1/overview", tag = "clients",
    responses((status = 200, description = "61 minutes, of which the last is not over; kept in \
               memory, and filled from the store after a start. `live` tells peaks and losses of \
               the hour with their times.", body = OverviewView), ApiError)
)]
pub(super) async fn overview(
    State(app): State<Arc<App>>,
    asker: Asker,
) -> Result<Answer<OverviewView>, ApiError> {
    let turn = app.turn(&asker).await?;
    let live = app.state.live.clone();
    let answer = spawn_blocking(move || {
        // Keep the turn even if nobody waits any more.
        let _turn = turn;
        live.overview(now_ns())
    });
    Ok(Answer(answer.await?))
}
