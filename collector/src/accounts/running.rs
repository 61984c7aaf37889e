//! The sums of running cycles up to a mark, so that each round reads little: what came since. Whole cycles
//! are read again from time to time, for what came late.
//!
//! Until then, what came later than [`NEWEST_NS`] is missing in a statement, and within its range: from what
//! was counted to what the links can have carried.

use std::collections::BTreeMap;
use std::time::Duration;

use wire::WallNs;

use super::config::{AccountName, BilledAccount};
use super::cycle::CycleBounds;
use super::members::ChosenNic;
use super::meter::Meter;
use super::metered::Metered;
use super::read::{BillError, chosen_nics, read_part};
use super::statement::Statement;
use crate::store::{AccountReader, FIVE_MINUTES_NS, StoreError};
use crate::time::boot;

/// The end of a cycle that is read each time, nanoseconds: what agents keep during short outages arrives
/// within it.
const NEWEST_NS: u64 = 12 * FIVE_MINUTES_NS;

/// Reading whole cycles takes at most one part in so many of the time, all accounts together: 0.5 %.
pub const WHOLE_SHARE: u32 = 200;

/// Longest time that one round takes to read whole cycles again, because of their age or their hosts; others
/// wait for the next round.
const ROUND_MAX: Duration = Duration::from_secs(3);

/// Most cycles whose sums are kept, of 1 MB each. Others are read whole each time.
const KEPT_MAX: usize = 100;

/// The sums of running cycles, by account.
#[derive(Debug)]
pub(super) struct RunningCycles {
    kept: BTreeMap<AccountName, SettledPart>,
    share: u32,
    /// What this round took to read whole cycles again.
    took: Duration,
}

/// The part of a running cycle up to a mark.
#[derive(Debug)]
struct SettledPart {
    account: BilledAccount,
    bounds: CycleBounds,
    to_ns: WallNs,
    /// Up to the mark, by client and name.
    nics: BTreeMap<(String, String), ChosenNic>,
    meter: Meter,
    /// When it was read, nanoseconds since 1970 (UTC), and how long that took.
    read_ns: WallNs,
    took: Duration,
}

impl RunningCycles {
    /// None yet. Reading whole cycles takes at most one part in `share` of the time.
    pub const fn new(share: u32) -> Self {
        Self { kept: BTreeMap::new(), share, took: Duration::ZERO }
    }

    /// A round begins, over these accounts.
    pub fn begin(&mut self, accounts: &[BilledAccount]) {
        self.took = Duration::ZERO;
        self.kept.retain(|name, _| accounts.iter().any(|account| account.name == *name));
    }

    /// The statement of an account's running cycle.
    ///
    /// # Errors
    /// [`BillError`] says what is missing.
    pub async fn statement(
        &mut self,
        store: &dyn AccountReader,
        account: &BilledAccount,
        bounds: CycleBounds,
        now_ns: WallNs,
    ) -> Result<Statement, BillError> {
        let (nics, unknown) = chosen_nics(store, account, bounds).await?;
        let has_room = self.took < ROUND_MAX;
        let is_due = has_room && self.is_old(&account.name, now_ns);
        let part = match self.kept.remove(&account.name) {
            // Hosts can change which NICs there are, and when they had tags, as often as they like. What was
            // kept of them is as it was until a round has the time.
            Some(part)
                if !is_due
                    && part.is_of(account, bounds)
                    && (!has_room || part.has_all_of(&nics)) =>
            {
                part
            }
            other => {
                let part = SettledPart::read(store, account, bounds, now_ns, &nics).await?;
                if other.is_some() {
                    self.took += part.took;
                }
                part
            }
        };
        let meter = part.with_newest(store, now_ns, &nics).await;
        if self.kept.len() < KEPT_MAX {
            self.kept.insert(account.name.clone(), part);
        }
        let entries = store.account_entries(account.name.as_str()).await?;
        let metered: (Metered, Vec<String>) = (meter?.finish(), unknown);
        Ok(Statement::new(account, bounds, now_ns, metered, &entries))
    }

    /// Whether a cycle is to be read whole again.
    fn is_old(&self, name: &AccountName, now_ns: WallNs) -> bool {
        let all: Duration = self.kept.values().map(|part| part.took).sum();
        let wait = u64::try_from((all * self.share).as_nanos()).unwrap_or(u64::MAX);
        let is_old = |part: &SettledPart| {
            // A clock that was set back tells no age.
            now_ns < part.read_ns || now_ns.saturating_since(part.read_ns) >= wait
        };
        self.kept.get(name).is_some_and(is_old)
    }
}

impl SettledPart {
    async fn read(
        store: &dyn AccountReader,
        account: &BilledAccount,
        bounds: CycleBounds,
        now_ns: WallNs,
        nics: &[ChosenNic],
    ) -> Result<Self, StoreError> {
        let begun = boot();
        let to_ns = now_ns.saturating_sub(NEWEST_NS).floor(FIVE_MINUTES_NS);
        let to_ns = to_ns.clamp(bounds.from_ns, bounds.to_ns);
        let mut meter = Meter::new(account.terms, bounds, now_ns);
        read_part(store, &mut meter, nics, (bounds.from_ns, to_ns)).await?;
        let of = |chosen: &ChosenNic| (chosen.nic.client.clone(), chosen.nic.nic.clone());
        let nics = nics.iter().map(|chosen| (of(chosen), chosen.until(to_ns))).collect();
        let took = boot().saturating_sub(begun);
        let (account, read_ns) = (account.clone(), now_ns);
        Ok(Self { account, bounds, to_ns, nics, meter, read_ns, took })
    }

    /// Whether it is of this cycle by these terms.
    fn is_of(&self, account: &BilledAccount, bounds: CycleBounds) -> bool {
        self.account == *account && self.bounds == bounds
    }

    /// Whether it is what these NICs carried up to its mark. A NIC that it doesn't have is no change: nothing
    /// was known of it. Nor is another link speed or kind, which hosts say as they like: it counts from the
    /// mark on, and for the whole cycle once that is read again.
    fn has_all_of(&self, nics: &[ChosenNic]) -> bool {
        let known = nics.iter().filter_map(|chosen| Some((self.known(chosen)?, chosen)));
        let same = |(known, chosen): (&ChosenNic, &ChosenNic)| {
            let chosen = chosen.until(self.to_ns);
            known.by_host == chosen.by_host && known.stays == chosen.stays
        };
        known.clone().all(same) && known.count() == self.nics.len()
    }

    fn known(&self, chosen: &ChosenNic) -> Option<&ChosenNic> {
        self.nics.get(&(chosen.nic.client.clone(), chosen.nic.nic.clone()))
    }

    /// Its meter with what came since the mark, and with NICs that came since.
    async fn with_newest(
        &self,
        store: &dyn AccountReader,
        now_ns: WallNs,
        nics: &[ChosenNic],
    ) -> Result<Meter, StoreError> {
        let (known, new): (Vec<ChosenNic>, Vec<ChosenNic>) =
            nics.iter().cloned().partition(|chosen| self.known(chosen).is_some());
        let mut meter = self.meter.at(now_ns);
        read_part(store, &mut meter, &known, (self.to_ns, self.bounds.to_ns)).await?;
        read_part(store, &mut meter, &new, (self.bounds.from_ns, self.bounds.to_ns)).await?;
        Ok(meter)
    }
}
