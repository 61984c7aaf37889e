//! Clients whose frames a store refused lately.

use std::collections::HashMap;
use std::time::Duration;

use wire::id::ClientId;

/// Trials that a client may cost until its frames are no longer searched for those that are refused:
/// enough to find one among 65,536.
pub const TRIALS: u32 = 32;

/// How long it is remembered that frames of a client were refused, from the last time on. Meanwhile
/// it has what is left of its trials, and its frames are committed after all others'.
pub const PROBATION: Duration = Duration::from_secs(600);

/// What is remembered of clients whose frames were refused. Others aren't held up by them.
#[derive(Debug, Clone, Default)]
pub struct Strikes(HashMap<ClientId, Strike>);

#[derive(Debug, Clone, Copy)]
struct Strike {
    until: Duration,
    trials: u32,
}

impl Strikes {
    /// Whether frames of a client were refused lately.
    #[must_use]
    pub fn has(&self, client: &ClientId) -> bool {
        self.0.contains_key(client)
    }

    /// Takes one of a client's trials, if there is one left.
    pub fn spend(&mut self, client: &ClientId, now: Duration) -> bool {
        let until = now + PROBATION;
        let strike = self.0.entry(client.clone()).or_insert(Strike { until, trials: TRIALS });
        strike.until = until;
        let left = strike.trials.checked_sub(1);
        strike.trials = left.unwrap_or(0);
        left.is_some()
    }

    /// Forgets what is long ago.
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
        assert!(!strikes.spend(&web, 600 * second), "remembered from the last time on");
        strikes.forgive(600 * second + PROBATION);
        assert!(!strikes.has(&web) && strikes.spend(&web, 2000 * second));
    }
}
