//! Subscribers to one client, and their events.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use settings::InFull;
use tokio::sync::broadcast;
use utoipa::ToSchema;
use wire::WallNs;
use wire::frame::Frame;
use wire::id::ClientId;

use super::view::{ClientView, PointView};
use crate::time::Time;

/// Number of events that a slow reader of one client may lag before it loses some.
const EVENTS_MAX: usize = 64;

/// An event for a page: its name and its JSON, shared by all subscribers.
#[derive(Debug, Clone)]
pub struct PageEvent {
    /// `snapshot`, `update` or `samples`.
    pub name: &'static str,
    /// Without line breaks.
    pub json: Bytes,
}

/// An update for followers of one client: all about it, `null` if it is gone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientUpdate {
    /// The collector's clock.
    pub now: Time,
    /// The client.
    pub client: Option<ClientView>,
}

/// Samples for followers of one client, sent as soon as they arrive.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SamplesUpdate {
    /// The collector's clock.
    pub now: Time,
    /// Samples in the order of their arrival: after an outage old ones too.
    pub samples: Vec<NicPoint>,
}

/// A sample of one NIC.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NicPoint {
    /// The NIC's name.
    pub nic: String,
    /// The sample.
    #[serde(flatten)]
    pub point: PointView,
}

/// The channels to the subscribers of single clients.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    channels: HashMap<ClientId, broadcast::Sender<PageEvent>>,
}

impl Watchers {
    pub fn watch(&mut self, client: &ClientId) -> broadcast::Receiver<PageEvent> {
        let sender = self.channels.entry(client.clone());
        sender.or_insert_with(|| broadcast::Sender::new(EVENTS_MAX)).subscribe()
    }

    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    pub fn watched(&self, client: &ClientId) -> bool {
        self.channels.contains_key(client)
    }

    /// Sends a frame that has just arrived.
    pub fn on_frame(&self, client: &ClientId, frame: &Frame, now_ns: WallNs) {
        let Some(channel) = self.channels.get(client) else { return };
        let points = frame.samples.iter().filter(|_| frame.gap == 0);
        let points =
            points.map(|sample| NicPoint { nic: sample.nic.to_string(), point: sample.into() });
        let update = SamplesUpdate { now: Time(now_ns), samples: points.collect() };
        if !update.samples.is_empty() {
            // The last reader may have left in the meantime.
            let _nobody = channel.send(PageEvent::new("samples", &update));
        }
    }

    /// Sends the current state of a client.
    pub fn on_change(&self, client: &ClientId, view: Option<ClientView>, now_ns: WallNs) {
        if let Some(channel) = self.channels.get(client) {
            let update = ClientUpdate { now: Time(now_ns), client: view };
            let _nobody = channel.send(PageEvent::new("update", &update));
        }
    }

    /// Drops clients without subscribers.
    pub fn tidy(&mut self) {
        self.channels.retain(|_, channel| channel.receiver_count() > 0);
    }
}

impl PageEvent {
    pub(super) fn new(name: &'static str, content: &impl Serialize) -> Self {
        let json = serde_json::to_vec(content).map_or_else(
            |error| {
                tracing::error!(error = %error.in_full(), "an event could not be written as JSON");
                Bytes::from_static(b"{}")
            },
            Bytes::from,
        );
        Self { name, json }
    }
}
