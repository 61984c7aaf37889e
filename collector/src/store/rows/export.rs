//! Exported rows.

use std::collections::{BTreeMap, BTreeSet};

use wire::id::SessionId;
use wire::talkers::TalkerOwner;
use wire::{Seq, WallNs};

use crate::store::rows::series::{NicRange, Point};
use crate::store::rows::talker_entries::UnreadableTalkers;
use crate::store::rows::talkers::{OwnerId, StoredList};

/// The range of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRange {
    /// The client.
    pub client: String,
    /// The NICs.
    pub nics: Vec<String>,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that start here or later are left out.
    pub to_ns: WallNs,
}

impl ExportRange {
    /// The rows of one NIC.
    pub(in crate::store) fn of(&self, nic: &str) -> NicRange {
        let Self { client, from_ns, to_ns, .. } = self.clone();
        NicRange { client, nic: nic.to_owned(), from_ns, to_ns }
    }
}

/// A sample or a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRow {
    /// `None` for a gap without a known NIC.
    pub nic: Option<String>,
    /// The figures. For a gap, exact sums over all of it; meaningless without a NIC.
    pub point: Point,
    /// The gap, if it is one.
    pub gap: Option<ExportGap>,
}

/// What is read by its start.
pub(in crate::store) trait Starts {
    /// Start of its interval, nanoseconds since 1970 (UTC).
    fn start_ns(&self) -> WallNs;
}

impl Starts for Point {
    fn start_ns(&self) -> WallNs {
        self.start_ns
    }
}

impl Starts for ExportRow {
    fn start_ns(&self) -> WallNs {
        self.point.start_ns
    }
}

/// A list of talkers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportList {
    /// The NIC.
    pub nic: String,
    /// Start of its interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// The list, if it can be read.
    pub list: Result<StoredList, UnreadableTalkers>,
    /// The owners that its talkers refer to, from 1; `None`: nobody known.
    pub owners: Vec<Option<TalkerOwner>>,
}

impl Starts for ExportList {
    fn start_ns(&self) -> WallNs {
        self.start_ns
    }
}

/// A row of talkers as it is read: its start, and the list.
pub(in crate::store) type ReadList = (WallNs, Result<StoredList, UnreadableTalkers>);

/// The owners that lists refer to.
pub(in crate::store) fn owners_of(lists: &[ReadList]) -> Vec<OwnerId> {
    let of = lists.iter().filter_map(|(_, list)| list.as_ref().ok());
    let owners: BTreeSet<OwnerId> = of.flat_map(|list| list.owners.iter().copied()).collect();
    owners.into_iter().collect()
}

impl ExportList {
    /// The lists of a NIC, with the names of the owners that are known.
    pub(in crate::store) fn named(
        nic: &str,
        lists: Vec<ReadList>,
        names: &BTreeMap<OwnerId, TalkerOwner>,
    ) -> Vec<Self> {
        let named = lists.into_iter().map(|(start_ns, list)| {
            let owners = list.as_ref().map_or(&[][..], |list| &list.owners);
            let owners = owners.iter().map(|owner| names.get(owner).cloned()).collect();
            Self { nic: nic.to_owned(), start_ns, list, owners }
        });
        named.collect()
    }
}

/// Sequence numbers without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportGap {
    /// The reason, a number of [`wire::frame::Gap`].
    pub reason: u8,
    /// The session.
    pub session: SessionId,
    /// The first number.
    pub first_seq: Seq,
    /// The last number.
    pub last_seq: Seq,
}

/// Columns of both halves of the query for one NIC, in the order of a [`Point`] and its gap.
pub(in crate::store) fn columns(of_gaps: bool) -> String {
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
