//! Signed-out browser sessions.

/// A signed-out session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOut {
    /// Its name.
    pub session: String,
    /// When it would have expired by itself, seconds since 1970 (UTC).
    pub ends_at: u64,
}
