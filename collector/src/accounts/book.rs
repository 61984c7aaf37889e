//! The accounts of the config, and the statements of their running cycles.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use settings::InFull;
use tokio::sync::{Mutex, Notify};
use wire::WallNs;

use super::config::{AccountName, BilledAccount};
use super::cycle::CycleName;
use super::read::{BillError, bill, frozen_statements, metered_statement};
use super::running::{RunningCycles, WHOLE_SHARE};
use super::statement::Statement;
use super::warnings::{DueWarning, due_warnings};
use crate::store::{AccountCycle, AccountStore, AccountWarning, FIVE_MINUTES_NS, StoreError};

/// Most cycles that a round catches up with: two years.
const CYCLES_MAX: usize = 24;

/// The accounts, shared by all that show them.
#[derive(Clone)]
pub struct AccountBook(Arc<Inner>);

struct Inner {
    store: Arc<dyn AccountStore>,
    accounts: RwLock<Arc<[BilledAccount]>>,
    latest: RwLock<Arc<[Statement]>>,
    running: Mutex<RunningCycles>,
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
    pub fn new(store: Arc<dyn AccountStore>, accounts: Vec<BilledAccount>) -> Self {
        Self::with_share(store, accounts, WHOLE_SHARE)
    }

    /// The same, but reading whole cycles again takes at most one part in `share` of the time.
    #[must_use]
    pub fn with_share(
        store: Arc<dyn AccountStore>,
        accounts: Vec<BilledAccount>,
        share: u32,
    ) -> Self {
        let (accounts, latest) = (RwLock::new(accounts.into()), RwLock::new([].into()));
        let (running, changed) = (Mutex::new(RunningCycles::new(share)), Notify::new());
        Self(Arc::new(Inner { store, accounts, latest, running, changed }))
    }

    /// Sets the accounts. Statements of those that changed follow with the next [`Self::renew`].
    pub fn set(&self, accounts: Vec<BilledAccount>) {
        let mut current = self.0.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, accounts.into());
        let named = |accounts: &[BilledAccount], name: &str| {
            accounts.iter().find(|account| account.name.as_str() == name).cloned()
        };
        let same = |it: &&Statement| named(&before, &it.account) == named(&current, &it.account);
        let mut latest = self.0.latest.write().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.iter().filter(same).cloned().collect();
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

    /// Meters all accounts at a time, nanoseconds since 1970 (UTC): renews what is kept of cycles,
    /// freezes those that are due, gives warnings.
    ///
    /// # Errors
    /// The first [`StoreError`]. Accounts that the store failed for stay as they are; the others are
    /// renewed.
    pub async fn renew(&self, now_ns: WallNs) -> Result<(), StoreError> {
        let (before, accounts) = (self.latest(), self.accounts());
        let mut latest = Vec::new();
        let mut failed = None;
        let mut running = self.0.running.lock().await;
        running.begin(&accounts);
        for account in accounts.iter() {
            match self.renew_account(&mut running, account, now_ns).await {
                Ok(statement) => latest.push(statement),
                Err(BillError::Store(error)) => {
                    let name = account.name.as_str();
                    latest.extend(before.iter().find(|it| it.account == name).cloned());
                    failed.get_or_insert(error);
                }
                // Until a cycle has begun since rows were kept for as short as now.
                Err(BillError::Deleted(cycle)) => {
                    tracing::debug!(account = %account.name, %cycle, "its sums are deleted by age");
                }
                Err(error @ BillError::Unreadable(_)) => {
                    tracing::error!(error = %error.in_full(), "an account can't be metered");
                }
            }
        }
        let current = self.0.accounts.read().unwrap_or_else(PoisonError::into_inner);
        // Others were set meanwhile: the next round is theirs.
        if Arc::ptr_eq(&accounts, &current) {
            *self.0.latest.write().unwrap_or_else(PoisonError::into_inner) = latest.into();
        }
        drop(current);
        failed.map_or(Ok(()), Err)
    }

    async fn renew_account(
        &self,
        running: &mut RunningCycles,
        account: &BilledAccount,
        now_ns: WallNs,
    ) -> Result<Statement, BillError> {
        let store = &*self.0.store;
        let kept = store.account_cycles(account.name.as_str()).await?;
        let current = account.schedule.cycle_at(now_ns);
        for name in unfrozen(&kept, current.name) {
            let bounds = account.schedule.cycle(name);
            let wait_ns = u64::try_from(account.freeze_after.as_nanos()).unwrap_or(u64::MAX);
            let is_due = bounds.to_ns.saturating_add(wait_ns) <= now_ns;
            match metered_statement(store, account, bounds, now_ns).await {
                Ok((statement, evidence)) => {
                    let cycle = statement.kept(is_due.then_some((now_ns, evidence)));
                    // Another collector of the store may have been first.
                    if store.keep_account_cycle(&cycle).await? && is_due {
                        tracing::info!(account = %account.name, cycle = %name, digest = cycle.digest, "cycle frozen");
                    }
                }
                Err(BillError::Deleted(_)) => {
                    tracing::debug!(account = %account.name, cycle = %name, "its sums are deleted by age");
                }
                Err(error) => return Err(error),
            }
        }
        let statement = running.statement(store, account, current, now_ns).await?;
        let name = current.name.to_string();
        let last = kept.iter().find(|kept| kept.cycle == name);
        // The sums have 5 minutes, and so do the figures that are kept of them.
        if last.is_none_or(|last| last.as_of_ns.saturating_add(FIVE_MINUTES_NS) <= now_ns) {
            store.keep_account_cycle(&statement.kept(None)).await?;
        }
        self.warn(account, statement, now_ns).await
    }

    /// Gives the warnings that are due, and adds all that were given in its cycle to the statement.
    async fn warn(
        &self,
        account: &BilledAccount,
        statement: Statement,
        now_ns: WallNs,
    ) -> Result<Statement, BillError> {
        let store = &*self.0.store;
        let (name, cycle) = (&statement.account, statement.cycle.to_string());
        let given = store.account_warnings(name, &cycle).await?;
        let due = due_warnings(account, &statement).into_iter();
        let mut more = false;
        for DueWarning { name: warning, message } in
            due.filter(|due| given.iter().all(|given| given.warning != due.name))
        {
            let (account, cycle) = (name.clone(), cycle.clone());
            let warning = AccountWarning { account, cycle, warning, at_ns: now_ns, message };
            // Another collector of the store may have been first.
            if store.keep_account_warning(&warning).await? {
                let AccountWarning { account, cycle, warning, message, .. } = &warning;
                tracing::warn!(%account, %cycle, %warning, "{message}");
            }
            more = true;
        }
        let given = if more { store.account_warnings(name, &cycle).await? } else { given };
        Ok(statement.with_warnings(given))
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
        let account = self.named(name)?;
        Ok(bill(&*self.0.store, &account, cycle, now_ns).await?)
    }

    /// The frozen statements of an account, newest first.
    ///
    /// # Errors
    /// [`BookError`] says what is missing.
    pub async fn frozen(&self, name: &AccountName) -> Result<Vec<Statement>, BookError> {
        let frozen = frozen_statements(&*self.0.store, name).await?;
        if frozen.is_empty() {
            self.named(name)?;
        }
        Ok(frozen)
    }

    /// What an account's cycle is made of: as it was frozen, or as it is now.
    ///
    /// # Errors
    /// [`BookError`] says what is missing.
    pub async fn evidence(
        &self,
        name: &AccountName,
        cycle: CycleName,
        now_ns: WallNs,
    ) -> Result<String, BookError> {
        let store = &*self.0.store;
        let frozen = store.account_evidence(name.as_str(), &cycle.to_string()).await;
        if let Some(evidence) = frozen.map_err(BillError::from)? {
            return Ok(evidence);
        }
        let account = self.named(name)?;
        let bounds = account.schedule.cycle(cycle);
        Ok(metered_statement(store, &account, bounds, now_ns).await?.1)
    }

    fn named(&self, name: &AccountName) -> Result<BilledAccount, BookError> {
        let accounts = self.accounts();
        let account = accounts.iter().find(|account| account.name == *name);
        account.cloned().ok_or_else(|| BookError::NoSuchAccount(name.clone()))
    }
}

/// Cycles that are over and not frozen: those that are kept, and those since, when no collector ran.
fn unfrozen(kept: &[AccountCycle], current: CycleName) -> Vec<CycleName> {
    let named = |kept: &AccountCycle| kept.cycle.parse::<CycleName>().ok();
    let open = kept.iter().filter(|kept| kept.frozen_ns.is_none()).filter_map(named);
    let mut names: Vec<CycleName> = open.filter(|name| *name < current).collect();
    let mut next = kept.iter().filter_map(named).max().map(CycleName::next);
    while let Some(name) = next.filter(|name| *name < current && names.len() < CYCLES_MAX) {
        names.push(name);
        next = Some(name.next());
    }
    names
}

impl fmt::Debug for AccountBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountBook").field("accounts", &self.accounts()).finish_non_exhaustive()
    }
}
