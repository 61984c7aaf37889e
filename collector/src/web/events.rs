//! `/api/v1/events`: events of a NIC and its client.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wire::{Bytes, Packets};

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{NicParams, Params};
use super::series::must_exist;
use crate::store::{EventKind, NicEvent, gap_name};
use crate::time::Time;

/// Most events in an answer.
const EVENTS_MAX: usize = 500;

/// The events of a range.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsView {
    /// The newest events, oldest first.
    events: Vec<EventView>,
    /// True if the range has older events that are not included.
    truncated: bool,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    /// Time of the event, or the start of the interval that contains it.
    time: Time,
    /// Length of that interval, nanoseconds; 0 if the exact time is known.
    interval_ns: u64,
    #[serde(flatten)]
    kind: KindView,
}

/// The kind of event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum KindView {
    /// Packets dropped because the ring was full.
    Lost {
        #[schema(value_type = u64)]
        packets: Packets,
    },
    /// The wall clock of the host was stepped.
    ClockStep,
    /// Capture began or ended within the interval.
    Capture,
    /// The agent was started.
    Started,
    /// The link was found up.
    LinkUp,
    /// The link was found down, or the NIC gone.
    LinkDown,
    /// Samples are missing. Their sums are known.
    Gap {
        /// The reason: `spool_full`, `spool_damaged`, `forgotten`, `unmeasured` (the agent was
        /// killed) or `forked` (the host was set back to an earlier state).
        reason: &'static str,
        #[schema(value_type = u64)]
        rx_bytes: Bytes,
        #[schema(value_type = u64)]
        tx_bytes: Bytes,
    },
}

impl From<NicEvent> for EventView {
    fn from(event: NicEvent) -> Self {
        let kind = match event.kind {
            EventKind::Lost { packets } => KindView::Lost { packets },
            EventKind::ClockStep => KindView::ClockStep,
            EventKind::Capture => KindView::Capture,
            EventKind::Started => KindView::Started,
            EventKind::LinkUp => KindView::LinkUp,
            EventKind::LinkDown => KindView::LinkDown,
            EventKind::Gap { reason, rx_bytes, tx_bytes } => {
                KindView::Gap { reason: gap_name(reason), rx_bytes, tx_bytes }
            }
        };
        Self { time: Time(event.time_ns), interval_ns: event.interval_ns, kind }
    }
}

/// Events of one NIC and its client in a range
#[utoipa::path(
    get, path = "/api/v1/events", tag = "history", params(NicParams),
    responses((status = 200, description = "Losses, clock steps, restarts, changes of the link, \
               gaps", body = EventsView), ApiError)
)]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<NicParams>,
) -> Result<Answer<EventsView>, ApiError> {
    let range = params.range()?;
    let mut events = app.ask(&asker, app.state.query.events(&range, EVENTS_MAX + 1)).await?;
    if events.is_empty() {
        must_exist(&app, &asker, &range.client, Some(&range.nic)).await?;
    }
    let surplus = events.len().saturating_sub(EVENTS_MAX);
    events.drain(..surplus);
    let events = events.into_iter().map(EventView::from).collect();
    Ok(Answer(EventsView { events, truncated: surplus > 0 }))
}
