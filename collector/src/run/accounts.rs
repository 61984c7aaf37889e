//! Keeps the statements of all running cycles current.

use std::time::Duration;

use settings::InFull;
use tokio::time::sleep;

use crate::accounts::AccountBook;
use crate::store::dates::Dates;
use crate::time::boot;

/// Shortest time between two rounds.
const EVERY: Duration = Duration::from_secs(60);

/// A round's share of the time: large fleets have rounds less often.
const SHARE: u32 = 20;

/// Meters all accounts again and again, forever, by the store's clock: a wall clock that was stepped
/// begins no cycle. During an outage of the store the statements stay as they are, with their time.
pub async fn follow(book: AccountBook, dates: Dates) {
    loop {
        let begun = boot();
        if let Some(now_ns) = dates.store_ns(begun)
            && let Err(error) = book.renew(now_ns).await
        {
            tracing::warn!(error = %error.in_full(), "can't meter all accounts");
        }
        let wait = if dates.are_awaited() { Duration::from_secs(1) } else { EVERY };
        let took = boot().saturating_sub(begun);
        tokio::select! {
            () = sleep(wait.max(took * SHARE)) => {}
            () = book.changed() => {}
        }
    }
}
