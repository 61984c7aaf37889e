//! The sums of a run.

use std::collections::BTreeMap;

use wire::Packets;
use wire::frame::{Counts, KernelCounts, Mix, MixCounts};
use wire::id::NicName;

use crate::sampler::verdict::Verdict;
use crate::sampler::{Balance, IntervalReport};

/// The sums of a run.
#[derive(Debug, Default)]
pub(super) struct WatchSums {
    pub nics: BTreeMap<NicName, NicSums>,
}

/// The sums of one NIC.
#[derive(Debug, Default)]
pub(super) struct NicSums {
    pub rx: Counts,
    pub tx: Counts,
    pub rx_mix: MixCounts,
    pub tx_mix: MixCounts,
    pub drops: Packets,
    pub late: Packets,
    pub inexact: Packets,
    pub kernel: KernelCounts,
    /// Marks of any sample.
    pub flags: u32,
    /// Nanoseconds that were measured.
    pub measured_ns: u64,
    pub balance: Balance,
    /// Of the NIC's last run.
    pub verdict: Verdict,
}

impl WatchSums {
    pub fn add(&mut self, report: &IntervalReport) {
        for sample in &report.samples {
            let total = self.nics.entry(sample.nic).or_default();
            total.rx.merge(&sample.rx);
            total.tx.merge(&sample.tx);
            total.drops += sample.drops;
            total.late += Packets(sample.late.into());
            total.inexact += Packets(sample.inexact.into());
            total.kernel.merge(&sample.kernel);
            total.flags |= sample.flags;
            total.measured_ns += sample.interval_ns;
        }
        for Mix { nic, rx, tx, .. } in &report.mixes {
            let total = self.nics.entry(*nic).or_default();
            total.rx_mix.merge(rx);
            total.tx_mix.merge(tx);
        }
        for ended in &report.ended {
            let total = self.nics.entry(ended.nic).or_default();
            total.verdict = ended.verdict;
            let balance = &mut total.balance;
            balance.offered += ended.balance.offered;
            balance.dropped += ended.balance.dropped;
            balance.seen += ended.balance.seen;
        }
    }
}
