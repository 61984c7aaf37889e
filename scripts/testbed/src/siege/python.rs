//! The Python programs of the hostile suite, and their clock.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::namespace::Namespace;

/// A Python program of the hostile suite.
#[must_use]
pub fn python(program: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../collector/tests/hostile");
    let mut command = Namespace::own().command("python3");
    let aioquic = aioquic().unwrap_or_else(|missing| panic!("{missing}"));
    command.arg("-B").arg(folder.join(program)).env("PYTHONPATH", aioquic);
    command
}

/// Where `scripts/tools` installs aioquic.
///
/// # Errors
/// Fails if it isn't installed, and says how to install it.
pub fn aioquic() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut found = own.ancestors().map(|folder| folder.join("tools/aioquic"));
    let found = found.find(|folder| folder.join("aioquic").exists());
    found.ok_or_else(|| "aioquic, which attacks, isn't installed: scripts/tools aioquic".to_owned())
}

/// Seconds on Python's clock `time.monotonic`.
pub(super) fn now() -> f64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_secs_f64()
}
