//! How many NICs a store keeps of one client. What comes of others goes to quarantine, NIC by NIC: the
//! client's other NICs are none the worse.

use std::collections::HashSet;

use wire::id::{ClientId, NicName};

/// Most NICs that are kept of one client, whatever it sends.
pub const NICS_MAX: i64 = 65_536;

/// Why rows of further ones are in quarantine.
pub const TOO_MANY: &str = "the client has 65,536 NICs in the store, and this is another one";

/// NICs of clients that have too many of them.
pub type Excess<'a> = HashSet<(&'a ClientId, NicName)>;
