//! The audit log: grants, refusals and denials, with the responsible person.
//!
//! Each event is one line of the log with the target `audit` and the fields of [`AuditRecord`], and is
//! counted in `netmon_collector_audit_total{event=}`. It is logged at every level but `off`. In the
//! journal: `journalctl -u network-monitor-collector -g '^audit:'`; as JSON: lines whose `target` is
//! `audit`. A tool that needs a separate file extracts these lines.
//!
//! Commands (`collector token`, `revoke`, `forget`) run in processes of their own that may have no log.
//! They leave a record in `audit` of the data directory. The running collector logs it within a second,
//! or at its next start, and only then removes it.

mod log;
mod pending;
mod record;
mod throttle;

pub(crate) use self::log::{METRIC, count};
pub use self::log::{log, sign_in_failed, signed_in, signed_out};
pub use self::pending::{AuditError, Pending, operator};
pub use self::record::{AuditEvent, AuditRecord};
