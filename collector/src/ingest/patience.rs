//! How long agents are waited for.

use std::time::Duration;

/// How long an agent may take to introduce itself, and to take in what it is told.
pub const PATIENCE: Duration = Duration::from_secs(5);
