//! Sequence numbers of a session's records.

use rkyv::{Archive, Deserialize, Serialize};

use crate::number::point;

/// A sequence number within a session. The first is 1; zero stands before all of them.
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
pub struct Seq(pub u64);

point!(Seq);

impl Seq {
    /// The first of a session.
    pub const FIRST: Self = Self(1);
}
