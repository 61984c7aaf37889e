//! The limit on a client's NICs in a store. Samples of further NICs go to quarantine, without affecting
//! the client's other NICs.

use std::collections::HashSet;

use wire::id::{ClientId, NicName};

/// The store's number of a client's NIC (`nics.id`), to which rows refer. The embedded store has 64 bits
/// for it, PostgreSQL 32. Agents number NICs otherwise, and a batch by [`super::facts::NicIndex`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NicId(pub i64);

impl NicId {
    /// The plain number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Most NICs stored per client.
pub const NICS_MAX: i64 = 65_536;

/// The reason for quarantining rows of further NICs.
pub const TOO_MANY: &str = "the client has 65,536 NICs in the store, and this is another one";

/// NICs beyond their client's limit.
pub type Excess<'a> = HashSet<(&'a ClientId, NicName)>;
