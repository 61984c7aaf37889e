//! The agent's config file, written by the host's administrator.

use agent::config::{LIVE, load_explicit};
use settings::{InFull, Options};

use super::support::{KIB, MIB, directory, file};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "agent_config",
    about: "the agent's config file (settings::load, agent::config)",
    input_max: 8 * KIB,
    memory_max: 16 * MIB,
    run,
};

fn run(input: &[u8]) {
    let path = file(directory().join("agent.yaml"), input);
    let options = Options { config: Some(path.clone()), ..Options::default() };
    match load_explicit(&options, &[]) {
        Ok(loaded) => {
            let config = &loaded.config;
            let _collectors = config.collectors();
            let _client = config.client_id();
            let _capture = config.monitor.capture();
            assert!(config.spool.limits().max_size > 0);
            assert!(LIVE.iter().all(|key| !loaded.source(key).is_empty()));
        }
        Err(error) => check_error(&error, &path, input.len()),
    }
}

/// The error names the file and isn't much longer than the text that it may quote.
pub(super) fn check_error(
    error: &(dyn std::error::Error + 'static),
    path: &std::path::Path,
    len: usize,
) {
    let shown = error.in_full().to_string();
    assert!(shown.contains(&*path.to_string_lossy()), "{shown}");
    assert!(shown.len() <= 4 * KIB + 12 * len, "an error of {} bytes for {len}", shown.len());
}
