//! The sums of rows deleted by age, kept for the proof of `fsck`.
//!
//! A partition of `bandwidth_5m` has millions of rows, and its table is locked while it is removed. So
//! it is only detached then, under a marked name. Afterwards it is summed up and dropped in a
//! transaction that blocks nobody. If that fails or the collector ends first, `fsck` counts its rows in
//! place, and the next retention starts with it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{Partition, WAIT, exists};

/// Detaches partitions of `bandwidth_5m`, stores their sums and drops them. Returns the number dropped.
pub(super) async fn drop_partitions(
    client: &Client,
    partitions: impl Iterator<Item = Partition>,
) -> Result<u64, Failure> {
    let mut dropped = drop_detached(client).await?;
    for partition in partitions {
        if !partition.take(client, WAIT).await? {
            continue;
        }
        let (table, name) = (partition.table.name(), partition.name());
        // One by one: Citus forwards the complete query that changes a table.
        for statement in [
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

/// Tables that were partitions of `bandwidth_5m` and whose sums aren't stored yet.
pub(super) async fn detached(client: &Client) -> Result<Vec<String>, Failure> {
    let select = "SELECT relname::text FROM pg_class
                  WHERE relname ~ '^expiring_bandwidth_5m_p[0-9]+$' AND pg_table_is_visible(oid)
                  ORDER BY relname";
    let rows = client.query_typed(select, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Stores the sums of detached partitions and drops them. Returns their number.
async fn drop_detached(client: &Client) -> Result<u64, Failure> {
    let mut dropped = 0;
    for table in detached(client).await? {
        // No time limit.
        client
            .batch_execute(&format!(
                "{BEGIN}; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5s'"
            ))
            .await?;
        let lock = "SELECT pg_try_advisory_xact_lock(hashtext($1))";
        let lock = client.query_typed_one(lock, &[(&table, Type::TEXT)]).await?;
        // Otherwise another collector works on it or is done.
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

/// A statement that stores the sums of rows leaving `bandwidth_5m` and returns their number.
pub(super) fn expire(rows: &str) -> String {
    format!("WITH {}", expired(rows))
}

/// The same after `WITH`.
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
