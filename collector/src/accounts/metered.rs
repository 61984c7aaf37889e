//! What an account used in a cycle, and its NICs' parts in it. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Bytes, Packets};

use super::members::NicStay;
use super::projection::{Outlook, PercentileOutlook};
use super::ranking::{Commit95, Ranked};

/// What an account used in a cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metered {
    /// Bytes received, from the MAC header to the end of the payload.
    #[schema(value_type = u64)]
    pub rx_bytes: Bytes,
    /// Bytes transmitted, likewise.
    #[schema(value_type = u64)]
    pub tx_bytes: Bytes,
    /// Packets received.
    #[schema(value_type = u64)]
    pub rx_packets: Packets,
    /// Packets transmitted.
    #[schema(value_type = u64)]
    pub tx_packets: Packets,
    /// Bytes that count by rule and basis: what was measured.
    #[schema(value_type = u64)]
    pub billed_bytes: Bytes,
    /// The most that may have passed: links were full while nothing was measured. `null`: no bound is
    /// known.
    #[schema(value_type = Option<u64>)]
    pub billed_max_bytes: Option<Bytes>,
    /// 5-minute intervals of the whole cycle.
    pub intervals: u64,
    /// Of these, intervals that are over.
    pub elapsed_intervals: u64,
    /// Of these, intervals of which something was measured.
    pub measured_intervals: u64,
    /// Time that was not measured, of all NICs together, nanoseconds.
    pub missing_ns: u64,
    /// The 95th percentile of the pooled traffic.
    pub p95: Ranked,
    /// What is left of the committed rate, if one is set.
    pub commit: Option<Commit95>,
    /// The volume at the end of a running cycle.
    pub outlook: Option<Outlook>,
    /// The 95th percentile at the end of a running cycle.
    #[serde(default)]
    pub p95_outlook: Option<PercentileOutlook>,
    /// Its NICs, by client and name.
    pub nics: Vec<NicShare>,
}

/// The part of one NIC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NicShare {
    /// The client.
    pub client: String,
    /// Its name.
    pub nic: String,
    /// Bytes received.
    #[schema(value_type = u64)]
    pub rx_bytes: Bytes,
    /// Bytes transmitted.
    #[schema(value_type = u64)]
    pub tx_bytes: Bytes,
    /// Packets received.
    #[schema(value_type = u64)]
    pub rx_packets: Packets,
    /// Packets transmitted.
    #[schema(value_type = u64)]
    pub tx_packets: Packets,
    /// Counts only while it was part of the host's total: a member by its host.
    pub by_host: bool,
    /// When its client had a tag that makes it a member. `null`: it is one all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<Vec<NicStay>>,
    /// Link speed, the bound of what was not measured. `null`: there is none to speak of.
    pub speed_bits_per_second: Option<u64>,
    /// Time that was not measured, nanoseconds.
    pub missing_ns: u64,
}

/// The shares of NICs, by client and name, of their parts.
pub(super) fn whole_shares(mut parts: Vec<NicShare>) -> Vec<NicShare> {
    parts.sort_by(|one, other| (&one.client, &one.nic).cmp(&(&other.client, &other.nic)));
    let mut whole: Vec<NicShare> = Vec::new();
    for part in parts {
        match whole.last_mut() {
            Some(last) if last.client == part.client && last.nic == part.nic => {
                last.rx_bytes = last.rx_bytes.saturating_add(part.rx_bytes);
                last.tx_bytes = last.tx_bytes.saturating_add(part.tx_bytes);
                last.rx_packets = last.rx_packets.saturating_add(part.rx_packets);
                last.tx_packets = last.tx_packets.saturating_add(part.tx_packets);
                last.missing_ns = last.missing_ns.saturating_add(part.missing_ns);
                // Stays may have ended since.
                last.stays = part.stays;
            }
            _ => whole.push(part),
        }
    }
    whole
}
