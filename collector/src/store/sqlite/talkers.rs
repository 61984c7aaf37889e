//! Reads talkers, and forgets owners that no row refers to.

mod export;
mod rows;
mod search;

use std::fmt::Debug;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};
use wire::WallNs;
use wire::frame::INTERVAL_MAX_NS;
use wire::id::NicName;
use wire::talkers::{Talkers, TalkersKind};

pub(super) use self::export::read_lists;
use self::rows::{list, owners};
use super::error::Failure;
use super::lease::Reads;
use super::number::number;
use super::points::{RowKey, nic_key};
use super::samples::SampleReader;
use crate::store::port::error::StoreError;
use crate::store::port::talkers::TalkersReader;
use crate::store::rows::nics::NicId;
use crate::store::rows::series::{NicRange, Point};
use crate::store::rows::talker_entries::ENTRIES;
use crate::store::rows::talker_groups::{GroupSums, GroupedTalkers, TalkersRange};
use crate::store::rows::talker_search::{TalkerSearch, TalkersFound};
use crate::store::rows::talkers::{
    LIST, OwnerId, SEEN_NS, StoredList, columns, record, unreadable,
};
use crate::store::rows::talkers_at::TalkersAt;
use crate::store::rows::talkers_proof::{SamplesOfList, TalkersProof};

#[async_trait]
impl<T: Reads + Send + Sync + Debug> TalkersReader for T {
    async fn talkers(&self, range: &TalkersRange) -> Result<GroupedTalkers, StoreError> {
        let range = range.clone();
        self.readers().lease(move |db| talkers(db, &range)).await
    }

    async fn search_talkers(&self, search: &TalkerSearch) -> Result<TalkersFound, StoreError> {
        search::find(self.readers(), search).await
    }

    async fn talkers_at(&self, at: &TalkersAt) -> Result<Option<Talkers>, StoreError> {
        let at = at.clone();
        self.readers().lease(move |db| record_at(db, &at)).await
    }
}

fn readable(row: &Row<'_>) -> Result<StoredList, Failure> {
    list(row)?.map_err(|error| Failure::File(unreadable(error).into()))
}

fn talkers(db: &mut Connection, range: &TalkersRange) -> Result<GroupedTalkers, Failure> {
    // Both readings see the same rows.
    let transaction = db.transaction()?;
    let TalkersRange { client, nic, from_ns, to_ns, by, .. } = range.clone();
    // What began earlier may reach into it.
    let all = NicRange { client, nic, from_ns: from_ns.saturating_sub(INTERVAL_MAX_NS), to_ns };
    let Some(key) = nic_key(&transaction, &all)? else { return Ok(GroupedTalkers::default()) };
    let (from, direction) = (from_ns.to_column(), range.direction as u8);
    let mut select = transaction.prepare_cached(&format!(
        "SELECT {} FROM talkers t WHERE t.client = ?1 AND t.nic = ?2 AND t.time >= ?3 AND t.time < ?4
             AND t.time + t.interval_ns > ?5 AND t.kind = {} AND t.direction = ?6 ORDER BY t.time",
        columns(),
        TalkersKind::Minute as u8
    ))?;
    let mut read = |take: &mut dyn FnMut(&StoredList)| {
        let [client, nic, first, to] = key.params();
        let mut rows = select.query([client, nic, first, to, &from, &direction])?;
        let mut unreadable = 0;
        while let Some(row) = rows.next()? {
            match list(row)? {
                Ok(list) => take(&list),
                Err(_) => unreadable += 1,
            }
        }
        Ok::<u64, Failure>(unreadable)
    };
    let mut sums = GroupSums::new(by);
    let unreadable = read(&mut |list| sums.add(list))?;
    let ranked = sums.rank(range.limit);
    let names = owners(&transaction, key.client, ranked.owners())?;
    let mut answer = ranked.named(range, &names);
    answer.unreadable = unreadable;
    if !answer.buckets.is_empty() {
        read(&mut |list| answer.fill(by, list))?;
    }
    Ok(answer)
}

fn record_at(db: &mut Connection, at: &TalkersAt) -> Result<Option<Talkers>, Failure> {
    let transaction = db.transaction()?;
    let reach_ns = at.within_ns.saturating_add(1);
    let range = NicRange {
        client: at.client.clone(),
        nic: at.nic.clone(),
        from_ns: at.at_ns.saturating_sub(reach_ns.saturating_add(INTERVAL_MAX_NS)),
        to_ns: at.at_ns.saturating_add(reach_ns),
    };
    let Some(name) = NicName::new(&at.nic) else { return Ok(None) };
    let Some(key) = nic_key(&transaction, &range)? else { return Ok(None) };
    let (here, kind) = (at.at_ns.to_column(), at.kind as u8);
    let mut intervals = Vec::new();
    for (side, order) in [("<=", "DESC"), (">", "ASC")] {
        let mut select = transaction.prepare_cached(&format!(
            "SELECT time, interval_ns FROM talkers WHERE client = ?1 AND nic = ?2 AND time >= ?3
                 AND time < ?4 AND time {side} ?5 AND kind = ?6 ORDER BY time {order} LIMIT 1"
        ))?;
        let [client, nic, from, to] = key.params();
        let params: [&dyn ToSql; 6] = [client, nic, from, to, &here, &kind];
        let interval = select
            .query_row(params, |row| Ok((WallNs::of_column(row.get(0)?), number(row, 1)?)))
            .optional()?;
        intervals.extend(interval);
    }
    let Some(start_ns) = at.nearest(intervals) else { return Ok(None) };
    let mut select = transaction.prepare_cached(&format!(
        "SELECT {} FROM talkers t WHERE t.client = ?1 AND t.nic = ?2 AND t.time = ?3 AND t.kind = ?4",
        columns()
    ))?;
    let mut lists = Vec::new();
    let mut rows = select.query(params![key.client, key.nic, start_ns.to_column(), kind])?;
    while let Some(row) = rows.next()? {
        lists.push(readable(row)?);
    }
    let numbers: Vec<OwnerId> = lists.iter().flat_map(|it| it.owners.iter().copied()).collect();
    Ok(record(name, &lists, &owners(&transaction, key.client, numbers)?))
}

/// Most owners forgotten per step.
const STEP_OWNERS: i64 = 5000;

/// Forgets some owners that no row refers to, as rows before `before_ns` are deleted.
pub(super) fn forget_owners(
    transaction: &Transaction<'_>,
    before_ns: WallNs,
) -> Result<usize, Failure> {
    // Rows of all of the day may refer to it.
    let before = before_ns.saturating_sub(SEEN_NS).to_column();
    Ok(transaction
        .prepare_cached(
            "DELETE FROM talker_owners WHERE (client, owner) IN (
                 SELECT client, owner FROM talker_owners WHERE seen < ?1 LIMIT ?2)",
        )?
        .execute([before, STEP_OWNERS])?)
}

/// Checks every list against its samples, in the transaction of `fsck`.
pub(super) fn proof(db: &Transaction<'_>) -> Result<TalkersProof, Failure> {
    let mut select =
        db.prepare(&format!("SELECT {}, t.client, t.nic FROM talkers t", columns()))?;
    let mut samples = SampleReader::of(db)?;
    let after = 4 + LIST.len() + ENTRIES.len();
    let mut proof = TalkersProof::default();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (start, interval): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (client, nic): (i64, NicId) = (row.get(after)?, row.get(after + 1)?);
        let sent = row.get::<_, i64>(3)? == 1;
        let key = RowKey { client, nic, from: start, to: start.saturating_add(interval) };
        let mut sums = SamplesOfList::default();
        // The proof of samples reports damaged ones.
        let readable = |row: &Result<Point, Failure>| !matches!(row, Err(Failure::File(_)));
        for sample in samples.rows(&key)?.filter(readable) {
            sums.add(&sample?, sent);
        }
        proof.add(nic, WallNs::of_column(start), list(row)?, sums, 1);
    }
    Ok(proof)
}
