//! The hand-over between reader and sampler under every interleaving of the memory model: the same
//! source, compiled with loom's atomics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../src/account/handover.rs"]
#[allow(missing_docs, unreachable_pub, reason = "documented where it belongs")]
mod handover;

#[path = "../src/account/talker_cells.rs"]
#[allow(missing_docs, unreachable_pub, reason = "documented where it belongs")]
mod talker_cells;

mod sync {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
    pub use loom::sync::{Mutex, MutexGuard};
}

use loom::sync::Arc;
use loom::thread;
use sync::{AtomicU64, Ordering};

use handover::Handover;
use talker_cells::TalkerCells;

/// Slots of the bank in the test. As in the real bank, the newest open slot is the one before the
/// oldest comes around again.
const SLOTS: usize = 2;

struct Bank {
    handover: Handover,
    slots: [AtomicU64; SLOTS],
}

impl Bank {
    fn new() -> Self {
        Self { handover: Handover::new(0), slots: Default::default() }
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        &self.slots[usize::try_from(number).unwrap() % SLOTS]
    }

    /// Seals the slot and, when the reader permits it, takes its contents.
    fn take(&self, number: u64) -> u64 {
        let seal = self.handover.seal(number + 1);
        while !self.handover.is_left(seal) {
            thread::yield_now();
        }
        self.slot(number).swap(0, Ordering::Relaxed)
    }
}

#[test]
fn what_a_reader_counts_is_taken_once_and_from_the_slot_it_was_counted_in() {
    loom::model(|| {
        let bank = Arc::new(Bank::new());
        let reader = {
            let bank = Arc::clone(&bank);
            thread::spawn(move || {
                let mut counted = [0; 3];
                for amount in [1, 10] {
                    // In two parts, like packets of one block.
                    let open = bank.handover.enter();
                    bank.slot(open).fetch_add(amount, Ordering::Relaxed);
                    bank.slot(open).fetch_add(100 * amount, Ordering::Relaxed);
                    counted[usize::try_from(open).unwrap()] += 101 * amount;
                    bank.handover.leave();
                }
                counted
            })
        };
        let taken = [bank.take(0), bank.take(1)];
        let counted = reader.join().unwrap();
        let rest = bank.take(2);
        assert_eq!([taken[0], taken[1], rest], counted);
    });
}

/// Counts of slots 0, 1 and 2.
type Counts = [u64; 3];

#[test]
fn the_table_of_a_slot_is_taken_once_and_of_no_later_slot() {
    for cells in 1..=2 {
        let mut model = loom::model::Builder::new();
        // Locks have many interleavings. Most bugs need two or three switches, says loom's documentation.
        model.preemption_bound = Some(3);
        model.check(move || {
            let bank =
                Arc::new((Handover::new(0), TalkerCells::new(vec![Counts::default(); cells])));
            let reader = {
                let bank = Arc::clone(&bank);
                thread::spawn(move || {
                    let (handover, tables) = &*bank;
                    let mut counted = Counts::default();
                    for amount in [1, 10] {
                        let open = handover.enter();
                        let slot = usize::try_from(open).unwrap();
                        // Without a table, nobody is named.
                        if let Some(mut table) = tables.lend(open) {
                            table[slot] += amount;
                            counted[slot] += amount;
                            tables.give_back(open, table);
                        }
                        handover.leave();
                    }
                    counted
                })
            };
            let (handover, tables) = &*bank;
            let mut taken = Counts::default();
            for slot in 0..2 {
                let seal = handover.seal(slot + 1);
                while !handover.is_left(seal) {
                    thread::yield_now();
                }
                tables
                    .take(slot + 1, |table| add(&mut taken, table, usize::try_from(slot).unwrap()));
            }
            let counted = reader.join().unwrap();
            tables.take(3, |table| add(&mut taken, table, 2));
            assert_eq!(taken, counted);
        });
    }
}

/// Adds a table of slots up to `last`, and empties it.
fn add(taken: &mut Counts, table: &mut Counts, last: usize) {
    assert!(table[last + 1..].iter().all(|count| *count == 0), "{table:?} up to {last}");
    for (sum, count) in taken.iter_mut().zip(std::mem::take(table)) {
        *sum += count;
    }
}
