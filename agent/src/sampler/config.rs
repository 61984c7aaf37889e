//! The capture config, and errors of starting it.

use std::time::Duration;

use settings::Size;

use super::talkers::TalkersConfig;
use crate::capture::reader::StartError;
use crate::capture::ring::RingConfig;
use crate::nic::choose::NicFilter;
use crate::nic::inventory::InventoryError;
use crate::nic::net_dev::NetDevError;

/// NICs to capture, and how.
#[derive(Debug, Clone)]
pub struct CaptureConfig {
    /// Length of a sample's interval, at least 10 ms.
    pub sample_interval: Duration,
    /// Length of a mix's interval.
    pub mix_interval: Duration,
    /// Geometry of each ring. Its virtio header is asked for only where the kernel has one that
    /// loses no packet.
    pub ring: RingConfig,
    /// Most memory of all rings together, bytes: where it gets short, rings get smaller.
    pub ring_memory: u64,
    /// Rings per NIC, at least 1.
    pub rings_per_nic: u16,
    /// CPUs that readers are pinned to, one after the other; empty: those this process may use.
    pub cpus: Vec<usize>,
    /// Which NICs.
    pub filter: NicFilter,
    /// `None`: talkers aren't counted.
    pub talkers: Option<TalkersConfig>,
}

/// Why capture could not be started.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The NICs can't be listed.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The kernel's counters can't be read.
    #[error(transparent)]
    Counters(#[from] NetDevError),
    /// No ring could be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// All memory for rings is in use.
    #[error(
        "NIC {nic} is not captured: all {} for rings are in use; raise monitor.ring.memory, or \
         exclude NICs",
        Size(*most)
    )]
    RingMemory {
        /// Name of the NIC.
        nic: String,
        /// `monitor.ring.memory`.
        most: u64,
    },
    /// This host's addresses can't be read.
    #[error(
        "can't read this host's addresses by rtnetlink; without talkers (monitor.talkers.enabled: \
             false) they aren't needed"
    )]
    Addresses(#[source] std::io::Error),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
    /// No thread left.
    #[error("can't start the sampler")]
    Thread(#[source] std::io::Error),
}
