//! The commit policy for all engines, in [`Plan`] only. The caller asks the plan for the next step,
//! runs it, and reports the outcome.

mod fit;
mod plan;
mod search;
mod strikes;

use std::time::Duration;

use async_trait::async_trait;
use settings::InFull;

pub use self::plan::{Misdated, Plan, Quarantined, Taken, TakenSession};
pub use self::strikes::{PROBATION, Strikes, TRIALS};
use super::port::error::StoreError;
use super::port::write::Store;
use super::rows::batch::Batch;

/// Commits a batch at once, for callers without other batches. (The writer uses the same plan, but
/// waits if the store fails.)
#[async_trait]
pub trait Commit {
    /// Commits a batch.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or the first failure of the store; earlier parts stay committed.
    async fn commit(&self, batch: &Batch) -> Result<Taken, StoreError>;
}

#[async_trait]
impl<S: Store + ?Sized> Commit for S {
    async fn commit(&self, batch: &Batch) -> Result<Taken, StoreError> {
        // Time doesn't matter here: the search ends with its trials.
        let now = Duration::ZERO;
        let mut plan = Plan::new(batch.clone(), Strikes::default(), now);
        let mut taken = Taken::default();
        while let Some((part, end)) = plan.next_step() {
            match self.add(&part, end).await {
                Ok(()) => taken.extend(plan.on_taken(now)),
                Err(StoreError::Refused { error, .. })
                    if plan.on_refused(&error.in_full().to_string(), now) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}
