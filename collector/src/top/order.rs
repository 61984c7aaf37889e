//! Orders of clients.

use std::cmp::Ordering;

use wire::Packets;
use wire::WallNs;

use super::client::TopClient;

/// A column that clients can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SortKey {
    /// Bit/s received.
    #[default]
    Rx,
    /// Bit/s transmitted.
    Tx,
    /// The fullest link.
    Utilisation,
    /// Packets per second, both directions.
    Packets,
    /// Highest rate of 1 ms.
    Peak,
    /// The same of the last hour.
    PeakHour,
    /// Lost packets of the last hour.
    LostHour,
    /// Lost packets.
    Drops,
    /// Id.
    Client,
}

/// An order of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// The column.
    pub(super) key: SortKey,
    /// Ascending figures, or ids from the last to the first.
    pub(super) reversed: bool,
}

impl Sort {
    /// Sorted by the next column.
    pub(super) const fn next(self) -> Self {
        let key = match self.key {
            SortKey::Rx => SortKey::Tx,
            SortKey::Tx => SortKey::Utilisation,
            SortKey::Utilisation => SortKey::Packets,
            SortKey::Packets => SortKey::Peak,
            SortKey::Peak => SortKey::PeakHour,
            SortKey::PeakHour => SortKey::LostHour,
            SortKey::LostHour => SortKey::Drops,
            SortKey::Drops => SortKey::Client,
            SortKey::Client => SortKey::Rx,
        };
        Self { key, reversed: false }
    }

    /// In reverse order.
    pub(super) const fn reversed(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// Compares two clients. A stale client's newest traffic is outdated, so it ranks below no traffic.
    pub(super) fn compare(self, a: &TopClient, b: &TopClient, now_ns: WallNs) -> Ordering {
        let figure = |client: &TopClient| {
            if !client.is_live(now_ns) {
                return -1.0;
            }
            let traffic = client.traffic();
            match self.key {
                SortKey::Rx => traffic.rx.bytes,
                SortKey::Tx => traffic.tx.bytes,
                SortKey::Packets => traffic.both().packets,
                #[allow(clippy::cast_precision_loss, reason = "only compared")]
                SortKey::Peak => traffic.both().peak as f64,
                SortKey::Utilisation => {
                    client.summary().utilisation.as_ref().map_or(-0.5, |it| it.share)
                }
                SortKey::PeakHour | SortKey::LostHour | SortKey::Drops | SortKey::Client => 0.0,
            }
        };
        let by_id = || a.summary().client.cmp(&b.summary().client);
        let order = match self.key {
            SortKey::Client => by_id(),
            SortKey::Drops => b.summary().drops_total.cmp(&a.summary().drops_total),
            SortKey::PeakHour => peak_of_hour(b).cmp(&peak_of_hour(a)),
            SortKey::LostHour => lost_in_hour(b).cmp(&lost_in_hour(a)),
            _ => figure(b).total_cmp(&figure(a)),
        };
        let order = if self.reversed { order.reverse() } else { order };
        order.then_with(by_id)
    }
}

/// Highest rate of 1 ms in the last hour, bytes per second.
fn peak_of_hour(client: &TopClient) -> Option<u64> {
    client.hour().peak_1ms.map(|peak| peak.bytes_per_second)
}

/// Packets lost in the last hour.
fn lost_in_hour(client: &TopClient) -> Option<Packets> {
    client.hour().lost.map(|lost| lost.packets)
}
