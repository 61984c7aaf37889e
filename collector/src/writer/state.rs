//! The writer's state.

use tokio::sync::watch;

/// The store's state: `None` while it commits, else the reason why it can't.
pub type StoreState = Option<String>;

pub(super) fn set_state(state: &watch::Sender<StoreState>, new: StoreState) {
    state.send_if_modified(|state| {
        let changed = *state != new;
        *state = new;
        changed
    });
}

#[allow(clippy::cast_precision_loss, reason = "a metric far below 2^53")]
pub(super) const fn as_f64(count: usize) -> f64 {
    count as f64
}
