//! The bank of slots: a reader adds what it counted over a block, the sampler takes slots that are
//! over.

use std::ops::Range;
use std::sync::Arc;

use wire::frame::MixCounts;
use wire::{BootNs, Bytes, Packets};

use super::handover::{Handover, Seal};
use super::sync::{AtomicU64, Ordering};
use super::talker_cells::TalkerCells;
use crate::talkers::flow_table::{FlowTable, FlowTables};
use crate::talkers::table::TalkerTablesRef;

/// Slots of a bank. With intervals of 10 ms the sampler may stand still for half a second before
/// packets are counted in another slot than their own.
pub const SLOTS: u64 = 64;

/// Which way a packet went, as seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received.
    Rx,
    /// Transmitted.
    Tx,
}

/// One direction of a tally.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirectionTally {
    /// Bytes on the wire.
    pub bytes: Bytes,
    /// Packets on the wire.
    pub packets: Packets,
    /// Packets as the tap saw them.
    pub captured: Packets,
    /// Composition of the traffic.
    pub mix: MixCounts,
    /// Most bytes within any 1 ms.
    pub peak_1ms_bytes: Bytes,
    /// Most bytes within any 10 ms.
    pub peak_10ms_bytes: Bytes,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Received traffic.
    pub rx: DirectionTally,
    /// Transmitted traffic.
    pub tx: DirectionTally,
    /// Packets counted in another slot than their own.
    pub late: Packets,
    /// Packets counted as captured though they are or may be super-packets, and those whose
    /// protocol or TCP flags lie behind the snaplen.
    pub inexact: Packets,
    /// Packets from before the ring began, which are counted nowhere else.
    pub early: Packets,
    /// Packets that the kernel has unwrapped and handed to the NIC again, which were counted when
    /// they came from the wire.
    pub again: Packets,
}

const SUMS: usize = 3 + MixCounts::FIGURES;

impl DirectionTally {
    /// The figures that add up, in a fixed order: plain numbers, as the cells hold them.
    #[inline]
    fn sums_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { bytes, packets, captured, mix, .. } = self;
        [&mut bytes.0, &mut packets.0, &mut captured.0].into_iter().chain(mix.figures_mut())
    }

    /// Adds what another ring of the same NIC counted in the same slot. The peaks of two rings may
    /// be from different times, so only the larger one is certain.
    fn merge(&mut self, mut other: Self) {
        for (sum, more) in self.sums_mut().zip(other.sums_mut()) {
            *sum += *more;
        }
        self.peak_1ms_bytes = self.peak_1ms_bytes.max(other.peak_1ms_bytes);
        self.peak_10ms_bytes = self.peak_10ms_bytes.max(other.peak_10ms_bytes);
    }
}

impl Tally {
    /// Adds what another ring of the same NIC counted in the same slot.
    pub fn merge(&mut self, other: Self) {
        self.rx.merge(other.rx);
        self.tx.merge(other.tx);
        self.late += other.late;
        self.inexact += other.inexact;
        self.early += other.early;
        self.again += other.again;
    }
}

/// One direction of a slot.
#[derive(Debug)]
struct Cells {
    sums: [AtomicU64; SUMS],
    peak_1ms: AtomicU64,
    peak_10ms: AtomicU64,
}

impl Default for Cells {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { sums: std::array::from_fn(|_| zero()), peak_1ms: zero(), peak_10ms: zero() }
    }
}

impl Cells {
    fn add(&self, traffic: &mut DirectionTally) {
        if traffic.captured == Packets(0) {
            return;
        }
        for (cell, figure) in self.sums.iter().zip(traffic.sums_mut()) {
            if *figure != 0 {
                cell.fetch_add(*figure, Ordering::Relaxed);
            }
        }
        self.peak_1ms.fetch_max(traffic.peak_1ms_bytes.get(), Ordering::Relaxed);
        self.peak_10ms.fetch_max(traffic.peak_10ms_bytes.get(), Ordering::Relaxed);
    }

    fn take(&self) -> DirectionTally {
        let mut traffic = DirectionTally {
            peak_1ms_bytes: Bytes(self.peak_1ms.swap(0, Ordering::Relaxed)),
            peak_10ms_bytes: Bytes(self.peak_10ms.swap(0, Ordering::Relaxed)),
            ..DirectionTally::default()
        };
        for (cell, figure) in self.sums.iter().zip(traffic.sums_mut()) {
            *figure = cell.swap(0, Ordering::Relaxed);
        }
        traffic
    }
}

/// The counters of one slot, alone on their cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    rx: Cells,
    tx: Cells,
    late: AtomicU64,
    inexact: AtomicU64,
    early: AtomicU64,
    again: AtomicU64,
}

/// The slots of one ring, which the two halves share.
#[derive(Debug)]
struct Bank {
    handover: Handover,
    /// Boot time of the last packet that was counted, nanoseconds: a hint only.
    progress_ns: AtomicU64,
    slots: Box<[Slot]>,
    talkers: TalkerCells<FlowTables>,
}

impl Bank {
    #[allow(clippy::cast_possible_truncation, reason = "a remainder of a small number")]
    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % SLOTS) as usize]
    }
}

/// Makes the bank of a ring, with the given slot as the oldest open one: a half for the ring's
/// reader, which counts, and one for the sampler, which takes. There is one of each, as the
/// hand-over demands. As many slots at a time have their talkers counted as there are `talkers`.
#[must_use]
pub fn bank(open: u64, talkers: Vec<FlowTables>) -> (BankWriter, BankTaker) {
    let slots = (0..SLOTS).map(|_| Slot::default()).collect();
    let (handover, talkers) = (Handover::new(open), TalkerCells::new(talkers));
    let bank = Arc::new(Bank { handover, progress_ns: AtomicU64::new(0), slots, talkers });
    (BankWriter(bank.clone()), BankTaker(bank))
}

/// The half of a bank that belongs to its ring's reader: it counts into open slots.
#[derive(Debug)]
pub struct BankWriter(Arc<Bank>);

impl BankWriter {
    /// Enters a block and learns which slots may be counted into until it is left.
    ///
    /// The slot before the oldest open one may still be in the sampler's hands: it isn't among
    /// them.
    pub fn enter(&mut self) -> Range<u64> {
        let open = self.0.handover.enter();
        open..open + SLOTS - 1
    }

    /// Adds what was counted in a slot; only between entering and leaving a block.
    pub fn add(&mut self, slot: u64, tally: &mut Tally) {
        let cells = self.0.slot(slot);
        cells.rx.add(&mut tally.rx);
        cells.tx.add(&mut tally.tx);
        let Slot { late, inexact, early, again, .. } = cells;
        let of_ring = [late, inexact, early, again];
        let figures = [tally.late, tally.inexact, tally.early, tally.again].map(Packets::get);
        for (cell, figure) in of_ring.into_iter().zip(figures) {
            if figure != 0 {
                cell.fetch_add(figure, Ordering::Relaxed);
            }
        }
    }

    /// Lends the tables of an open slot, if they are free; only between entering and leaving a block.
    pub fn lend_talkers(&mut self, slot: u64) -> Option<Box<FlowTables>> {
        self.0.talkers.lend(slot)
    }

    /// Gives back the tables of a slot, before leaving the block.
    pub fn give_back_talkers(&mut self, slot: u64, tables: Box<FlowTables>) {
        self.0.talkers.give_back(slot, tables);
    }

    /// Leaves the block, whose last packet was of the boot time given.
    pub fn leave(&mut self, last_ns: BootNs) {
        self.0.progress_ns.store(last_ns.get(), Ordering::Relaxed);
        self.0.handover.leave();
    }
}

/// The half of a bank that belongs to the sampler: it takes sealed slots, one after another.
#[derive(Debug)]
pub struct BankTaker(Arc<Bank>);

impl BankTaker {
    /// Boot time of the last packet that was counted, nanoseconds.
    #[must_use]
    pub fn progress_ns(&self) -> BootNs {
        BootNs(self.0.progress_ns.load(Ordering::Relaxed))
    }

    /// Seals a slot and all before it.
    #[must_use]
    pub fn seal(&mut self, slot: u64) -> Seal {
        self.0.handover.seal(slot + 1)
    }

    /// Takes a slot that is sealed; `None` while the reader is still inside the block that it was
    /// in then.
    #[must_use]
    pub fn take(&mut self, slot: u64, seal: Seal) -> Option<Tally> {
        self.0.handover.is_left(seal).then(|| {
            let cells = self.0.slot(slot);
            Tally {
                rx: cells.rx.take(),
                tx: cells.tx.take(),
                late: Packets(cells.late.swap(0, Ordering::Relaxed)),
                inexact: Packets(cells.inexact.swap(0, Ordering::Relaxed)),
                early: Packets(cells.early.swap(0, Ordering::Relaxed)),
                again: Packets(cells.again.swap(0, Ordering::Relaxed)),
            }
        })
    }

    /// Shows the tables of a slot, and of all before it, and empties them.
    /// Only once the seal of that slot is left: after [`BankTaker::take`] gave its tally.
    pub fn take_talkers(&mut self, slot: u64, mut each: impl FnMut(TalkerTablesRef<'_>)) {
        self.0.talkers.take(slot + 1, |tables| {
            each(tables.each_mut().map(FlowTable::settled));
            tables.iter_mut().for_each(FlowTable::clear);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn tally(n: u64) -> Tally {
        let mut traffic = DirectionTally {
            peak_1ms_bytes: Bytes(n),
            peak_10ms_bytes: Bytes(n),
            ..DirectionTally::default()
        };
        traffic.sums_mut().for_each(|figure| *figure = n);
        Tally {
            rx: traffic,
            tx: traffic,
            late: Packets(n),
            inexact: Packets(n),
            early: Packets(n),
            again: Packets(n),
        }
    }

    #[test]
    fn every_figure_comes_out_of_the_slot_it_went_into_and_only_once() {
        let (mut writer, mut taker) = bank(7, Vec::new());
        assert_eq!(writer.enter(), 7..7 + SLOTS - 1);
        writer.add(7, &mut tally(1));
        writer.add(7, &mut tally(2));
        writer.add(8, &mut tally(10));
        let seal = taker.seal(7);
        assert_eq!(taker.take(7, seal), None, "the reader is inside its block");
        writer.leave(BootNs(0));
        let taken = taker.take(7, seal).unwrap();
        let mut sum = tally(3);
        for traffic in [&mut sum.rx, &mut sum.tx] {
            (traffic.peak_1ms_bytes, traffic.peak_10ms_bytes) = (Bytes(2), Bytes(2));
        }
        assert_eq!(taken, sum);
        let seal = taker.seal(8);
        assert_eq!(taker.take(8, seal), Some(tally(10)));
        assert_eq!(writer.enter().start, 9);
        writer.leave(BootNs(0));
        let seal = taker.seal(7 + SLOTS);
        assert_eq!(taker.take(7 + SLOTS, seal), Some(Tally::default()));
    }

    #[test]
    fn under_load_the_samplers_sum_is_the_readers() {
        const BLOCKS: u64 = 100_000;
        let (mut writer, mut taker) = bank(0, Vec::new());
        let (mut slot, mut sum) = (0, Tally::default());
        let mut take = || {
            let seal = taker.seal(slot);
            let taken = loop {
                match taker.take(slot, seal) {
                    Some(taken) => break taken,
                    None => thread::yield_now(),
                }
            };
            sum.merge(taken);
            slot += 1;
        };
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                for n in 0..BLOCKS {
                    let open = writer.enter();
                    writer.add(open.start + n % (open.end - open.start), &mut tally(1));
                    writer.leave(BootNs(0));
                }
            });
            while !reader.is_finished() {
                take();
            }
        });
        for _ in 0..SLOTS {
            take();
        }
        assert_eq!(
            (sum.rx.bytes, sum.tx.mix.tcp_rst_packets, sum.late),
            (Bytes(BLOCKS), Packets(BLOCKS), Packets(BLOCKS))
        );
    }
}
