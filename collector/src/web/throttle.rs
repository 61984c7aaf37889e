//! Limits attempts with wrong tokens. A caller with the right token is let in, whatever others try: an
//! address that has proved the token isn't refused for a day, and under attack each address still has a
//! few attempts of its own.

use std::collections::HashMap;
use std::time::Duration;

use super::caller::Caller;
use super::limits::WebLimits;
use crate::bucket::Bucket;

/// Wrong tokens that an address may try even if too many fail in total.
const FEW: u64 = 3;

/// How long an address that has proved the token isn't refused.
const KNOWN: Duration = Duration::from_secs(86_400);

/// Number of addresses kept: some MB. Beyond that, the ones silent longest are dropped.
const REMEMBERED: usize = 10_000;

/// The period of the limits.
const SPAN: Duration = Duration::from_secs(60);

/// Attempts so far. Times are from a monotonic clock.
#[derive(Debug)]
pub(super) struct SignInThrottle {
    /// Wrong tokens that one address may try.
    each: u64,
    of: HashMap<Caller, Tries>,
    in_all: Bucket,
}

/// Attempts of one address.
#[derive(Debug, Clone)]
struct Tries {
    wrong: Bucket,
    proved: Option<Duration>,
    heard: Duration,
}

impl Tries {
    fn new(each: u64) -> Self {
        Self { wrong: Bucket::new(each, SPAN), proved: None, heard: Duration::ZERO }
    }

    fn is_known(&self, now: Duration) -> bool {
        self.proved.is_some_and(|proved| now.saturating_sub(proved) < KNOWN)
    }
}

/// Outcome of a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenVerdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Not judged for this long, because of this limit.
    Later(Duration, &'static str),
}

impl SignInThrottle {
    pub fn new(limits: &WebLimits) -> Self {
        Self {
            each: limits.failed_sign_ins_per_address.into(),
            of: HashMap::new(),
            in_all: Bucket::new(limits.failed_sign_ins.into(), SPAN),
        }
    }

    /// Judges a presented token, right or wrong.
    pub fn judge(&mut self, caller: &Caller, right: bool, now: Duration) -> TokenVerdict {
        let tries = self.of.get(caller).cloned().unwrap_or_else(|| Tries::new(self.each));
        let later = self.later(&tries, caller, now);
        match later {
            Some((wait, limit)) if !(right && tries.is_known(now)) => {
                TokenVerdict::Later(wait, limit)
            }
            _ if right => {
                self.entry(caller, now).proved = Some(now);
                TokenVerdict::Right
            }
            _ => {
                self.entry(caller, now).wrong.take(1, now);
                // Attempts beyond it, from an address's own few, don't make others wait longer.
                if self.in_all.wait_for(1, now).is_zero() {
                    self.in_all.take(1, now);
                }
                TokenVerdict::Wrong
            }
        }
    }

    /// How long a token isn't judged, and because of which limit.
    fn later(
        &self,
        tries: &Tries,
        caller: &Caller,
        now: Duration,
    ) -> Option<(Duration, &'static str)> {
        // Behind a proxy that doesn't name its clients there are honest people too.
        let one = *caller != Caller::Proxy;
        let own = tries.wrong.wait_for(1, now);
        if one && !own.is_zero() {
            return Some((own, "failed_sign_ins_per_address"));
        }
        let all = self.in_all.wait_for(1, now);
        if all.is_zero() {
            return None;
        }
        let spent = self.each.saturating_sub(FEW);
        let wait = if one { tries.wrong.wait_for(spent + 1, now) } else { all };
        (!wait.is_zero()).then_some((wait, "failed_sign_ins"))
    }

    fn entry(&mut self, caller: &Caller, now: Duration) -> &mut Tries {
        if self.of.len() >= REMEMBERED && !self.of.contains_key(caller) {
            self.of.retain(|_, tries| tries.is_known(now) || !tries.wrong.is_full(now));
            let oldest = self.of.iter().min_by_key(|(_, tries)| tries.heard);
            let oldest = oldest.map(|(caller, _)| caller.clone());
            if let Some(oldest) = oldest.filter(|_| self.of.len() >= REMEMBERED) {
                self.of.remove(&oldest);
            }
        }
        let tries = self.of.entry(caller.clone()).or_insert_with(|| Tries::new(self.each));
        tries.heard = now;
        tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    fn host(number: u32) -> Caller {
        Caller::at(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn throttle() -> SignInThrottle {
        SignInThrottle::new(&WebLimits::default())
    }

    #[test]
    fn an_address_that_guesses_is_told_nothing_more_for_a_while_also_if_it_is_right() {
        let (mut throttle, now) = (throttle(), at(0));
        for _ in 0..10 {
            assert_eq!(throttle.judge(&host(1), false, now), TokenVerdict::Wrong);
        }
        let later = TokenVerdict::Later(Duration::from_secs(6), "failed_sign_ins_per_address");
        assert_eq!(throttle.judge(&host(1), false, now), later);
        assert_eq!(throttle.judge(&host(1), true, now), later);
        assert_eq!(throttle.judge(&host(2), true, now), TokenVerdict::Right);
        assert_eq!(throttle.judge(&host(1), false, at(6)), TokenVerdict::Wrong);
        assert_eq!(throttle.judge(&host(1), true, at(12)), TokenVerdict::Right);
    }

    #[test]
    fn who_has_proved_to_know_it_is_not_locked_out_by_others_of_the_address() {
        let (mut throttle, now) = (throttle(), at(0));
        assert_eq!(throttle.judge(&host(1), true, now), TokenVerdict::Right);
        for _ in 0..100 {
            throttle.judge(&host(1), false, now);
        }
        assert!(matches!(throttle.judge(&host(1), false, now), TokenVerdict::Later(..)));
        assert_eq!(throttle.judge(&host(1), true, now), TokenVerdict::Right);
    }

    #[test]
    fn though_many_addresses_guess_each_new_one_has_a_few_tries() {
        let (mut throttle, now) = (throttle(), at(0));
        let wrong = |verdicts: &[TokenVerdict]| {
            verdicts.iter().filter(|verdict| **verdict == TokenVerdict::Wrong).count()
        };
        for number in 100..120 {
            for _ in 0..5 {
                throttle.judge(&host(number), false, now);
            }
        }
        let verdicts: Vec<TokenVerdict> =
            (0..20).map(|_| throttle.judge(&host(1), false, now)).collect();
        assert_eq!(wrong(&verdicts), 3);
        assert!(matches!(verdicts[19], TokenVerdict::Later(_, "failed_sign_ins")), "{verdicts:?}");
        assert_eq!(throttle.judge(&host(2), true, now), TokenVerdict::Right);
        // Behind a proxy that names no clients, all count as one; only the total limit applies.
        assert!(matches!(throttle.judge(&Caller::Proxy, true, now), TokenVerdict::Later(..)));
        assert_eq!(throttle.judge(&Caller::Proxy, true, at(1)), TokenVerdict::Right);
        throttle.judge(&host(3), false, at(1));
        assert_eq!(throttle.judge(&Caller::Proxy, true, at(1)), TokenVerdict::Right, "known");
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = throttle();
        for number in 0..12_000 {
            throttle.judge(&host(number), true, at(u64::from(number / 1000)));
        }
        assert_eq!(throttle.of.len(), REMEMBERED);
        assert!(!throttle.of.contains_key(&host(5)) && throttle.of.contains_key(&host(11_000)));
    }
}
