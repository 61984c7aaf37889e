//! Delivery: the two ends of the window that brings a session's records into the database.
//!
//! A record covers a range of sequence numbers. The [`Sender`] decides what the agent sends and when.
//! The [`Receiver`] sorts arriving records and reports missing ones. Both handle only numbers and
//! times; the records themselves are in the agent's spool and the collector's database.
//!
//! Live records go as datagrams, which may be lost. All others go over a stream, which loses nothing.
//! So a record sent over a stream is never repeated on the same connection; a live record is repeated
//! over a stream once the receiver misses it. One acknowledgement may stand for the live records of some
//! seconds ([`AckPace::Joined`]); what came over a stream is acknowledged as soon as it is committed. A new connection starts from the database's commit,
//! unless those records are not this agent's. Then its host was set back to an earlier state
//! ([`is_fork`]), and the agent continues in a new session.

pub mod fork;
pub mod receiver;
pub mod sender;
mod window;

pub use fork::{Own, StoredProgress, Written, is_fork};
pub use receiver::{Accepted, Receiver};
pub use sender::Sender;
pub use window::{ACK_JOINED_MAX, AckPace, MISSING_MAX, WINDOW};
