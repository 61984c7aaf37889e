//! NICs that appear, change and disappear during capture, compared with the sender's count and `ip -s
//! link`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod kinds;
mod life;
mod many;
mod storm;
mod support;
