//! A cycle read part by part is metered as if it was read at once.

use proptest::prelude::*;

use super::*;

/// Intervals of the cycle.
const LENGTH: u64 = 24;

/// What happens to a NIC.
#[derive(Debug, Clone)]
struct Past {
    before: NicBefore,
    stays: Option<Vec<NicStay>>,
    history: NicHistory,
}

fn past() -> impl Strategy<Value = Past> {
    let minutes = 5 * LENGTH;
    let before =
        (any::<bool>(), any::<bool>()).prop_map(|(measured, down)| NicBefore { measured, down });
    // Seconds measured, bytes, drops.
    let row = prop::option::of((200_u64..361, 0_u64..1_000_000, 0_u64..2, any::<bool>()));
    // One for each interval, and the one before.
    let rows = prop::collection::vec(row, 25);
    let gaps = prop::collection::vec((0..minutes + 40, 1_u64..50, 1_u64..1000), 0..4);
    let links = prop::collection::vec((0..minutes, any::<bool>()), 0..5);
    let stays = prop::option::of((0..LENGTH, 0..LENGTH, 0..LENGTH));
    (before, rows, gaps, links, stays).prop_map(|(before, rows, gaps, links, stays)| {
        let cycle = bounds(LENGTH);
        let minute = |n: u64| cycle.from_ns + n * MINUTES;
        // The first is of the interval before the cycle.
        let rows = (0..).zip(rows).filter_map(|(n, it): (u64, _)| {
            let (seconds, bytes, drops, stacked) = it?;
            let start_ns = cycle.from_ns.saturating_sub(FIVE_MINUTES_NS) + n * FIVE_MINUTES_NS;
            let (rx, tx, drops) = (volume(bytes), volume(bytes / 3), Packets(drops));
            Some(MeterRow { start_ns, covered_ns: seconds * SECOND, rx, tx, drops, stacked })
        });
        let rows: Vec<_> =
            rows.filter(|row| before.measured || row.start_ns >= cycle.from_ns).collect();
        let mut gaps: Vec<_> = gaps
            .into_iter()
            .map(|(at, length, bytes)| CountedGap {
                // Up to 20 minutes before the cycle, and after it.
                start_ns: minute(at).saturating_sub(20 * MINUTES),
                interval_ns: length * MINUTES,
                rx: volume(bytes),
                tx: volume(0),
            })
            .filter(|gap| {
                gap.start_ns + gap.interval_ns > cycle.from_ns && gap.start_ns < cycle.to_ns
            })
            .collect();
        gaps.sort_by_key(|gap| gap.start_ns);
        let mut links: Vec<_> =
            links.into_iter().map(|(at, up)| LinkTurn { time_ns: minute(at), up }).collect();
        links.sort_by_key(|turn| turn.time_ns);
        let stays = stays.map(|(a, b, c)| {
            let mut ends = [a, b, c];
            ends.sort_unstable();
            let at = |n: u64| Time(cycle.from_ns + n * FIVE_MINUTES_NS);
            let pairs = [(ends[0], ends[1]), (ends[2], LENGTH)];
            let stays = pairs.into_iter().filter(|(from, to)| from < to);
            stays.map(|(from, to)| NicStay { from: at(from), to: at(to) }).collect()
        });
        Past { before, stays, history: NicHistory { rows, gaps, links } }
    })
}

/// What a store answers for a part.
fn part_of(history: &NicHistory, (from_ns, to_ns): (WallNs, WallNs)) -> NicHistory {
    let begin = from_ns.saturating_sub(FIVE_MINUTES_NS);
    let rows = history.rows.iter().filter(|row| (begin..to_ns).contains(&row.start_ns));
    let gaps = history
        .gaps
        .iter()
        .filter(|gap| gap.start_ns < to_ns && gap.start_ns + gap.interval_ns > from_ns);
    let links = history.links.iter().filter(|turn| (from_ns..to_ns).contains(&turn.time_ns));
    NicHistory {
        rows: rows.copied().collect(),
        gaps: gaps.copied().collect(),
        links: links.copied().collect(),
    }
}

proptest! {
    #[test]
    fn a_cycle_in_parts_is_the_cycle_at_once(
        pasts in prop::collection::vec(past(), 1..4), mark in 0..=LENGTH, over in 0..=LENGTH,
        by_host in any::<bool>(),
    ) {
        let cycle = bounds(LENGTH);
        let terms = Terms { commit_bits_per_second: Some(9000), ..terms(BillingRule::Max) };
        let as_of = cycle.from_ns + mark.max(over) * FIVE_MINUTES_NS + 3 * MINUTES;
        let mark_ns = cycle.from_ns + mark * FIVE_MINUTES_NS;
        let names = ["a", "b", "c"];
        let add = |meter: &mut Meter, part: (WallNs, WallNs)| {
            for (name, past) in names.iter().zip(&pasts) {
                let history = part_of(&past.history, part);
                let before = meter.before("web", name).unwrap_or(past.before);
                let stays = past.stays.as_deref();
                let nic = MeteredNic { before, stays, by_host, ..port(name, &history) };
                meter.add_part(&nic, part);
            }
        };
        let mut whole = Meter::new(terms, cycle, as_of);
        add(&mut whole, (cycle.from_ns, cycle.to_ns));
        let mut settled = Meter::new(terms, cycle, mark_ns + 2 * MINUTES);
        add(&mut settled, (cycle.from_ns, mark_ns));
        let mut parts = settled.at(as_of);
        add(&mut parts, (mark_ns, cycle.to_ns));
        prop_assert_eq!(parts.finish(), whole.finish());
    }
}

#[test]
fn a_gap_that_comes_after_the_part_in_which_it_begins_was_read_is_missing_until_all_is_read() {
    // 2 of 6 intervals before the mark, all measured; then nothing but a gap that began before the mark.
    let cycle = bounds(6);
    let mark_ns = cycle.from_ns + 2 * FIVE_MINUTES_NS;
    let rows = (0..2).map(|n| row(cycle, n, 100, 0)).collect();
    let early = history(rows);
    let start_ns = mark_ns.saturating_sub(MINUTES);
    let gap = CountedGap { start_ns, interval_ns: 11 * MINUTES, rx: volume(500), tx: volume(0) };
    let late = NicHistory { rows: early.rows.clone(), gaps: vec![gap], links: vec![] };
    let as_of = cycle.from_ns + 4 * FIVE_MINUTES_NS + 3 * MINUTES;
    let mut settled = Meter::new(terms(BillingRule::Rx), cycle, mark_ns);
    settled.add_part(&port("a", &early), (cycle.from_ns, mark_ns));
    let before = settled.before("web", "a").unwrap();
    let mut parts = settled.at(as_of);
    let nic = MeteredNic { before, ..port("a", &late) };
    parts.add_part(&nic, (mark_ns, cycle.to_ns));
    let parts = parts.finish();
    assert_eq!(parts.nics.iter().map(|nic| nic.missing_ns).sum::<u64>(), 10 * MINUTES);
    let mut whole = Meter::new(terms(BillingRule::Rx), cycle, as_of);
    whole.add_part(&port("a", &late), (cycle.from_ns, cycle.to_ns));
    let whole = whole.finish();
    assert_eq!(whole.nics.iter().map(|nic| nic.missing_ns).sum::<u64>(), 0);
}
