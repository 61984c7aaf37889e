//! How long agents are waited for.

use std::time::Duration;

/// How long an agent may take to introduce itself, and to read what it is sent.
pub const PATIENCE: Duration = Duration::from_secs(5);
