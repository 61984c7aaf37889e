//! Browsers' sessions that were signed out.

/// A session that was signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOut {
    /// Its name.
    pub session: String,
    /// From when on it would have ended by itself, seconds since 1970 (UTC).
    pub ends_at: u64,
}
