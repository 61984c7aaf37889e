//! `/api/v1/live`: Server-Sent Events of all clients or of one. First comes a `snapshot`, then the
//! changes. A reader that is too slow gets a new snapshot instead.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use settings::InFull;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use wire::id::ClientId;

use super::access::Asker;
use super::app::{App, no_turn, stopped};
use super::error::ApiError;
use super::params::Params;
use super::turns::Turn;
use crate::live::{ClientUpdate, Live, PageEvent, SamplesUpdate, Update};
use crate::time::now_ns;

/// Longest silence on a stream. Then a comment shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// First line of a stream: how long a browser waits before it reconnects, milliseconds.
const PREAMBLE: &[u8] = b"retry: 2000\n\n";

/// The client to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveParams {
    /// One client: each of its samples as soon as it arrives. Default: a short line for each
    /// client, 4 times a second.
    client: Option<String>,
}

/// The data of an event. `snapshot` and `update` contain `Clients`, or `Client` if one is followed.
/// `samples` contains `Samples`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only described: what is sent is encoded once for all readers")]
pub(super) enum LiveData {
    Clients(Update),
    Client(ClientUpdate),
    Samples(SamplesUpdate),
}

/// A reader's stream.
struct Reader {
    live: Live,
    client: Option<ClientId>,
    events: broadcast::Receiver<PageEvent>,
    stop: watch::Receiver<bool>,
    /// Pieces to send first.
    pending: VecDeque<Bytes>,
    place: Arc<Turn>,
}

/// Current traffic of clients, as Server-Sent Events
#[utoipa::path(
    get, path = "/api/v1/live", tag = "live", params(LiveParams),
    responses((status = 200, description = "Events `snapshot`, `update` and `samples`, without \
               end. A reader too slow for them gets a new `snapshot`.",
               body = LiveData, content_type = "text/event-stream"), ApiError)
)]
pub(super) async fn live(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(LiveParams { client }): Params<LiveParams>,
) -> Result<Response, ApiError> {
    let no_id =
        |error: wire::id::InvalidClientId| ApiError::bad_parameter(error.in_full().to_string());
    let client = client.map(|client| ClientId::new(&client).map_err(no_id)).transpose()?;
    let place = app.streams.take(&asker.caller).await;
    let place = place.map_err(|why| no_turn(why, "too_many_readers", "pages are open"))?;
    let live = app.state.live.clone();
    let mut reader = Reader {
        // Subscribe before taking the snapshot, so that no event is missed in between.
        events: client.as_ref().map_or_else(|| live.subscribe(), |client| live.watch(client)),
        live,
        client,
        stop: app.stop.clone(),
        pending: VecDeque::from([Bytes::from_static(PREAMBLE)]),
        place: Arc::new(place),
    };
    reader.push_snapshot().await?;
    let pieces = stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

impl Reader {
    /// The next piece of the stream. `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.pending.pop_front() {
            return Some(piece);
        }
        tokio::select! {
            event = timeout(KEEP_ALIVE, self.events.recv()) => match event {
                Ok(Ok(event)) => self.push(event),
                Ok(Err(RecvError::Lagged(_))) => self.push_snapshot().await.ok()?,
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => self.pending.push_back(Bytes::from_static(b": alive\n\n")),
            },
            () = stopped(&mut self.stop) => return None,
        }
        self.pending.pop_front()
    }

    async fn push_snapshot(&mut self) -> Result<(), ApiError> {
        // The snapshot contains the earlier events.
        self.events = self.events.resubscribe();
        let (live, client, place) = (self.live.clone(), self.client.clone(), self.place.clone());
        let event = spawn_blocking(move || {
            // Keep the place even if nobody waits any more.
            let _place = place;
            match client {
                None => live.snapshot_event(now_ns()),
                Some(client) => live.client_event(&client, now_ns()),
            }
        });
        self.push(event.await?);
        Ok(())
    }

    /// Queues an event. All readers share its JSON, which is a single line.
    fn push(&mut self, PageEvent { name, json }: PageEvent) {
        let head = format!("event: {name}\ndata: ").into();
        self.pending.extend([head, json, Bytes::from_static(b"\n\n")]);
    }
}
