//! The sums of what is deleted by age, kept for the proof of `fsck`.
//!
//! A partition of `bandwidth_5m` has millions of rows, and nobody may commit or read while one is taken
//! away from its table. So it is only detached then, under a name that says so. It is summed up and
//! dropped afterwards, in one transaction that nobody waits for. Until then, should that fail or the
//! collector end, `fsck` counts its rows there, and the next retention begins with it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{Partition, exists};

/// Detaches partitions of `bandwidth_5m`, keeps their sums and drops them; gives how many were
/// dropped.
pub(super) async fn drop_partitions(
    client: &Client,
    partitions: impl Iterator<Item = Partition>,
) -> Result<u64, Failure> {
    let mut dropped = drop_detached(client).await?;
    for partition in partitions {
        let (table, name) = (partition.table.name(), partition.name());
        // Each by itself: Citus passes on the whole query that a table is changed by.
        for statement in [
            partition.take(),
            format!("ALTER TABLE {table} DETACH PARTITION {name}"),
            format!("ALTER TABLE {name} RENAME TO expiring_{name}"),
            "COMMIT".to_owned(),
        ] {
            client.batch_execute(&statement).await?;
        }
        dropped += drop_detached(client).await?;
    }
    Ok(dropped)
}

/// Tables that were partitions of `bandwidth_5m`, and whose sums aren't kept yet.
pub(super) async fn detached(client: &Client) -> Result<Vec<String>, Failure> {
    let select = "SELECT relname::text FROM pg_class
                  WHERE relname ~ '^expiring_bandwidth_5m_p[0-9]+$' AND pg_table_is_visible(oid)
                  ORDER BY relname";
    let rows = client.query_typed(select, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Keeps the sums of what is detached, and drops it; gives how many.
async fn drop_detached(client: &Client) -> Result<u64, Failure> {
    let mut dropped = 0;
    for table in detached(client).await? {
        // It takes as long as it needs.
        client
            .batch_execute(&format!(
                "{BEGIN}; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5s'"
            ))
            .await?;
        let lock = "SELECT pg_try_advisory_xact_lock(hashtext($1))";
        let lock = client.query_typed_one(lock, &[(&table, Type::TEXT)]).await?;
        // Otherwise another collector is at it, or done.
        if lock.try_get(0)? && exists(client, &table).await? {
            let keep = expire(&format!(
                "SELECT nic, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                     sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets
                 FROM {table} GROUP BY nic"
            ));
            for statement in [
                format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
                keep,
                format!("DROP TABLE {table}"),
            ] {
                client.batch_execute(&statement).await?;
            }
            dropped += 1;
        }
        client.batch_execute("COMMIT").await?;
    }
    Ok(dropped)
}

/// Keeps the sums of rows that leave `bandwidth_5m`; gives how many there were.
pub(super) fn expire(rows: &str) -> String {
    format!("WITH {}", expired(rows))
}

/// As [`expire`], after `WITH`.
pub(super) fn expired(rows: &str) -> String {
    format!(
        "old AS ({rows}),
             sums AS (SELECT nic, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
                          sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets
                      FROM old GROUP BY nic),
             kept AS (UPDATE nics SET expired_rx_bytes = expired_rx_bytes + sums.rx_bytes,
                          expired_tx_bytes = expired_tx_bytes + sums.tx_bytes,
                          expired_rx_packets = expired_rx_packets + sums.rx_packets,
                          expired_tx_packets = expired_tx_packets + sums.tx_packets
                      FROM sums WHERE id = sums.nic)
         SELECT count(*) FROM old"
    )
}
