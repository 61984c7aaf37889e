//! Decides whose handshake is next. Anybody can begin one, so addresses take turns, each has a limit,
//! and a stalled handshake gives way. Decisions only; time is an argument.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::listen::network;

/// Most handshakes that wait, as when thousands of agents reconnect at once. QUIC holds up to 64 KiB of
/// each, and 16 MiB of all.
const WAITING_MAX: usize = 3072;

/// A client that has waited this long has given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Age at which a handshake gives way to others: three round trips to the other side of the earth.
const GRACE: Duration = Duration::from_secs(1);

/// A source of handshakes: an IPv4 address, or an IPv6 network of 48 bits, which is what one customer
/// gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(network(address, 48))
    }
}

/// A running handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its source.
    pub origin: Origin,
    /// Its number.
    pub number: u64,
}

/// The next action.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Begin a handshake.
    Start(Slot, T),
    /// Abort a handshake.
    BreakOff(Slot),
    /// Drop a waiting one. If its client still wants it, its packets come again.
    Forget(T),
}

#[derive(Debug)]
struct Running {
    number: u64,
    since: Duration,
    /// It has progressed, so it isn't aborted.
    firm: bool,
}

#[derive(Debug)]
struct Queue<T> {
    running: VecDeque<Running>,
    waiting: VecDeque<(T, Duration)>,
}

impl<T> Queue<T> {
    /// The handshake that gives way, if it has used up its grace.
    fn stands_still(&self, now: Duration) -> Option<usize> {
        let oldest = self.running.iter().position(|it| !it.firm)?;
        (now.saturating_sub(self.running[oldest].since) >= GRACE).then_some(oldest)
    }
}

/// Running and waiting handshakes.
#[derive(Debug)]
pub struct Handshakes<T> {
    limit: usize,
    limit_each: usize,
    numbers: u64,
    running: usize,
    waiting: usize,
    queues: HashMap<Origin, Queue<T>>,
    /// Origins with waiting handshakes, in turn.
    turns: VecDeque<Origin>,
}

impl<T> Handshakes<T> {
    /// None yet. At most `limit` run at once, `limit_each` of them per origin.
    #[must_use]
    pub fn new(limit: usize, limit_each: usize) -> Self {
        Self {
            limit,
            limit_each,
            numbers: 0,
            running: 0,
            waiting: 0,
            queues: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Number of running and waiting handshakes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.running + self.waiting
    }

    /// True if some wait.
    #[must_use]
    pub const fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// A client asks for a handshake.
    pub fn offer(&mut self, origin: Origin, item: T, now: Duration) {
        let empty = || Queue { running: VecDeque::new(), waiting: VecDeque::new() };
        let queue = self.queues.entry(origin).or_insert_with(empty);
        if queue.waiting.is_empty() {
            self.turns.push_back(origin);
        }
        queue.waiting.push_back((item, now));
        self.waiting += 1;
    }

    /// The client has answered, so its handshake isn't aborted any more.
    pub fn on_firm(&mut self, slot: Slot) {
        let Some(queue) = self.queues.get_mut(&slot.origin) else { return };
        if let Some(running) = queue.running.iter_mut().find(|it| it.number == slot.number) {
            running.firm = true;
        }
    }

    /// A handshake has ended.
    pub fn on_end(&mut self, slot: Slot) {
        let Some(queue) = self.queues.get_mut(&slot.origin) else { return };
        let before = queue.running.len();
        queue.running.retain(|it| it.number != slot.number);
        self.running -= before - queue.running.len();
        self.tidy(slot.origin);
    }

    /// The next action. Call it until it returns `None`.
    pub fn next(&mut self, now: Duration) -> Option<Step<T>> {
        if self.waiting > WAITING_MAX {
            let longest = *self.turns.iter().max_by_key(|it| self.queues[*it].waiting.len())?;
            return self.forget(longest);
        }
        let mut busiest_asked = false;
        for _ in 0..self.turns.len() {
            let origin = *self.turns.front()?;
            let queue = self.queues.get(&origin)?;
            if queue.waiting.front().is_some_and(|(_, since)| *since + PATIENCE <= now) {
                return self.forget(origin);
            }
            if queue.running.len() >= self.limit_each {
                if let Some(oldest) = queue.stands_still(now) {
                    return self.break_off(origin, oldest);
                }
            } else if self.running >= self.limit {
                // The same for waiting ones; asked once, because there may be thousands of origins.
                if std::mem::replace(&mut busiest_asked, true) {
                    self.turns.rotate_left(1);
                    continue;
                }
                let busiest = self.queues.iter().max_by_key(|(_, it)| it.running.len());
                if let Some((busiest, queue)) = busiest
                    && let Some(oldest) = queue.stands_still(now)
                {
                    return self.break_off(*busiest, oldest);
                }
            } else {
                return self.start(origin, now);
            }
            self.turns.rotate_left(1);
        }
        None
    }

    /// Begins the newest that waits, because clients of old ones have mostly given up.
    fn start(&mut self, origin: Origin, now: Duration) -> Option<Step<T>> {
        let queue = self.queues.get_mut(&origin)?;
        let (item, _) = queue.waiting.pop_back()?;
        let number = self.numbers;
        queue.running.push_back(Running { number, since: now, firm: false });
        self.numbers += 1;
        self.running += 1;
        self.waiting -= 1;
        self.turns.rotate_left(1);
        self.tidy(origin);
        Some(Step::Start(Slot { origin, number }, item))
    }

    fn break_off(&mut self, origin: Origin, at: usize) -> Option<Step<T>> {
        let number = self.queues.get_mut(&origin)?.running.remove(at)?.number;
        self.running -= 1;
        self.tidy(origin);
        Some(Step::BreakOff(Slot { origin, number }))
    }

    fn forget(&mut self, origin: Origin) -> Option<Step<T>> {
        let (item, _) = self.queues.get_mut(&origin)?.waiting.pop_front()?;
        self.waiting -= 1;
        self.tidy(origin);
        Some(Step::Forget(item))
    }

    /// Drops the entry of an origin without handshakes.
    fn tidy(&mut self, origin: Origin) {
        let Some(queue) = self.queues.get(&origin) else { return };
        if queue.waiting.is_empty() {
            self.turns.retain(|other| *other != origin);
            if queue.running.is_empty() {
                self.queues.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn origin(n: u8) -> Origin {
        Origin::of([192, 0, 2, n].into())
    }

    /// All actions due.
    fn steps<T>(handshakes: &mut Handshakes<T>, now: Duration) -> Vec<Step<T>> {
        std::iter::from_fn(|| handshakes.next(now)).collect()
    }

    fn started<T>(steps: &[Step<T>]) -> Vec<Slot> {
        let slot = |step: &Step<T>| match step {
            Step::Start(slot, _) => Some(*slot),
            Step::BreakOff(_) | Step::Forget(_) => None,
        };
        steps.iter().filter_map(slot).collect()
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::"));
        assert_ne!(of("2001:db8:1::"), of("2001:db8:2::"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn three_thousand_agents_behind_one_address_all_get_in() {
        let mut handshakes = Handshakes::new(512, 128);
        for agent in 0..3000 {
            handshakes.offer(origin(1), agent, at(0));
        }
        let mut now = at(0);
        let mut done = 0;
        while done < 3000 {
            let begun = steps(&mut handshakes, now);
            assert!(begun.iter().all(|step| matches!(step, Step::Start(..))), "{now:?}");
            // Each handshake takes 100 ms.
            now += at(100);
            for slot in started(&begun) {
                handshakes.on_end(slot);
                done += 1;
            }
        }
        assert!(now < at(2500), "{now:?}");
        assert_eq!((handshakes.len(), handshakes.queues.len()), (0, 0));
    }

    #[test]
    fn ten_thousand_that_stand_still_hold_up_nobody_else_and_neighbours_for_a_second() {
        let mut handshakes = Handshakes::new(512, 128);
        for n in 0..10_000 {
            handshakes.offer(origin(1), n, at(0));
        }
        let begun = steps(&mut handshakes, at(0));
        assert_eq!(started(&begun).len(), 128);
        assert_eq!(begun.len(), 128 + 10_000 - WAITING_MAX, "the rest is forgotten");
        handshakes.offer(origin(2), 20_000, at(10));
        assert_eq!(started(&steps(&mut handshakes, at(10))).len(), 1, "another address");
        handshakes.offer(origin(1), 30_000, at(20));
        assert!(started(&steps(&mut handshakes, at(900))).is_empty());
        let later = steps(&mut handshakes, at(1001));
        assert!(matches!(later[0], Step::BreakOff(_)), "{:?}", later[0]);
        assert!(matches!(later[1], Step::Start(_, 30_000)), "the newest first: {:?}", later[1]);
    }

    #[test]
    fn one_that_has_got_an_answer_is_not_broken_off() {
        let mut handshakes = Handshakes::new(16, 1);
        handshakes.offer(origin(1), 1, at(0));
        let begun = started(&steps(&mut handshakes, at(0)));
        handshakes.on_firm(begun[0]);
        handshakes.offer(origin(1), 2, at(10));
        assert_eq!(steps(&mut handshakes, at(3000)), []);
        handshakes.on_end(begun[0]);
        assert_eq!(started(&steps(&mut handshakes, at(3000))).len(), 1);
    }

    proptest! {
        #[test]
        fn no_more_run_than_may_and_none_is_lost(
            events in prop::collection::vec((0_u8..4, 0_u8..6, 0_u64..800), 1..400),
        ) {
            let mut handshakes = Handshakes::new(8, 3);
            let mut running: Vec<Slot> = Vec::new();
            let (mut now, mut offered, mut left) = (at(0), 0_usize, 0_usize);
            for (event, n, pause) in events {
                now += at(pause);
                match event {
                    0 | 1 => {
                        handshakes.offer(origin(n), (), now);
                        offered += 1;
                    }
                    2 if !running.is_empty() => {
                        let slot = running.remove(usize::from(n) % running.len());
                        handshakes.on_end(slot);
                        left += 1;
                    }
                    _ => running.first().into_iter().for_each(|slot| handshakes.on_firm(*slot)),
                }
                while let Some(step) = handshakes.next(now) {
                    match step {
                        Step::Start(slot, ()) => running.push(slot),
                        Step::BreakOff(slot) => {
                            running.retain(|other| *other != slot);
                            left += 1;
                        }
                        Step::Forget(()) => left += 1,
                    }
                }
                prop_assert!(running.len() <= 8);
                for n in 0..6 {
                    let of = running.iter().filter(|slot| slot.origin == origin(n)).count();
                    prop_assert!(of <= 3);
                }
                prop_assert_eq!(handshakes.len(), offered - left);
                prop_assert_eq!(handshakes.running, running.len());
            }
        }
    }
}
