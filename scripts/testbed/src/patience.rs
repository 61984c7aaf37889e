//! Waiting for what must come, however busy the machine is.

use std::time::{Duration, Instant};

/// Longest wait for what must come, and comes within a second or two on a quiet machine. Only a test
/// that fails takes so long: one that is given less fails on a machine that others keep busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a machine that others keep busy may add to a time that a test is about: a program that must be
/// told within a second is told within that and this.
pub const SLACK: Duration = Duration::from_secs(10);

/// Waits until a condition holds, up to [`PATIENCE`].
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_for(what, PATIENCE, condition);
}

/// Waits until a condition holds, up to `patience`.
pub fn wait_for(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a condition holds, up to [`PATIENCE`], on a runtime.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(what, met).await;
}

/// Tries of what must be quick: a machine that others keep busy spoils some of them.
const TRIES: u32 = 5;

/// Pause between two tries, so that what kept the machine busy may have passed.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Requires that one of a few tries is quick, each within [`PATIENCE`]. Unlike [`until`], it doesn't try
/// until one happens to be.
pub async fn quick_once(what: &str, mut try_it: impl AsyncFnMut() -> bool) {
    for n in 1..=TRIES {
        if in_time(what, try_it()).await {
            return;
        }
        println!("try {n} of {TRIES}: not {what}");
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("in none of {TRIES} tries: {what}");
}

/// What a future gives, which must end within [`PATIENCE`].
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
