//! Prometheus' counters over restarts: kept in a small file beside the store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use settings::{Failures, words};
use wire::private_file;

use crate::live::Live;
use crate::time::now_ns;

/// How often they are written.
const SAVED: Duration = Duration::from_secs(60);

const UNSAVED: &str = "counters were not kept; after a restart they begin earlier";

/// Keeps the counters of the live table.
#[derive(Debug, Clone)]
pub struct Counters {
    path: PathBuf,
    live: Live,
}

impl Counters {
    /// Lets the counters go on from where they were. A damaged file is said and left behind:
    /// they begin at zero then, as Prometheus expects of a restart.
    pub fn open(data_dir: &Path, live: Live) -> Self {
        let counters = Self { path: data_dir.join("counters.json"), live };
        let path = counters.path.display();
        match private_file::read(&counters.path) {
            Ok(saved) => {
                if let Err(error) = counters.live.restore(&saved, now_ns()) {
                    tracing::warn!(%path, %error, "counters begin at zero");
                }
            }
            Err(error) if error.is_absent() => {}
            Err(error) => tracing::warn!(%error, "counters begin at zero"),
        }
        counters
    }

    /// Writes them now and then, for ever.
    pub async fn keep(self) {
        let mut failures = Failures::new();
        loop {
            tokio::time::sleep(SAVED).await;
            let counters = self.clone();
            match tokio::task::spawn_blocking(move || counters.write()).await {
                Ok(Err(error)) => {
                    if let Some(tell) = failures.failed(words(&error), Instant::now()) {
                        tracing::warn!(error, "{UNSAVED}{tell}");
                    }
                }
                Ok(Ok(())) => drop(failures.succeeded()),
                Err(error) => tracing::error!(%error, "{UNSAVED}"),
            }
        }
    }

    /// Writes them for the last time.
    pub fn save(&self) {
        if let Err(error) = self.write() {
            tracing::warn!(error, "{UNSAVED}");
        }
    }

    fn write(&self) -> Result<(), String> {
        let saved = self.live.save().map_err(|error| error.to_string())?;
        private_file::write(&self.path, &saved).map_err(|error| error.to_string())
    }
}
