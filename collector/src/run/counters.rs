//! Keeps Prometheus' counters across restarts, in a file beside the store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use wire::private_file;

use crate::live::Live;
use crate::time::now_ns;

/// Interval between writes.
const SAVED: Duration = Duration::from_secs(60);

/// Largest file accepted, bytes: enough for two million NICs, more than a collector has memory for.
const SIZE_MAX: u64 = 1 << 30;

const UNSAVED: &str = "can't save the counters; after a restart they continue from an earlier \
                       value";

/// Keeps the counters of the live table.
#[derive(Debug, Clone)]
pub struct Counters {
    path: PathBuf,
    live: Live,
}

impl Counters {
    /// Continues the counters from the file. If the file is damaged, logs that and begins at zero, as
    /// Prometheus expects of a restart.
    pub fn open(data_dir: &Path, live: Live) -> Self {
        let counters = Self { path: data_dir.join("counters.json"), live };
        let path = counters.path.display();
        match private_file::read_up_to(&counters.path, SIZE_MAX) {
            Ok(saved) => {
                if let Err(error) = counters.live.restore(&saved, now_ns()) {
                    tracing::warn!(%path, error = %error.in_full(), "counters begin at zero");
                }
            }
            Err(error) if error.is_absent() => {}
            Err(error) => tracing::warn!(error = %error.in_full(), "counters begin at zero"),
        }
        counters
    }

    /// Writes them regularly, forever.
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
                Err(error) => tracing::error!(error = %error.in_full(), "{UNSAVED}"),
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
        let saved = self.live.save().map_err(|error| error.in_full().to_string())?;
        private_file::write(&self.path, &saved).map_err(|error| error.in_full().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn counters_of_many_nics_go_on_after_a_restart() {
        const NICS: usize = 20_000;
        let directory = tempfile::tempdir().unwrap();
        let total = r#"{"bytes":1,"packets":1}"#;
        let counter = format!(r#"{{"carried":{{"rx":{total},"tx":{total}}},"sessions":[]}}"#);
        let mut nics = String::new();
        for nic in 0..NICS {
            let _ = write!(nics, r#",{{"nic":"eth{nic}","counter":{counter}}}"#);
        }
        let clients =
            format!(r#"{{"client":"web-1","seen":{{"sessions":[]}},"nics":[{}]}}"#, &nics[1..]);
        let saved = format!(r#"{{"clients":[{clients}]}}"#);
        private_file::write(&directory.path().join("counters.json"), saved.as_bytes()).unwrap();
        let counters = Counters::open(directory.path(), Live::new());
        counters.save();
        let kept = std::fs::read_to_string(&counters.path).unwrap();
        assert!(kept.len() > 1 << 20, "{} bytes", kept.len());
        assert_eq!(kept.matches("\"nic\"").count(), NICS);
    }
}
