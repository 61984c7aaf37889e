//! Reading all of a client's rows, as they are, in bounded memory.

use std::fmt::Debug;

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

    /// Gives the rows of a range, NIC by NIC, oldest first, as of one moment; last the gaps of
    /// which no NIC is known. Ends early once nobody takes them any more.
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
