//! Messages about quarantined and misdated frames.

use std::sync::Arc;
use std::time::Instant;

use settings::{SharedFailures, words};
use wire::id::ClientId;

use crate::store::commit::{Misdated, Quarantined};
use crate::store::rows::near::AHEAD;
use crate::time::rough;

/// Clients with frames in quarantine, and the reason. Rate-limits the log.
static REFUSED: SharedFailures<(ClientId, String)> = SharedFailures::new();

/// Clients with samples dated too far off. Rate-limits the log.
static MISDATED: SharedFailures<ClientId> = SharedFailures::new();

/// Logs which frames went to quarantine, and why. The table `quarantine` has all of them.
pub(super) fn quarantined(found: &[Quarantined]) {
    for it in found {
        let Quarantined { client, session, frames, reason, whole, .. } = it;
        let count = u64::try_from(*frames).unwrap_or(u64::MAX);
        metrics::counter!("netmon_collector_quarantined_frames_total").increment(count);
        if let Some(tell) = REFUSED.failed((client.clone(), words(reason)), Instant::now()) {
            let session = format_args!("{session}");
            tracing::warn!(
                %client, %session, frames, %reason, whole, "frames put into quarantine{tell}"
            );
        }
    }
}

/// The text for an agent whose frames went to quarantine.
pub(super) fn text(it: &Quarantined) -> Arc<str> {
    let Quarantined { session, frames, reason, .. } = it;
    format!(
        "{frames} frames of session {session} are in quarantine, because the collector's \
         store refuses them: {reason}; its operator finds them in the table quarantine"
    )
    .into()
}

/// Logs which clients have samples, mixes and talkers dated too far from the collector's time.
pub(super) fn misdated(found: &[Misdated]) {
    for Misdated { client, samples, mixes, talkers } in found {
        metrics::counter!("netmon_collector_misdated_total").increment(*samples);
        metrics::counter!("netmon_collector_misdated_mixes_total").increment(*mixes);
        metrics::counter!("netmon_collector_misdated_talkers_total").increment(*talkers);
        if let Some(tell) = MISDATED.failed(client.clone(), Instant::now()) {
            tracing::warn!(
                %client, samples, mixes, talkers,
                "dates are more than {} ahead of this collector's time, or older than the longest \
                 retention: samples are in the table gaps with exact counts, mixes and talkers are not kept; \
                 check the clock of that host{tell}",
                rough(AHEAD)
            );
        }
    }
}
