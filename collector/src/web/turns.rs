//! Decides whose query is next. A limited number runs at once, fewer per address, and a limited number
//! waits. A caller with many queries delays only itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::caller::Caller;

/// Limits of running and waiting queries, in total and per address, and the limits' names.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnLimits {
    pub running: usize,
    pub running_each: usize,
    pub waiting: usize,
    pub waiting_each: usize,
    pub name: &'static str,
    pub name_each: &'static str,
}

/// A caller gets no turn because of this limit, its own or the total one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoTurn {
    pub limit: &'static str,
    pub own: bool,
}

/// Number of a waiting caller.
type Ticket = u64;

/// Running and waiting callers.
#[derive(Debug)]
struct Queue {
    limits: TurnLimits,
    running: HashMap<Caller, usize>,
    waiting: VecDeque<(Ticket, Caller)>,
    next: Ticket,
}

/// Answer to a caller.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It may run.
    Run,
    /// It waits and is called by this number.
    Wait(Ticket),
    /// Too many wait.
    Refused(NoTurn),
}

impl Queue {
    fn fits(&self, caller: &Caller) -> bool {
        let TurnLimits { running, running_each, .. } = self.limits;
        let own = self.running.get(caller).copied().unwrap_or(0);
        self.running.values().sum::<usize>() < running && own < caller.share(running_each, running)
    }

    fn begin(&mut self, caller: &Caller) {
        *self.running.entry(caller.clone()).or_default() += 1;
    }

    fn ask(&mut self, caller: &Caller) -> Told {
        if self.fits(caller) {
            self.begin(caller);
            return Told::Run;
        }
        let TurnLimits { waiting, waiting_each, name, name_each, .. } = self.limits;
        let own = self.waiting.iter().filter(|(_, other)| other == caller).count();
        if own >= caller.share(waiting_each, usize::MAX) {
            return Told::Refused(NoTurn { limit: name_each, own: true });
        }
        if self.waiting.len() >= waiting {
            return Told::Refused(NoTurn { limit: name, own: false });
        }
        self.next += 1;
        self.waiting.push_back((self.next, caller.clone()));
        Told::Wait(self.next)
    }

    /// A caller stops waiting.
    fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|(other, _)| *other != ticket);
    }

    /// A query of a caller has ended. Returns the next caller, if any.
    fn end(&mut self, caller: &Caller) -> Option<(Ticket, Caller)> {
        if let Some(running) = self.running.get_mut(caller) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(caller);
            }
        }
        let at = self.waiting.iter().position(|(_, caller)| self.fits(caller))?;
        let (ticket, caller) = self.waiting.remove(at)?;
        self.begin(&caller);
        Some((ticket, caller))
    }
}

/// The queue shared by all callers.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    queue: Queue,
    /// Channels that call waiting callers.
    calls: HashMap<Ticket, oneshot::Sender<Turn>>,
}

/// The right to query the store; dropping it ends the turn.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    caller: Caller,
}

/// A turn with a running query. It ends with the answer, or when the store has finished with a query
/// that was aborted or failed.
#[derive(Debug)]
pub(super) struct Asking {
    turn: Option<Turn>,
    rest: Duration,
}

impl Turn {
    /// The turn of a query that keeps the store busy for `rest` after it is aborted.
    pub const fn with_rest(self, rest: Duration) -> Asking {
        Asking { turn: Some(self), rest }
    }
}

impl Asking {
    /// The answer has arrived.
    pub fn end(mut self) {
        self.turn = None;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take().filter(|_| !self.rest.is_zero()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            let rest = self.rest;
            runtime.spawn(async move {
                sleep(rest).await;
                drop(turn);
            });
        }
    }
}

/// A waiting caller.
struct Waiter {
    turns: Turns,
    ticket: Ticket,
    limit: &'static str,
}

impl Turns {
    pub fn new(limits: TurnLimits) -> Self {
        let (running, waiting) = (HashMap::new(), VecDeque::new());
        let queue = Queue { limits, running, waiting, next: 0 };
        Self(Arc::new(Mutex::new(Shared { queue, calls: HashMap::new() })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the caller's turn.
    pub async fn take(&self, caller: &Caller) -> Result<Turn, NoTurn> {
        let turn = || Turn { turns: self.clone(), caller: caller.clone() };
        let (waiter, called) = {
            let mut shared = self.shared();
            match shared.queue.ask(caller) {
                Told::Run => return Ok(turn()),
                Told::Refused(why) => return Err(why),
                Told::Wait(ticket) => {
                    let (call, called) = oneshot::channel();
                    shared.calls.insert(ticket, call);
                    (
                        Waiter { turns: self.clone(), ticket, limit: shared.queue.limits.name },
                        called,
                    )
                }
            }
        };
        // The channel is kept as long as the waiter, so the call arrives.
        let turn = called.await;
        turn.map_err(|_| NoTurn { limit: waiter.limit, own: false })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut shared = self.turns.shared();
        shared.queue.leave(self.ticket);
        let call = shared.calls.remove(&self.ticket);
        drop(shared);
        drop(call);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (call, next) = {
            let mut shared = self.turns.shared();
            let Some((ticket, caller)) = shared.queue.end(&self.caller) else { return };
            (shared.calls.remove(&ticket), Self { turns: self.turns.clone(), caller })
        };
        // A caller that has left passes its turn on, outside the lock.
        drop(call.map(|call| call.send(next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TurnLimits = TurnLimits {
        running: 3,
        running_each: 2,
        waiting: 4,
        waiting_each: 3,
        name: "all",
        name_each: "each",
    };

    fn at(last: u8) -> Caller {
        Caller::at([192, 0, 2, last].into())
    }

    fn queue() -> Queue {
        let (running, waiting) = (HashMap::new(), VecDeque::new());
        Queue { limits: LIMITS, running, waiting, next: 0 }
    }

    #[test]
    fn who_asks_for_much_waits_and_others_have_their_turn() {
        let mut queue = queue();
        let asked = [1, 1, 1, 1, 1, 1].map(|last| queue.ask(&at(last)));
        let [_, _, Told::Wait(1), Told::Wait(2), Told::Wait(3), last] = asked else { panic!() };
        assert_eq!(last, Told::Refused(NoTurn { limit: "each", own: true }));
        assert_eq!(queue.ask(&at(2)), Told::Run);
        assert_eq!(queue.ask(&at(2)), Told::Wait(4));
        assert_eq!(queue.ask(&at(3)), Told::Refused(NoTurn { limit: "all", own: false }));
        // The first caller that may run; the other already has two.
        assert_eq!(queue.end(&at(2)), Some((4, at(2))));
        assert_eq!(queue.end(&at(1)), Some((1, at(1))));
        queue.leave(2);
        assert_eq!(queue.end(&at(1)), Some((3, at(1))));
        assert_eq!(queue.end(&at(1)), None);
        assert_eq!(queue.end(&at(1)), None);
        assert_eq!(queue.end(&at(2)), None);
        assert!(queue.running.is_empty());
    }

    #[tokio::test]
    async fn a_turn_lasts_until_the_store_is_done_with_what_was_broken_off() {
        let turns = Turns::new(LIMITS);
        let running = || turns.shared().queue.running.values().sum::<usize>();
        let rest = Duration::from_millis(50);
        for (rest, answered, left) in
            [(rest, false, 1), (rest, true, 0), (Duration::ZERO, false, 0)]
        {
            let asking = turns.take(&at(1)).await.unwrap().with_rest(rest);
            assert_eq!(running(), 1);
            if answered {
                asking.end();
            } else {
                drop(asking);
            }
            assert_eq!(running(), left);
            while running() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
        let turns = Turns::new(LIMITS);
        let running = [turns.take(&at(1)).await.unwrap(), turns.take(&at(1)).await.unwrap()];
        let waiting = [1, 1].map(|last| {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take(&at(last)).await.unwrap() })
        });
        while turns.shared().queue.waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        let [first, second] = waiting;
        first.abort();
        assert!(first.await.is_err());
        assert_eq!(turns.shared().queue.waiting.len(), 1);
        drop(running);
        drop(second.await.unwrap());
        let shared = turns.shared();
        assert!(shared.queue.running.is_empty() && shared.calls.is_empty());
    }
}
