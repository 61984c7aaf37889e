//! Errors of rings.

use std::io;

use settings::way_out;
use wire::advice::Advised;

/// Why a ring could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// No packet socket, most often because the capability is missing.
    #[error("can't open a packet socket")]
    Open(#[source] Advised),
    /// The kernel has no TPACKET_V3.
    #[error("the kernel refuses TPACKET_V3, which needs Linux 3.2 or later")]
    Version(#[source] io::Error),
    /// The kernel has no PACKET_VNET_HDR.
    #[error("the kernel refuses PACKET_VNET_HDR")]
    VnetHeader(#[source] io::Error),
    /// The filter was refused.
    #[error("the kernel refuses the snaplen filter")]
    Filter(#[source] io::Error),
    /// No memory for the ring, or the kernel refuses its geometry.
    #[error("can't set up the ring")]
    Ring(#[source] Advised),
    /// The ring could not be mapped.
    #[error("can't map the ring")]
    Map(#[source] io::Error),
    /// A name that no NIC can have.
    #[error("{0:?} can't be a NIC: a name has at most 15 bytes")]
    NicName(String),
    /// The NIC doesn't exist or can't be used.
    #[error("can't capture on NIC {nic}")]
    Bind {
        /// Name of the NIC.
        nic: String,
        /// The error of the kernel, with the remedy.
        #[source]
        error: Advised,
    },
    /// The NIC can't be made promiscuous.
    #[error("can't make NIC {nic} promiscuous")]
    Promiscuous {
        /// Name of the NIC.
        nic: String,
        /// The error of the kernel, with the remedy.
        #[source]
        error: Advised,
    },
    /// The rings of a NIC can't share its packets.
    #[error("can't join the rings of NIC {nic}")]
    Fanout {
        /// Name of the NIC.
        nic: String,
        /// The error of the kernel, with the remedy.
        #[source]
        error: Advised,
    },
}

impl RingError {
    /// No packet socket.
    pub(super) fn open(error: io::Error) -> Self {
        let way_out = way_out(&error, "capturing needs CAP_NET_RAW (run as root or grant it)");
        Self::Open(Advised::new(error, way_out))
    }

    /// No memory for the ring, or a geometry the kernel refuses.
    pub(super) fn ring(error: io::Error) -> Self {
        Self::Ring(Advised::new(error, "make it smaller if memory is short"))
    }

    /// The NIC is not there or not usable.
    pub(super) fn bind(nic: &str, error: io::Error) -> Self {
        let error = Advised::new(error, "`ip link` lists the NICs of this host");
        Self::Bind { nic: nic.to_owned(), error }
    }

    /// The NIC can't be made promiscuous.
    pub(super) fn promiscuous(nic: &str, error: io::Error) -> Self {
        let error = Advised::new(error, "set monitor.promiscuous: false");
        Self::Promiscuous { nic: nic.to_owned(), error }
    }

    /// The rings of a NIC can't share its packets.
    pub(super) fn fanout(nic: &str, error: io::Error) -> Self {
        let error = Advised::new(error, "set monitor.rings_per_nic: 1");
        Self::Fanout { nic: nic.to_owned(), error }
    }
}
