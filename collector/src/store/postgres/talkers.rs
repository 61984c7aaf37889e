//! Reads talkers, and forgets owners that no row refers to.

mod export;
mod rows;
mod search;

use std::ops::Range;
use std::pin::pin;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::WallNs;
use wire::frame::INTERVAL_MAX_NS;
use wire::id::NicName;
use wire::talkers::{Talkers, TalkersKind};

pub(super) use self::export::read_lists;
use self::rows::{list, owners};
use super::connect::BEGIN;
use super::error::Failure;
use super::key::{RowKey, nic_key};
use super::samples;
use super::session::time;
use super::store::PostgresStore;
use super::values::{instant, number};
use crate::store::port::error::StoreError;
use crate::store::port::talkers::TalkersReader;
use crate::store::rows::nics::NicId;
use crate::store::rows::series::NicRange;
use crate::store::rows::talker_groups::{GroupSums, GroupedTalkers, TalkersRange};
use crate::store::rows::talker_search::{TalkerSearch, TalkersFound};
use crate::store::rows::talkers::{OwnerId, SEEN_NS, StoredList, columns, record, unreadable};
use crate::store::rows::talkers_at::TalkersAt;
use crate::store::rows::talkers_proof::{SumsOfLists, TalkersProof};

#[async_trait]
impl TalkersReader for PostgresStore {
    async fn talkers(&self, range: &TalkersRange) -> Result<GroupedTalkers, StoreError> {
        self.lease(async |db| talkers(db, range).await).await
    }

    async fn search_talkers(&self, search: &TalkerSearch) -> Result<TalkersFound, StoreError> {
        search::find(self, search).await
    }

    async fn talkers_at(&self, at: &TalkersAt) -> Result<Option<Talkers>, StoreError> {
        self.lease(async |db| record_at(db, at).await).await
    }
}

/// Times are kept to the microsecond.
const PRECISE_NS: u64 = 1000;

fn readable(row: &Row) -> Result<StoredList, Failure> {
    list(row)?.map_err(|error| Failure::failed(unreadable(error)))
}

/// The minutes of a NIC and direction that touch a range.
fn of_range() -> String {
    format!(
        "SELECT {} FROM talkers t WHERE t.client = $1 AND t.nic = $2 AND t.time >= $3 AND t.time < $4
             AND t.time + t.interval_ns / 1000 * interval '1 microsecond' > $5
             AND t.kind = {} AND t.direction = $6 ORDER BY t.time",
        columns(),
        TalkersKind::Minute as u8
    )
}

async fn talkers(db: &Client, range: &TalkersRange) -> Result<GroupedTalkers, Failure> {
    // Both readings see the same rows.
    db.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let found = talkers_of(db, range).await?;
    db.batch_execute("COMMIT").await?;
    Ok(found)
}

async fn talkers_of(db: &Client, range: &TalkersRange) -> Result<GroupedTalkers, Failure> {
    let TalkersRange { client, nic, from_ns, to_ns, by, .. } = range.clone();
    // What began earlier may reach into it.
    let all = NicRange { client, nic, from_ns: from_ns.saturating_sub(INTERVAL_MAX_NS), to_ns };
    let Some(key) = nic_key(db, &all).await? else { return Ok(GroupedTalkers::default()) };
    let (from, direction) = (time(from_ns), i16::from(range.direction as u8));
    let select = of_range();
    let read = async |take: &mut (dyn FnMut(&StoredList) + Send)| {
        let mut params = key.params().to_vec();
        params.push((&from, Type::TIMESTAMPTZ));
        params.push((&direction, Type::INT2));
        let rows = db.query_typed_raw(&select, params).await?;
        let mut rows = std::pin::pin!(rows);
        let mut unreadable = 0;
        while let Some(row) = rows.try_next().await? {
            match list(&row)? {
                Ok(list) => take(&list),
                Err(_) => unreadable += 1,
            }
        }
        Ok::<u64, Failure>(unreadable)
    };
    let mut sums = GroupSums::new(by);
    let unreadable = read(&mut |list| sums.add(list)).await?;
    let ranked = sums.rank(range.limit);
    let names = owners(db, key.client, &ranked.owners()).await?;
    let mut answer = ranked.named(range, &names);
    answer.unreadable = unreadable;
    if !answer.buckets.is_empty() {
        read(&mut |list| answer.fill(by, list)).await?;
    }
    Ok(answer)
}

async fn record_at(db: &Client, at: &TalkersAt) -> Result<Option<Talkers>, Failure> {
    let reach_ns = at.within_ns.saturating_add(1);
    let range = NicRange {
        client: at.client.clone(),
        nic: at.nic.clone(),
        from_ns: at.at_ns.saturating_sub(reach_ns.saturating_add(INTERVAL_MAX_NS)),
        // Parameters are rounded to the microsecond.
        to_ns: at.at_ns.saturating_add(reach_ns.saturating_add(PRECISE_NS)),
    };
    let Some(name) = NicName::new(&at.nic) else { return Ok(None) };
    let Some(mut key) = nic_key(db, &range).await? else { return Ok(None) };
    let here = time(at.at_ns);
    let kind = at.kind as u8;
    let mut intervals = Vec::new();
    for (side, order) in [("<=", "DESC"), (">", "ASC")] {
        let select = format!(
            "SELECT time, interval_ns FROM talkers WHERE client = $1 AND nic = $2 AND time >= $3
                 AND time < $4 AND time {side} $5 AND kind = {kind} ORDER BY time {order} LIMIT 1"
        );
        let mut params = key.params().to_vec();
        params.push((&here, Type::TIMESTAMPTZ));
        for row in db.query_typed(&select, &params).await? {
            intervals.push((instant(&row, 0)?, number(&row, 1)?));
        }
    }
    let Some(start_ns) = at.nearest(intervals) else { return Ok(None) };
    (key.from, key.to) = (time(start_ns), time(start_ns + PRECISE_NS));
    let select = format!(
        "SELECT {} FROM talkers t WHERE t.client = $1 AND t.nic = $2 AND t.time >= $3
             AND t.time < $4 AND t.kind = {kind}",
        columns()
    );
    let mut lists = Vec::new();
    for row in db.query_typed(&select, &key.params()).await? {
        lists.push(readable(&row)?);
    }
    let numbers: Vec<OwnerId> = lists.iter().flat_map(|it| it.owners.iter().copied()).collect();
    Ok(record(name, &lists, &owners(db, key.client, &numbers).await?))
}

/// Most owners forgotten per step.
const STEP_OWNERS: i64 = 10_000;

/// Forgets owners that no row refers to, as rows before `before_ns` are deleted.
pub(super) async fn forget_owners(db: &Client, before_ns: WallNs) -> Result<u64, Failure> {
    // Rows of all of the day may refer to it.
    let before = time(before_ns.saturating_sub(SEEN_NS));
    let delete = format!(
        "DELETE FROM talker_owners WHERE (client, owner) IN (
             SELECT client, owner FROM talker_owners WHERE seen < $1 LIMIT {STEP_OWNERS}
             FOR UPDATE SKIP LOCKED) AND seen < $1"
    );
    let mut rows = 0;
    loop {
        db.batch_execute(BEGIN).await?;
        let deleted = db.execute_typed(&delete, &[(&before, Type::TIMESTAMPTZ)]).await?;
        db.batch_execute("COMMIT").await?;
        if deleted == 0 {
            return Ok(rows);
        }
        rows += deleted;
    }
}

/// Checks every list against its samples, in the transaction of `fsck`.
pub(super) async fn proof(db: &Client) -> Result<TalkersProof, Failure> {
    let nics = db.query_typed("SELECT DISTINCT client, nic FROM talkers", &[]).await?;
    let mut proof = TalkersProof::default();
    for nic in nics {
        add_proof(db, &mut proof, nic.try_get(0)?, nic.try_get(1)?).await?;
    }
    Ok(proof)
}

/// Checks the lists of a NIC.
async fn add_proof(
    db: &Client,
    proof: &mut TalkersProof,
    client: i32,
    nic: NicId,
) -> Result<(), Failure> {
    let key = [(&client as &(dyn ToSql + Sync), Type::INT4), (&nic, Type::INT4)];
    let select = "SELECT DISTINCT time, interval_ns FROM talkers WHERE client = $1 AND nic = $2";
    let mut sums = SumsOfLists::default();
    for row in db.query_typed(select, &key).await? {
        sums.expect(instant(&row, 0)?, number(&row, 1)?);
    }
    let Range { start, end } = sums.span();
    let samples = RowKey { client, nic, from: time(start), to: time(end) };
    let mut samples = pin!(samples::rows(db, &samples).await?);
    while let Some(sample) = samples.next().await {
        match sample {
            // The proof of samples reports it.
            Err(failure) if samples::is_damage(&failure) => {}
            sample => sums.add(&sample?),
        }
    }
    let select = format!("SELECT {} FROM talkers t WHERE t.client = $1 AND t.nic = $2", columns());
    let mut rows = pin!(db.query_typed_raw(&select, key).await?);
    while let Some(row) = rows.try_next().await? {
        let (start_ns, sent) = (instant(&row, 0)?, row.try_get::<_, i16>(3)? == 1);
        let samples = sums.of(start_ns, number(&row, 1)?, sent);
        proof.add(nic, start_ns, list(&row)?, samples, PRECISE_NS);
    }
    Ok(())
}
