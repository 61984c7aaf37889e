//! Forgets sessions and NICs without any rows.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use wire::WallNs;

use super::connect::BEGIN;
use super::error::Failure;
use super::expired::expire;
use super::partition::Table;
use super::session::time;
use crate::store::rows::nics::NicId;
use crate::store::rows::tables::KEEPING;

/// NICs per step.
const STEP_NICS: i64 = 1000;

/// Forgets link changes, and sessions that both started and were last committed longer ago than rollups
/// are kept, by their host's clock and by the collector's. Their gaps and ledgers go too, so that the
/// sums of each NIC still agree.
pub(super) async fn forget_sessions(
    client: &Client,
    before_ns: WallNs,
    now_ns: WallNs,
) -> Result<u64, Failure> {
    let select = "SELECT session FROM sessions
                  WHERE committed_at < $1 AND (started < $1 OR started > $2) LIMIT 1000";
    let times = [time(before_ns), time(now_ns)];
    let links = "DELETE FROM link_changes WHERE time < $1";
    client.execute_typed(links, &[(&time(before_ns), Type::TIMESTAMPTZ)]).await?;
    let mut forgotten = 0;
    loop {
        let [before, now] = &times;
        let params = [(before as _, Type::TIMESTAMPTZ), (now as _, Type::TIMESTAMPTZ)];
        let old = client.query_typed(select, &params).await?;
        if old.is_empty() {
            return Ok(forgotten);
        }
        for row in old {
            let session: i64 = row.try_get(0)?;
            client
                .batch_execute(&format!(
                    "{BEGIN}; {};
                     DELETE FROM gaps WHERE session = {session};
                     DELETE FROM session_nics WHERE session = {session};
                     DELETE FROM quarantine WHERE session = {session};
                     DELETE FROM sessions WHERE session = {session}; COMMIT",
                    expire(&format!(
                        "SELECT nic, rx_bytes, tx_bytes, rx_packets, tx_packets FROM gaps
                         WHERE session = {session} AND nic IS NOT NULL
                         UNION ALL
                         SELECT nic, -counted_rx_bytes, -counted_tx_bytes, -counted_rx_packets,
                             -counted_tx_packets FROM session_nics WHERE session = {session}"
                    ))
                ))
                .await?;
            forgotten += 1;
        }
    }
}

/// Forgets removed NICs without rows, and their ledgers: hosts with short-lived NICs have new ones
/// every minute.
pub(super) async fn forget_nics(client: &Client) -> Result<u64, Failure> {
    let page = format!(
        "SELECT client, id FROM nics WHERE id > $1 AND NOT present ORDER BY id LIMIT {STEP_NICS}"
    );
    let (mut last, mut forgotten) = (NicId(i32::MIN.into()), 0);
    loop {
        let mut absent: BTreeMap<i32, Vec<NicId>> = BTreeMap::new();
        let rows = client.query_typed(&page, &[(&last, Type::INT4)]).await?;
        if rows.is_empty() {
            return Ok(forgotten);
        }
        for row in rows {
            last = row.try_get(1)?;
            absent.entry(row.try_get(0)?).or_default().push(last);
        }
        for (number, nics) in absent {
            let gone = without_rows(client, number, nics).await?;
            if !gone.is_empty() {
                forgotten += forget_some(client, number, gone).await?;
            }
        }
    }
}

/// A client's NICs without rows in any table. Queries each table by its index, because a join would
/// read whole tables; and each client separately, because on Citus one node holds its rows.
async fn without_rows(
    client: &Client,
    number: i32,
    mut nics: Vec<NicId>,
) -> Result<Vec<NicId>, Failure> {
    let stretches = Table::STRETCHES.map(Table::name);
    for table in KEEPING.into_iter().map(Table::of_rows).chain(stretches) {
        if nics.is_empty() {
            break;
        }
        let none = format!(
            "SELECT id FROM unnest($2) AS absent (id) WHERE NOT EXISTS (
                 SELECT 1 FROM {table} WHERE client = $1 AND nic = id)"
        );
        let keys = [(&number as _, Type::INT4), (&nics as _, Type::INT4_ARRAY)];
        let rows = client.query_typed(&none, &keys).await?;
        nics = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    }
    Ok(nics)
}

/// Forgets those of a client's NICs that are still absent; returns their number.
async fn forget_some(client: &Client, number: i32, gone: Vec<NicId>) -> Result<u64, Failure> {
    // A concurrent commit for one of these NICs waits, or came first and made the NIC present again.
    client.batch_execute(BEGIN).await?;
    let lock = "SELECT 1 FROM session_nics WHERE nic = ANY ($1) FOR UPDATE";
    client.query_typed(lock, &[(&gone, Type::INT4_ARRAY)]).await?;
    let still = "SELECT id FROM nics WHERE id = ANY ($1) AND NOT present";
    let still = client.query_typed(still, &[(&gone, Type::INT4_ARRAY)]).await?;
    let gone = still.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let gone = without_rows(client, number, gone).await?;
    let ledgers = "DELETE FROM session_nics WHERE nic = ANY ($1)";
    client.execute_typed(ledgers, &[(&gone, Type::INT4_ARRAY)]).await?;
    let nics = "DELETE FROM nics WHERE id = ANY ($1)";
    let forgotten = client.execute_typed(nics, &[(&gone, Type::INT4_ARRAY)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(forgotten)
}
