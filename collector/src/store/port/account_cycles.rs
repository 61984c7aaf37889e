//! Keeps accounts' cycles: statements, entries of operators, warnings.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::store::port::error::StoreError;
use crate::store::rows::account_cycles::{AccountCycle, AccountEntry, AccountWarning, KeptEntry};

/// Reads what is kept of accounts' cycles. All stores answer equally.
#[async_trait]
pub trait CycleRecords: Send + Sync + Debug {
    /// The kept statements of an account, oldest first, without their evidence.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn account_cycles(&self, account: &str) -> Result<Vec<AccountCycle>, StoreError>;

    /// The evidence of a frozen cycle. `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn account_evidence(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Option<String>, StoreError>;

    /// The entries of an account, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn account_entries(&self, account: &str) -> Result<Vec<KeptEntry>, StoreError>;

    /// The warnings of an account's cycle, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn account_warnings(
        &self,
        account: &str,
        cycle: &str,
    ) -> Result<Vec<AccountWarning>, StoreError>;
}

/// Keeps what there is of accounts' cycles.
#[async_trait]
pub trait KeepCycles: Send + Sync + Debug {
    /// Keeps a statement in place of an earlier one. False if that one is frozen or newer, and stays.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn keep_account_cycle(&self, cycle: &AccountCycle) -> Result<bool, StoreError>;

    /// Adds an entry.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn add_account_entry(&self, entry: &AccountEntry) -> Result<(), StoreError>;

    /// Keeps a warning. False if it was given before, here or at another collector of the store.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store fails.
    async fn keep_account_warning(&self, warning: &AccountWarning) -> Result<bool, StoreError>;
}
