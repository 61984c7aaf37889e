//! Revoked clients: the directory's records, cached and checked for changes, and the revocation lists
//! of an operator's CAs.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use tokio::sync::watch;

use super::clients::refused_until;
use super::endpoint::Revoked;
use super::error::IdentityError;
use super::peer::{Agent, Signed};
use super::record::{self, Revocation};
use super::stamp::{Stamp, StampedFile};

/// Interval between checks for revocations by other processes. A check takes one system call, and one
/// per record after a change.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// The clients with a revocation, as of the last check.
#[derive(Debug)]
pub(super) struct Revocations {
    listed: Mutex<Listed>,
    /// Revoked by the CAs of the operator's PKI.
    operators: RwLock<Revoked>,
    pub(super) news: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Time of the last check.
    looked: Option<Instant>,
    /// They were read at least once.
    pub(super) known: bool,
    directory: StampedFile<Stamp>,
    pub(super) records: HashMap<String, (Stamp, RevocationRecord)>,
    failures: Failures<String>,
}

/// The record of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RevocationRecord {
    Is(Revocation),
    Unreadable,
}

impl Default for Revocations {
    fn default() -> Self {
        Self {
            listed: Mutex::default(),
            operators: RwLock::default(),
            news: watch::Sender::new(()),
        }
    }
}

impl Revocations {
    /// Checks the directory, unless it was checked a moment ago.
    pub(super) fn look(&self, directory: &Path, now: Instant) {
        let mut listed = self.listed();
        let age = listed.looked.and_then(|at| now.checked_duration_since(at));
        if age.is_some_and(|age| age < LOOK) {
            return;
        }
        listed.looked = Some(now);
        match listed.read(directory) {
            Ok(news) => {
                listed.failures.succeeded();
                drop(listed);
                if news {
                    self.news.send_replace(());
                }
            }
            Err(error) => {
                // Checked again even if it stays unchanged.
                listed.directory = StampedFile::default();
                if let Some(tell) = listed.failures.failed(words(&error.in_full().to_string()), now)
                {
                    tracing::error!(error = %error.in_full(), "can't read who is revoked{tell}");
                }
            }
        }
    }

    /// Sets what the operator's CAs have revoked.
    pub(super) fn listed_by_operator(&self, revoked: Revoked) {
        let mut known = self.operators.write().unwrap_or_else(PoisonError::into_inner);
        if *known != revoked {
            *known = revoked;
            drop(known);
            self.news.send_replace(());
        }
    }

    pub(super) fn operator_lists(&self, agent: &Agent) -> bool {
        let known = self.operators.read().unwrap_or_else(PoisonError::into_inner);
        let lists = |it: &Signed| known.get(&it.issuer).is_some_and(|all| all.contains(&it.serial));
        agent.chain.iter().any(lists)
    }

    /// This process has revoked something; the next check finds it.
    pub(super) fn look_again(&self) {
        self.listed().looked = None;
    }

    pub(super) fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// Reads the records that have changed. True if there are any.
    fn read(&mut self, directory: &Path) -> Result<bool, IdentityError> {
        let unread = |error| wire::private_file::FileError::read(directory, error);
        if !self.directory.changed(Stamp::of(directory).map_err(unread)?) {
            return Ok(false);
        }
        let names: HashSet<String> = record::names(directory)?.into_iter().collect();
        let mut news = !self.known;
        self.known = true;
        self.records.retain(|name, _| names.contains(name));
        for name in names {
            let path = directory.join(&name);
            let stamp = Stamp::of(&path).map_err(unread)?;
            if self.records.get(&name).is_some_and(|(seen, _)| *seen == stamp) {
                continue;
            }
            let read = match record::read::<Revocation>(&path) {
                Ok(Some(revocation)) => RevocationRecord::Is(revocation),
                // Removed just now.
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!("{}", refused_until(&error, &name));
                    RevocationRecord::Unreadable
                }
            };
            self.records.insert(name, (stamp, read));
            news = true;
        }
        Ok(news)
    }
}
