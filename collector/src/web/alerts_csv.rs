//! Incidents of a range as CSV, however many there are.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::access::Asker;
use super::app::App;
use super::error::ApiError;
use crate::alerts::csv;
use crate::store::{AlertCursor, AlertIncident, AlertRange};

/// Incidents of a page of CSV: some 200 KiB.
const CSV_PAGE: usize = 500;

/// All incidents of a range as CSV, page by page: as the reader takes them, with one page in memory.
pub(super) async fn csv_answer(
    app: Arc<App>,
    asker: Asker,
    mut range: AlertRange,
    limited: bool,
) -> Result<Response, ApiError> {
    if !limited {
        range.limit = CSV_PAGE;
    }
    // An error of the first page is an answer of its own.
    let first = app.ask(&asker, app.state.alerts.store.alerts(&range)).await?.incidents;
    let parts = stream::try_unfold((Some(first), true), move |(incidents, is_first)| {
        let (app, asker, mut range) = (app.clone(), asker.clone(), range.clone());
        async move {
            let Some(incidents) = incidents else { return Ok::<_, io::Error>(None) };
            let part = csv(&incidents, is_first);
            let after = incidents.last().filter(|_| !limited && incidents.len() == range.limit);
            let next = match after.map(place) {
                None => None,
                after => {
                    range.after = after;
                    let page = app.ask(&asker, app.state.alerts.store.alerts(&range)).await;
                    Some(page.map_err(|_| io::Error::other("the store failed"))?.incidents)
                }
            };
            Ok(Some((part, (next, false))))
        }
    });
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8")];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// The place of an incident in the list.
pub(super) fn place(it: &AlertIncident) -> AlertCursor {
    AlertCursor { fired_ns: it.fired_ns, id: it.id.clone() }
}
