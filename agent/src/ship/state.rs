//! The state of delivery for `agent doctor`: a file in the data directory, written whenever it
//! changes.

use std::path::{Path, PathBuf};

use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use settings::{InFull, words};
use wire::private_file;

/// The state of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryState {
    /// The agent's process.
    pub pid: u32,
    /// Since when, seconds since 1970 (UTC).
    pub since: u64,
    /// The collector that accepts records, or why none does.
    pub connected: Result<String, String>,
}

/// The file.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    written: Option<DeliveryState>,
}

impl StateFile {
    /// The file beside a spool. No collector has accepted anything yet.
    pub fn beside(spool: &Path) -> Self {
        let mut file = Self { path: path(spool), written: None };
        file.note(Err("no collector has answered yet".to_owned()));
        file
    }

    /// Writes the state, unless it is the same.
    pub fn note(&mut self, connected: Result<String, String>) {
        // Messages that differ only in numbers count as the same.
        let kind = |it: &Result<String, String>| it.clone().map_err(|error| words(&error));
        if self.written.as_ref().is_some_and(|it| kind(&it.connected) == kind(&connected)) {
            return;
        }
        let since = UnixTime::now().as_secs();
        let state = DeliveryState { pid: std::process::id(), since, connected };
        let written = serde_json::to_vec(&state).map_err(|error| error.in_full().to_string());
        let written = written.and_then(|state| {
            private_file::write(&self.path, &state).map_err(|error| error.in_full().to_string())
        });
        match written {
            Ok(()) => self.written = Some(state),
            // Measuring doesn't depend on it.
            Err(error) => tracing::debug!(
                error,
                "can't write the state of delivery for `agent \
             doctor`"
            ),
        }
    }
}

/// The newest state written by the agent that uses a spool.
#[must_use]
pub fn read(spool: &Path) -> Option<DeliveryState> {
    serde_json::from_slice(&private_file::read(&path(spool)).ok()?).ok()
}

fn path(spool: &Path) -> PathBuf {
    spool.with_file_name("delivery.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_the_same_again_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let spool = directory.path().join("spool.sqlite");
        assert_eq!(read(&spool), None);
        let mut file = StateFile::beside(&spool);
        assert!(read(&spool).unwrap().connected.is_err());
        file.note(Err("refused after 3 s".to_owned()));
        file.note(Err("refused after 5 s".to_owned()));
        assert_eq!(read(&spool).unwrap().connected, Err("refused after 3 s".to_owned()));
        file.note(Ok("monitor:8082".to_owned()));
        assert_eq!(read(&spool), file.written);
    }
}
