//! `agent doctor`: checks whether this host can capture and deliver, and says what to fix.

mod clock;
mod collector;
mod config;
mod delivery;
mod kernel;
mod nics;
mod owners;
mod spool;

use std::io::{self, Write};

use settings::print_findings;
pub use settings::{Finding, Level};

pub use self::config::DoctorConfig;
use crate::run::spool_path;

/// Examines everything, prints each finding at once, and returns the worst level.
/// Takes some seconds where a collector can't be reached.
///
/// # Errors
/// The output is closed or full.
pub fn doctor(config: &DoctorConfig, out: &mut impl Write) -> io::Result<Level> {
    let mut worst = Level::Ok;
    let mut print = |findings: Vec<Finding>| {
        worst = worst.max(print_findings(&findings, out)?);
        Ok::<_, io::Error>(())
    };
    print(kernel::examine())?;
    print(nics::examine(&config.capture))?;
    print(owners::examine(config.owners))?;
    print(clock::examine())?;
    print(spool::examine(&config.data_dir, config.spool_max))?;
    print(collector::examine(config))?;
    print(delivery::examine(&spool_path(&config.data_dir)))?;
    Ok(worst)
}
