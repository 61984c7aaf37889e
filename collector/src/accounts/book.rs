//! The accounts of the config, and the statements of their running cycles.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;
use wire::WallNs;

use super::config::{AccountName, BilledAccount};
use super::cycle::CycleName;
use super::read::{BillError, bill};
use super::statement::Statement;
use crate::store::{Metering, StoreError};

/// The accounts, shared by all that show them.
#[derive(Clone)]
pub struct AccountBook(Arc<Inner>);

struct Inner {
    store: Arc<dyn Metering>,
    accounts: RwLock<Arc<[BilledAccount]>>,
    latest: RwLock<Arc<[Statement]>>,
    changed: Notify,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The config has no such account.
    #[error("no account is named {0}")]
    NoSuchAccount(AccountName),
    /// It can't be metered.
    #[error(transparent)]
    Bill(#[from] BillError),
}

impl AccountBook {
    /// A book of these accounts, without statements.
    #[must_use]
    pub fn new(store: Arc<dyn Metering>, accounts: Vec<BilledAccount>) -> Self {
        let (accounts, latest) = (RwLock::new(accounts.into()), RwLock::new([].into()));
        Self(Arc::new(Inner { store, accounts, latest, changed: Notify::new() }))
    }

    /// Sets the accounts. The statements follow with the next [`Self::renew`].
    pub fn set(&self, accounts: Vec<BilledAccount>) {
        *self.0.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts.into();
        self.0.changed.notify_one();
    }

    /// The accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> Arc<[BilledAccount]> {
        self.0.accounts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The statements of the running cycles, by account, as of the last [`Self::renew`].
    #[must_use]
    pub fn latest(&self) -> Arc<[Statement]> {
        self.0.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until other accounts are set.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Meters the running cycles of all accounts at a time, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// [`StoreError`] if the store fails: the statements stay as they are.
    pub async fn renew(&self, now_ns: WallNs) -> Result<(), StoreError> {
        let mut latest = Vec::new();
        for account in self.accounts().iter() {
            match bill(&*self.0.store, account, None, now_ns).await {
                Ok(statement) => latest.push(statement),
                Err(BillError::Store(error)) => return Err(error),
                // Until a cycle has begun since rows were kept for as short as now.
                Err(BillError::Deleted(cycle)) => {
                    tracing::debug!(account = %account.name, %cycle, "its sums are deleted by age");
                }
            }
        }
        *self.0.latest.write().unwrap_or_else(PoisonError::into_inner) = latest.into();
        Ok(())
    }

    /// The statement of an account for a cycle, by default the running one.
    ///
    /// # Errors
    /// [`BookError`] says what is missing.
    pub async fn statement(
        &self,
        name: &AccountName,
        cycle: Option<CycleName>,
        now_ns: WallNs,
    ) -> Result<Statement, BookError> {
        let accounts = self.accounts();
        let account = accounts.iter().find(|account| account.name == *name);
        let account = account.ok_or_else(|| BookError::NoSuchAccount(name.clone()))?;
        Ok(bill(&*self.0.store, account, cycle, now_ns).await?)
    }
}

impl fmt::Debug for AccountBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountBook").field("accounts", &self.accounts()).finish_non_exhaustive()
    }
}
