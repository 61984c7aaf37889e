//! The sampler: takes what the readers counted, interval by interval, and hands it on as samples.
//!
//! Nothing downstream can hold it up: what isn't taken from the channel in time is put together
//! with what follows.

mod nic_capture;
mod outbox;
pub mod timeline;
pub mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio::sync::watch;
use wire::frame::{Mix, Sample};
use wire::id::NicName;
use wire::message;

use self::nic_capture::{NicCapture, Totals};
use self::outbox::Outbox;
use self::timeline::{Span, Timeline};
use self::verdict::Verdict;
use crate::account::interval::SharedSchedule;
use crate::capture::probe::probe;
use crate::capture::reader::{self, ReaderHandle, StartError};
use crate::capture::ring::{RingConfig, RingError};
use crate::clocks;
use crate::nic::choose::{Choice, NicFilter, Reason, choose};
use crate::nic::inventory::{Inventory, InventoryError, speed_bits};
use crate::nic::link::Link;

/// Intervals that may wait to be written before they are put together.
const REPORTS: usize = 64;

/// How long a NIC on which no ring could be opened is left alone, nanoseconds.
const RETRY_NS: u64 = 5_000_000_000;

/// What is captured, and how.
#[derive(Debug, Clone)]
pub struct CaptureConfig {
    /// Length of a sample's interval, at least 10 ms.
    pub sample_interval: Duration,
    /// Length of a mix's interval.
    pub mix_interval: Duration,
    /// Geometry of each ring. Its virtio header is asked for only where the kernel has one that
    /// loses no packet.
    pub ring: RingConfig,
    /// Rings per NIC, at least 1.
    pub rings_per_nic: u16,
    /// CPUs that readers are pinned to, one after the other; empty: those this process may use.
    pub cpus: Vec<usize>,
    /// Which NICs.
    pub filter: NicFilter,
}

/// What one interval brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalReport {
    /// One sample per NIC.
    pub samples: Vec<Sample>,
    /// The mixes that ended with the interval.
    pub mixes: Vec<Mix>,
    /// NICs whose capture ended with it.
    pub ended: Vec<Ended>,
}

/// The end of a NIC's capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The NIC.
    pub nic: NicName,
    /// Its ledger, which is final.
    pub ledger: Ledger,
    /// What it says beside the kernel's own counters.
    pub verdict: Verdict,
}

/// What a NIC's rings were offered and what became of it, in packets as the tap saw them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Packets that came to the rings.
    pub offered: u64,
    /// Packets for which they had no room.
    pub dropped: u64,
    /// Packets counted.
    pub seen: u64,
}

impl Ledger {
    /// True if every packet was counted or is known to be missing. While capture runs, packets
    /// may be in a ring still.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.seen + self.dropped == self.offered
    }
}

/// Why capture could not be started.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The NICs can't be listed.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No ring could be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No thread left.
    #[error("can't start the sampler: {0}")]
    Thread(#[source] std::io::Error),
}

/// Capture at work.
#[derive(Debug)]
pub struct Capture {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    nics: watch::Receiver<message::Inventory>,
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
        let hold = reader::hold(&config.ring);
        let timeline = Timeline::new(config.sample_interval, clocks::read(), hold);
        let (reports, receiver) = bounded(REPORTS);
        let (nics, captured) = watch::channel(message::Inventory::default());
        let (stop, stopped) = bounded(0);
        let mut sampler = Sampler {
            mix_interval_ns: u64::try_from(config.mix_interval.as_nanos()).unwrap_or(u64::MAX),
            cpus: reader_cpus(&config.cpus),
            config,
            shared: Arc::new(SharedSchedule::new(timeline.schedule())),
            timeline,
            inventory: Inventory::open()?,
            nics: BTreeMap::new(),
            closing: Vec::new(),
            failed: HashMap::new(),
            totals: Totals::new(),
            captured: nics,
            outbox: Outbox::new(reports),
        };
        let links = sampler.inventory.links()?;
        sampler.open_and_close(&links)?;
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || sampler.run(&stopped))
            .map_err(CaptureError::Thread)?;
        Ok((Self { stop: Some(stop), thread: Some(thread), nics: captured }, receiver))
    }

    /// The NICs that are captured, whenever they change.
    #[must_use]
    pub fn nics(&self) -> watch::Receiver<message::Inventory> {
        self.nics.clone()
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

/// The CPUs for readers: those wanted, or all that this process may use.
fn reader_cpus(wanted: &[usize]) -> Vec<usize> {
    if !wanted.is_empty() {
        return wanted.to_vec();
    }
    let this_process = nix::unistd::Pid::from_raw(0);
    nix::sched::sched_getaffinity(this_process).map_or_else(
        |_| Vec::new(),
        |allowed| {
            let cpus = 0..nix::sched::CpuSet::count();
            cpus.filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect()
        },
    )
}

#[derive(Debug)]
struct Sampler {
    config: CaptureConfig,
    mix_interval_ns: u64,
    cpus: Vec<usize>,
    shared: Arc<SharedSchedule>,
    timeline: Timeline,
    inventory: Inventory,
    /// NICs under capture, by the kernel's index.
    nics: BTreeMap<u32, NicCapture>,
    /// Those that end.
    closing: Vec<NicCapture>,
    /// When a ring could last not be opened on a NIC, boot time in nanoseconds.
    failed: HashMap<u32, u64>,
    totals: Totals,
    captured: watch::Sender<message::Inventory>,
    outbox: Outbox,
}

impl Sampler {
    fn run(mut self, stopped: &Receiver<()>) {
        while !self.outbox.is_closed() {
            let wait = self.timeline.due_ns().saturating_sub(clocks::boot_ns());
            match stopped.recv_timeout(Duration::from_nanos(wait)) {
                Err(RecvTimeoutError::Timeout) => self.tick(),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.finish();
    }

    fn tick(&mut self) {
        if let Some(schedule) = self.timeline.observe(clocks::read()) {
            tracing::warn!("the wall clock was stepped; intervals follow it from the next on");
            self.shared.set(schedule);
        }
        while let Some(span) = self.timeline.take(clocks::boot_ns()) {
            let links = self.inventory.links();
            self.take(&span, links.as_deref().ok());
            match links {
                Ok(links) => {
                    if let Err(error) = self.open_and_close(&links) {
                        tracing::error!(%error, "a NIC is not captured");
                    }
                }
                Err(error) => tracing::error!(%error, "NICs that come and go are not noticed"),
            }
        }
    }

    /// Takes a span of every NIC and hands it on.
    fn take(&mut self, span: &Span, links: Option<&[Link]>) {
        let Self { nics, closing, timeline, totals, .. } = self;
        let mut report = IntervalReport::default();
        let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
        for nic in nics.values_mut().chain(closing.iter_mut()) {
            let mut links = links.into_iter().flatten();
            let stats = links.find(|link| link.index == nic.link.index).map(|link| link.stats);
            let taken = nic.take(span, stats, timeline, totals);
            if let Some(sample) = taken.sample {
                // Deleted and made again within an interval: one name, one sample.
                let same = samples.entry(sample.nic);
                same.and_modify(|earlier| earlier.merge(&sample)).or_insert(sample);
            }
            report.mixes.extend(taken.mix);
            report.ended.extend(taken.ended);
        }
        let ended = |nic: &mut NicCapture| nic.ended_ns().is_some_and(|end| end <= span.bounds.end);
        closing.retain_mut(|nic| !ended(nic));
        nics.retain(|_, nic| !ended(nic));
        for Ended { nic, ledger, .. } in &report.ended {
            let Ledger { offered, dropped, seen } = ledger;
            if ledger.is_balanced() {
                tracing::debug!(%nic, offered, dropped, seen, "capture ended");
            } else {
                tracing::error!(%nic, offered, dropped, seen, "packets are unaccounted for");
            }
        }
        report.samples = samples.into_values().collect();
        self.outbox.put(report);
    }

    /// Follows the NICs that there are. Fails with the first ring that could not be opened, but
    /// opens all others.
    fn open_and_close(&mut self, links: &[Link]) -> Result<(), StartError> {
        let choices = choose(links, &self.config.filter);
        let mut failure = Ok(());
        let mut wanted = Vec::new();
        for (link, choice) in links.iter().zip(choices) {
            let captured = self.nics.get_mut(&link.index);
            let stacked = match (choice, &captured) {
                (Choice::Capture { stacked }, _) => stacked,
                // A NIC that went down is kept, for it may come up again.
                (Choice::Skip(Reason::Down), Some(nic)) => nic.stacked,
                (Choice::Skip(_), _) => continue,
            };
            wanted.push(link.index);
            match captured {
                Some(nic) => {
                    if (nic.link.up, nic.link.running) != (link.up, link.running) {
                        nic.speed_bits = speed_bits(&link.name.to_string());
                    }
                    nic.link = link.clone();
                    nic.stacked = stacked;
                }
                None => {
                    if let Err(error) = self.open(link, stacked) {
                        failure = failure.and(Err(error));
                    }
                }
            }
        }
        self.failed.retain(|index, _| wanted.contains(index));
        let gone: Vec<u32> =
            self.nics.keys().filter(|index| !wanted.contains(index)).copied().collect();
        for mut nic in gone.iter().filter_map(|index| self.nics.remove(index)) {
            tracing::info!(nic = %nic.link.name, "capture ends: the NIC is gone or not wanted");
            nic.stop();
            self.closing.push(nic);
        }
        self.tell_captured();
        failure
    }

    fn open(&mut self, link: &Link, stacked: bool) -> Result<(), StartError> {
        let now_ns = clocks::boot_ns();
        let failed_at = self.failed.get(&link.index);
        if failed_at.is_some_and(|failed| now_ns < failed.saturating_add(RETRY_NS)) {
            return Ok(());
        }
        let name = link.name.to_string();
        match self.start_readers(&name, link.index) {
            Ok(readers) => {
                tracing::info!(nic = name, kind = link.kind, stacked, "capturing");
                self.failed.remove(&link.index);
                let begin_ns = clocks::boot_ns();
                let nic = NicCapture::new(
                    link.clone(),
                    stacked,
                    speed_bits(&name),
                    readers,
                    begin_ns,
                    self.mix_interval_ns,
                );
                self.nics.insert(link.index, nic);
                Ok(())
            }
            Err(error) => {
                self.failed.insert(link.index, now_ns);
                // It vanished since it was listed: nothing to say.
                let vanished = matches!(&error, StartError::Ring(RingError::Bind { error, .. })
                    if error.raw_os_error() == Some(libc::ENODEV));
                if vanished { Ok(()) } else { Err(error) }
            }
        }
    }

    fn start_readers(&self, nic: &str, index: u32) -> Result<Vec<ReaderHandle>, StartError> {
        let rings = self.config.rings_per_nic.max(1);
        // Group ids are of the network namespace: ours differ by NIC and by process.
        let group = (index ^ std::process::id()) & u32::from(u16::MAX);
        let fanout = (rings > 1).then(|| u16::try_from(group).unwrap_or_default());
        let config = RingConfig { fanout, ..self.config.ring };
        let start = |ring: usize| {
            let cpu = (self.nics.len() * usize::from(rings) + ring) % self.cpus.len().max(1);
            let cpu = self.cpus.get(cpu).copied();
            ReaderHandle::start(nic, &config, cpu, self.shared.clone(), self.timeline.next())
        };
        (0..usize::from(rings)).map(start).collect()
    }

    /// Tells which NICs are captured, if that has changed.
    fn tell_captured(&self) {
        let describe = |nic: &NicCapture| nic.link.describe(nic.stacked, nic.speed_bits);
        let nics = self.nics.values().map(describe).collect();
        let inventory = message::Inventory { nics };
        self.captured.send_if_modified(|told| {
            let changed = *told != inventory;
            *told = inventory;
            changed
        });
    }

    /// Ends every NIC and hands on what is left.
    fn finish(mut self) {
        for nic in self.nics.values_mut() {
            nic.stop();
        }
        let mut end_ns = 0;
        for nic in self.nics.values_mut().chain(self.closing.iter_mut()) {
            end_ns = end_ns.max(loop {
                if let Some(end) = nic.ended_ns() {
                    break end;
                }
                std::thread::sleep(Duration::from_millis(1));
            });
        }
        let links = self.inventory.links();
        let links = links.as_deref().ok();
        while let Some(span) = self.timeline.take_ended(end_ns) {
            self.take(&span, links);
        }
        if !self.nics.is_empty() || !self.closing.is_empty() {
            let span = self.timeline.take_rest(end_ns);
            self.take(&span, links);
        }
        self.outbox.finish();
    }
}
