//! How often a wrong token may be tried. Who knows the token is let in, whatever others try: an
//! address that has proved it is refused no more for a day, and while many addresses try, each has
//! a few tries of its own.

use std::collections::HashMap;
use std::time::Duration;

use super::caller::Caller;
use super::limits::Limits;

/// Wrong tokens that an address may try though too many fail in all.
const FEW: f64 = 3.0;

/// How long an address that has proved the token is refused no more.
const KNOWN: Duration = Duration::from_secs(86_400);

/// Addresses that are remembered: some MB. Of more, those not heard of for longest are forgotten.
const REMEMBERED: usize = 10_000;

/// What was tried. Times are of a clock that only goes on.
#[derive(Debug)]
pub(super) struct Throttle {
    each: Bucket,
    all: Bucket,
    of: HashMap<Caller, Tries>,
    in_all: Level,
}

/// How many a minute fill it.
#[derive(Debug, Clone, Copy)]
struct Bucket(f64);

/// How full a bucket is.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    level: f64,
    at: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    wrong: Level,
    proved: Option<Duration>,
}

impl Bucket {
    /// How full it is now: it empties within a minute.
    fn now(self, Level { level, at }: Level, now: Duration) -> f64 {
        (level - now.saturating_sub(at).as_secs_f64() * self.0 / 60.0).max(0.0)
    }

    fn add(self, level: &mut Level, now: Duration) {
        *level = Level { level: (self.now(*level, now) + 1.0).min(self.0), at: now };
    }

    /// Until when there is room for another one.
    fn wait(self, level: Level, most: f64, now: Duration) -> Option<Duration> {
        let over = self.now(level, now) + 1.0 - most;
        (over > 1e-9).then(|| Duration::from_secs_f64(over * 60.0 / self.0))
    }
}

/// What becomes of a token that was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Nothing is said of it for so long, because of this limit.
    Later(Duration, &'static str),
}

impl Throttle {
    pub fn new(limits: &Limits) -> Self {
        Self {
            each: Bucket(limits.failed_sign_ins_per_address.into()),
            all: Bucket(limits.failed_sign_ins.into()),
            of: HashMap::new(),
            in_all: Level::default(),
        }
    }

    /// Somebody presents a token, which is right or not.
    pub fn judge(&mut self, caller: &Caller, right: bool, now: Duration) -> Verdict {
        let tries = self.of.get(caller).copied().unwrap_or_default();
        let known = tries.proved.is_some_and(|proved| now.saturating_sub(proved) < KNOWN);
        // Behind a proxy that doesn't tell them apart are honest people too.
        let one = *caller != Caller::Proxy;
        let own = self.each.wait(tries.wrong, self.each.0, now).filter(|_| one);
        let own = own.map(|wait| (wait, "failed_sign_ins_per_address"));
        let few = || {
            let wait = self.all.wait(self.in_all, self.all.0, now)?;
            let few = self.each.wait(tries.wrong, FEW.min(self.each.0), now);
            if one { few } else { Some(wait) }.map(|wait| (wait, "failed_sign_ins"))
        };
        let later = own.or_else(few);
        match later {
            Some((wait, limit)) if !(right && known) => Verdict::Later(wait, limit),
            _ if right => {
                self.entry(caller, now).proved = Some(now);
                Verdict::Right
            }
            _ => {
                let (each, all) = (self.each, self.all);
                each.add(&mut self.entry(caller, now).wrong, now);
                all.add(&mut self.in_all, now);
                Verdict::Wrong
            }
        }
    }

    fn entry(&mut self, caller: &Caller, now: Duration) -> &mut Tries {
        if self.of.len() >= REMEMBERED && !self.of.contains_key(caller) {
            let each = self.each;
            let matters = |tries: &Tries| {
                let known = tries.proved.is_some_and(|proved| now.saturating_sub(proved) < KNOWN);
                known || each.now(tries.wrong, now) > 0.0
            };
            self.of.retain(|_, tries| matters(tries));
            let heard = |tries: &Tries| tries.wrong.at.max(tries.proved.unwrap_or_default());
            let oldest = self.of.iter().min_by_key(|(_, tries)| heard(tries));
            let oldest = oldest.map(|(caller, _)| caller.clone());
            if let Some(oldest) = oldest.filter(|_| self.of.len() >= REMEMBERED) {
                self.of.remove(&oldest);
            }
        }
        self.of.entry(caller.clone()).or_default()
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

    fn throttle() -> Throttle {
        Throttle::new(&Limits::default())
    }

    #[test]
    fn an_address_that_guesses_is_told_nothing_more_for_a_while_also_if_it_is_right() {
        let (mut throttle, now) = (throttle(), at(0));
        for _ in 0..10 {
            assert_eq!(throttle.judge(&host(1), false, now), Verdict::Wrong);
        }
        let later = Verdict::Later(Duration::from_secs(6), "failed_sign_ins_per_address");
        assert_eq!(throttle.judge(&host(1), false, now), later);
        assert_eq!(throttle.judge(&host(1), true, now), later);
        assert_eq!(throttle.judge(&host(2), true, now), Verdict::Right);
        assert_eq!(throttle.judge(&host(1), false, at(6)), Verdict::Wrong);
        assert_eq!(throttle.judge(&host(1), true, at(12)), Verdict::Right);
    }

    #[test]
    fn who_has_proved_to_know_it_is_not_locked_out_by_others_of_the_address() {
        let (mut throttle, now) = (throttle(), at(0));
        assert_eq!(throttle.judge(&host(1), true, now), Verdict::Right);
        for _ in 0..100 {
            throttle.judge(&host(1), false, now);
        }
        assert!(matches!(throttle.judge(&host(1), false, now), Verdict::Later(..)));
        assert_eq!(throttle.judge(&host(1), true, now), Verdict::Right);
    }

    #[test]
    fn though_many_addresses_guess_each_new_one_has_a_few_tries() {
        let (mut throttle, now) = (throttle(), at(0));
        let wrong = |verdicts: &[Verdict]| {
            verdicts.iter().filter(|verdict| **verdict == Verdict::Wrong).count()
        };
        for number in 100..120 {
            for _ in 0..5 {
                throttle.judge(&host(number), false, now);
            }
        }
        let verdicts: Vec<Verdict> =
            (0..20).map(|_| throttle.judge(&host(1), false, now)).collect();
        assert_eq!(wrong(&verdicts), 3);
        assert!(matches!(verdicts[19], Verdict::Later(_, "failed_sign_ins")), "{verdicts:?}");
        assert_eq!(throttle.judge(&host(2), true, now), Verdict::Right);
        // Behind a proxy that tells nothing all are one: only the limit in all holds.
        assert!(matches!(throttle.judge(&Caller::Proxy, true, now), Verdict::Later(..)));
        assert_eq!(throttle.judge(&Caller::Proxy, true, at(1)), Verdict::Right);
        throttle.judge(&host(3), false, at(1));
        assert_eq!(throttle.judge(&Caller::Proxy, true, at(1)), Verdict::Right, "known");
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
