//! `collector doctor`: checks whether this collector can store and serve, and says what to fix.

mod certificate;
mod clients;
mod data_dir;
mod otlp;
mod ports;
mod store;

use std::io::{self, Write};

pub use settings::Level;
use settings::{Finding, examine_time_sync, print_findings};
use wire::pem::TlsFiles;

use crate::config::Config;
use crate::run::identity_dir;
use crate::store_location::StoreLocation;

/// Examines everything, prints each finding at once, and returns the worst level. Takes some seconds if
/// the database can't be reached. Works beside a running collector.
///
/// # Errors
/// The output is closed or full, or the system provides no runtime.
pub fn doctor(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    out: &mut impl Write,
) -> io::Result<Level> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let identity = identity_dir(&config.data_dir);
    let mut worst = Level::Ok;
    let mut print = |findings: Vec<Finding>| {
        worst = worst.max(print_findings(&findings, out)?);
        Ok::<_, io::Error>(())
    };
    print(data_dir::examine(&config.data_dir, config.limits.disk_free_min, location))?;
    print(ports::examine(config))?;
    let unbelieved = config.http.unbelieved();
    print(unbelieved.map(|text| Finding::warn("proxies", text)).into_iter().collect())?;
    let (findings, known) = runtime.block_on(store::examine(location));
    print(findings)?;
    print(vec![examine_time_sync()])?;
    print(certificate::examine(&identity, tls))?;
    print(certificate::of_pages(&config.http.tls))?;
    print(clients::examine(&identity, &known))?;
    print(runtime.block_on(otlp::examine(&config.export.otlp)))?;
    Ok(worst)
}
