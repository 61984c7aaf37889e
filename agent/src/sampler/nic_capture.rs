//! One NIC's capture: its readers, and the samples of what they count.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use settings::{Failures, InFull, words};
use wire::frame::{Counts, Mix, Sample, flags};
use wire::id::NicName;
use wire::{BootNs, Bytes, Packets};

use super::mix::MixCollector;
use super::report::{Balance, CaptureEnd};
use super::rings::Rings;
use super::talkers::{NicTalkers, TakenTalkers, merge};
use super::timeline::{DueSlots, Timeline};
use super::verdict::Reconciliation;
use crate::account::bank::{DirectionTally, SLOTS, Tally};
use crate::capture::reader::ReaderHandle;
use crate::clocks;
use crate::nic::link::Link;
use crate::nic::link_stats::LinkStats;
use crate::talkers::table::{TalkerTables, TalkerTablesRef};

/// Bytes and packets of one direction since the session began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunningTotal {
    bytes: Bytes,
    packets: Packets,
}

/// Totals of every NIC that was ever captured in this session, rx and tx.
pub(super) type RunningTotals = HashMap<NicName, [RunningTotal; 2]>;

/// A NIC under capture.
#[derive(Debug)]
pub(super) struct NicCapture {
    pub link: Link,
    pub stacked: bool,
    /// Link speed in bit/s, 0 where unknown.
    pub speed_bits: u64,
    /// None once it is drained.
    rings: Rings,
    /// Counts of drained rings, by slot.
    left: BTreeMap<u64, Left>,
    /// `None`: talkers aren't counted.
    talkers: Option<NicTalkers>,
    /// Drops and freezes that are in no sample yet.
    unreported: (Packets, u64),
    /// Its rings work without the virtio header.
    without_header: bool,
    /// Boot time at which capture began.
    begin_ns: BootNs,
    /// Boot time at which it ended, if it has.
    end_ns: Option<BootNs>,
    /// Its end was taken.
    over: bool,
    /// The kernel's counters as they were when the last sample was taken.
    stats: LinkStats,
    /// The last ones of a NIC that is gone.
    last_stats: Option<LinkStats>,
    balance: Balance,
    reconciliation: Reconciliation,
    mix: MixCollector,
    /// Failures to read the rings' statistics.
    unread: Failures<String>,
}

/// What drained rings counted in a slot.
#[derive(Debug, Default)]
struct Left {
    tally: Tally,
    talkers: Option<Box<TalkerTables>>,
}

/// Results of the due slots.
#[derive(Debug, Default)]
pub(super) struct TakenSlots {
    pub sample: Option<Sample>,
    pub mix: Option<Mix>,
    pub talkers: TakenTalkers,
    pub ended: Option<CaptureEnd>,
}

impl NicCapture {
    /// `stats` are the kernel's counters from before the rings were opened.
    pub fn new(
        link: Link,
        stacked: bool,
        speed_bits: u64,
        rings: Rings,
        stats: LinkStats,
        mix_interval: Duration,
        talkers: Option<NicTalkers>,
    ) -> Self {
        let mix_interval_ns = u64::try_from(mix_interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            stats,
            link,
            stacked,
            speed_bits,
            without_header: rings.iter().any(|reader| !reader.has_vnet_header()),
            begin_ns: rings.iter().map(ReaderHandle::began_ns).min().unwrap_or_default(),
            rings,
            left: BTreeMap::new(),
            talkers,
            unreported: (Packets(0), 0),
            end_ns: None,
            over: false,
            last_stats: None,
            balance: Balance::default(),
            reconciliation: Reconciliation::default(),
            mix: MixCollector::new(mix_interval_ns),
            unread: Failures::new(),
        }
    }

    /// Begins to stop: no further packet is accepted. `stats` are the last counters of a NIC that
    /// is gone.
    pub fn stop(&mut self, stats: Option<LinkStats>) {
        self.last_stats = stats;
        self.rings.iter().for_each(ReaderHandle::stop);
    }

    /// The kernel's last counters of a NIC that is gone.
    pub const fn last_stats(&self) -> Option<LinkStats> {
        self.last_stats
    }

    /// True while packets of its NIC come to all its rings.
    pub fn is_bound(&self) -> bool {
        self.rings.iter().all(|reader| reader.nic_index() == Some(self.link.index))
    }

    /// True once its rings are released.
    pub fn is_drained(&self) -> bool {
        self.rings.is_empty()
    }

    /// Once its readers have ended, takes all that they counted, and frees rings and descriptors:
    /// the last sample may be due much later.
    pub fn drain(&mut self, timeline: &Timeline) {
        let Some(end_ns) = self.ended_ns().filter(|_| !self.is_drained()) else { return };
        let (next, schedule) = (timeline.next(), timeline.schedule());
        let last = schedule.slot_of(end_ns).max(next);
        for slot in next..next + SLOTS - 1 {
            let talkers = self.talkers.as_ref();
            for reader in self.rings.iter_mut() {
                let mut counted = None;
                let tally = reader.take(&(slot..slot + 1), |counted_in_slot| {
                    let tables = talkers
                        .map(|it| counted.get_or_insert_with(|| Box::new(it.empty_tables())));
                    tables.into_iter().for_each(|tables| merge(tables, counted_in_slot));
                });
                if tally != Tally::default() {
                    let left = self.left.entry(slot.min(last)).or_default();
                    left.tally.merge(tally);
                    match (&mut left.talkers, counted) {
                        (Some(sum), Some(counted)) => merge(sum, counted.each_ref()),
                        (none, counted) => *none = counted.or_else(|| none.take()),
                    }
                }
            }
        }
        self.unreported = self.take_statistics();
        self.rings.release();
    }

    /// When capture ended, boot time in nanoseconds, once every reader has.
    pub fn ended_ns(&mut self) -> Option<BootNs> {
        let nic = self.link.name.to_string();
        if self.end_ns.is_none() {
            let ends: Option<Vec<BootNs>> =
                self.rings.iter_mut().map(|reader| reader.ended_ns(&nic)).collect();
            self.end_ns = ends.and_then(|ends| ends.into_iter().max());
        }
        self.end_ns
    }

    /// True once its end was taken: nothing is left to take.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How long the kernel may hold a packet.
    pub fn hold(&self) -> Duration {
        self.rings.iter().map(ReaderHandle::hold).max().unwrap_or_default()
    }

    /// True once all packets up to a boot time were counted, except those that the kernel still
    /// holds.
    pub fn has_counted(&self, until_ns: BootNs) -> bool {
        self.rings.iter().all(|reader| reader.has_counted(until_ns))
    }

    /// Takes the due slots. `stats` are the kernel's counters as they are now.
    pub fn take(
        &mut self,
        span: &DueSlots,
        stats: Option<LinkStats>,
        timeline: &Timeline,
        totals: &mut RunningTotals,
    ) -> TakenSlots {
        let ended_ns = self.ended_ns().filter(|&end| end <= span.bounds.end);
        let mut tally = Tally::default();
        let Self { rings, talkers, left, .. } = self;
        let mut of_talkers = |counted: TalkerTablesRef<'_>| {
            talkers.iter_mut().for_each(|talkers| talkers.add(counted));
        };
        for reader in rings.iter_mut() {
            tally.merge(reader.take(&span.slots, &mut of_talkers));
        }
        let later = left.split_off(&span.slots.end);
        for left in std::mem::replace(left, later).into_values() {
            tally.merge(left.tally);
            left.talkers.iter().for_each(|counted| of_talkers(counted.each_ref()));
        }
        let start = span.bounds.start.max(self.begin_ns);
        let end = ended_ns.unwrap_or(span.bounds.end);
        let (drops, freezes) = self.account(&tally);
        let nothing =
            Tally { early: Packets(0), ..tally } == Tally::default() && drops == Packets(0);
        if start >= end && nothing && ended_ns.is_none() {
            return TakenSlots::default();
        }
        let bounds = start..end.max(start + 1);
        let kernel = stats.map(|stats| stats.since(&self.stats));
        self.stats = stats.unwrap_or(self.stats);
        let (now_ns, lost) = (clocks::boot_ns(), self.balance.dropped);
        let verdict = self.reconciliation.add(&tally, kernel, bounds.end, now_ns, lost);
        let unbalanced = ended_ns.is_some() && !self.balance.is_balanced();
        let partial = bounds != span.bounds;
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let [rx_total, tx_total] = totals.entry(self.link.name).or_default();
        let sample = Sample {
            nic: self.link.name,
            start_ns: timeline.wall_ns(bounds.start),
            interval_ns: bounds.end - bounds.start,
            rx: counts(&tally.rx, rx_total),
            tx: counts(&tally.tx, tx_total),
            drops,
            freezes: saturate(freezes),
            late: saturate(tally.late.get()),
            inexact: saturate(tally.inexact.get()),
            flags: verdict.flags()
                | flag(self.stacked, flags::STACKED)
                | flag(self.without_header, flags::NO_VNET_HEADER)
                | flag(unbalanced, flags::UNBALANCED)
                | flag(span.stepped, flags::CLOCK_STEP)
                | flag(partial, flags::PARTIAL)
                | flag(kernel.is_none(), flags::NO_KERNEL_COUNTS),
            kernel: kernel.unwrap_or_default(),
        };
        let wall = sample.start_ns..sample.start_ns + sample.interval_ns;
        let mix = self.mix.add(&tally, sample.kernel, &wall, ended_ns.is_some(), self.link.name);
        let talkers = self
            .talkers
            .as_mut()
            .map(|talkers| talkers.take(&sample, self.speed_bits, ended_ns.is_some()));
        let talkers = talkers.unwrap_or_default();
        self.over = ended_ns.is_some();
        let end = CaptureEnd { nic: self.link.name, balance: self.balance, verdict };
        let ended = self.over.then_some(end);
        TakenSlots { sample: Some(sample), mix, talkers, ended }
    }

    /// Adds a tally and the rings' statistics to the balance. Returns drops and freezes.
    fn account(&mut self, tally: &Tally) -> (Packets, u64) {
        self.balance.seen += tally.rx.captured + tally.tx.captured + tally.early + tally.again;
        let (drops, freezes) = self.take_statistics();
        let (drops_before, freezes_before) = std::mem::take(&mut self.unreported);
        (drops + drops_before, freezes + freezes_before)
    }

    /// Adds the rings' statistics to the balance. Returns drops and freezes.
    fn take_statistics(&mut self) -> (Packets, u64) {
        let (mut drops, mut freezes) = (Packets(0), 0);
        for reader in self.rings.iter_mut() {
            match reader.take_statistics() {
                Ok(statistics) => {
                    self.balance.offered += statistics.offered;
                    drops += statistics.dropped;
                    freezes += statistics.freezes;
                }
                Err(error) => {
                    if let Some(tell) =
                        self.unread.failed(words(&error.in_full().to_string()), Instant::now())
                    {
                        tracing::warn!(nic = %self.link.name, error = %error.in_full(), "no ring statistics{tell}");
                    }
                }
            }
        }
        self.balance.dropped += drops;
        (drops, freezes)
    }
}

fn saturate(figure: u64) -> u32 {
    u32::try_from(figure).unwrap_or(u32::MAX)
}

fn counts(traffic: &DirectionTally, total: &mut RunningTotal) -> Counts {
    total.bytes += traffic.bytes;
    total.packets += traffic.packets;
    // The wire's limit of a peak: 2^31 - 1 bytes in 10 ms are 1.7 Tbit/s.
    let peak = |bytes: Bytes| saturate(bytes.get()).min(i32::MAX.unsigned_abs());
    Counts {
        bytes: traffic.bytes,
        packets: traffic.packets,
        captured: traffic.captured,
        peak_1ms_bytes: peak(traffic.peak_1ms_bytes),
        peak_10ms_bytes: peak(traffic.peak_10ms_bytes),
        total_bytes: total.bytes,
        total_packets: total.packets,
    }
}
