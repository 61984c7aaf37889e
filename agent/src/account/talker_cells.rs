//! The tables of talkers of the slots, handed over with them.
//!
//! A table is too large to be added to a slot at the end of a block, so there are a few cells, each with
//! a table. A slot has a cell while its number, modulo theirs, is no earlier slot's. The reader lends the
//! table of its slot and gives it back before it leaves its block; the sampler takes it once the slot is
//! sealed and left ([`super::handover`]), and puts it back empty.
//!
//! So each lock guards a moment in which nobody else wants it, unless the sampler is behind by as many
//! slots as there are cells. Then the reader gets no table, and what it counts belongs to nobody by name.

use super::sync::{Mutex, MutexGuard};

#[derive(Debug)]
struct TalkerCell<T> {
    /// The slot that it is of. `None`: its table is empty.
    slot: Option<u64>,
    /// `None` while someone has it.
    table: Option<Box<T>>,
}

/// The cells, each with one table.
#[derive(Debug)]
pub struct TalkerCells<T>(Box<[Mutex<TalkerCell<T>>]>);

impl<T> TalkerCells<T> {
    /// Cells with these tables, which are empty. There may be none.
    #[must_use]
    pub fn new(tables: Vec<T>) -> Self {
        let cell = |table| Mutex::new(TalkerCell { slot: None, table: Some(Box::new(table)) });
        Self(tables.into_iter().map(cell).collect())
    }

    #[allow(clippy::cast_possible_truncation, reason = "a remainder of a small number")]
    fn cell(&self, slot: u64) -> Option<&Mutex<TalkerCell<T>>> {
        self.0.get(slot.checked_rem(self.0.len() as u64)? as usize)
    }

    /// The reader, inside a block, lends the table of an open slot. `None` if an earlier slot still has
    /// it. Never waits.
    pub fn lend(&self, slot: u64) -> Option<Box<T>> {
        let mut cell = self.cell(slot)?.try_lock().ok()?;
        if cell.slot.is_some_and(|of| of != slot) {
            return None;
        }
        let table = cell.table.take()?;
        cell.slot = Some(slot);
        Some(table)
    }

    /// The reader gives back the table of a slot, before it leaves the block.
    pub fn give_back(&self, slot: u64, table: Box<T>) {
        if let Some(cell) = self.cell(slot) {
            locked(cell).table = Some(table);
        }
    }

    /// The sampler looks at the tables of all slots before `open`, which are sealed and left, and empties
    /// them.
    pub fn take(&self, open: u64, mut empty: impl FnMut(&mut T)) {
        for cell in &self.0 {
            let mut this = locked(cell);
            if this.slot.is_none_or(|slot| slot >= open) {
                continue;
            }
            let Some(mut table) = this.table.take() else { continue };
            // The reader may look meanwhile, and finds that the slot is another's.
            drop(this);
            empty(&mut table);
            *locked(cell) = TalkerCell { slot: None, table: Some(table) };
        }
    }
}

/// A poisoned cell has a table all the same: no code that may panic runs under the lock.
fn locked<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
