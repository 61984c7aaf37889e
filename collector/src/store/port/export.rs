//! Reading all of a client's rows, as they are, in bounded memory.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::store::port::error::StoreError;
use crate::store::rows::export::{ExportRange, ExportRow};
use crate::store::rows::series::NicRange;

/// Rows that are handed over at once.
pub(in crate::store) const ROWS: usize = 512;

/// Reading everything of one client.
#[async_trait]
pub trait Export: Send + Sync + Debug {
    /// The NICs that were ever known of a client, by name; `None` without such a client.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn nic_names(&self, client: &str) -> Result<Option<Vec<String>>, StoreError>;

    /// Gives the rows of a range, NIC by NIC, oldest first; last the gaps of which no NIC is known.
    /// As of one moment if they are taken within a minute; whoever takes longer, or stalls, gets
    /// the rest as of later ones, for a store can't tidy up what somebody still reads. Ends early
    /// once nobody takes them any more.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the store can't be read.
    async fn export(
        &self,
        range: &ExportRange,
        rows: mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), StoreError>;
}

/// How long rows may wait to be taken, and how long the store is read as of one moment.
const STALLED: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_secs(60);

/// Where an export is, to go on as of a later moment.
#[derive(Debug)]
pub(in crate::store) struct Place {
    /// Which of the NICs.
    nic: usize,
    /// From when on its rows are still to be given, and how many of those that start then are
    /// not.
    from_ns: u64,
    skip: usize,
    /// Since when the store is read as of one moment.
    since: Instant,
}

/// How a reading of the store ended.
#[derive(Debug)]
pub(in crate::store) enum Paused {
    /// Nobody takes more.
    Closed,
    /// These are the last rows: gaps of no known NIC, of which there are few.
    Last(Vec<ExportRow>),
    /// Rows that wait to be taken; then it goes on as of a later moment. What was read from must
    /// not be held meanwhile.
    Waiting(Vec<ExportRow>),
}

impl Paused {
    /// The rows that wait to be taken, and whether they are the last.
    pub(in crate::store) fn waiting(self) -> (Vec<ExportRow>, bool) {
        match self {
            Self::Closed => (vec![], true),
            Self::Last(some) => (some, true),
            Self::Waiting(some) => (some, false),
        }
    }
}

impl Place {
    /// Before the first row.
    pub(in crate::store) fn before(range: &ExportRange) -> Self {
        Self { nic: 0, from_ns: range.from_ns, skip: 0, since: Instant::now() }
    }

    /// The store is read as of now.
    pub(in crate::store) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// The NIC whose rows are next, what is still to be given of it, and how many rows to skip.
    pub(in crate::store) fn next<'a>(
        &self,
        range: &'a ExportRange,
    ) -> Option<(&'a String, NicRange, usize)> {
        let nic = range.nics.get(self.nic)?;
        Some((nic, NicRange { from_ns: self.from_ns, ..range.of(nic) }, self.skip))
    }

    /// All of a NIC was given.
    pub(in crate::store) fn next_nic(&mut self, range: &ExportRange) {
        (self.nic, self.from_ns, self.skip) = (self.nic + 1, range.from_ns, 0);
    }

    /// Hands rows of the NIC over. Gives how the reading ended, if it did.
    pub(in crate::store) async fn hand_over(
        &mut self,
        some: Vec<ExportRow>,
        rows: &mpsc::Sender<Vec<ExportRow>>,
    ) -> Option<Paused> {
        if let Some(last) = some.last() {
            let last_ns = last.point.start_ns;
            let same = some.iter().rev().take_while(|row| row.point.start_ns == last_ns).count();
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
            point: Point { start_ns, ..Point::default() },
            gap: None,
        }
    }

    #[tokio::test]
    async fn an_export_goes_on_after_the_rows_that_were_given() {
        let range = ExportRange {
            client: "web".into(),
            nics: vec!["eth0".into(), "eth1".into()],
            from_ns: 5,
            to_ns: 90,
        };
        let mut place = Place::before(&range);
        let (sender, mut receiver) = mpsc::channel(9);
        let place_now = |place: &Place| {
            let (nic, left, skip) = place.next(&range).unwrap();
            (nic.clone(), left.from_ns, skip)
        };
        assert_eq!(place_now(&place), ("eth0".into(), 5, 0));
        for (starts, from_ns, skip) in
            [(vec![5, 7, 7], 7, 2), (vec![7, 7], 7, 4), (vec![8], 8, 1), (vec![9, 10], 10, 1)]
        {
            let some = starts.iter().map(|&start| row(start)).collect();
            assert!(place.hand_over(some, &sender).await.is_none());
            assert_eq!(place_now(&place), ("eth0".into(), from_ns, skip));
            assert_eq!(receiver.recv().await.unwrap().len(), starts.len());
        }
        place.next_nic(&range);
        assert_eq!(place_now(&place), ("eth1".into(), 5, 0));
        place.next_nic(&range);
        assert!(place.next(&range).is_none());
        drop(receiver);
        assert!(matches!(place.hand_over(vec![row(5)], &sender).await, Some(Paused::Closed)));
    }
}
