//! A network namespace for a whole benchmark.

use anyhow::Context;
use testbed::namespace::{inside, is_inside};

/// Returns true inside its own namespace. Outside, runs this program again in one, with the same
/// arguments, and exits with its code.
///
/// # Errors
/// Fails if no namespace can be made.
pub fn in_own_namespace() -> anyhow::Result<bool> {
    if is_inside() {
        return Ok(true);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let status = inside(&arguments).status().context("unshare of util-linux is needed")?;
    if !status.success() {
        // It has already printed its error.
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(false)
}
