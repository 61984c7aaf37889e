//! The limit on a client's NICs in a store. Samples of further NICs go to quarantine, without affecting
//! the client's other NICs.

use std::collections::HashSet;

use wire::id::{ClientId, NicName};

/// Most NICs stored per client.
pub const NICS_MAX: i64 = 65_536;

/// The reason for quarantining rows of further NICs.
pub const TOO_MANY: &str = "the client has 65,536 NICs in the store, and this is another one";

/// NICs beyond their client's limit.
pub type Excess<'a> = HashSet<(&'a ClientId, NicName)>;
