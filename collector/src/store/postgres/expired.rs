//! The sums of what is deleted by age, kept for the proof of `fsck`.

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
