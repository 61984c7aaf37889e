//! Attribution of packets to intervals, from a ring's blocks to the sampler's spans, under all
//! conditions of a host: any block layout, packets on boundaries and out of order, a stalled reader or
//! sampler, a stepped wall clock.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agent::account::bank::{BankTaker, SLOTS, Tally, bank};
use agent::account::clock::WallReading;
use agent::account::interval::SharedSchedule;
use agent::capture::ring::Packet;
use agent::capture::slot_counter::SlotCounter;
use agent::capture::wire_len::VnetHeader;
use agent::sampler::timeline::{DueSlots, Timeline};
use proptest::prelude::*;
use wire::Bytes;
use wire::{BootNs, WallNs};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// A boot time; the wall time belongs to it.
const BOOT: BootNs = BootNs(5_000 * SECOND + 1_234_567);
const WALL: WallNs = WallNs(1_700_000_000 * SECOND + 7_654_321);
/// Longest time from a packet to its reader, unless the reader stalls.
const HOLD: u64 = 20 * MS;
/// Headers of a UDP packet over IPv4, which takes the fast path.
const UDP: [u8; 60] = {
    let mut bytes = [0; 60];
    (bytes[12], bytes[14], bytes[23]) = (8, 0x45, 17);
    bytes
};
/// Bytes of each packet.
const LEN: u64 = 100;

/// Every third packet is transmitted.
fn is_outgoing(boot_ns: BootNs) -> bool {
    boot_ns % 3 == 0
}

/// Longest time that a block is open.
const OPEN: u64 = 8 * MS;

/// The wall clock, with one step at a boot time.
#[derive(Debug, Clone, Copy)]
struct WallClock {
    step_at: BootNs,
    by: i64,
}

impl WallClock {
    fn at(self, boot_ns: BootNs) -> WallNs {
        let by = if boot_ns >= self.step_at { self.by } else { 0 };
        (WALL + (boot_ns - BOOT)).saturating_add_signed(by)
    }

    fn read(self, boot_ns: BootNs) -> WallReading {
        WallReading { before_ns: boot_ns - 30, wall_ns: self.at(boot_ns), after_ns: boot_ns + 30 }
    }
}

/// Position of a packet in time.
#[derive(Debug, Clone, Copy)]
enum PacketPlace {
    /// This long after the previous packet, in thousandths of an interval.
    After(u64),
    /// This many nanoseconds after it.
    Close(u64),
    /// On the next boundary by the wall clock, or 1 ns before it.
    Boundary { before: bool },
    /// This many nanoseconds before the previous packet.
    OutOfOrder(u64),
}

fn places() -> impl Strategy<Value = Vec<PacketPlace>> {
    let place = prop_oneof![
        6 => (0..400u64).prop_map(PacketPlace::After),
        6 => (0..20_000u64).prop_map(PacketPlace::Close),
        2 => any::<bool>().prop_map(|before| PacketPlace::Boundary { before }),
        1 => (0..MS / 2).prop_map(PacketPlace::OutOfOrder),
    ];
    proptest::collection::vec(place, 1..300)
}

/// The packets' boot times in the order of the ring.
fn times(places: &[PacketPlace], interval: u64, clock: WallClock) -> Vec<BootNs> {
    let mut time = BOOT + MS;
    let at = |place: &PacketPlace| {
        let before = time;
        time = match place {
            PacketPlace::After(thousandths) => time + interval / 1000 * thousandths,
            PacketPlace::Close(by) => time + *by,
            PacketPlace::Boundary { before } => {
                let into = clock.at(time) % interval;
                time + interval - into - u64::from(*before)
            }
            PacketPlace::OutOfOrder(by) => return before.saturating_sub(*by).max(BOOT + 1),
        };
        time
    };
    places.iter().map(at).collect()
}

/// The blocks of a ring, each with the time of its hand-over.
fn blocks(times: &[BootNs], most: usize) -> VecDeque<(BootNs, Vec<BootNs>)> {
    let mut blocks: VecDeque<(BootNs, Vec<BootNs>)> = VecDeque::new();
    for &time in times {
        match blocks.back_mut() {
            Some((_, block)) if block.len() < most && time < block[0] + OPEN => block.push(time),
            _ => blocks.push_back((BootNs(0), vec![time])),
        }
    }
    for (handed, block) in &mut blocks {
        *handed = *block.iter().max().unwrap() + 2 * MS;
    }
    blocks
}

/// Packets of both directions.
fn packets(tally: &Tally) -> u64 {
    (tally.rx.packets + tally.tx.packets).get()
}

/// Reader and sampler of one ring.
struct Capture {
    clock: WallClock,
    taker: BankTaker,
    shared: Arc<SharedSchedule>,
    counting: SlotCounter,
    timeline: Timeline,
    taken: Vec<(DueSlots, Tally)>,
}

impl Capture {
    /// A ring that began at `begin`.
    fn new(interval: u64, clock: WallClock, begin: BootNs) -> Self {
        let (reading, hold) = (clock.read(BOOT), Duration::from_nanos(HOLD));
        let timeline = Timeline::new(Duration::from_nanos(interval), reading, hold);
        let shared = Arc::new(SharedSchedule::new(timeline.schedule()));
        let (writer, taker) = bank(0, Vec::new());
        let counting = SlotCounter::new(writer, shared.clone(), 0, reading, hold, begin);
        Self { clock, taker, shared, counting, timeline, taken: Vec::new() }
    }

    fn read_block(&mut self, now: BootNs, times: &[BootNs], more: bool) {
        let packets = times.iter().map(|&time| Packet {
            time_ns: self.clock.at(time),
            len: u32::try_from(LEN).unwrap(),
            headers: if time % 4 == 0 { &[] } else { &UDP },
            vnet: Some(VnetHeader::default()),
            vlan_stripped: false,
            network_at: 14,
            kind: if is_outgoing(time) { libc::PACKET_OUTGOING } else { libc::PACKET_HOST },
            link_type: libc::ARPHRD_ETHER,
        });
        self.counting.count(packets, self.clock.read(now));
        if !more {
            self.counting.at_idle(self.clock.read(now + 100));
        }
    }

    /// Runs the sampler; `read_all`: no block waits to be read.
    fn tick(&mut self, now: BootNs, read_all: bool) {
        if let Some(schedule) = self.timeline.observe(self.clock.read(now)) {
            self.shared.set(schedule);
        }
        while let Some(span) = self.timeline.take(now, |_| read_all) {
            self.take(span);
        }
    }

    fn take(&mut self, span: DueSlots) {
        let seal = self.taker.seal(span.slots.end - 1);
        let oldest = span.slots.start.max(span.slots.end.saturating_sub(SLOTS));
        let mut tally = Tally::default();
        for slot in oldest..span.slots.end {
            tally.merge(self.taker.take(slot, seal).unwrap());
        }
        self.taken.push((span, tally));
    }
}

/// A stall of reader or sampler.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// Begin, in thousandths of the run.
    at: u64,
    len: u64,
}

fn pause() -> impl Strategy<Value = Option<Pause>> {
    proptest::option::of((0..1000u64, 1..3 * SECOND).prop_map(|(at, len)| Pause { at, len }))
}

impl Pause {
    /// When work due at `time` is done.
    fn delay(pause: Option<Self>, time: BootNs, run: u64) -> BootNs {
        pause.map_or(time, |Self { at, len }| {
            let from = BOOT + run / 1000 * at;
            if (from..from + len).contains(&time) { from + len } else { time }
        })
    }
}

#[test]
fn what_came_before_the_ring_began_is_told_and_counted_in_no_interval() {
    let clock = WallClock { step_at: BootNs::MAX, by: 0 };
    let mut capture = Capture::new(10 * MS, clock, BOOT + MS);
    let begin = BOOT + MS;
    capture.read_block(begin + 9 * MS, &[begin - 1, begin - MS / 2, begin], true);
    // Once the ring has begun, packets may be out of order.
    capture.read_block(begin + 9 * MS, &[begin - 1, begin + MS], false);
    capture.tick(BOOT + SECOND, true);
    let sum = |figure: fn(&Tally) -> u64| -> u64 {
        capture.taken.iter().map(|(_, tally)| figure(tally)).sum()
    };
    assert_eq!((sum(|tally| tally.early.get()), sum(packets)), (2, 3));
}

/// Counts blocks without a sampler, then takes all slots.
fn count_all(times: &[BootNs], most: usize, interval: u64, clock: WallClock) -> Vec<Tally> {
    let mut capture = Capture::new(interval, clock, BootNs(0));
    for block in times.chunks(most) {
        let handed = *block.iter().max().unwrap() + MS;
        capture.read_block(handed, block, true);
    }
    let seal = capture.taker.seal(SLOTS - 2);
    (0..SLOTS - 1).map(|slot| capture.taker.take(slot, seal).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A packet alone in its block always takes the slow path; others take the fast path if they can.
    #[test]
    fn how_packets_lie_in_blocks_changes_no_figure_and_no_peak(
        places in places(),
        interval in 10..500u64,
        most in 2..300usize,
    ) {
        let (interval, clock) = (interval * MS, WallClock { step_at: BootNs::MAX, by: 0 });
        let times = times(&places, interval, clock);
        let alone = count_all(&times, 1, interval, clock);
        let in_blocks = count_all(&times, most, interval, clock);
        prop_assert_eq!(alone.iter().map(packets).sum::<u64>(), times.len() as u64);
        prop_assert_eq!(alone, in_blocks);
    }

    /// Around a boundary, packets of two intervals interleave: those of the two directions, and those
    /// that several CPUs stamped before they got their place in the ring.
    #[test]
    fn peaks_keep_their_bounds_where_packets_of_two_intervals_interleave(
        places in places(),
        interval in 10..30u64,
        most in 1..50usize,
    ) {
        const STEP: u64 = MS / 16;
        let (interval, clock) = (interval * MS, WallClock { step_at: BootNs::MAX, by: 0 });
        let times = times(&places, interval, clock);
        let mut capture = Capture::new(interval, clock, BootNs(0));
        // No sampler runs: use as many intervals as the slots hold.
        let end = capture.timeline.schedule().bounds(SLOTS - 2).end;
        let times: Vec<BootNs> = times.into_iter().take_while(|time| *time < end).collect();
        for block in times.chunks(most) {
            let handed = *block.iter().max().unwrap() + MS;
            capture.read_block(handed, block, true);
        }
        let seal = capture.taker.seal(SLOTS - 2);
        for slot in 0..SLOTS - 1 {
            let tally = capture.taker.take(slot, seal).unwrap();
            let bounds = capture.timeline.schedule().bounds(slot);
            for (outgoing, traffic) in [(false, tally.rx), (true, tally.tx)] {
                let own = |time: &BootNs| bounds.contains(time) && is_outgoing(*time) == outgoing;
                let own: Vec<BootNs> = times.iter().copied().filter(own).collect();
                let highest = |length: u64| -> u64 {
                    let from = |from: BootNs| own.iter().filter(|it| (from..from + length).contains(it)).count();
                    own.iter().map(|&time| from(time) as u64 * LEN).max().unwrap_or(0)
                };
                // Two readings of the clocks are 30 ns apart.
                for (window, peak) in [(MS, traffic.peak_1ms_bytes), (10 * MS, traffic.peak_10ms_bytes)] {
                    prop_assert!(highest(window - STEP - 60) <= peak.get(), "{peak} in {window} ns of slot {slot}");
                    prop_assert!(peak <= Bytes(highest(window + 60)), "{peak} in {window} ns of slot {slot}");
                }
            }
        }
    }

    #[test]
    fn every_packet_is_counted_once_and_in_its_own_interval_or_as_late(
        places in places(),
        interval in prop_oneof![10..20u64, Just(500), Just(1000), 20..60_001u64],
        most in 1..60usize,
        step in proptest::option::of((0..1000u64, 10..100_000u64, any::<bool>())),
        reader_pause in pause(),
        sampler_pause in pause(),
    ) {
        let interval = interval * MS;
        let run = interval * places.len() as u64 / 4 + SECOND;
        let clock = step.map_or(WallClock { step_at: BootNs::MAX, by: 0 }, |(at, by, forward)| {
            let by = (by * SECOND + 777_777).cast_signed();
            WallClock { step_at: BOOT + run / 1000 * at, by: if forward { by } else { -by } }
        });
        let times = times(&places, interval, clock);
        let mut capture = Capture::new(interval, clock, BootNs(0));
        let mut blocks = blocks(&times, most);
        let mut now = BOOT;
        while let Some((handed, block)) = blocks.pop_front() {
            let read = Pause::delay(reader_pause, handed, run).max(now);
            loop {
                let tick = Pause::delay(sampler_pause, capture.timeline.due_ns(), run).max(now);
                if tick >= read {
                    break;
                }
                capture.tick(tick, handed > tick);
                now = tick + MS / 10;
            }
            now = read;
            let more = blocks.front().is_some_and(|(next, _)| {
                Pause::delay(reader_pause, *next, run) <= now
            });
            capture.read_block(now, &block, more);
        }
        let end = now.max(*times.iter().max().unwrap()) + 1;
        while let Some(span) = capture.timeline.take_ended(end) {
            capture.take(span);
        }
        let rest = capture.timeline.take_rest(end);
        capture.take(rest);

        let count = |spans: &[(DueSlots, Tally)], figure: fn(&Tally) -> u64| -> u64 {
            spans.iter().map(|(_, tally)| figure(tally)).sum()
        };
        let taken = &capture.taken;
        let late = count(taken, |tally| tally.late.get());
        prop_assert_eq!(count(taken, packets), times.len() as u64, "all, once");
        for pair in taken.windows(2) {
            prop_assert_eq!(pair[0].0.bounds.end, pair[1].0.bounds.start, "spans tile time");
            prop_assert_eq!(pair[0].0.slots.end, pair[1].0.slots.start);
        }
        let mut misplaced = 0;
        for (span, tally) in taken {
            let own = times.iter().filter(|&time| span.bounds.contains(time)).count() as u64;
            misplaced += own.saturating_sub(packets(tally));
        }
        prop_assert!(misplaced <= late, "{misplaced} in another interval, {late} said to be late");
        // A reader has at least this much time: a quarter of the slots.
        let patience = (interval * SLOTS / 4).min(SECOND);
        if reader_pause.is_none_or(|pause| pause.len < patience) && sampler_pause.is_none() {
            prop_assert_eq!(late, 0, "packets are late without a long stall");
        }
        if step.is_none() {
            for (span, _) in taken.iter().filter(|(span, _)| span.slots.start > 0) {
                prop_assert_eq!(clock.at(span.bounds.start) % interval, 0, "at its multiples");
            }
        }
    }
}
