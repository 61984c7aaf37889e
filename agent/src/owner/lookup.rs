//! Looks for sockets and says whose traffic was. Each round has a bound on its time.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use settings::{Failures, InFull};
use wire::BootNs;
use wire::talkers::TalkerOwner;

use super::book::Book;
use super::closures::Closures;
use super::diag::{Filter, States, TCP, UDP};
use super::markers::{self, Markers};
use super::names::OwnerNames;
use super::naming;
use super::question::{OwnerQuestion, Present};
use super::sockets::Sockets;
use crate::clocks::boot_ns;

/// How long a round may take that answers.
const ANSWER: Duration = Duration::from_millis(150);

/// How long a round may take that only looks.
const LOOK: Duration = Duration::from_millis(2);

/// Most open files of processes that a round may look at, about 20 ms and 1 ms.
const ANSWER_FILES: usize = 16_384;
const LOOK_FILES: usize = 1024;

/// How long to wait before sockets can be asked for again after that failed.
const RETRY: Duration = Duration::from_secs(10);

/// How long the kernel may take to tell that a socket has closed, which it does on the side. Half a
/// second is a hundred times what it usually takes; markers, closed once the sockets were looked at,
/// show that it did tell.
pub const SETTLED: Duration = Duration::from_millis(500);

/// Questions, and the sockets that were there when they were asked.
#[derive(Debug)]
pub struct AskedOwners {
    asked: Vec<(OwnerQuestion, BootNs)>,
    present: HashMap<OwnerQuestion, Present>,
    asked_ns: BootNs,
}

/// Looks for sockets.
#[derive(Debug)]
pub struct Lookup {
    sockets: Option<Sockets>,
    retry: Option<Instant>,
    closures: Closures,
    markers: Markers,
    names: OwnerNames,
    book: Book,
    failures: Failures<Option<i32>>,
}

impl Lookup {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sockets: None,
            retry: None,
            closures: Closures::default(),
            markers: Markers::default(),
            names: OwnerNames::open(),
            book: Book::default(),
            failures: Failures::new(),
        }
    }

    /// Notes which sockets have the flows asked for, so that it is known when they have closed. What only
    /// a walk over all connections finds is left out: it takes milliseconds.
    pub fn look(&mut self, questions: &[OwnerQuestion]) {
        let quick = questions.iter().filter(|it| !it.needs_walk()).copied();
        self.present(quick, LOOK, LOOK_FILES);
        self.listen();
    }

    /// Looks for the sockets that each question asks for. To be answered once [`SETTLED`] has passed.
    pub fn ask(&mut self, asked: Vec<(OwnerQuestion, BootNs)>) -> AskedOwners {
        // Walks take the most time, and whoever has many connections asks for them: they come last.
        let (walks, quick): (Vec<OwnerQuestion>, Vec<OwnerQuestion>) =
            asked.iter().map(|(question, _)| *question).partition(OwnerQuestion::needs_walk);
        let present = self.present(quick.into_iter().chain(walks), ANSWER, ANSWER_FILES);
        let asked = AskedOwners { asked, present, asked_ns: boot_ns() };
        // What is certain without them needs no news.
        let needs_news = |(question, since_ns): &(OwnerQuestion, BootNs)| {
            let present = asked.present.get(question);
            present.is_some_and(|it| self.book.owner(question, it, *since_ns, false).is_none())
        };
        if asked.asked.iter().any(needs_news) {
            self.markers.want();
        }
        self.mark();
        asked
    }

    /// Whose the traffic was that each question asked for. `None` if that isn't certain.
    pub fn answer(&mut self, asked: &AskedOwners) -> Vec<Option<TalkerOwner>> {
        self.listen();
        let is_told = |ports: &[u16], at_ns| self.book.was_told_of(ports, at_ns);
        let is_told = self.markers.are_told(asked.asked_ns, is_told);
        let owner = |(question, since_ns): &(OwnerQuestion, BootNs)| {
            let present = asked.present.get(question)?;
            self.book.owner(question, present, *since_ns, is_told).map(naming::told)
        };
        asked.asked.iter().map(owner).collect()
    }

    /// Closes markers, if it is time to; returns how long to wait until it is.
    pub fn mark(&mut self) -> Option<Duration> {
        let wait = self.markers.wait(boot_ns())?;
        if wait > Duration::ZERO {
            return Some(wait);
        }
        let now_ns = boot_ns();
        self.markers.closed(now_ns, markers::close().unwrap_or_default());
        None
    }

    /// Hears of closed sockets. To be called twice a second at least.
    pub fn listen(&mut self) {
        let closed = self.closures.read(boot_ns());
        let now_ns = boot_ns();
        self.book.closed(closed.sockets, now_ns);
        if closed.is_partial {
            self.book.missed(now_ns);
        }
        self.book.forget(now_ns);
    }

    /// The sockets that are there for each question, as far as the time suffices.
    fn present(
        &mut self,
        questions: impl Iterator<Item = OwnerQuestion>,
        time: Duration,
        files: usize,
    ) -> HashMap<OwnerQuestion, Present> {
        let end = Instant::now() + time;
        let mut found = HashMap::new();
        self.names.begin(files);
        let Some(mut sockets) = self.open() else { return found };
        sockets.forget();
        for question in questions {
            if found.contains_key(&question) || Instant::now() >= end {
                continue;
            }
            match find(&mut sockets, &question) {
                Ok(Some(present)) => {
                    let now_ns = boot_ns();
                    for socket in present.sockets.iter().chain(&present.listeners) {
                        self.book.saw(socket, now_ns, || self.names.owner(socket));
                    }
                    found.insert(question, present);
                }
                Ok(None) => {}
                Err(error) => {
                    self.failed(&error);
                    return found;
                }
            }
        }
        self.failures.succeeded();
        self.sockets = Some(sockets);
        found
    }

    fn open(&mut self) -> Option<Sockets> {
        if let Some(sockets) = self.sockets.take() {
            return Some(sockets);
        }
        if self.retry.is_some_and(|failed| failed.elapsed() < RETRY) {
            return None;
        }
        Sockets::open().inspect_err(|error| self.failed(error)).ok()
    }

    fn failed(&mut self, error: &io::Error) {
        self.retry = Some(Instant::now());
        if let Some(tell) = self.failures.failed(error.raw_os_error(), Instant::now()) {
            tracing::warn!(error = %error.in_full(), "can't ask whose sockets are; talkers have no \
                           owners{tell}");
        }
    }
}

impl Default for Lookup {
    fn default() -> Self {
        Self::new()
    }
}

/// The sockets that may have the traffic asked for; `None` if there are too many.
fn find(sockets: &mut Sockets, question: &OwnerQuestion) -> io::Result<Option<Present>> {
    let (local, remote) = question.ends();
    let any = Filter {
        protocol: if question.is_tcp() { TCP } else { UDP },
        states: States::ALL,
        local_port: Some(local.port()),
        remote: None,
        remote_port: None,
    };
    let found = if let Some((local, remote)) = question.connection() {
        Some(sockets.exactly(local, remote)?.into_iter().collect::<Vec<_>>())
    } else {
        let filter = match question.served_port() {
            _ if !question.is_tcp() => any,
            Some(_) => Filter { states: States::CONNECTED, remote: Some(remote.ip()), ..any },
            None => Filter {
                states: States::CONNECTED,
                local_port: None,
                remote: Some(remote.ip()),
                remote_port: Some(remote.port()),
                ..any
            },
        };
        sockets.all(filter)?.map(<[_]>::to_vec)
    };
    let Some(mut found) = found else { return Ok(None) };
    found.retain(|socket| !socket.listens() && !socket.is_remnant() && question.concerns(socket));
    let mut present = Present { sockets: found, listeners: Vec::new() };
    if question.is_tcp() && question.served_port().is_some() {
        let listening = Filter { states: States::LISTENING, ..any };
        let Some(listeners) = sockets.all(listening)? else { return Ok(None) };
        present.listeners = listeners.to_vec();
        present.listeners.retain(|listener| question.is_accepted_by(listener));
    }
    Ok(Some(present))
}
