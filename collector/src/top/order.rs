//! Orders of clients.

use std::cmp::Ordering;

use super::client::Client;

/// A column that clients can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// Bit/s received.
    #[default]
    Rx,
    /// Bit/s transmitted.
    Tx,
    /// Packets per second, both directions.
    Packets,
    /// Highest rate of 1 ms.
    Peak,
    /// Lost packets.
    Drops,
    /// Id.
    Client,
}

/// An order of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// The column.
    pub(super) key: Key,
    /// Ascending figures, or ids from the last to the first.
    pub(super) reversed: bool,
}

impl Sort {
    /// Sorted by the next column.
    pub(super) const fn next(self) -> Self {
        let key = match self.key {
            Key::Rx => Key::Tx,
            Key::Tx => Key::Packets,
            Key::Packets => Key::Peak,
            Key::Peak => Key::Drops,
            Key::Drops => Key::Client,
            Key::Client => Key::Rx,
        };
        Self { key, reversed: false }
    }

    /// In reverse order.
    pub(super) const fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// Compares two clients. A stale client's newest traffic is outdated, so it ranks below no traffic.
    pub(super) fn compare(self, a: &Client, b: &Client, now_ns: u64) -> Ordering {
        let figure = |client: &Client| {
            if !client.is_live(now_ns) {
                return -1.0;
            }
            let traffic = client.traffic();
            match self.key {
                Key::Rx => traffic.rx.bytes,
                Key::Tx => traffic.tx.bytes,
                Key::Packets => traffic.both().packets,
                #[allow(clippy::cast_precision_loss, reason = "only compared")]
                Key::Peak => traffic.both().peak as f64,
                Key::Drops | Key::Client => 0.0,
            }
        };
        let by_id = || a.summary().client.cmp(&b.summary().client);
        let order = match self.key {
            Key::Client => by_id(),
            Key::Drops => b.summary().drops_total.cmp(&a.summary().drops_total),
            _ => figure(b).total_cmp(&figure(a)),
        };
        let order = if self.reversed { order.reverse() } else { order };
        order.then_with(by_id)
    }
}
