//! Clients with recently refused frames.

use std::collections::HashMap;
use std::time::Duration;

use wire::id::ClientId;

/// Trials that a client may use until its refused frames are no longer searched: enough to find one
/// among 65,536.
pub const TRIALS: u32 = 32;

/// How long refused frames of a client are remembered, from the last one on. Meanwhile it has only the
/// rest of its trials, and its frames are committed after all others'.
pub const PROBATION: Duration = Duration::from_secs(600);

/// Clients with refused frames. Others aren't delayed by them.
#[derive(Debug, Clone, Default)]
pub struct Strikes(HashMap<ClientId, Strike>);

#[derive(Debug, Clone, Copy)]
struct Strike {
    until: Duration,
    trials: u32,
}

impl Strikes {
    /// True if frames of the client were refused recently.
    #[must_use]
    pub fn has(&self, client: &ClientId) -> bool {
        self.0.contains_key(client)
    }

    /// Uses one of a client's trials. Returns false if none is left.
    pub fn spend(&mut self, client: &ClientId, now: Duration) -> bool {
        let until = now + PROBATION;
        let strike = self.0.entry(client.clone()).or_insert(Strike { until, trials: TRIALS });
        strike.until = until;
        let left = strike.trials.checked_sub(1);
        strike.trials = left.unwrap_or(0);
        left.is_some()
    }

    /// Forgets old refusals.
    pub fn forgive(&mut self, now: Duration) {
        self.0.retain(|_, strike| strike.until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_run_out_and_come_back_once_nothing_was_refused_for_a_while() {
        let (web, db) = (ClientId::new("web").unwrap(), ClientId::new("db").unwrap());
        let (mut strikes, second) = (Strikes::default(), Duration::from_secs(1));
        assert!((0..TRIALS).all(|n| strikes.spend(&web, n * second)));
        assert!(!strikes.spend(&web, TRIALS * second));
        assert!(strikes.has(&web) && !strikes.has(&db));
        strikes.forgive(TRIALS * second + PROBATION - second);
        assert!(!strikes.spend(&web, 600 * second), "remembered since the last refusal");
        strikes.forgive(600 * second + PROBATION);
        assert!(!strikes.has(&web) && strikes.spend(&web, 2000 * second));
    }
}
