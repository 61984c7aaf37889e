//! Openings of a session.

/// How often a session was opened: what arrived under an earlier opening is refused. A type of its own, for
/// it stands beside the session's id and its sequence numbers wherever they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);
