//! Meters an account for a cycle from the store.

use std::collections::BTreeMap;

use wire::WallNs;

use super::config::BilledAccount;
use super::cycle::{CycleBounds, CycleName};
use super::meter::{Meter, Metered, MeteredNic};
use super::statement::Statement;
use super::terms::Member;
use crate::live::link_speed;
use crate::store::{KnownNic, Metering, NicRange, StoreError};

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
}

/// The statement of an account for a cycle, by default the one of `now_ns`, nanoseconds since 1970
/// (UTC).
///
/// # Errors
/// [`BillError`] says what is missing.
pub async fn bill(
    store: &dyn Metering,
    account: &BilledAccount,
    cycle: Option<CycleName>,
    now_ns: WallNs,
) -> Result<Statement, BillError> {
    let schedule = &account.schedule;
    let bounds = cycle.map_or_else(|| schedule.cycle_at(now_ns), |name| schedule.cycle(name));
    if store.complete_from().await? > bounds.from_ns {
        return Err(BillError::Deleted(bounds.name));
    }
    let (metered, unknown) = meter(store, account, bounds, now_ns).await?;
    Ok(Statement::new(account, bounds, now_ns, metered, unknown))
}

/// What an account's members carried, and the members of which no NIC is known.
async fn meter(
    store: &dyn Metering,
    account: &BilledAccount,
    bounds: CycleBounds,
    now_ns: WallNs,
) -> Result<(Metered, Vec<String>), StoreError> {
    let mut clients: Vec<String> =
        account.members.iter().map(|member| member.client.to_string()).collect();
    clients.sort_unstable();
    clients.dedup();
    let known = store.known_nics(&clients).await?;
    let (nics, unknown) = nics_of(&account.members, &known);
    let mut meter = Meter::new(account.terms, bounds, now_ns);
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
    Ok((meter.finish(), unknown))
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
