//! Reading all of a client's rows, as they are, in bounded memory.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::StoreError;
use super::query::{NicRange, Point};

/// Rows that are handed over at once.
pub(super) const ROWS: usize = 512;

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

/// What is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRange {
    /// Whose rows.
    pub client: String,
    /// Of which NICs.
    pub nics: Vec<String>,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: u64,
    /// Intervals that start here or later are left out.
    pub to_ns: u64,
}

impl ExportRange {
    /// The rows of one NIC.
    pub(super) fn of(&self, nic: &str) -> NicRange {
        let Self { client, from_ns, to_ns, .. } = self.clone();
        NicRange { client, nic: nic.to_owned(), from_ns, to_ns }
    }
}

/// A sample, or what is known instead of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// `None` for a gap of which nothing is known of any NIC.
    pub nic: Option<String>,
    /// The figures. Those of a gap are exact sums over all of it; without NIC they mean nothing.
    pub point: Point,
    /// If it is a gap: which.
    pub gap: Option<ExportGap>,
}

/// Sequence numbers without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportGap {
    /// Why, a number of [`wire::frame::Gap`].
    pub reason: u8,
    /// Of which session.
    pub session: u64,
    /// The first number.
    pub first_seq: u64,
    /// The last number.
    pub last_seq: u64,
}

/// How long rows may wait to be taken, and how long the store is read as of one moment.
const STALLED: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_secs(60);

/// Where an export is, to go on as of a later moment.
#[derive(Debug)]
pub(super) struct Place {
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
pub(super) enum Paused {
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
    pub(super) fn waiting(self) -> (Vec<ExportRow>, bool) {
        match self {
            Self::Closed => (vec![], true),
            Self::Last(some) => (some, true),
            Self::Waiting(some) => (some, false),
        }
    }
}

impl Place {
    /// Before the first row.
    pub(super) fn before(range: &ExportRange) -> Self {
        Self { nic: 0, from_ns: range.from_ns, skip: 0, since: Instant::now() }
    }

    /// The store is read as of now.
    pub(super) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// The NIC whose rows are next, what is still to be given of it, and how many rows to skip.
    pub(super) fn next<'a>(&self, range: &'a ExportRange) -> Option<(&'a String, NicRange, usize)> {
        let nic = range.nics.get(self.nic)?;
        Some((nic, NicRange { from_ns: self.from_ns, ..range.of(nic) }, self.skip))
    }

    /// All of a NIC was given.
    pub(super) fn next_nic(&mut self, range: &ExportRange) {
        (self.nic, self.from_ns, self.skip) = (self.nic + 1, range.from_ns, 0);
    }

    /// Hands rows of the NIC over. Gives how the reading ended, if it did.
    pub(super) async fn hand_over(
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

/// Columns of both halves of the query for one NIC, in the order of a [`Point`] and its gap.
pub(super) fn columns(of_gaps: bool) -> String {
    let counts = |direction: &str| {
        ["bytes", "packets", "captured"].map(|name| format!("CAST({direction}_{name} AS bigint)"))
    };
    let peaks =
        |direction: &str| ["1ms", "10ms"].map(|window| format!("{direction}_peak_{window}_bytes"));
    let mut columns = vec!["time".to_owned(), "interval_ns".to_owned()];
    for direction in ["rx", "tx"] {
        columns.extend(counts(direction));
        columns.extend(peaks(direction));
    }
    columns.extend(["CAST(drops AS bigint)", "flags"].map(str::to_owned));
    let gap = ["CAST(reason AS bigint)", "session", "first_seq", "last_seq"];
    let none = ["CAST(NULL AS bigint)"; 4];
    columns.extend(if of_gaps { gap } else { none }.map(str::to_owned));
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
