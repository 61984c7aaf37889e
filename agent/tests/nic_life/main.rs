//! NICs that come, go and change under a running capture, and what is counted meanwhile: against
//! the sender's count and `ip -s link`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kinds;
mod life;
mod many;
mod storm;
mod support;
