//! Amounts of traffic.

use rkyv::{Archive, Deserialize, Serialize};

use crate::number::amount;

/// A number of packets: on the wire, or as the tap or a driver counts them, as each figure says.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Packets(pub u64);

/// A number of bytes on the wire, from the MAC header to the end of the payload.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Archive,
    Serialize,
    Deserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

amount!(Packets);

impl Packets {
    /// The bytes of packets of which each has so many, at most [`Bytes::MAX`].
    #[must_use]
    pub const fn of_each(self, bytes: Bytes) -> Bytes {
        Bytes(self.0.saturating_mul(bytes.0))
    }
}
amount!(Bytes);
