//! What alerts are about.

use wire::id::ClientId;

/// What an alert is about: a client and maybe its NIC, a collector, or a warning of an account
/// in a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A client.
    Client(ClientId),
    /// A collector, by its name.
    Collector(String),
    /// A warning of an account.
    Account {
        /// The account's name, which has no space.
        account: String,
        /// The warning's name, which has none either.
        warning: String,
        /// The cycle that it was given in.
        cycle: String,
    },
}

impl Owner {
    /// The client, if it is one.
    #[must_use]
    pub const fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Client(client) => Some(client),
            Self::Collector(_) | Self::Account { .. } => None,
        }
    }
}
