//! Openings of a session.

/// Number of a session's opening; data of earlier openings is refused. A separate type, because it
/// always stands beside the session's id and its sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);
