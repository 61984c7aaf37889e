//! Errors of rings.

use std::io;

use settings::way_out;

/// Why a ring could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// No packet socket, most often because the capability is missing.
    #[error(
        "can't open a packet socket: {}; {}",
        .0,
        way_out(.0, "capturing needs CAP_NET_RAW (run as root or grant it)")
    )]
    Open(#[source] io::Error),
    /// The kernel has no TPACKET_V3.
    #[error("the kernel refuses TPACKET_V3: {0}; Linux 3.2 or later is needed")]
    Version(#[source] io::Error),
    /// The kernel has no PACKET_VNET_HDR.
    #[error("the kernel refuses PACKET_VNET_HDR: {0}")]
    VnetHeader(#[source] io::Error),
    /// The filter was refused.
    #[error("the kernel refuses the snaplen filter: {0}")]
    Filter(#[source] io::Error),
    /// No memory for the ring, or the kernel refuses its geometry.
    #[error("can't set up the ring: {0}; make it smaller if memory is short")]
    Ring(#[source] io::Error),
    /// The ring could not be mapped.
    #[error("can't map the ring: {0}")]
    Map(#[source] io::Error),
    /// A name that no NIC can have.
    #[error("{0:?} can't be a NIC: a name has at most 15 bytes")]
    NicName(String),
    /// The NIC doesn't exist or can't be used.
    #[error("can't capture on NIC {nic}: {error}; `ip link` lists the NICs of this host")]
    Bind {
        /// Name of the NIC.
        nic: String,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// The NIC can't be made promiscuous.
    #[error("can't make NIC {nic} promiscuous: {error}; set monitor.promiscuous: false")]
    Promiscuous {
        /// Name of the NIC.
        nic: String,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
    /// The rings of a NIC can't share its packets.
    #[error("can't join the rings of NIC {nic}: {error}; set monitor.rings_per_nic: 1")]
    Fanout {
        /// Name of the NIC.
        nic: String,
        /// The kernel's error.
        #[source]
        error: io::Error,
    },
}
