//! Reads all of a client's rows unchanged, in bounded memory.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;
use wire::WallNs;

use crate::store::port::error::StoreError;
use crate::store::rows::export::{ExportList, ExportRange, ExportRow, Starts};
use crate::store::rows::series::NicRange;

/// Rows that are handed over at a time.
pub(in crate::store) const ROWS: usize = 512;

/// Reads everything of one client.
#[async_trait]
pub trait Export: Send + Sync + Debug {
    /// The NICs that a client ever had, by name; `None` if there is no such client.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError>;

    /// Sends the rows of a range, NIC by NIC and oldest first; gaps without a known NIC come last. The
    /// export reads one snapshot if all rows are taken within a minute. A slower reader gets the rest
    /// from later snapshots, because an open snapshot keeps the store from cleaning up. Ends early once
    /// the reader is gone.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError>;

    /// Sends the lists of talkers of a range likewise. One that can't be read is among them.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn export_talkers(
        &self,
        range: &ExportRange,
        lists: mpsc::Sender<Vec<ExportList>>,
    ) -> Result<(), StoreError>;
}

/// How long rows may wait for the reader, and how long a snapshot is kept.
const STALLED: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_secs(60);

/// The position of an export, to continue it in a later snapshot.
#[derive(Debug)]
pub(in crate::store) struct ExportPosition {
    /// Index of the NIC.
    nic: usize,
    /// Start of the rows still to send, and the number of rows with that start already sent.
    from_ns: WallNs,
    skip: usize,
    /// Start of the current snapshot.
    since: Instant,
}

/// How a reading of the store ended.
#[derive(Debug)]
pub(in crate::store) enum Paused<R> {
    /// The reader is gone.
    Closed,
    /// These rows are the last: gaps without a known NIC, which are few.
    Last(Vec<R>),
    /// These rows wait for the reader. The export then continues in a later snapshot, so the current
    /// one must be released meanwhile.
    Waiting(Vec<R>),
}

impl<R> Paused<R> {
    /// The waiting rows, and whether they are the last.
    pub(in crate::store) fn waiting(self) -> (Vec<R>, bool) {
        match self {
            Self::Closed => (vec![], true),
            Self::Last(some) => (some, true),
            Self::Waiting(some) => (some, false),
        }
    }
}

impl ExportPosition {
    /// The position before the first row.
    pub(in crate::store) fn before(range: &ExportRange) -> Self {
        Self { nic: 0, from_ns: range.from_ns, skip: 0, since: Instant::now() }
    }

    /// A new snapshot starts.
    pub(in crate::store) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// The next NIC, its remaining range, and the number of rows to skip.
    pub(in crate::store) fn next<'a>(
        &self,
        range: &'a ExportRange,
    ) -> Option<(&'a String, NicRange, usize)> {
        let nic = range.nics.get(self.nic)?;
        Some((nic, NicRange { from_ns: self.from_ns, ..range.of(nic) }, self.skip))
    }

    /// A NIC is complete.
    pub(in crate::store) fn next_nic(&mut self, range: &ExportRange) {
        (self.nic, self.from_ns, self.skip) = (self.nic + 1, range.from_ns, 0);
    }

    /// Hands over rows of the NIC. Returns how the reading ended, if it did.
    pub(in crate::store) async fn hand_over<R: Starts>(
        &mut self,
        some: Vec<R>,
        rows: &mpsc::Sender<Vec<R>>,
    ) -> Option<Paused<R>> {
        if let Some(last_ns) = some.last().map(R::start_ns) {
            let same = some.iter().rev().take_while(|row| row.start_ns() == last_ns).count();
            let before = if same == some.len() && last_ns == self.from_ns { self.skip } else { 0 };
            (self.from_ns, self.skip) = (last_ns, before + same);
        }
        match rows.send_timeout(some, STALLED).await {
            Ok(()) if self.since.elapsed() > MOMENT => Some(Paused::Waiting(vec![])),
            Ok(()) => None,
            Err(mpsc::error::SendTimeoutError::Timeout(some)) => Some(Paused::Waiting(some)),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Some(Paused::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::series::Point;

    fn row(start_ns: u64) -> ExportRow {
        ExportRow {
            nic: Some("eth0".into()),
            point: Point { start_ns: WallNs(start_ns), ..Point::default() },
            gap: None,
        }
    }

    #[tokio::test]
    async fn an_export_goes_on_after_the_rows_that_were_given() {
        let range = ExportRange {
            client: "web".into(),
            nics: vec!["eth0".into(), "eth1".into()],
            from_ns: WallNs(5),
            to_ns: WallNs(90),
        };
        let mut place = ExportPosition::before(&range);
        let (sender, mut receiver) = mpsc::channel(9);
        let place_now = |place: &ExportPosition| {
            let (nic, left, skip) = place.next(&range).unwrap();
            (nic.clone(), left.from_ns, skip)
        };
        assert_eq!(place_now(&place), ("eth0".into(), WallNs(5), 0));
        for (starts, from_ns, skip) in
            [(vec![5, 7, 7], 7, 2), (vec![7, 7], 7, 4), (vec![8], 8, 1), (vec![9, 10], 10, 1)]
        {
            let some = starts.iter().map(|&start| row(start)).collect();
            assert!(place.hand_over(some, &sender).await.is_none());
            assert_eq!(place_now(&place), ("eth0".into(), WallNs(from_ns), skip));
            assert_eq!(receiver.recv().await.unwrap().len(), starts.len());
        }
        place.next_nic(&range);
        assert_eq!(place_now(&place), ("eth1".into(), WallNs(5), 0));
        place.next_nic(&range);
        assert!(place.next(&range).is_none());
        drop(receiver);
        assert!(matches!(place.hand_over(vec![row(5)], &sender).await, Some(Paused::Closed)));
    }
}
