//! Errors of stores.

use std::error::Error;

use wire::WallNs;
use wire::id::SessionId;

use crate::store::rows::groups::TooManyGroups;
use crate::store::rows::tags::TagsRefused;

/// The error of a database or its library, or a text where there is none.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Sessions are not where the batch expects them; nothing was committed.
    #[error("sessions {sessions:?} were opened or advanced by another connection")]
    Conflict {
        /// The sessions.
        sessions: Vec<SessionId>,
    },
    /// Another client has used this session id.
    #[error("session {session} belongs to client {owner}, not to {client}")]
    ForeignSession {
        /// The session.
        session: SessionId,
        /// Its owner.
        owner: String,
        /// The client that asked for it.
        client: String,
    },
    /// An operator forgot this client: it needs a new certificate.
    #[error("client {client} was forgotten by this collector's operator; enrol it again")]
    Forgotten {
        /// The client that asked to open sessions.
        client: String,
        /// When it was forgotten, nanoseconds since 1970 (UTC).
        at_ns: WallNs,
    },
    /// The rows themselves are refused: retrying would change nothing.
    #[error("the store {location} refuses the rows")]
    Refused {
        /// Path or address of the store.
        location: String,
        /// The reason.
        #[source]
        error: Cause,
    },
    /// The tags break a rule.
    #[error(transparent)]
    Tags(#[from] TagsRefused),
    /// Too many groups.
    #[error(transparent)]
    Groups(#[from] TooManyGroups),
    /// The store fails.
    #[error("the store {location} fails")]
    Failed {
        /// Path or address of the store.
        location: String,
        /// The error, with the remedy if there is one.
        #[source]
        error: Cause,
    },
}
