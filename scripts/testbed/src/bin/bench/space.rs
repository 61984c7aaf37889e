//! A network namespace for a whole benchmark.

use anyhow::Context;
use testbed::namespace::{inside, is_inside};

/// True in a namespace of our own. Outside it runs this program there, as it was started, to its
/// end.
///
/// # Errors
/// If there is no way into one.
pub fn in_own_namespace() -> anyhow::Result<bool> {
    if is_inside() {
        return Ok(true);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let status = inside(&arguments).status().context("unshare of util-linux is needed")?;
    if !status.success() {
        // It has said itself what is wrong.
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(false)
}
