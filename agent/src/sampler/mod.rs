//! The sampler: takes what the readers counted, interval by interval, and hands it on as samples.
//!
//! Nothing downstream can delay it: what isn't taken from the channel in time is merged with what
//! follows.

mod config;
mod host;
pub mod memory;
mod mix;
mod nic_capture;
mod nics;
mod outbox;
mod report;
mod rings;
mod talkers;
pub mod timeline;
pub mod verdict;
mod wall_span;

use std::collections::BTreeMap;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use settings::{Failures, InFull, words};
use tokio::sync::watch;
use wire::Packets;
use wire::frame::Sample;
use wire::id::NicName;
use wire::message;

pub use self::config::{CaptureConfig, CaptureError};
use self::nic_capture::RunningTotals;
use self::nics::Nics;
pub use self::nics::allowed_cpus;
use self::outbox::Outbox;
pub use self::report::{Balance, CaptureEnd, IntervalReport};
pub use self::talkers::TalkersConfig;
use self::timeline::{DueSlots, Timeline};
use crate::account::interval::SharedSchedule;
use crate::capture::probe::probe;
use crate::capture::reader;
use crate::clocks;

/// Intervals that may wait in the channel before they are merged.
const REPORTS: usize = 64;

/// How soon to check a reader again that has fallen behind, nanoseconds.
const READER_TIME_NS: u64 = 1_000_000;

/// Longest wait of the sampler, nanoseconds, so that its progress can be watched however long a
/// sample is.
const ROUND_NS: u64 = 500_000_000;

/// Capture at work.
#[derive(Debug)]
pub struct Capture {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    nics: watch::Receiver<message::Inventory>,
    rounds: Arc<AtomicU64>,
}

impl Capture {
    /// Starts capturing and sampling. Reports come out of the channel until [`Capture::stop`];
    /// the last one ends every NIC.
    ///
    /// # Errors
    /// [`CaptureError`] if the kernel lets no ring be opened at all.
    pub fn start(
        mut config: CaptureConfig,
    ) -> Result<(Self, Receiver<IntervalReport>), CaptureError> {
        config.ring.vnet_header = config.ring.vnet_header && probe().is_usable();
        let hold = reader::hold(&config.ring, clocks::tick_ns());
        let timeline = Timeline::new(config.sample_interval, clocks::read(), hold);
        let (reports, receiver) = bounded(REPORTS);
        let (told, captured) = watch::channel(message::Inventory::default());
        let (stopped, stop) = std::io::pipe().map_err(CaptureError::Thread)?;
        let shared = Arc::new(SharedSchedule::new(timeline.schedule()));
        let mut sampler = Sampler {
            nics: Nics::new(config, shared.clone(), told)?,
            shared,
            timeline,
            totals: RunningTotals::new(),
            outbox: Outbox::new(reports),
            rounds: Arc::default(),
            unlisted: Failures::new(),
        };
        let rounds = sampler.rounds.clone();
        sampler.open_all()?;
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || sampler.run(&stopped))
            .map_err(CaptureError::Thread)?;
        Ok((Self { stop: Some(stop), thread: Some(thread), nics: captured, rounds }, receiver))
    }

    /// The NICs that are captured, whenever they change.
    #[must_use]
    pub fn nics(&self) -> watch::Receiver<message::Inventory> {
        self.nics.clone()
    }

    /// A number that grows every half second at least, while the sampler does its work.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// True until capture has ended: it was stopped, or its thread has failed.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops capture. The reports that are left come out of the channel, which then closes;
    /// someone must be taking them. Returns at once.
    pub fn stop(&mut self) {
        self.stop = None;
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sampler's thread panicked");
        }
    }
}

#[derive(Debug)]
struct Sampler {
    nics: Nics,
    shared: Arc<SharedSchedule>,
    timeline: Timeline,
    totals: RunningTotals,
    outbox: Outbox,
    /// Rounds so far, so that others can see its progress.
    rounds: Arc<AtomicU64>,
    /// Failures to list the NICs, by message.
    unlisted: Failures<String>,
}

impl Sampler {
    /// Opens rings on every NIC that there is. Fails if there is none on which that works.
    fn open_all(&mut self) -> Result<(), CaptureError> {
        self.nics.listen(clocks::boot_ns())?;
        let mut failures = Vec::new();
        while let Some(done) = self.nics.step(&self.timeline, clocks::boot_ns()) {
            failures.extend(done.err());
        }
        self.timeline.set_hold(self.nics.hold());
        self.nics.tell();
        if self.nics.is_empty() && !failures.is_empty() {
            return Err(failures.swap_remove(0));
        }
        for error in failures {
            tracing::error!(error = %error.in_full(), "a NIC is not captured");
        }
        Ok(())
    }

    fn run(mut self, stopped: &PipeReader) {
        while !self.outbox.is_closed() {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let now_ns = clocks::boot_ns();
            // A sample that is due by now waits for a reader.
            let due_ns = Some(self.timeline.due_ns()).filter(|&due_ns| due_ns > now_ns);
            let due_ns = due_ns.unwrap_or(now_ns + READER_TIME_NS).min(self.nics.due_ns(now_ns));
            match wait(stopped, &self.nics, due_ns.saturating_since(now_ns).min(ROUND_NS)) {
                Ok(Woken::Stopped) => break,
                Ok(Woken::Told) => self.listen(),
                Ok(Woken::Due) => {}
                Err(errno) => {
                    tracing::error!(%errno, "can't wait for the next sample");
                    break;
                }
            }
            self.tick();
            self.follow();
        }
        self.finish();
    }

    /// Takes the samples that are due.
    fn tick(&mut self) {
        while self.timeline.due_ns() <= clocks::boot_ns() {
            if let Some(schedule) = self.timeline.observe(clocks::read()) {
                tracing::warn!("the wall clock was stepped; intervals follow it from now on");
                self.shared.set(schedule);
            }
            let Some(span) = self.next_span() else { break };
            self.take(&span);
        }
    }

    fn listen(&mut self) {
        let Err(error) = self.nics.listen(clocks::boot_ns()) else {
            self.unlisted.succeeded();
            return;
        };
        if let Some(tell) =
            self.unlisted.failed(words(&error.in_full().to_string()), Instant::now())
        {
            tracing::error!(error = %error.in_full(), "NICs that come or go are noticed late{tell}");
        }
    }

    /// Does one action on the NICs; a sample may be due before the next one.
    fn follow(&mut self) {
        let now_ns = clocks::boot_ns();
        self.nics.drain(&self.timeline);
        if let Some(Err(error)) = self.nics.step(&self.timeline, now_ns) {
            tracing::error!(error = %error.in_full(), "a NIC is not captured");
        }
        self.timeline.set_hold(self.nics.hold());
        if self.nics.due_ns(now_ns) > now_ns {
            self.nics.tell();
        }
    }

    /// The slots to take now, if there are any.
    fn next_span(&mut self) -> Option<DueSlots> {
        let Self { nics, timeline, .. } = self;
        timeline.take(clocks::boot_ns(), |end_ns| nics.have_counted(end_ns))
    }

    /// Takes the due slots of every NIC and passes the samples on.
    fn take(&mut self, span: &DueSlots) {
        let Self { nics, timeline, totals, .. } = self;
        let mut report = IntervalReport::default();
        let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
        for (nic, stats) in nics.with_stats(clocks::boot_ns()) {
            let taken = nic.take(span, stats, timeline, totals);
            if let Some(sample) = taken.sample {
                // Deleted and made again within an interval: one name, one sample.
                let same = samples.entry(sample.nic);
                same.and_modify(|earlier| earlier.merge(&sample)).or_insert(sample);
            }
            report.mixes.extend(taken.mix);
            report.talkers.extend(taken.talkers.reports);
            report.largest.extend(taken.talkers.largest);
            report.ended.extend(taken.ended);
        }
        nics.forget();
        for CaptureEnd { nic, balance, .. } in &report.ended {
            let Balance { offered, dropped, seen } = *balance;
            let [offered, dropped, seen] = [offered, dropped, seen].map(Packets::get);
            if balance.is_balanced() {
                tracing::debug!(%nic, offered, dropped, seen, "capture ended");
            } else {
                tracing::error!(%nic, offered, dropped, seen, "packets are neither counted nor \
                 dropped");
            }
        }
        report.samples = samples.into_values().collect();
        self.outbox.put(report);
    }

    /// Ends every NIC and hands on what is left.
    fn finish(mut self) {
        let end_ns = self.nics.end(&self.timeline);
        while let Some(span) = self.timeline.take_ended(end_ns) {
            self.take(&span);
        }
        if !self.nics.is_empty() {
            let span = self.timeline.take_rest(end_ns);
            self.take(&span);
        }
        self.outbox.finish();
    }
}

/// Why waiting is over.
enum Woken {
    Stopped,
    /// The kernel has events about NICs.
    Told,
    Due,
}

/// Waits until capture ends, the kernel has events, or the time is over.
fn wait(stopped: &PipeReader, nics: &Nics, wait_ns: u64) -> nix::Result<Woken> {
    let mut fds = [stopped.as_fd(), nics.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match ppoll(&mut fds, Some(TimeSpec::from_duration(Duration::from_nanos(wait_ns))), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let [stopped, told] = fds.map(|fd| fd.any().unwrap_or(false));
    Ok(match (stopped, told) {
        (true, _) => Woken::Stopped,
        (false, true) => Woken::Told,
        (false, false) => Woken::Due,
    })
}
