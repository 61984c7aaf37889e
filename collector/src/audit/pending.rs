//! Records of commands that wait to be logged by the collector: small files in a directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User, getuid};
use rustls::pki_types::UnixTime;
use settings::InFull;
use wire::certificate::utc;
use wire::private_file::{self, FileError};

use super::log::log;
use super::record::AuditRecord;

/// Most waiting records. Beyond that, commands fail until a collector logs them.
const WAITING: usize = 1000;

/// Interval between checks of the directory.
const LOOK: Duration = Duration::from_secs(1);

/// Why a record can't be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file can't be written.
    #[error("can't write the audit log")]
    File(#[from] FileError),
    /// No collector processes them.
    #[error(
        "can't write the audit log: {WAITING} records wait in {0} already; start the collector, \
         which logs them"
    )]
    Full(PathBuf),
}

/// The waiting records.
#[derive(Debug, Clone)]
pub struct Pending(PathBuf);

impl Pending {
    /// The records in a collector's data directory.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("audit"))
    }

    /// Records what an operator did now.
    ///
    /// # Errors
    /// [`AuditError`] if it can't be kept; then the audit log lacks it.
    pub fn leave(&self, record: AuditRecord, now: UnixTime) -> Result<(), AuditError> {
        private_file::make_directory(&self.0)?;
        let names = self.names()?;
        if names.len() >= WAITING {
            return Err(AuditError::Full(self.0.clone()));
        }
        let record = AuditRecord { at: Some(utc(now)), by: Some(operator()), ..record };
        let mut random = [0; 8];
        // Without random numbers, time and process make the name unique.
        let _unlikely = getrandom::fill(&mut random);
        let (at, process, random) = (now.as_secs(), std::process::id(), u64::from_le_bytes(random));
        let name = format!("{at:012}-{process:08}-{random:016x}");
        // It holds only plain texts and numbers, so writing it can't fail.
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        Ok(private_file::write(&self.0.join(name), &bytes)?)
    }

    /// Logs waiting records, forever.
    pub async fn follow(self) {
        let mut due = tokio::time::interval(LOOK);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            due.tick().await;
            let pending = self.clone();
            let logged = tokio::task::spawn_blocking(move || pending.log_all()).await;
            let error = match logged {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.in_full().to_string()),
                Err(error) => Some(error.in_full().to_string()),
            };
            match error {
                Some(error) if !failing => {
                    tracing::error!(error, "can't read commands' records for the audit log");
                    failing = true;
                }
                Some(_) => {}
                None => failing = false,
            }
        }
    }

    /// Logs each record, then removes it. A crash in between logs it twice, with the same `at`, but
    /// never loses it. Collectors that share the directory take turns.
    ///
    /// # Errors
    /// [`FileError`] names the file that is unreadable or can't be removed.
    pub fn log_all(&self) -> Result<(), FileError> {
        if self.names()?.is_empty() {
            return Ok(());
        }
        let _locked = private_file::lock(&self.0)?;
        // An unreadable one doesn't block the others.
        let mut failed = Ok(());
        for name in self.names()? {
            let logged = log_one(&self.0.join(&name));
            failed = failed.and(logged);
        }
        failed
    }

    /// The records, oldest first.
    fn names(&self) -> Result<Vec<String>, FileError> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(|error| FileError::read(&self.0, error))?,
        };
        let named = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(named)
            .collect();
        names.sort();
        Ok(names)
    }
}

/// Logs a record, then removes it.
fn log_one(path: &Path) -> Result<(), FileError> {
    match read(path)? {
        Some(record) => log(&record),
        None => {
            let path = path.display();
            tracing::error!(%path, "this is no record of the audit log; it is removed");
        }
    }
    private_file::remove(path).map(drop)
}

/// Reads a record; `None` if the file is not one.
fn read(path: &Path) -> Result<Option<AuditRecord>, FileError> {
    Ok(serde_json::from_slice(&private_file::read(path)?).ok())
}

/// The operator of this command: the user who logged in, even through sudo and su, and the effective
/// user if different.
#[must_use]
pub fn operator() -> String {
    let name = |uid: Uid| {
        let user = User::from_uid(uid).ok().flatten();
        user.map_or_else(|| format!("uid {uid}"), |user| user.name)
    };
    let acting = name(getuid());
    // Set at login and unchanged since (pam_loginuid(8)); all ones if nobody logged in.
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|it| it.trim().parse::<u32>().ok()).filter(|uid| *uid != u32::MAX);
    let login = login.map(|uid| name(Uid::from_raw(uid)));
    match login.or_else(|| std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty())) {
        Some(login) if login != acting => format!("{login} as {acting}"),
        _ => acting,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::AuditEvent;
    use super::*;

    #[test]
    fn a_record_waits_until_it_is_logged_with_who_did_it_and_when() {
        let directory = tempfile::tempdir().unwrap();
        let pending = Pending::of(directory.path());
        assert!(pending.log_all().is_ok(), "nothing to log, not even a directory");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        pending.leave(AuditRecord::of(AuditEvent::ClientRevoked, "web-1"), now).unwrap();
        let [name] = &pending.names().unwrap()[..] else { panic!("one record") };
        let record = read(&pending.0.join(name)).unwrap().unwrap();
        assert_eq!(
            (record.event, record.client.as_deref()),
            (AuditEvent::ClientRevoked, Some("web-1"))
        );
        assert_eq!(record.at, Some(utc(now)));
        assert!(record.by.is_some_and(|by| !by.is_empty()));
        pending.log_all().unwrap();
        assert!(pending.names().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_record_is_removed_and_holds_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let pending = Pending::of(directory.path());
        let now = UnixTime::now();
        pending.leave(AuditRecord::of(AuditEvent::ClientRevoked, "web-1"), now).unwrap();
        private_file::write(&pending.0.join("0-garbage"), b"{").unwrap();
        pending.log_all().unwrap();
        assert!(pending.names().unwrap().is_empty());
    }

    #[test]
    fn records_that_nobody_logs_fill_no_disk() {
        let directory = tempfile::tempdir().unwrap();
        let pending = Pending::of(directory.path());
        std::fs::create_dir(&pending.0).unwrap();
        (0..WAITING).for_each(|at| std::fs::write(pending.0.join(at.to_string()), "").unwrap());
        let left =
            pending.leave(AuditRecord::of(AuditEvent::ClientRevoked, "web-1"), UnixTime::now());
        assert!(left.unwrap_err().to_string().contains("start the collector"));
    }
}
