//! Logs and counts events.

use std::net::IpAddr;

use settings::AUDIT_TARGET;

use super::record::{AuditEvent, AuditRecord};
use super::throttle::AuditThrottle;
use crate::time::boot;

/// Logs and counts an event. Anybody can cause refusals, so each kind is logged at most 60 times a
/// minute; the next line gives the number left out (`untold`). All are counted.
pub fn log(record: &AuditRecord) {
    /// Decides which refusals are logged.
    static REFUSALS: AuditThrottle = AuditThrottle::new();
    count(record.event, 1);
    if !record.event.is_refusal() {
        return write(record, None);
    }
    if let Some(untold) = REFUSALS.pass(record.event, boot()) {
        write(record, (untold > 0).then_some(untold));
    }
}

/// Logs that a client at `address` could not sign in.
pub fn sign_in_failed(address: IpAddr, reason: &str) {
    let (address, reason) = (Some(address.to_canonical()), Some(reason.to_owned()));
    log(&AuditRecord { address, reason, ..AuditRecord::new(AuditEvent::SignInFailed) });
}

/// Logs that a browser at `address` was signed in.
pub fn signed_in(address: IpAddr) {
    log(&AuditRecord {
        address: Some(address.to_canonical()),
        ..AuditRecord::new(AuditEvent::SignedIn)
    });
}

/// Logs that a browser at `address` was signed out.
pub fn signed_out(address: IpAddr) {
    log(&AuditRecord {
        address: Some(address.to_canonical()),
        ..AuditRecord::new(AuditEvent::SignedOut)
    });
}

/// Adds to the metric of an event; adding 0 creates it.
pub(crate) fn count(event: AuditEvent, times: u64) {
    metrics::counter!(METRIC, "event" => event.name()).increment(times);
}

/// Counts the events, by kind.
pub(crate) const METRIC: &str = "netmon_collector_audit_total";

fn write(record: &AuditRecord, untold: Option<u64>) {
    /// One line at a level.
    macro_rules! line {
        ($level:ident) => {{
            let AuditRecord { event, at, by, client, token, matching, uses, until, .. } = record;
            let AuditRecord { reason, key, old, new, detail, .. } = record;
            tracing::$level!(
                target: AUDIT_TARGET,
                event = event.name(),
                at = at.as_deref(),
                by = by.as_deref(),
                client = client.as_deref(),
                address = record.address.as_ref().map(tracing::field::display),
                token = token.as_deref(),
                matching = matching.as_deref(),
                uses = *uses,
                until = until.as_deref(),
                reason = reason.as_deref(),
                key = key.as_deref(),
                old = old.as_deref(),
                new = new.as_deref(),
                detail = detail.as_deref(),
                untold,
                "{event}"
            );
        }};
    }
    if record.event.is_refusal() { line!(warn) } else { line!(info) }
}
