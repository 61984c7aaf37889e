//! What all clients carried in the last hour, for charts of the whole fleet.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Packets, WallNs};

use super::hour::{MINUTE_NS, MINUTES, MinuteRates};
use crate::time::Time;

/// The last hour of all clients, minute by minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OverviewView {
    /// The collector's clock.
    pub now: Time,
    /// Start of the first minute.
    pub from: Time,
    /// Length of a minute, nanoseconds.
    pub interval_ns: u64,
    /// Clients of which anything was measured, by id.
    pub clients: Vec<MinutesView>,
}

/// What a client carried in each minute. Minutes are those of its clock; the last one is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinutesView {
    /// Its id.
    pub client: String,
    /// Received by its NICs without the stacked ones, bytes per second; `null`: nothing was measured.
    pub rx: Vec<Option<u64>>,
    /// The same, transmitted.
    pub tx: Vec<Option<u64>>,
    /// Packets dropped because a ring was full: the index of each minute that has any, and how many.
    pub lost: Vec<[u64; 2]>,
}

impl OverviewView {
    pub(super) fn new(clients: Vec<MinutesView>, now_ns: WallNs) -> Self {
        let this_minute = now_ns.floor(MINUTE_NS);
        let from = Time(this_minute.saturating_sub((MINUTES as u64 - 1) * MINUTE_NS));
        Self { now: Time(now_ns), from, interval_ns: MINUTE_NS, clients }
    }
}

impl MinutesView {
    /// `None` if nothing was measured.
    pub(super) fn new(client: String, sums: &MinuteRates) -> Option<Self> {
        let of = |index: usize| sums.rates.iter().map(move |rates| rates.map(|rates| rates[index]));
        let lost = (0..).zip(sums.drops).filter(|(_, packets)| *packets > Packets(0));
        let lost: Vec<_> = lost.map(|(index, packets)| [index, packets.get()]).collect();
        let nothing = lost.is_empty() && sums.rates.iter().all(Option::is_none);
        (!nothing).then(|| Self { client, rx: of(0).collect(), tx: of(1).collect(), lost })
    }
}
