//! `/api/v1/mix`: breakdown of the traffic of one NIC.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wire::frame::{Mix, MixCounts, SIZE_CLASS_MAX};
use wire::{Bytes, Packets};

use super::access::Asker;
use super::app::App;
use super::cache::Answer;
use super::error::ApiError;
use super::params::{NicParams, Params};
use super::series::must_exist;
use crate::store::NicRange;
use crate::time::Time;

/// Breakdown of the traffic of one NIC: the sums of all mix intervals that start in a range.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MixView {
    client: String,
    nic: String,
    from: Time,
    to: Time,
    /// Time covered by the sums, nanoseconds. Mixes are kept as long as samples.
    covered_ns: u64,
    rx: MixCountsView,
    tx: MixCountsView,
}

/// One direction of a mix.
#[derive(Debug, Serialize, ToSchema)]
struct MixCountsView {
    /// Packets by size, smallest first.
    sizes: Vec<SizeView>,
    #[schema(value_type = u64)]
    multicast_packets: Packets,
    #[schema(value_type = u64)]
    broadcast_packets: Packets,
    /// TCP packets with SYN set.
    #[schema(value_type = u64)]
    tcp_syn_packets: Packets,
    /// TCP packets with RST set.
    #[schema(value_type = u64)]
    tcp_rst_packets: Packets,
    /// Bytes by network protocol.
    network: NetworkView,
    /// IP packets and bytes by transport protocol.
    transport: TransportView,
}

/// A size class of RMON (RFC 2819).
#[derive(Debug, Serialize, ToSchema)]
struct SizeView {
    /// Largest packet of the class, bytes with FCS. `null` for the last class, which has no bound.
    max_bytes: Option<u64>,
    #[schema(value_type = u64)]
    packets: Packets,
}

/// Bytes by network protocol.
#[derive(Debug, Serialize, ToSchema)]
struct NetworkView {
    #[schema(value_type = u64)]
    ipv4_bytes: Bytes,
    #[schema(value_type = u64)]
    ipv6_bytes: Bytes,
    #[schema(value_type = u64)]
    arp_bytes: Bytes,
    #[schema(value_type = u64)]
    other_bytes: Bytes,
}

/// Packets and bytes by transport protocol.
#[derive(Debug, Serialize, ToSchema)]
struct TransportView {
    #[schema(value_type = u64)]
    tcp_packets: Packets,
    #[schema(value_type = u64)]
    tcp_bytes: Bytes,
    #[schema(value_type = u64)]
    udp_packets: Packets,
    #[schema(value_type = u64)]
    udp_bytes: Bytes,
    #[schema(value_type = u64)]
    icmp_packets: Packets,
    #[schema(value_type = u64)]
    icmp_bytes: Bytes,
    /// Includes fragments after the first.
    #[schema(value_type = u64)]
    other_packets: Packets,
    #[schema(value_type = u64)]
    other_bytes: Bytes,
}

impl From<MixCounts> for MixCountsView {
    fn from(counts: MixCounts) -> Self {
        let limits = SIZE_CLASS_MAX.into_iter().map(Some).chain([None]);
        let sizes = limits.zip(counts.size_packets);
        Self {
            sizes: sizes.map(|(max_bytes, packets)| SizeView { max_bytes, packets }).collect(),
            multicast_packets: counts.multicast_packets,
            broadcast_packets: counts.broadcast_packets,
            tcp_syn_packets: counts.tcp_syn_packets,
            tcp_rst_packets: counts.tcp_rst_packets,
            network: NetworkView {
                ipv4_bytes: counts.ipv4_bytes,
                ipv6_bytes: counts.ipv6_bytes,
                arp_bytes: counts.arp_bytes,
                other_bytes: counts.other_bytes,
            },
            transport: TransportView {
                tcp_packets: counts.tcp_packets,
                tcp_bytes: counts.tcp_bytes,
                udp_packets: counts.udp_packets,
                udp_bytes: counts.udp_bytes,
                icmp_packets: counts.icmp_packets,
                icmp_bytes: counts.icmp_bytes,
                other_packets: counts.other_transport_packets,
                other_bytes: counts.other_transport_bytes,
            },
        }
    }
}

/// Breakdown of the traffic of one NIC over a range
#[utoipa::path(
    get, path = "/api/v1/mix", tag = "history", params(NicParams),
    responses((status = 200, description = "Exact sums", body = MixView), ApiError)
)]
pub(super) async fn mix(
    State(app): State<Arc<App>>,
    asker: Asker,
    Params(params): Params<NicParams>,
) -> Result<Answer<MixView>, ApiError> {
    let range = params.range()?;
    let Mix { interval_ns, rx, tx, .. } = app.ask(&asker, app.state.query.mix(&range)).await?;
    if interval_ns == 0 {
        must_exist(&app, &asker, &range.client, Some(&range.nic)).await?;
    }
    let NicRange { client, nic, from_ns, to_ns } = range;
    let (from, to) = (Time(from_ns), Time(to_ns));
    let (rx, tx) = (rx.into(), tx.into());
    Ok(Answer(MixView { client, nic, from, to, covered_ns: interval_ns, rx, tx }))
}
