//! The NICs under capture: opened and closed as they come and go.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use settings::{Failures, InFull};
use tokio::sync::watch;
use wire::BootNs;
use wire::id::NicName;
use wire::message;

use super::config::{CaptureConfig, CaptureError};
use super::host::HostWatch;
use super::memory::{self, TALKER_MEMORY};
use super::nic_capture::NicCapture;
use super::rings::{MemoryInUse, Reserved, Rings};
use super::talkers::{NicTalkers, TalkersConfig};
use super::timeline::Timeline;
use crate::account::interval::SharedSchedule;
use crate::capture::reader::{ReaderHandle, ReaderTalkers, StartError, hold, talker_slots};
use crate::capture::ring::{RingConfig, RingError, page_size};
use crate::clocks;
use crate::nic::driver::Drivers;
use crate::nic::inventory::{InventoryError, NicList};
use crate::nic::link::Link;
use crate::nic::link_stats::LinkStats;
use crate::nic::net_dev::NetDev;
use crate::nic::roster::{Action, LinkEvent, Roster};
use crate::nic::watch::Watch;
use crate::talkers::table::Seed;

/// How often to read each link speed again, nanoseconds; at most one per sample. Not every driver
/// reports a change, and each answer may wait for `rtnl_lock`.
const SPEEDS_NS: u64 = 2_000_000_000;

/// Wait after a dump that failed, nanoseconds.
const DUMP_RETRY_NS: u64 = 100_000_000;

/// How often to check readers that are ending, nanoseconds.
const DRAIN_NS: u64 = 10_000_000;

/// How talkers are counted on this host.
#[derive(Debug)]
struct HostTalkers {
    config: TalkersConfig,
    host: HostWatch,
    seed: Seed,
    /// Memory of all tables.
    memory: MemoryInUse,
}

impl HostTalkers {
    fn open(config: TalkersConfig) -> Result<Self, CaptureError> {
        let host = HostWatch::open().map_err(CaptureError::Addresses)?;
        let seed = Seed::random().map_err(CaptureError::Random)?;
        Ok(Self { config, host, seed, memory: MemoryInUse::default() })
    }

    /// Room for the talkers of a NIC with so many slots in all of its rings, and its memory. `None` if
    /// all is spent.
    fn reserve(&self, slots: usize) -> Option<(usize, Reserved)> {
        let room = memory::talkers(slots, self.memory.used(), TALKER_MEMORY)?;
        Some((room, self.memory.reserve(memory::of_talkers(slots, room))))
    }
}

/// The NICs under capture.
#[derive(Debug)]
pub(super) struct Nics {
    config: CaptureConfig,
    cpus: Vec<usize>,
    schedule: Arc<SharedSchedule>,
    watch: Watch,
    inventory: NicList,
    net_dev: NetDev,
    drivers: Drivers,
    roster: Roster,
    /// By the kernel's index.
    open: BTreeMap<u32, NicCapture>,
    /// Those that end.
    closing: Vec<NicCapture>,
    memory: MemoryInUse,
    /// Readers started so far.
    readers: usize,
    /// When the NICs may be listed again, boot time in nanoseconds.
    dump_ns: BootNs,
    /// When a link speed was last read, boot time in nanoseconds, and the NIC.
    speed_ns: BootNs,
    speed_of: u32,
    told: watch::Sender<message::Inventory>,
    /// `None`: talkers aren't counted.
    talkers: Option<HostTalkers>,
    /// Failures to read the kernel's counters.
    unread: Failures<Option<i32>>,
}

impl Nics {
    /// Listens for NICs. None is open yet.
    pub fn new(
        config: CaptureConfig,
        schedule: Arc<SharedSchedule>,
        told: watch::Sender<message::Inventory>,
    ) -> Result<Self, CaptureError> {
        let talkers = config.talkers.map(HostTalkers::open).transpose()?;
        Ok(Self {
            talkers,
            cpus: reader_cpus(&config.cpus),
            roster: Roster::new(config.filter.clone()),
            config,
            schedule,
            watch: Watch::open()?,
            inventory: NicList::open()?,
            net_dev: NetDev::open()?,
            drivers: Drivers::open(),
            open: BTreeMap::new(),
            closing: Vec::new(),
            memory: MemoryInUse::default(),
            readers: 0,
            dump_ns: BootNs(0),
            speed_ns: BootNs(0),
            speed_of: 0,
            told,
            unread: Failures::new(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closing.is_empty()
    }

    /// Processes the kernel's events.
    pub fn listen(&mut self, now_ns: BootNs) -> Result<(), InventoryError> {
        let Self { watch, roster, open, talkers, .. } = self;
        watch.read(|event| {
            if let (LinkEvent::Addresses | LinkEvent::Overrun, Some(talkers)) = (&event, &*talkers)
            {
                talkers.host.on_change();
            }
            roster.on_event(event);
        });
        if roster.is_stale() && self.dump_ns <= now_ns {
            self.dump_ns = now_ns.saturating_add(DUMP_RETRY_NS);
            let links = self.inventory.links()?;
            roster.on_dump(links, |index| open.get(&index).is_some_and(NicCapture::is_bound));
        }
        Ok(())
    }

    /// When something is due even without an event, boot time in nanoseconds.
    pub fn due_ns(&self, now_ns: BootNs) -> BootNs {
        let dump = self.roster.is_stale().then_some(self.dump_ns);
        let draining = self.closing.iter().any(|nic| !nic.is_drained());
        let drain = draining.then(|| now_ns.saturating_add(DRAIN_NS));
        let due = [self.roster.due_ns(), dump, drain];
        due.into_iter().flatten().min().unwrap_or(BootNs::MAX)
    }

    /// Does the next action, if there is one. Fails if a NIC can't be captured, the first time.
    pub fn step(
        &mut self,
        timeline: &Timeline,
        now_ns: BootNs,
    ) -> Option<Result<(), CaptureError>> {
        match self.roster.next(now_ns)? {
            Action::Open(link, stacked) => {
                let index = link.index;
                let Err(error) = self.open(link, stacked, timeline) else {
                    self.roster.on_opened(index);
                    return Some(Ok(()));
                };
                let first = self.roster.on_failed(index, now_ns);
                Some(if first && !has_vanished(&error) { Err(error) } else { Ok(()) })
            }
            Action::Update(link, stacked) => {
                if let Some(nic) = self.open.get_mut(&link.index) {
                    nic.speed_bits = self.drivers.speed_bits(&link);
                    (nic.link, nic.stacked) = (link, stacked);
                }
                Some(Ok(()))
            }
            Action::Close(index, last_stats) => {
                if let Some(mut nic) = self.open.remove(&index) {
                    tracing::info!(nic = %nic.link.name, "capture ended: the NIC is gone or \
                     excluded now");
                    nic.stop(last_stats);
                    self.closing.push(nic);
                }
                Some(Ok(()))
            }
        }
    }

    fn open(&mut self, link: Link, stacked: bool, timeline: &Timeline) -> Result<(), CaptureError> {
        let name = link.name.to_string();
        let (rings, most) = (self.config.rings_per_nic.max(1), self.config.ring_memory);
        let config = &self.config.ring;
        let ring = memory::ring(config, rings, self.memory.used(), most, page_size());
        let Some(ring) = ring else {
            return Err(CaptureError::RingMemory { nic: name, most });
        };
        // Group ids are shared by the network namespace, so they are made of NIC and process.
        let group = self.readers ^ std::process::id() as usize;
        let group = u16::try_from(group & usize::from(u16::MAX)).unwrap_or_default();
        let fanout = (rings > 1).then_some(group);
        let ring = RingConfig { fanout, ..ring };
        let stats = self.inventory.stats_of(link.index).ok().flatten().unwrap_or_default();
        let slots = talker_slots(self.config.sample_interval, hold(&ring, clocks::tick_ns()));
        let host = self.talkers.as_ref();
        let reserved = host.and_then(|it| it.reserve(slots * usize::from(rings)));
        if host.is_some() && reserved.is_none() {
            tracing::warn!(
                nic = name,
                most = TALKER_MEMORY,
                "no memory is left for the NIC's talkers: \
             none of them is counted by name"
            );
        }
        let mut readers = Vec::new();
        for _ in 0..rings {
            let cpu = self.cpus.get(self.readers % self.cpus.len().max(1)).copied();
            let schedule = self.schedule.clone();
            let nic = (link.index, name.as_str());
            let talkers = host.zip(reserved.as_ref()).map(|(talkers, (room, _))| {
                let (host, seed) = (talkers.host.shared(), talkers.seed);
                ReaderTalkers { host, seed, room: *room, slots }
            });
            let next = timeline.next();
            let reader = ReaderHandle::start(nic, &ring, cpu, schedule, next, talkers)?;
            self.readers += 1;
            readers.push(reader);
        }
        let (kind, memory) = (&link.kind, ring.bytes() * u64::from(rings));
        tracing::info!(nic = name, kind, stacked, memory, "capturing");
        let speed_bits = self.drivers.speed_bits(&link);
        let nic = NicCapture::new(
            link,
            stacked,
            speed_bits,
            Rings::new(readers, self.memory.reserve(memory)),
            stats,
            self.config.mix_interval,
            host.zip(reserved).map(|(talkers, (room, memory))| {
                NicTalkers::new(&talkers.config, talkers.seed, room, memory)
            }),
        );
        self.open.insert(nic.link.index, nic);
        Ok(())
    }

    /// Frees the rings of NICs whose readers have ended, long before their last sample is due.
    pub fn drain(&mut self, timeline: &Timeline) {
        self.closing.iter_mut().for_each(|nic| nic.drain(timeline));
    }

    /// Forgets NICs whose end was taken. A reader that has ended since then stays: its NIC's last mix,
    /// talkers and drops are still to be taken.
    pub fn forget(&mut self) {
        self.closing.retain(|nic| !nic.is_over());
        self.open.retain(|_, nic| !nic.is_over());
    }

    /// The longest time that the kernel may hold a packet.
    pub fn hold(&self) -> Duration {
        let nics = self.open.values().chain(&self.closing);
        nics.map(NicCapture::hold).max().unwrap_or_default()
    }

    /// True once all packets of all NICs up to a boot time were counted, except those that the
    /// kernel still holds.
    pub fn have_counted(&self, until_ns: BootNs) -> bool {
        self.open.values().chain(&self.closing).all(|nic| nic.has_counted(until_ns))
    }

    /// Reads the link speed of the next NIC in turn, if it is due.
    fn read_speed(&mut self, now_ns: BootNs) {
        let pause_ns = SPEEDS_NS / u64::try_from(self.open.len().max(1)).unwrap_or(1);
        if now_ns < self.speed_ns.saturating_add(pause_ns) {
            return;
        }
        self.speed_ns = now_ns;
        let later = self.open.range(self.speed_of.saturating_add(1)..).next();
        let next = later.or_else(|| self.open.first_key_value()).map(|(index, _)| *index);
        self.speed_of = next.unwrap_or(0);
        if let Some(nic) = self.open.get_mut(&self.speed_of) {
            nic.speed_bits = self.drivers.speed_bits(&nic.link);
        }
    }

    /// Every NIC that may still produce samples, with the kernel's counters of it.
    pub fn with_stats(&mut self, now_ns: BootNs) -> Vec<(&mut NicCapture, Option<LinkStats>)> {
        self.read_speed(now_ns);
        let mut stats = self.read_stats(now_ns);
        let open = self.open.values_mut().map(|nic| {
            let stats = stats.remove(&nic.link.index);
            (nic, stats)
        });
        let mut nics: Vec<_> = open.collect();
        // The rest belongs to no open NIC: an index may be another NIC's by now.
        nics.extend(self.closing.iter_mut().map(|nic| {
            let stats = nic.last_stats().or_else(|| stats.get(&nic.link.index).copied());
            (nic, stats)
        }));
        nics
    }

    /// The kernel's counters, by the index of the NIC. They come by name. If a name changed owner
    /// during the read, ignore it for both; the kernel reports such a change before the next one
    /// can be made.
    fn read_stats(&mut self, now_ns: BootNs) -> HashMap<u32, LinkStats> {
        let indexes = self.open.keys().copied().chain(self.closing.iter().map(|it| it.link.index));
        let names: HashMap<u32, Option<NicName>> =
            indexes.map(|index| (index, self.roster.name(index))).collect();
        let stats = self.net_dev.read();
        match &stats {
            Ok(_) => drop(self.unread.succeeded()),
            Err(error) => {
                if let Some(tell) = self.unread.failed(error.raw_os_error(), Instant::now()) {
                    tracing::error!(error = %error.in_full(), "can't read the kernel's counters{tell}");
                }
            }
        }
        if self.listen(now_ns).is_err() || self.roster.is_stale() {
            return HashMap::new();
        }
        let stats = stats.unwrap_or_default();
        let same = names.into_iter().filter(|(index, name)| self.roster.name(*index) == *name);
        let known = same.filter_map(|(index, name)| Some((index, *stats.get(&name?)?)));
        known.collect()
    }

    /// Publishes which NICs are captured, if that has changed.
    pub fn tell(&self) {
        let describe = |nic: &NicCapture| nic.link.describe(nic.stacked, nic.speed_bits);
        let nics = self.open.values().map(describe).collect();
        let inventory = message::Inventory { nics };
        self.told.send_if_modified(|told| {
            let changed = *told != inventory;
            *told = inventory;
            changed
        });
    }

    /// Ends every NIC, and returns the boot time at which the last one ended, nanoseconds.
    pub fn end(&mut self, timeline: &Timeline) -> BootNs {
        for (_, mut nic) in std::mem::take(&mut self.open) {
            nic.stop(None);
            self.closing.push(nic);
        }
        let mut end_ns = BootNs(0);
        for nic in &mut self.closing {
            end_ns = end_ns.max(loop {
                if let Some(end) = nic.ended_ns() {
                    break end;
                }
                std::thread::sleep(Duration::from_millis(1));
            });
            nic.drain(timeline);
        }
        end_ns
    }
}

impl AsFd for Nics {
    /// Readable when the kernel has events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// True if a NIC has gone since it was listed. No message is needed: the kernel reports it.
fn has_vanished(error: &CaptureError) -> bool {
    matches!(error, CaptureError::Start(StartError::Ring(RingError::Bind { error, .. }))
        if error.raw_os_error() == Some(Errno::ENODEV as i32))
}

/// The CPUs for readers: those wanted, or all that this process may use.
fn reader_cpus(wanted: &[usize]) -> Vec<usize> {
    if wanted.is_empty() { allowed_cpus() } else { wanted.to_vec() }
}

/// The CPUs that this process may use; empty if the system doesn't say.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let this_process = nix::unistd::Pid::from_raw(0);
    nix::sched::sched_getaffinity(this_process).map_or_else(
        |_| Vec::new(),
        |allowed| {
            let cpus = 0..nix::sched::CpuSet::count();
            cpus.filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect()
        },
    )
}
