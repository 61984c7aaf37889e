//! Capture with a receiver that sums up its reports.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it, and may panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::nic::choose::NicFilter;
use agent::sampler::verdict::Verdict;
use agent::sampler::{Capture, CaptureConfig, IntervalReport};
use agent::talkers::TalkersReport;
use wire::Packets;
use wire::frame::{Counts, Mix, Sample};

/// Running capture.
pub struct Watched {
    pub capture: Capture,
    nics: Arc<Mutex<Nics>>,
    taker: JoinHandle<()>,
}

/// The sums of each NIC, by name.
pub type Nics = BTreeMap<String, Sums>;

/// Totals of a NIC.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    pub rx: Counts,
    pub tx: Counts,
    pub drops: u64,
    pub late: u64,
    pub inexact: u64,
    pub samples: Vec<Sample>,
    pub mix: Mix,
    pub talkers: Vec<TalkersReport>,
    pub verdict: Verdict,
}

/// Capture of the default NICs.
pub fn config(interval: Duration) -> CaptureConfig {
    CaptureConfig {
        sample_interval: interval,
        mix_interval: Duration::from_nanos(1),
        ring: RingConfig::default(),
        ring_memory: 512 << 20,
        rings_per_nic: 1,
        cpus: Vec::new(),
        talkers: None,
        filter: NicFilter::default(),
    }
}

pub fn start(config: CaptureConfig) -> Watched {
    let (capture, reports) = Capture::start(config).unwrap();
    let nics = Arc::new(Mutex::new(Nics::new()));
    let sums = nics.clone();
    let taker = std::thread::spawn(move || {
        for report in reports {
            add(&mut sums.lock().unwrap(), report);
        }
    });
    Watched { capture, nics, taker }
}

/// Requires that most packets were counted in the interval that they came in. A machine that others keep
/// busy may stop the reader of a ring for longer than intervals wait for it: those packets are late.
pub fn assert_mostly_in_time(sums: &Sums) {
    let captured = sums.rx.captured + sums.tx.captured;
    assert!(
        captured > Packets(0) && sums.late * 3 < captured.get(),
        "{} of {captured} late",
        sums.late
    );
}

impl Watched {
    /// Totals of a NIC so far.
    pub fn now(&self, nic: &str) -> Sums {
        self.nics.lock().unwrap().get(nic).cloned().unwrap_or_default()
    }

    /// Stops capture and returns each NIC's totals. The balance must be even.
    pub fn finish(mut self) -> Nics {
        self.capture.stop();
        self.taker.join().unwrap();
        std::mem::take(&mut self.nics.lock().unwrap())
    }
}

fn add(nics: &mut Nics, report: IntervalReport) {
    for sample in report.samples {
        let sums = nics.entry(sample.nic.to_string()).or_default();
        sums.rx.merge(&sample.rx);
        sums.tx.merge(&sample.tx);
        sums.drops += sample.drops.get();
        sums.late += u64::from(sample.late);
        sums.inexact += u64::from(sample.inexact);
        sums.samples.push(sample);
    }
    for mix in report.mixes {
        let sums = nics.entry(mix.nic.to_string()).or_default();
        sums.mix.rx.merge(&mix.rx);
        sums.mix.tx.merge(&mix.tx);
    }
    for talkers in report.talkers {
        nics.entry(talkers.record.nic.to_string()).or_default().talkers.push(talkers);
    }
    for ended in report.ended {
        assert!(ended.balance.is_balanced(), "offered = seen + dropped: {ended:?}");
        nics.entry(ended.nic.to_string()).or_default().verdict = ended.verdict;
    }
}
