//! The store: where rows end up. This file is what the rest of the collector asks of it.
//!
//! Rooms, from the outside in; each imports only those after it:
//!
//! - [`postgres`] and [`sqlite`]: the two engines. They know SQL and their connections, and decide nothing.
//! - [`commit`]: how a batch is committed, whatever the engine: fit, try, part, quarantine.
//! - [`port`]: the traits that each engine implements, and [`StoreError`].
//! - [`clock`] and [`dates`]: the time by which rows are deleted, and which dates samples may have.
//! - [`rows`]: what is written and read, as plain types and pure functions.
//!
//! Inside the store, files import from the file that defines a name, never from this one.
//!
//! # Adding a figure to a table
//! - [`rows::columns`]: the column's name and what it holds, once for both engines. Figures that are summed,
//!   of which the largest is kept, and of the mix each have their list there; rollups follow.
//! - Each engine: a migration (`sqlite/open.rs`, `postgres/migrate.rs`, a SQL file beside it). Only a figure
//!   that is in no list also needs its line in the engine's `tables/`.
//!
//! # Adding a table
//! - [`rows::facts`]: what a batch adds to it; [`rows::tables`]: how long rows are kept, if they are of one
//!   NIC and one time. From there SQLite deletes by age and purges.
//! - Each engine: a file in `tables/` that adds rows, a line in its `commit.rs`, a migration; in PostgreSQL a
//!   line in `partition.rs` if it is partitioned, and in `import/source.rs`, for the move from SQLite.
//! - What is read of it: a method of [`port::read`], answered by each engine's `read.rs`.

pub mod clock;
pub mod commit;
pub mod dates;
pub mod port;
pub mod postgres;
pub mod rows;
pub mod sqlite;

use crate::identity::EnrolmentStore;

pub use self::commit::Commit;
pub use self::port::check::Check;
pub use self::port::claims::{Claims, SecondHosts};
pub use self::port::error::StoreError;
pub use self::port::export::Export;
pub use self::port::read::Query;
pub use self::port::register::{Forget, Register};
pub use self::port::retain::Retain;
pub use self::port::schema::{Distributed, Migrated};
pub use self::port::sign_outs::SignOuts;
pub use self::port::write::{End, SessionState, Store};
pub use self::rows::batch::{Batch, SessionBatch};
pub use self::rows::claims::{Holder, Lost, PlaceId, Question, SILENCE, SecondHostRecord};
pub use self::rows::clients::{Client, Registered, StoredRevocation};
pub use self::rows::epoch::Epoch;
pub use self::rows::export::{ExportGap, ExportRange, ExportRow};
pub use self::rows::history::{Event, EventKind, gap_name};
pub use self::rows::percentile::{Percentile, PercentileRange};
pub use self::rows::proof::{CheckReport, NicCheck, Sums};
pub use self::rows::retention::{Retained, RetentionLimits};
pub use self::rows::series::{NicRange, Point, PointCounts, Resolution, Series, SeriesRange};
pub use self::rows::sign_outs::SignOut;

/// A store with all that it can do.
pub trait Database: Store + Retain + Forget + EnrolmentStore + SignOuts + Claims + Reader {}

impl<T: Store + Retain + Forget + EnrolmentStore + SignOuts + Claims + Reader> Database for T {}

/// What can be read of a database beside the collectors that use it.
pub trait Reader: Query + Check + Export + Register + SecondHosts {}

impl<T: Query + Check + Export + Register + SecondHosts> Reader for T {}
