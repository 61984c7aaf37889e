//! Meters an account for a cycle from the store.

use std::collections::BTreeMap;

use wire::WallNs;
use wire::id::{ClientId, NicName};

use super::config::{AccountName, BilledAccount};
use super::cycle::{CycleBounds, CycleName};
use super::meter::{Meter, Metered, MeteredNic};
use super::statement::{Statement, UnreadableCycle, difference};
use super::terms::{Member, Terms};
use crate::live::link_speed;
use crate::store::{AccountCycle, AccountReader, KnownNic, NicRange, StoreError};

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
    // Of the same NICs by the same terms, whatever the config says by now.
    let nics = frozen.metered.nics.iter().filter_map(|nic| {
        let (client, name) = (ClientId::new(&nic.client).ok()?, NicName::new(&nic.nic)?);
        Some(((client, name), nic.by_host))
    });
    let (from_ns, to_ns) = (kept.starts_ns, kept.ends_ns);
    let bounds = CycleBounds { name: frozen.cycle, from_ns, to_ns };
    let known = known_nics(store, nics.clone().map(|((client, _), _)| client.to_string())).await?;
    let found = nics.filter_map(|((client, name), by_host)| {
        let of = |it: &&KnownNic| it.client == client.as_str() && it.nic == name.to_string();
        known.iter().find(of).map(|nic| (nic, by_host))
    });
    let meter = meter(store, frozen.terms, bounds, kept.as_of_ns, found.collect()).await?;
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
    if store.complete_from().await? > bounds.from_ns {
        return Err(BillError::Deleted(bounds.name));
    }
    let clients = account.members.iter().map(|member| member.client.to_string());
    let known = known_nics(store, clients).await?;
    let (nics, unknown) = nics_of(&account.members, &known);
    let meter = meter(store, account.terms, bounds, now_ns, nics).await?;
    let evidence = meter.evidence();
    let entries = store.account_entries(account.name.as_str()).await?;
    let metered: (Metered, Vec<String>) = (meter.finish(), unknown);
    Ok((Statement::new(account, bounds, now_ns, metered, &entries), evidence))
}

async fn known_nics(
    store: &dyn AccountReader,
    clients: impl Iterator<Item = String>,
) -> Result<Vec<KnownNic>, StoreError> {
    let mut clients: Vec<String> = clients.collect();
    clients.sort_unstable();
    clients.dedup();
    store.known_nics(&clients).await
}

async fn meter(
    store: &dyn AccountReader,
    terms: Terms,
    bounds: CycleBounds,
    now_ns: WallNs,
    nics: Vec<(&KnownNic, bool)>,
) -> Result<Meter, StoreError> {
    let mut meter = Meter::new(terms, bounds, now_ns);
    let CycleBounds { from_ns, to_ns, .. } = bounds;
    // NIC by NIC: a month of one is some hundred kilobytes.
    for (nic, by_host) in nics {
        let (client, name) = (nic.client.clone(), nic.nic.clone());
        let range = NicRange { client, nic: name, from_ns, to_ns };
        let history = store.nic_history(&range).await?;
        let speed_bits = Some(link_speed(&nic.kind, nic.speed_bits)).filter(|bits| *bits > 0);
        let (client, name) = (nic.client.as_str(), nic.nic.as_str());
        meter.add(&MeteredNic { client, nic: name, speed_bits, by_host, history: &history });
    }
    Ok(meter)
}

/// The NICs of members, each once, and whether it is one by its host only; and the members without any.
fn nics_of<'a>(
    members: &[Member],
    known: &'a [KnownNic],
) -> (Vec<(&'a KnownNic, bool)>, Vec<String>) {
    let mut nics: BTreeMap<(&str, &str), (&KnownNic, bool)> = BTreeMap::new();
    let mut unknown = Vec::new();
    for member in members {
        let named = member.nic.as_ref().map(ToString::to_string);
        let of_member = |it: &&KnownNic| {
            it.client == member.client.as_str() && named.as_ref().is_none_or(|nic| *nic == it.nic)
        };
        let mut found = known.iter().filter(of_member).peekable();
        if found.peek().is_none() {
            unknown.push(member.to_string());
        }
        for nic in found {
            let entry = nics.entry((&nic.client, &nic.nic)).or_insert((nic, true));
            entry.1 &= named.is_none();
        }
    }
    (nics.into_values().collect(), unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nic_counts_once_and_as_itself_if_it_is_named() {
        let nic = |client: &str, nic: &str| KnownNic {
            client: client.into(),
            nic: nic.into(),
            kind: "physical".into(),
            speed_bits: 0,
        };
        let known = [nic("a", "eth0"), nic("a", "eth1"), nic("b", "eth0")];
        let members = ["a", "a/eth1", "b/eth9", "c"].map(|it| it.parse().unwrap());
        let (nics, unknown) = nics_of(&members, &known);
        let nics: Vec<_> = nics.iter().map(|(nic, by_host)| (nic.nic.as_str(), *by_host)).collect();
        assert_eq!(nics, [("eth0", true), ("eth1", false)]);
        assert_eq!(unknown, ["b/eth9", "c"]);
    }
}
