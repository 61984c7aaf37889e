//! State that survives a restart of the collector: the counters, so that they continue, and each
//! client's last sample. It is not in the database, which may be down.

use serde::{Deserialize, Serialize};
use wire::frame::{Counts, Sample};
use wire::id::{NicName, SessionId};
use wire::message::Nic;
use wire::tag::TagSet;
use wire::{Bytes, Packets, Seq, WallNs};

use super::counter::{Counter, Losses};
use super::seen::Seen;
use crate::store::ClientTags;

/// Every client.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    pub clients: Vec<SavedClient>,
}

/// One client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedClient {
    pub client: String,
    #[serde(default)]
    pub alias: String,
    /// 0 in state saved by an older collector.
    #[serde(default)]
    pub last_seen_ns: WallNs,
    /// 0 if it was down, or not known.
    #[serde(default)]
    pub up_since_ns: WallNs,
    #[serde(default)]
    pub clock_offset_ns: Option<i64>,
    #[serde(default)]
    pub tags: SavedTags,
    pub seen: Seen,
    pub nics: Vec<SavedNic>,
}

/// One NIC.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNic {
    pub nic: String,
    pub counter: Counter,
    #[serde(flatten)]
    pub losses: Losses,
    /// The newest facts; `None` if the NIC isn't shown.
    #[serde(default)]
    pub facts: Option<SavedFacts>,
    #[serde(default)]
    pub newest: Option<SavedSample>,
}

/// The tags of a client, by source.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SavedTags {
    agent: TagSet,
    collector: TagSet,
}

impl SavedTags {
    pub fn new(ClientTags { agent, collector }: &ClientTags) -> Self {
        Self { agent: agent.clone(), collector: collector.clone() }
    }

    pub fn restored(self) -> ClientTags {
        let Self { agent, collector } = self;
        ClientTags { agent, collector }
    }
}

/// Facts about a NIC.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedFacts {
    listed: bool,
    kind: String,
    speed_bits: u64,
    up: bool,
    stacked: bool,
}

/// The last sample of a NIC.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedSample {
    pub session: SessionId,
    pub seq: Seq,
    pub observed_ns: WallNs,
    start_ns: WallNs,
    interval_ns: u64,
    rx: SavedCounts,
    tx: SavedCounts,
    drops: Packets,
    late: u32,
    inexact: u32,
    flags: u32,
}

/// One direction: bytes, packets, and bytes of the highest 1 ms peak.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct SavedCounts(Bytes, Packets, u32);

impl SavedFacts {
    pub fn new(nic: &Nic, listed: bool) -> Self {
        let Nic { kind, speed_bits, up, stacked, .. } = nic;
        Self { listed, kind: kind.clone(), speed_bits: *speed_bits, up: *up, stacked: *stacked }
    }

    /// The NIC, and true if it was in its client's newest inventory.
    pub fn restored(self, name: NicName) -> (Nic, bool) {
        let Self { listed, kind, speed_bits, up, stacked } = self;
        (Nic { name, kind, speed_bits, up, stacked, ..Nic::default() }, listed)
    }
}

impl SavedSample {
    pub fn new(session: SessionId, seq: Seq, observed_ns: WallNs, sample: &Sample) -> Self {
        let counts = |it: &Counts| SavedCounts(it.bytes, it.packets, it.peak_1ms_bytes);
        let Sample { start_ns, interval_ns, drops, late, inexact, flags, .. } = *sample;
        let (rx, tx) = (counts(&sample.rx), counts(&sample.tx));
        Self {
            session,
            seq,
            observed_ns,
            start_ns,
            interval_ns,
            rx,
            tx,
            drops,
            late,
            inexact,
            flags,
        }
    }

    pub fn restored(&self, nic: NicName) -> Sample {
        let counts = |SavedCounts(bytes, packets, peak_1ms_bytes)| Counts {
            bytes,
            packets,
            peak_1ms_bytes,
            ..Counts::default()
        };
        let Self { start_ns, interval_ns, drops, late, inexact, flags, .. } = *self;
        Sample {
            nic,
            start_ns,
            interval_ns,
            rx: counts(self.rx),
            tx: counts(self.tx),
            drops,
            late,
            inexact,
            flags,
            ..Sample::default()
        }
    }
}
