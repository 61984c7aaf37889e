//! Delivery: the two ends of the window by which a session's records get into the database.
//!
//! A record covers a range of sequence numbers. The [`Sender`] decides what the agent sends and
//! when, the [`Receiver`] puts what arrives in order and tells what is missing. Both know
//! numbers and times only; what they decide about lies in the agent's spool and the collector's
//! database.
//!
//! Live records go as datagrams, which may be lost; everything else goes by stream, which may
//! not. So a record sent by stream is never sent again on the same connection, and one sent live
//! is sent again, by stream, once the receiver misses it. A new connection starts anew from what
//! the database has committed, unless that is not what this agent made: then its host was set back
//! to an earlier state ([`is_fork`]), and it goes on in a session of its own.

pub mod fork;
pub mod receiver;
pub mod sender;
mod window;

pub use fork::{Own, Told, Written, is_fork};
pub use receiver::{Accepted, Receiver};
pub use sender::Sender;
pub use window::{MISSING_MAX, WINDOW};
