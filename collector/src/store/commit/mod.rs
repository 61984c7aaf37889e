//! How a batch is committed, whatever the engine. The policy is [`Plan`], and it is here only; who commits
//! asks it for the next step, takes it, and says what came of it.

mod fit;
mod plan;
mod search;
mod strikes;

use std::time::Duration;

use async_trait::async_trait;

pub use self::plan::{Misdated, Plan, Quarantined, Taken, TakenSession};
pub use self::strikes::{PROBATION, Strikes, TRIALS};
use super::port::error::StoreError;
use super::port::write::Store;
use super::rows::batch::Batch;

/// Committing a batch at once, for who has no other to do meanwhile. (The writer commits by the same plan,
/// but waits where the store fails.)
#[async_trait]
pub trait Commit {
    /// Commits a batch.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or the first failure of the store; what was committed until then stays.
    async fn commit(&self, batch: &Batch) -> Result<Taken, StoreError>;
}

#[async_trait]
impl<S: Store + ?Sized> Commit for S {
    async fn commit(&self, batch: &Batch) -> Result<Taken, StoreError> {
        // No time is counted: the search ends with its trials.
        let now = Duration::ZERO;
        let mut plan = Plan::new(batch.clone(), Strikes::default(), now);
        let mut taken = Taken::default();
        while let Some((part, end)) = plan.next_step() {
            match self.add(&part, end).await {
                Ok(()) => taken.extend(plan.on_taken(now)),
                Err(StoreError::Refused { reason, .. }) if plan.on_refused(&reason, now) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}
