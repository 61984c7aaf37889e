//! A NIC's history besides its series: traffic breakdowns and events.

use wire::frame::{Gap, Mix, MixCounts, flags};
use wire::{Bytes, Packets, WallNs};

use crate::store::rows::packed::MixRow;

/// Most rows read for events before a coarser table is used.
pub const EVENT_ROWS_MAX: usize = 20_000;

/// Flags that make a row an event.
pub const EVENT_FLAGS: u32 = flags::CLOCK_STEP | flags::PARTIAL;

/// An event of a NIC or its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NicEvent {
    /// Its time, or the start of its interval; nanoseconds since 1970 (UTC).
    pub time_ns: WallNs,
    /// Length of that interval, nanoseconds; 0 if the exact time is known.
    pub interval_ns: u64,
    /// Its kind.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Packets dropped because the ring was full.
    Lost {
        /// Number of packets.
        packets: Packets,
    },
    /// The wall clock of the host was stepped.
    ClockStep,
    /// Capture began or ended.
    Capture,
    /// The agent was started.
    Started,
    /// The link came up.
    LinkUp,
    /// The link went down, or the NIC disappeared.
    LinkDown,
    /// Samples are missing; their sums are known.
    Gap {
        /// The reason, a [`Gap`].
        reason: u8,
        /// Bytes received during the gap.
        rx_bytes: Bytes,
        /// Bytes transmitted during the gap.
        tx_bytes: Bytes,
    },
}

/// The events of a row of samples or rollups.
pub fn row_events(
    time_ns: WallNs,
    interval_ns: u64,
    drops: Packets,
    row_flags: u32,
) -> impl Iterator<Item = NicEvent> {
    let lost = (drops > Packets(0)).then_some(EventKind::Lost { packets: drops });
    let stepped = (row_flags & flags::CLOCK_STEP != 0).then_some(EventKind::ClockStep);
    let partial = (row_flags & flags::PARTIAL != 0).then_some(EventKind::Capture);
    let kinds = [lost, stepped, partial].into_iter().flatten();
    kinds.map(move |kind| NicEvent { time_ns, interval_ns, kind })
}

/// The newest events, oldest first.
#[must_use]
pub fn newest(mut events: Vec<NicEvent>, limit: usize) -> Vec<NicEvent> {
    events.sort_unstable_by_key(|event| (event.time_ns, event.kind));
    events.split_off(events.len().saturating_sub(limit))
}

/// The name of a gap's reason.
#[must_use]
pub fn gap_name(reason: u8) -> &'static str {
    let known = Gap::ALL.into_iter().find(|gap| *gap as u8 == reason);
    known.map_or("unknown", Gap::name)
}

/// What mixes add up to. Sums end at the largest number.
#[must_use]
pub fn mix_of(rows: impl IntoIterator<Item = MixRow>) -> Mix {
    let mut mix = Mix::default();
    rows.into_iter().for_each(|row| add_to(&mut mix, &row));
    mix
}

/// Adds a mix to the sum of others.
pub fn add_to(sum: &mut Mix, row: &MixRow) {
    let (rx, rest) = row.figures.split_at(MixCounts::FIGURES);
    sum.interval_ns = sum.interval_ns.saturating_add(row.interval_ns);
    let own = sum.rx.figures_mut().zip(rx).chain(sum.tx.figures_mut().zip(rest));
    own.for_each(|(own, figure)| *own = own.saturating_add(*figure));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_events_are_kept_oldest_first() {
        let at = |time_ns| NicEvent { time_ns, interval_ns: 0, kind: EventKind::Started };
        assert_eq!(
            newest(vec![at(WallNs(3)), at(WallNs(1)), at(WallNs(2))], 2),
            [at(WallNs(2)), at(WallNs(3))]
        );
        assert_eq!(newest(vec![at(WallNs(3)), at(WallNs(1))], 5), [at(WallNs(1)), at(WallNs(3))]);
    }

    #[test]
    fn every_reason_of_a_gap_is_told_and_put_into_words_in_both_languages() {
        let words = concat!(
            include_str!("../../../web/src/texts/en.ts"),
            include_str!("../../../web/src/texts/zh.ts")
        );
        for gap in Gap::ALL {
            assert_eq!(gap_name(gap as u8), gap.name());
            let key = format!("gap_{}:", gap.name());
            assert_eq!(words.matches(&key).count(), 2, "{key}");
        }
        assert_eq!(gap_name(0), "unknown");
    }

    #[test]
    fn a_row_may_be_several_events() {
        let kinds: Vec<_> =
            row_events(WallNs(1), 2, Packets(3), u32::MAX).map(|event| event.kind).collect();
        let all =
            [EventKind::Lost { packets: Packets(3) }, EventKind::ClockStep, EventKind::Capture];
        assert_eq!(kinds, all);
        assert_eq!(row_events(WallNs(1), 2, Packets(0), flags::STACKED).count(), 0);
    }
}
