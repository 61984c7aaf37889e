//! Owners: whose the traffic of talkers was. Between the sampler and the recorder, a thread passes
//! reports on. Talkers wait for their owners, which another thread asks the kernel for, and follow in
//! reports of their own; nothing else ever waits. If the kernel doesn't answer in time, talkers go
//! without owners: they are unattributed.
//!
//! What is known without any rights: the cgroup of each socket of this network namespace, so the unit,
//! container or pod. Processes are named where `/proc` shows their files: to root. Sockets of other
//! network namespaces, forwarded traffic, and what the kernel or a raw socket sends have no owner here.

mod book;
mod cgroups;
pub mod closures;
pub mod diag;
mod fill;
mod lookup;
mod markers;
mod names;
mod naming;
mod processes;
mod question;
mod queue;
mod shares;
pub mod sockets;
pub mod trial;

use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, at, bounded, never, select};
use wire::BootNs;
use wire::talkers::TalkerOwner;

pub use self::book::Book;
pub use self::cgroups::NoCgroup;
pub use self::lookup::{AskedOwners, Lookup, SETTLED};
pub use self::question::{OwnerQuestion, Present};
use self::queue::WaitingTalkers;
use crate::clocks;
use crate::sampler::IntervalReport;

/// Reports that may wait for the recorder before the sampler merges them.
const REPORTS: usize = 64;

/// Orders that may wait for the thread that asks. One that is stuck gets no more.
const ORDERS: usize = 4;

/// How often to hear of closed sockets at least: the kernel keeps some hundred.
const LISTEN: Duration = Duration::from_millis(250);

/// How often at most to look for the sockets of an interval, which takes 2 ms at most.
const LOOK: Duration = Duration::from_millis(200);

/// Questions, each with the time since when it asks.
type Questions = Vec<(OwnerQuestion, BootNs)>;

/// What to do.
#[derive(Debug)]
enum Order {
    /// Note which sockets have this traffic now.
    Look(Vec<OwnerQuestion>),
    /// Say whose the traffic is; the number is that of the answer.
    Answer(u64, Questions),
}

/// The owners that the order of this number asked for.
type Answer = (u64, Vec<Option<TalkerOwner>>);

/// Passes reports on, talkers with their owners in reports of their own. Ends when `reports` closes, or
/// nobody takes them any more.
///
/// # Errors
/// If the system provides no thread.
pub fn start(reports: Receiver<IntervalReport>) -> io::Result<Receiver<IntervalReport>> {
    start_with(reports, |orders, answers| Asking::new().run(orders, answers))
}

fn start_with(
    reports: Receiver<IntervalReport>,
    asking: impl FnOnce(&Receiver<Order>, &Sender<Answer>) + Send + 'static,
) -> io::Result<Receiver<IntervalReport>> {
    let (next, passed) = bounded(REPORTS);
    let (orders, ordered) = bounded(ORDERS);
    let (answers, answered) = bounded(ORDERS);
    thread::Builder::new().name("sockets".into()).spawn(move || asking(&ordered, &answers))?;
    let passing = Passing { orders, next, waiting: WaitingTalkers::default() };
    thread::Builder::new().name("owner".into()).spawn(move || passing.run(reports, &answered))?;
    Ok(passed)
}

/// The thread that asks the kernel.
#[derive(Debug)]
struct Asking {
    lookup: Lookup,
    looked: Option<Instant>,
    /// Asked and not answered yet: when to, and the number.
    asked: VecDeque<(Instant, u64, AskedOwners)>,
}

impl Asking {
    fn new() -> Self {
        Self { lookup: Lookup::new(), looked: None, asked: VecDeque::new() }
    }

    /// Does what is ordered until nobody orders any more.
    fn run(mut self, orders: &Receiver<Order>, answers: &Sender<Answer>) {
        self.lookup.listen();
        loop {
            let now = Instant::now();
            let mark = now + self.lookup.mark().map_or(LISTEN, |wait| wait.min(LISTEN));
            let due = self.asked.front().map_or(mark, |(due, ..)| mark.min(*due));
            match orders.recv_deadline(due) {
                Ok(Order::Look(questions)) => {
                    if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                        self.looked = Some(Instant::now());
                        self.lookup.look(&questions);
                    }
                }
                Ok(Order::Answer(number, questions)) => {
                    let asked = self.lookup.ask(questions);
                    self.asked.push_back((Instant::now() + SETTLED, number, asked));
                }
                Err(RecvTimeoutError::Timeout) => self.lookup.listen(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let is_due = |asked: &(Instant, u64, AskedOwners)| asked.0 <= Instant::now();
            while self.asked.front().is_some_and(is_due) {
                let Some((_, number, asked)) = self.asked.pop_front() else { break };
                if answers.send((number, self.lookup.answer(&asked))).is_err() {
                    return;
                }
            }
        }
    }
}

/// The thread that passes reports on.
#[derive(Debug)]
struct Passing {
    orders: Sender<Order>,
    next: Sender<IntervalReport>,
    waiting: WaitingTalkers,
}

impl Passing {
    fn run(mut self, mut reports: Receiver<IntervalReport>, answered: &Receiver<Answer>) {
        let mut answered = answered.clone();
        let mut ended = false;
        while !ended || self.waiting.until().is_some() {
            let until = self.waiting.until().map_or_else(never, at);
            let mut report = None;
            select! {
                recv(reports) -> next => match next {
                    Ok(next) => report = Some(self.taken(next)),
                    Err(_) => (ended, reports) = (true, never()),
                },
                recv(answered) -> answer => match answer {
                    Ok((number, owners)) => self.waiting.answered(number, owners, Instant::now()),
                    Err(_) => answered = never(),
                },
                recv(until) -> _ => {}
            }
            let talkers = self.waiting.ready(Instant::now());
            let named = IntervalReport { talkers, ..IntervalReport::default() };
            let named = Some(named).filter(|named| !named.talkers.is_empty());
            if report.into_iter().chain(named).any(|it| self.next.send(it).is_err()) {
                return;
            }
        }
    }

    /// A report without those of its talkers that wait for owners now.
    fn taken(&mut self, mut report: IntervalReport) -> IntervalReport {
        let largest = std::mem::take(&mut report.largest).into_iter();
        let look: Vec<OwnerQuestion> =
            largest.filter_map(|(kind, seen)| OwnerQuestion::of(kind, seen)).collect();
        // If the last order still waits, a look can be spared.
        if !look.is_empty() && self.orders.is_empty() {
            let _spared = self.orders.try_send(Order::Look(look));
        }
        if !report.talkers.is_empty() {
            let asked = fill::questions(&report.talkers, clocks::read());
            let now = Instant::now();
            let number = self.waiting.put(std::mem::take(&mut report.talkers), now);
            if asked.is_empty() {
                self.waiting.answered(number, Vec::new(), now);
            } else {
                // If nobody takes the order, they wait in vain and go without owners.
                let _unanswered = self.orders.try_send(Order::Answer(number, asked));
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use wire::frame::Sample;
    use wire::talkers::{KeyKind, OwnerKind, Talker, TalkerKey};

    use super::*;
    use crate::talkers::{SeenSockets, SocketPair, TalkersReport};

    fn sample() -> IntervalReport {
        IntervalReport { samples: vec![Sample::default()], ..IntervalReport::default() }
    }

    /// A report with a sample and a talker that can be asked about.
    fn talking() -> IntervalReport {
        let key = TalkerKey { kind: KeyKind::RemoteService as u8, ..TalkerKey::default() };
        let mut talkers = TalkersReport::default();
        talkers.record.rx.talkers = vec![Talker { key, ..Talker::default() }];
        let pair = SocketPair {
            protocol: 6,
            local: "10.0.0.1:4000".parse().unwrap(),
            remote: "10.0.0.2:443".parse().unwrap(),
        };
        talkers.rx_seen = vec![SeenSockets::One(pair)];
        IntervalReport { talkers: vec![talkers], ..sample() }
    }

    fn owners(report: &IntervalReport) -> Vec<String> {
        let owners = report.talkers.iter().flat_map(|it| &it.record.owners);
        owners.map(|it| it.name.clone()).collect()
    }

    #[test]
    fn samples_pass_at_once_and_talkers_follow_with_their_owners() {
        let (sampler, reports) = bounded(8);
        let (release, released) = bounded::<()>(0);
        let passed = start_with(reports, move |orders, answers| {
            for order in orders {
                let Order::Answer(number, asked) = order else { continue };
                released.recv().unwrap();
                let named = TalkerOwner {
                    kind: OwnerKind::Unit as u8,
                    name: format!("{number}.service"),
                    process: String::new(),
                };
                answers.send((number, vec![Some(named); asked.len()])).unwrap();
            }
        })
        .unwrap();
        sampler.send(talking()).unwrap();
        sampler.send(sample()).unwrap();
        // Nothing but the samples until somebody answers.
        assert_eq!([passed.recv().unwrap(), passed.recv().unwrap()], [sample(), sample()]);
        release.send(()).unwrap();
        assert_eq!(owners(&passed.recv().unwrap()), ["0.service"]);
        sampler.send(talking()).unwrap();
        drop(sampler);
        assert_eq!(passed.recv().unwrap(), sample());
        release.send(()).unwrap();
        assert_eq!(owners(&passed.recv().unwrap()), ["1.service"], "the last ones too");
        assert!(passed.recv().is_err(), "the end is passed on");
    }

    #[test]
    fn a_kernel_that_never_answers_holds_no_measurement_back() {
        let (sampler, reports) = bounded(64);
        let (stuck, forever) = bounded::<()>(0);
        let passed = start_with(reports, move |_orders, _answers| {
            let _end = forever.recv();
        })
        .unwrap();
        let began = Instant::now();
        for _ in 0..20 {
            sampler.send(talking()).unwrap();
        }
        for _ in 0..20 {
            assert_eq!(passed.recv().unwrap(), sample());
        }
        assert!(began.elapsed() < queue::PATIENCE, "no sample waited");
        drop(sampler);
        let late: Vec<IntervalReport> = passed.iter().collect();
        let talkers: usize = late.iter().map(|it| it.talkers.len()).sum();
        assert_eq!(talkers, 20, "and no talker is lost");
        assert!(late.iter().all(|it| owners(it).is_empty()));
        drop(stuck);
    }
}
