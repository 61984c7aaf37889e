//! Forgetting sessions and NICs of which nothing is kept any more.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::expired::expire;
use super::session::time;
use crate::store::rows::tables::KEEPING;

/// NICs that one step looks at.
const STEP_NICS: i64 = 1000;

/// Forgets changes of links, and sessions that began and to which something was committed longer
/// ago than rollups are kept, by their host's clock and by the collector's, with their gaps and
/// ledgers, so that the sums of each NIC still agree.
pub(super) async fn forget_sessions(
    client: &Client,
    before_ns: u64,
    now_ns: u64,
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

/// Forgets NICs that are gone and have no rows left, with what sessions counted on them: hosts with
/// short-lived NICs have new ones every minute.
pub(super) async fn forget_nics(client: &Client) -> Result<u64, Failure> {
    // It doesn't answer what is asked of each NIC here; there they stay.
    let citus = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')";
    if client.query_typed_one(citus, &[]).await?.try_get(0)? {
        return Ok(0);
    }
    // Asked NIC by NIC, by the indexes: a join would read whole tables.
    let none = KEEPING.map(|table| {
        format!(
            "(SELECT 1 FROM {table} WHERE {table}.client = nics.client AND {table}.nic = nics.id
              LIMIT 1) IS NULL"
        )
    });
    let none = none.join(" AND ");
    let page = format!(
        "SELECT id, {none} FROM (SELECT * FROM nics WHERE id > $1 AND NOT present ORDER BY id
             LIMIT {STEP_NICS}) AS nics ORDER BY id"
    );
    let (mut last, mut forgotten) = (i32::MIN, 0);
    loop {
        let mut gone: Vec<i32> = Vec::new();
        let rows = client.query_typed(&page, &[(&last, Type::INT4)]).await?;
        if rows.is_empty() {
            return Ok(forgotten);
        }
        for row in rows {
            last = row.try_get(0)?;
            gone.extend(row.try_get::<_, bool>(1)?.then_some(last));
        }
        if gone.is_empty() {
            continue;
        }
        // Whoever counts on one of them waits, or has been first: then it isn't gone.
        client.batch_execute(BEGIN).await?;
        let lock = "SELECT 1 FROM session_nics WHERE nic = ANY ($1) FOR UPDATE";
        client.query_typed(lock, &[(&gone, Type::INT4_ARRAY)]).await?;
        let still = format!("SELECT id FROM nics WHERE id = ANY ($1) AND NOT present AND {none}");
        let still = client.query_typed(&still, &[(&gone, Type::INT4_ARRAY)]).await?;
        let gone = still.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i32>, _>>()?;
        let ledgers = "DELETE FROM session_nics WHERE nic = ANY ($1)";
        client.execute_typed(ledgers, &[(&gone, Type::INT4_ARRAY)]).await?;
        let nics = "DELETE FROM nics WHERE id = ANY ($1)";
        forgotten += client.execute_typed(nics, &[(&gone, Type::INT4_ARRAY)]).await?;
        client.batch_execute("COMMIT").await?;
    }
}
