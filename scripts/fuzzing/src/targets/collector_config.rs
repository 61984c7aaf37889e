//! The collector's config file.

use collector::config::{LIVE, load};
use settings::Options;

use super::agent_config::check_error;
use super::support::{KIB, MIB, directory, file};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "collector_config",
    about: "the collector's config file (settings::load, collector::config)",
    input_max: 8 * KIB,
    memory_max: 16 * MIB,
    run,
};

fn run(input: &[u8]) {
    let path = file(directory().join("collector.yaml"), input);
    let options = Options { config: Some(path.clone()), ..Options::default() };
    match load(&options) {
        Ok(loaded) => {
            assert!(LIVE.iter().all(|key| !loaded.source(key).is_empty()));
            assert!(loaded.config.writer.limits().max_rows > 0);
            assert!(!loaded.config.http.url().is_empty());
            if let Some(password) = &loaded.config.database.password
                && password.reveal().len() >= 32
            {
                let shown = format!("{:?} {:?}", loaded.config.database, loaded.warnings);
                assert!(!shown.contains(password.reveal()), "a password is not shown");
            }
        }
        Err(error) => check_error(&error, &path, input.len()),
    }
}
