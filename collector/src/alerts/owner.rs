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

/// Who judges what rules find about an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// This collector alone.
    Here,
    /// Another collector, which knows more: that nothing is heard here says nothing.
    Elsewhere,
    /// Each collector that has a rule about it, by its own rule.
    Each,
    /// Other collectors. This one knows nothing about it.
    Others,
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
