//! Why a store did not do as asked.

/// Why a store didn't do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Sessions that are not where the batch expects them; nothing was committed.
    #[error("sessions {sessions:016x?} were opened or moved on by another connection")]
    Conflict {
        /// Which ones.
        sessions: Vec<u64>,
    },
    /// A session id that another client has used.
    #[error("session {session:016x} belongs to client {owner}, not to {client}")]
    ForeignSession {
        /// The session.
        session: u64,
        /// Whose it is.
        owner: String,
        /// Who wanted it.
        client: String,
    },
    /// A client that an operator forgot: it needs a new certificate.
    #[error("client {client} was forgotten by this collector's operator; enrol it anew")]
    Forgotten {
        /// Who wanted to open sessions.
        client: String,
        /// When it was forgotten, nanoseconds since 1970 (UTC).
        at_ns: u64,
    },
    /// The rows themselves are refused: trying again would change nothing.
    #[error("the store {location} refuses it: {reason}")]
    Refused {
        /// Path or address of the store.
        location: String,
        /// Why.
        reason: String,
    },
    /// The store fails.
    #[error("the store {location} fails: {reason}")]
    Failed {
        /// Path or address of the store.
        location: String,
        /// What went wrong and what to do.
        reason: String,
    },
}
