//! The reader of a ring: a separate thread, pinned to a CPU, that counts packets.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use settings::InFull;
use wire::BootNs;

use super::pace::{Gathered, PAUSE_MAX, pause};
use super::ring::{Ring, RingConfig, RingError, RingStatistics, Statistics};
use super::slot_counter::SlotCounter;
use super::talker_counter::{SharedHost, TalkerCounter};
use crate::account::bank::{BankTaker, SLOTS, Tally, bank};
use crate::account::clock::OUT_OF_ORDER_NS;
use crate::account::interval::SharedSchedule;
use crate::clocks;
use crate::talkers::flow_table::flow_tables;
use crate::talkers::table::{Seed, TalkerTablesRef};

/// Longest wait for packets, milliseconds. After a step of the wall clock, the reader knows only to
/// this precision which packets came before it.
const WAIT_MS: u16 = 500;

/// Approximate bytes per batch of blocks. The work per batch is small beside that of the packets, and
/// the sampler gets its slots soon.
const BATCH_BYTES: u32 = 64 << 10;

/// How a reader counts talkers.
#[derive(Debug, Clone)]
pub struct ReaderTalkers {
    /// The host whose ends are its own.
    pub host: Arc<SharedHost>,
    /// Of the hashes: one for all readers.
    pub seed: Seed,
    /// Room for talkers of each table.
    pub room: usize,
    /// Slots at a time whose talkers are counted.
    pub slots: usize,
}

/// Slots at a time whose talkers are counted: those that packets are held back for, the one that is
/// being taken, the present one and the next, and one more for a sampler that is late.
#[must_use]
pub fn talker_slots(interval: Duration, hold: Duration) -> usize {
    /// Those of 640 ms of samples of 10 ms.
    const HELD_MAX: u128 = 64;
    let held = (hold.as_nanos() / interval.as_nanos().max(1)).min(HELD_MAX);
    usize::try_from(held).unwrap_or(0) + 4
}

/// Approximate time of one batch of blocks.
const BATCH_TIME: Duration = Duration::from_micros(50);

/// A running reader.
#[derive(Debug)]
pub struct ReaderHandle {
    taker: BankTaker,
    statistics: Statistics,
    has_vnet_header: bool,
    began_ns: BootNs,
    /// Readable once the reader is told to stop.
    stop: Arc<EventFd>,
    /// Returns the boot time at which the ring let in its last packet, nanoseconds.
    thread: Option<JoinHandle<Result<BootNs, ReaderError>>>,
    ended_ns: Option<BootNs>,
    hold: Duration,
}

/// Why a reader ended.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// Waiting for packets failed.
    #[error("can't wait for packets")]
    Wait(#[source] io::Error),
    /// The ring could not be closed to further packets.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The thread panicked.
    #[error("the reader's thread panicked")]
    Panicked,
}

/// Why a reader could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ring could not be opened.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No thread or descriptor was left.
    #[error("can't start the reader of NIC {nic}")]
    Thread {
        /// Name of the NIC.
        nic: String,
        /// The system's error.
        #[source]
        error: io::Error,
    },
}

/// Wake-up time of a reader on a host that isn't short of CPUs.
const WAKE: Duration = Duration::from_millis(2);

/// How long a packet may take from the kernel to the reader. Its block is handed over when the retire
/// timeout ends, which runs in whole kernel ticks and may start within one (`prb_open_block`). Then the
/// reader must wake or end its pause.
#[must_use]
pub fn hold(ring: &RingConfig, tick_ns: u64) -> Duration {
    let retire_ns = u64::from(ring.retire_ms) * 1_000_000;
    let ticks_ns = retire_ns.next_multiple_of(tick_ns.max(1)) + tick_ns;
    Duration::from_nanos(ticks_ns) + WAKE + PAUSE_MAX
}

impl ReaderHandle {
    /// Opens a ring on a NIC, given by index and display name, and starts its reader, on a CPU if one
    /// is given. Slots before `slot` are closed to it. With `talkers` they are counted as well.
    ///
    /// # Errors
    /// [`StartError`] names the NIC and the step that failed.
    pub fn start(
        (index, nic): (u32, &str),
        config: &RingConfig,
        cpu: Option<usize>,
        schedule: Arc<SharedSchedule>,
        slot: u64,
        talkers: Option<ReaderTalkers>,
    ) -> Result<Self, StartError> {
        let thread_error = |error| StartError::Thread { nic: nic.to_owned(), error };
        let ring = Ring::open_at(index, nic, config)?;
        let statistics = ring.statistics().map_err(thread_error)?;
        let began_ns = ring.began_ns();
        let tables_of =
            |it: &ReaderTalkers| (0..it.slots).map(|_| flow_tables(it.seed, it.room)).collect();
        let (writer, taker) = bank(slot, talkers.as_ref().map(tables_of).unwrap_or_default());
        let talkers = talkers.map(|it| TalkerCounter::new(it.host));
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = EventFd::from_value_and_flags(0, flags);
        let stop = Arc::new(stop.map_err(|errno| thread_error(errno.into()))?);
        let hold = hold(config, clocks::tick_ns());
        let reader = Reader {
            ring,
            counting: SlotCounter::new(writer, schedule, slot, clocks::read(), hold, began_ns)
                .with_talkers(talkers),
            stop: stop.clone(),
            hold,
            batch: (BATCH_BYTES / config.block_size.max(1)).max(1) as usize,
        };
        // The kernel keeps 15 bytes of a thread's name.
        let thread = std::thread::Builder::new()
            .name(format!("ring {nic}"))
            .spawn(move || {
                if let Some(cpu) = cpu {
                    pin(cpu);
                }
                reader.run()
            })
            .map_err(thread_error)?;
        Ok(Self {
            taker,
            statistics,
            has_vnet_header: config.vnet_header,
            began_ns,
            stop,
            thread: Some(thread),
            ended_ns: None,
            hold,
        })
    }

    /// True if the ring has the kernel's virtio headers, which describe super-packets.
    #[must_use]
    pub const fn has_vnet_header(&self) -> bool {
        self.has_vnet_header
    }

    /// How long a packet may take from the kernel to the reader.
    #[must_use]
    pub const fn hold(&self) -> Duration {
        self.hold
    }

    /// Packets count from this boot time on, nanoseconds.
    #[must_use]
    pub const fn began_ns(&self) -> BootNs {
        self.began_ns
    }

    /// Tells the reader to close its ring to further packets, count those in it, and end.
    pub fn stop(&self) {
        // Fails only after 2^64 - 2 calls.
        let _ = self.stop.write(1);
    }

    /// Boot time at which the ring let in its last packet, nanoseconds, once the reader has ended. A
    /// failure of the reader is logged.
    pub fn ended_ns(&mut self, nic: &str) -> Option<BootNs> {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            let ended = thread.join().unwrap_or(Err(ReaderError::Panicked));
            self.ended_ns = Some(ended.unwrap_or_else(|error| {
                tracing::error!(nic, error = %error.in_full(), "capture on the NIC ended");
                clocks::boot_ns()
            }));
        }
        self.ended_ns
    }

    /// True once all packets up to a boot time are counted, provided that the kernel has handed over
    /// all blocks with them.
    #[must_use]
    pub fn has_counted(&self, until_ns: BootNs) -> bool {
        self.taker.progress_ns() >= until_ns + OUT_OF_ORDER_NS
            || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
            || !self.statistics.has_unread_block().unwrap_or(false)
    }

    /// Seals slots and takes their counts, as soon as the reader has left its current batch of blocks.
    /// Shows the tables of talkers of each.
    #[must_use]
    pub fn take(&mut self, slots: &Range<u64>, mut each: impl FnMut(TalkerTablesRef<'_>)) -> Tally {
        let last = slots.end.saturating_sub(1);
        let seal = self.taker.seal(last);
        // The range exceeds the ring of slots: take each slot once.
        let slots = slots.start.max(slots.end.saturating_sub(SLOTS))..slots.end;
        let mut tally = Tally::default();
        for slot in slots {
            loop {
                // Check before taking: a reader counts everything before it ends.
                let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
                if let Some(taken) = self.taker.take(slot, seal) {
                    tally.merge(taken);
                    self.taker.take_talkers(slot, &mut each);
                    break;
                }
                if ended {
                    // The reader panicked inside a batch. The packets of the batch are lost, and the
                    // panic is logged.
                    break;
                }
                std::thread::sleep(BATCH_TIME);
            }
        }
        tally
    }

    /// Reads and resets the kernel's statistics of the ring.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn take_statistics(&mut self) -> io::Result<RingStatistics> {
        self.statistics.take()
    }

    /// The kernel's index of the ring's NIC. `None` once the NIC is deleted or in another namespace.
    #[must_use]
    pub fn nic_index(&self) -> Option<u32> {
        self.statistics.nic_index()
    }
}

impl Drop for ReaderHandle {
    /// A dropped reader ends by itself.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Pins the calling thread to a CPU. If that fails, the scheduler places it.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    if let Err(error) = pinned {
        tracing::warn!(cpu, error = %error.in_full(), "can't pin a reader to its CPU");
    }
}

/// Sleeps until the time is over or the reader is told to stop. Returns true if it is told.
fn told_within(stop: &EventFd, time: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    match ppoll(&mut fds, Some(TimeSpec::from_duration(time)), None) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[derive(Debug)]
struct Reader {
    ring: Ring,
    counting: SlotCounter,
    stop: Arc<EventFd>,
    hold: Duration,
    /// Most blocks per batch.
    batch: usize,
}

impl Reader {
    fn run(mut self) -> Result<BootNs, ReaderError> {
        let mut last = Instant::now();
        loop {
            let mut gathered = self.drain();
            gathered.within = last.elapsed();
            last += gathered.within;
            let told = match pause(gathered, self.ring.block_count()) {
                Some(pause) => told_within(&self.stop, pause),
                None => self.ring.wait_or(self.stop.as_fd(), WAIT_MS),
            };
            if told.map_err(ReaderError::Wait)? {
                break;
            }
        }
        self.ring.mute()?;
        let muted_ns = clocks::boot_ns();
        let until_ns = muted_ns + u64::try_from(self.hold.as_nanos()).unwrap_or(u64::MAX);
        while clocks::boot_ns() < until_ns {
            self.ring.wait(5).map_err(ReaderError::Wait)?;
            self.drain();
        }
        self.drain();
        Ok(muted_ns)
    }

    /// Counts every block that is ready.
    fn drain(&mut self) -> Gathered {
        let Self { ring, counting, batch, .. } = self;
        let mut gathered = Gathered::default();
        loop {
            // Look before reading the clocks: then none of these blocks was handed over later.
            let ready = ring.ready(*batch);
            if ready == 0 {
                break;
            }
            let mut batch = counting.batch(clocks::read());
            for _ in 0..ready {
                let Some(block) = ring.next_block() else { break };
                gathered.blocks += 1;
                gathered.packets += block.packet_count();
                batch.count(block.packets());
            }
        }
        counting.at_idle(clocks::read());
        gathered
    }
}
