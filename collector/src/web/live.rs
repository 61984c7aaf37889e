//! `/api/v1/live`: Server-Sent Events. A `snapshot` first, then an `update` whenever something
//! changed. A reader too slow for the updates gets a new snapshot instead.

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
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::ApiError;
use super::{App, stopped};
use crate::live::Live;
use crate::time::now_ns;

/// Longest silence on a stream: a comment shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Readers that may listen at the same time.
pub(super) const READERS_MAX: usize = 128;

/// What a stream starts with: how long a browser waits before it connects again, milliseconds.
const PREAMBLE: &str = "retry: 2000\n\n";

/// What comes before the JSON of an event.
const SNAPSHOT: &str = "event: snapshot\ndata: ";
const UPDATE: &str = "event: update\ndata: ";

/// One reader's stream.
struct Reader {
    live: Live,
    updates: broadcast::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    /// Pieces to be sent before anything else.
    pending: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn live(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let place = app.readers.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{READERS_MAX} readers are listening already; close some pages");
        ApiError::unavailable("too_many_readers", message)
    })?;
    let live = app.state.live.clone();
    let mut reader = Reader {
        // Before the snapshot, so that nothing falls between the two.
        updates: live.subscribe(),
        live,
        stop: app.stop.clone(),
        pending: VecDeque::from([Bytes::from_static(PREAMBLE.as_bytes())]),
        _place: place,
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
            update = timeout(KEEP_ALIVE, self.updates.recv()) => match update {
                Ok(Ok(json)) => self.push(UPDATE, json),
                Ok(Err(RecvError::Lagged(_))) => self.push_snapshot().await.ok()?,
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => self.pending.push_back(Bytes::from_static(b": alive\n\n")),
            },
            () = stopped(&mut self.stop) => return None,
        }
        self.pending.pop_front()
    }

    async fn push_snapshot(&mut self) -> Result<(), ApiError> {
        // What is in it need not be told again.
        self.updates = self.updates.resubscribe();
        let live = self.live.clone();
        let json = spawn_blocking(move || live.snapshot_json(now_ns())).await?;
        self.push(SNAPSHOT, json);
        Ok(())
    }

    /// An event. Its JSON is shared with all other readers and has no line break in it.
    fn push(&mut self, head: &'static str, json: Bytes) {
        let (head, end) = (head.as_bytes(), b"\n\n");
        self.pending.extend([Bytes::from_static(head), json, Bytes::from_static(end)]);
    }
}
