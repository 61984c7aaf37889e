//! Billing: what accounts of pooled NICs and hosts used in each cycle, as a transit provider counts it.
//!
//! `config` and `terms` say what an account is, `members` whose traffic it pools, `cycle` which time a cycle covers, `meter` what was
//! carried in it; `ranking` and `projection` are the 95th percentile and the outlook. All of them are
//! pure. `statement` puts a cycle together, `read` asks the store for what that needs. `running` keeps the
//! sums of running cycles, so that little is read again, and `book` their statements; `csv` and `exposition` write them for other programs.

mod book;
mod config;
mod csv;
mod cycle;
mod evidence;
mod exposition;
mod intervals;
mod members;
mod meter;
mod metered;
mod projection;
mod ranking;
mod read;
mod running;
mod statement;
mod terms;
mod warnings;

pub use self::book::{AccountBook, BookError};
pub use self::config::{
    AccountName, AccountSection, Accounts, BilledAccount, CycleSection, InvalidAccountName,
};
pub use self::csv::csv;
pub use self::cycle::{CycleBounds, CycleName, CycleSchedule, InvalidCycle, UnknownZone};
pub use self::exposition::{METRICS, exposition};
pub use self::members::{InvalidMember, Member, NicStay};
pub use self::meter::{Meter, MeteredNic};
pub use self::metered::{Metered, NicShare};
pub use self::projection::{Outlook, OutlookMethod, PercentileMethod, PercentileOutlook};
pub use self::ranking::{Commit95, Ranked};
pub use self::read::{BillError, bill, frozen_statements};
pub use self::statement::{CycleState, EntryView, Statement, UnreadableCycle, WarningView};
pub use self::terms::{Basis, BillingRule, ByteUnit, CommitRate, InvalidCommitRate, Terms};
pub use self::warnings::{DueWarning, due_warnings, warning_names};

#[cfg(test)]
mod tests;
