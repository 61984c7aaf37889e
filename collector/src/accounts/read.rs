//! Meters an account for a cycle from the store.

use std::collections::{BTreeMap, BTreeSet};

use wire::WallNs;

use super::config::{AccountName, BilledAccount};
use super::cycle::{CycleBounds, CycleName};
use super::members::{ChosenNic, Members};
use super::meter::{Meter, MeteredNic};
use super::metered::Metered;
use super::statement::{Statement, UnreadableCycle, difference};
use crate::store::{AccountCycle, AccountReader, FIVE_MINUTES_NS, KnownNic, NicBefore, StoreError};

/// Most rows of `bandwidth_5m`, and most NICs, of which is read at once: some 10 MB.
const ROWS_AT_ONCE: u64 = 100_000;
const NICS_AT_ONCE: usize = 1000;

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sums were deleted by age.
    #[error(
        "the sums of cycle {0} are deleted by age, in whole or in part; retention.rollup_5m keeps them"
    )]
    Deleted(CycleName),
    /// What was frozen can't be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableCycle),
}

/// The statement of an account for a cycle, by default the one of `now_ns`, nanoseconds since 1970
/// (UTC). A frozen cycle is told as it was frozen; what has arrived since is told beside it.
///
/// # Errors
/// [`BillError`] says what is missing.
pub async fn bill(
    store: &dyn AccountReader,
    account: &BilledAccount,
    cycle: Option<CycleName>,
    now_ns: WallNs,
) -> Result<Statement, BillError> {
    let schedule = &account.schedule;
    let bounds = cycle.map_or_else(|| schedule.cycle_at(now_ns), |name| schedule.cycle(name));
    let kept = store.account_cycles(account.name.as_str()).await?;
    let cycle = bounds.name.to_string();
    let frozen = kept.iter().find(|kept| kept.cycle == cycle && kept.frozen_ns.is_some());
    let statement = match frozen {
        Some(kept) => frozen_statement(store, &account.name, kept).await?,
        None => metered_statement(store, account, bounds, now_ns).await?.0,
    };
    let warnings = store.account_warnings(account.name.as_str(), &cycle).await?;
    Ok(statement.with_warnings(warnings))
}

/// The frozen statements of an account, newest first.
///
/// # Errors
/// [`BillError`] says what is missing.
pub async fn frozen_statements(
    store: &dyn AccountReader,
    account: &AccountName,
) -> Result<Vec<Statement>, BillError> {
    let entries = store.account_entries(account.as_str()).await?;
    let kept = store.account_cycles(account.as_str()).await?;
    let frozen = kept.iter().rev().filter(|kept| kept.frozen_ns.is_some());
    let statements = frozen.map(|kept| Statement::frozen(kept, &entries));
    Ok(statements.collect::<Result<_, _>>()?)
}

async fn frozen_statement(
    store: &dyn AccountReader,
    account: &AccountName,
    kept: &AccountCycle,
) -> Result<Statement, BillError> {
    let entries = store.account_entries(account.as_str()).await?;
    let frozen = Statement::frozen(kept, &entries)?;
    if store.complete_from().await? > kept.starts_ns {
        return Ok(frozen);
    }
    // Of the same NICs at the same times by the same terms, whatever config and tags say by now.
    let shares = &frozen.metered.nics;
    let clients: BTreeSet<String> = shares.iter().map(|share| share.client.clone()).collect();
    let known = store.known_nics(&clients.into_iter().collect::<Vec<_>>()).await?;
    let mut known: BTreeMap<(String, String), KnownNic> =
        known.into_iter().map(|nic| ((nic.client.clone(), nic.nic.clone()), nic)).collect();
    let chosen = shares.iter().filter_map(|share| {
        let nic = known.remove(&(share.client.clone(), share.nic.clone()))?;
        Some(ChosenNic { nic, by_host: share.by_host, stays: share.stays.clone() })
    });
    let chosen: Vec<ChosenNic> = chosen.collect();
    let (from_ns, to_ns) = (kept.starts_ns, kept.ends_ns);
    let bounds = CycleBounds { name: frozen.cycle, from_ns, to_ns };
    let mut meter = Meter::new(frozen.terms, bounds, kept.as_of_ns);
    read_part(store, &mut meter, &chosen, (from_ns, to_ns)).await?;
    let late = difference(meter.finish().billed_bytes, frozen.metered.billed_bytes);
    Ok(Statement { late_bytes: Some(late), ..frozen })
}

/// The statement by the config, and what it is made of.
///
/// # Errors
/// [`BillError`] says what is missing.
pub(super) async fn metered_statement(
    store: &dyn AccountReader,
    account: &BilledAccount,
    bounds: CycleBounds,
    now_ns: WallNs,
) -> Result<(Statement, String), BillError> {
    let (nics, unknown) = chosen_nics(store, account, bounds).await?;
    let mut meter = Meter::new(account.terms, bounds, now_ns);
    read_part(store, &mut meter, &nics, (bounds.from_ns, bounds.to_ns)).await?;
    let evidence = meter.evidence();
    let entries = store.account_entries(account.name.as_str()).await?;
    let metered: (Metered, Vec<String>) = (meter.finish(), unknown);
    Ok((Statement::new(account, bounds, now_ns, metered, &entries), evidence))
}

/// The NICs of an account in a cycle, by client and name, and the members without any.
///
/// # Errors
/// [`BillError`] says what is missing.
pub(super) async fn chosen_nics(
    store: &dyn AccountReader,
    account: &BilledAccount,
    bounds: CycleBounds,
) -> Result<(Vec<ChosenNic>, Vec<String>), BillError> {
    if store.complete_from().await? > bounds.from_ns {
        return Err(BillError::Deleted(bounds.name));
    }
    let mut members = Members::new(&account.members);
    for (at, tag) in members.tags() {
        let stays = store.tag_stays(tag, (bounds.from_ns, bounds.to_ns)).await?;
        members.set_stays(at, stays);
    }
    let known = store.known_nics(&members.clients()).await?;
    Ok(members.nics(bounds, &known))
}

/// Adds a part of a cycle of NICs to a meter.
///
/// # Errors
/// The store can't be read.
pub(super) async fn read_part(
    store: &dyn AccountReader,
    meter: &mut Meter,
    nics: &[ChosenNic],
    (from_ns, to_ns): (WallNs, WallNs),
) -> Result<(), StoreError> {
    let each = to_ns.saturating_since(from_ns) / FIVE_MINUTES_NS + 1;
    let at_once = usize::try_from(ROWS_AT_ONCE / each).unwrap_or(1).clamp(1, NICS_AT_ONCE);
    for some in nics.chunks(at_once) {
        let known: Vec<KnownNic> = some.iter().map(|chosen| chosen.nic.clone()).collect();
        let histories = store.nic_histories(&known, (from_ns, to_ns)).await?;
        let carried = known.iter().map(|nic| meter.before(&nic.client, &nic.nic));
        let before = match carried.collect::<Option<Vec<NicBefore>>>() {
            Some(before) => before,
            None => store.nics_before(&known, from_ns).await?,
        };
        for ((chosen, history), before) in some.iter().zip(&histories).zip(before) {
            let ChosenNic { nic: KnownNic { client, nic, .. }, by_host, stays } = chosen;
            let (speed_bits, stays) = (chosen.speed_bits(), stays.as_deref());
            let by_host = *by_host;
            let nic = MeteredNic { client, nic, speed_bits, by_host, stays, before, history };
            meter.add_part(&nic, (from_ns, to_ns));
        }
    }
    Ok(())
}
