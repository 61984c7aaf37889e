//! What a frozen cycle was metered from, as CSV. Pure.

use std::fmt::Write;

use super::intervals::PooledInterval;
use wire::WallNs;

use crate::store::{CountedGap, EVIDENCE};

/// Lines of intervals, by their start, and of gaps. Their sums are the totals.
pub(super) fn evidence<'a>(
    intervals: impl Iterator<Item = (WallNs, &'a PooledInterval)>,
    gaps: &[CountedGap],
) -> String {
    let mut text = format!("{EVIDENCE}\n");
    for (start_ns, it) in intervals.filter(|(_, it)| it.expected) {
        let PooledInterval { rx, tx, covered_ns, missing_ns, .. } = it;
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "interval,{},{},{},{},{},{covered_ns},{missing_ns}",
            start_ns.get(),
            rx.bytes,
            tx.bytes,
            rx.packets,
            tx.packets
        );
    }
    for CountedGap { start_ns, interval_ns, rx, tx } in gaps {
        let _ = writeln!(
            text,
            "gap,{},{},{},{},{},{interval_ns},0",
            start_ns.get(),
            rx.bytes,
            tx.bytes,
            rx.packets,
            tx.packets
        );
    }
    text
}
