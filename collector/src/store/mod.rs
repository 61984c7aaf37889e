//! The store: where rows end up. This file is its interface for the rest of the collector.
//!
//! Rooms, from the outside in; each imports only later ones:
//!
//! - [`postgres`] and [`sqlite`]: the two engines. They know SQL and their connections, and decide
//!   nothing.
//! - [`commit`]: the commit policy for all engines: fit, try, split, quarantine.
//! - [`port`]: the traits that each engine implements, and [`StoreError`].
//! - [`clock`] and [`dates`]: the time by which rows are deleted, and the dates that samples may have.
//! - [`rows`]: data to write and to read, as plain types and pure functions.
//!
//! Inside the store, files import from the file that defines a name, never from this one.
//!
//! # Adding a figure to a table
//! - [`rows::columns`]: the column's name and figure, once for both engines. It has one list each for
//!   summed figures, for figures whose largest value is kept, and for those of the mix; rollups follow
//!   from the lists.
//! - Each engine: a migration (`sqlite/open.rs`, `postgres/migrate.rs`, with a SQL file beside it).
//!   Only a figure outside these lists also needs a line in the engine's `tables/`.
//!
//! # Adding a table
//! - [`rows::facts`]: the rows that a batch adds to it; [`rows::tables`]: its retention, if its rows
//!   have one NIC and one time. SQLite's deletion by age and purging follow from that.
//! - Each engine: a file in `tables/` that adds rows, a line in its `commit.rs`, a migration.
//!   PostgreSQL also needs a line in `partition.rs` if the table is partitioned, and one in
//!   `import/source.rs` for moves from SQLite.
//! - To read it: a method of [`port::read`], implemented in each engine's `read.rs`.

pub mod clock;
pub mod commit;
pub mod dates;
mod pack;
pub mod port;
pub mod postgres;
pub mod rows;
pub mod sqlite;

use crate::identity::EnrolmentStore;

pub use self::commit::Commit;
pub use self::port::account_cycles::{CycleRecords, KeepCycles};
pub use self::port::accounts::Metering;
pub use self::port::alerts::{AlertReader, Alerts, Silences};
pub use self::port::check::Check;
pub use self::port::claims::{Claims, SecondHosts};
pub use self::port::client_days::PackDays;
pub use self::port::error::StoreError;
pub use self::port::export::Export;
pub use self::port::read::Query;
pub use self::port::register::{Forget, Register};
pub use self::port::retain::Retain;
pub use self::port::schema::{Distributed, Migrated};
pub use self::port::sign_outs::SignOuts;
pub use self::port::tags::{Tagged, Tagging};
pub use self::port::talkers::TalkersReader;
pub use self::port::write::{SessionState, Store, TransactionEnd};
pub use self::rows::account_cycles::{
    AccountCycle, AccountEntry, AccountWarning, EVIDENCE, EntryKind, KeptEntry,
};
pub use self::rows::accounts::{
    CountedGap, KnownNic, LinkTurn, MeterRow, NicBefore, NicHistory, TagStay, Volume,
};
pub use self::rows::alerts::{
    AlertChange, AlertCursor, AlertDelivery, AlertEnd, AlertEvent, AlertIncident, AlertPage,
    AlertRange, AlertRef, AlertSilence, AlertSubject, ClaimedMessage, EndMessage, MessageLease,
    MessageOutcome, QueuedMessage, RETRY_MAX_NS, SettledMessage, UnconfirmedAlert,
};
pub use self::rows::batch::{Batch, SessionBatch};
pub use self::rows::claims::{Holder, Lost, PlaceId, Question, SILENCE, SecondHostRecord};
pub use self::rows::client_days::ClientDay;
pub use self::rows::clients::{Client, Registered, StoredRevocation};
pub use self::rows::epoch::Epoch;
pub use self::rows::export::{ExportGap, ExportList, ExportRange, ExportRow};
pub use self::rows::groups::{Group, GroupPoint, GroupsFound, GroupsRange};
pub use self::rows::history::{EventKind, NicEvent, gap_name};
pub use self::rows::packed::{Packed, PackedSums, ROWS_MAX as PACKED_ROWS_MAX, unpack};
pub use self::rows::percentile::{Percentile, PercentileRange, bits_per_second, percentile_95};
pub use self::rows::proof::{CheckReport, NicCheck, Sums};
pub use self::rows::retention::{Retained, RetentionLimits};
pub use self::rows::rollups::FIVE_MINUTES_NS;
pub use self::rows::series::{
    ClientRange, NicRange, Point, PointCounts, Resolution, Series, SeriesRange, StoredMinutes,
};
pub use self::rows::sign_outs::SignOut;
pub use self::rows::tags::{ClientTags, TagChange, TagInterval, TagSource, TaggedClient};
pub use self::rows::talker_groups::{
    BUCKETS_MAX, GroupedTalker, GroupedTalkers, TalkerAmount, TalkerGroup, TalkersBucket,
    TalkersBy, TalkersRange,
};
pub use self::rows::talker_search::{TalkerFound, TalkerSearch, TalkersFound};
pub use self::rows::talkers::TalkersDirection as Direction;
pub use self::rows::talkers_at::TalkersAt;

/// A store with all its abilities.
pub trait Database:
    Store
    + Retain
    + PackDays
    + Forget
    + EnrolmentStore
    + SignOuts
    + Claims
    + Tagging
    + AccountStore
    + Alerts
    + Reader
{
}

impl<T> Database for T where
    T: Store
        + Retain
        + PackDays
        + Forget
        + EnrolmentStore
        + SignOuts
        + Claims
        + Tagging
        + Alerts
        + AccountStore
        + Reader
{
}

/// Read access to a database, also beside the collectors that use it.
pub trait Reader:
    Query
    + Check
    + Export
    + Register
    + SecondHosts
    + AccountReader
    + AlertReader
    + Tagged
    + TalkersReader
{
}

impl<T> Reader for T where
    T: Query
        + Check
        + Export
        + Register
        + SecondHosts
        + AccountReader
        + AlertReader
        + Tagged
        + TalkersReader
{
}

/// All that statements of accounts are made of.
pub trait AccountReader: Metering + CycleRecords {}

impl<T: Metering + CycleRecords> AccountReader for T {}

/// What the accounts' book needs of a store.
pub trait AccountStore: AccountReader + KeepCycles {}

impl<T: AccountReader + KeepCycles> AccountStore for T {}
