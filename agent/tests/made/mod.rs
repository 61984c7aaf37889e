//! An agent with invented measurements: recorder, spool and delivery are real.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it, and may panic")]

use std::path::Path;
use std::time::Duration;

use agent::sampler::IntervalReport;
use agent::ship::delivery::{About, Delivery};
use agent::ship::recorder::{self, RecorderConfig};
use agent::ship::spool::{Now, Spool, SpoolLimits};
use agent::talkers::Addresses;
use crossbeam_channel::unbounded;
use tokio::sync::{mpsc, watch};
use wire::frame::{Counts, Sample};
use wire::id::{NicName, SessionId};
use wire::message::Inventory;
use wire::{Bytes, Packets, WallNs};

pub const SECOND: u64 = 1_000_000_000;
pub const SESSION: SessionId = SessionId::new(0xf0_4c);
pub const START: WallNs = WallNs(1_790_000_000 * SECOND);

/// The agent, with its complete state.
pub struct Made {
    reports: Option<crossbeam_channel::Sender<IntervalReport>>,
    pub delivery: Delivery,
    recorder: std::thread::JoinHandle<()>,
    total: u64,
}

impl Made {
    /// Starts with the spool at a path.
    pub fn begin(spool: &Path) -> Self {
        let limits = SpoolLimits {
            max_size: 64 << 20,
            max_age: Duration::from_secs(3650 * 86_400),
            keep_committed: Duration::from_secs(600),
        };
        let now = Now { wall_ns: START, boot_ns: agent::clocks::boot_ns(), ..Now::default() };
        let (mut spool, _) = Spool::open(spool, limits, now).unwrap();
        let last_seq = spool.begin(SESSION, now).unwrap();
        let sessions = spool.sessions(SESSION).unwrap();
        let (reports, reported) = unbounded();
        let (requests, asked) = unbounded();
        let (events, made) = mpsc::channel(1024);
        let config = RecorderConfig {
            session: SESSION,
            last_seq,
            report_interval: Duration::from_secs(1),
            fsync_interval: Duration::from_secs(1),
            addresses: Addresses::Whole,
        };
        let recorder = recorder::start(config, spool, reported, asked, events).unwrap();
        let inventory = watch::channel(Inventory::default()).1;
        let delivery = Delivery::new(About::default(), sessions, requests, made, inventory);
        Self { reports: Some(reports), delivery, recorder, total: 0 }
    }

    /// Measures the seconds `from..=to` with this many bytes in each.
    pub fn measure(&mut self, from: u64, to: u64, bytes: u64) {
        for second in from..=to {
            self.total += bytes;
            let rx = Counts {
                bytes: Bytes(bytes),
                packets: Packets(1),
                captured: Packets(1),
                total_bytes: Bytes(self.total),
                total_packets: Packets(second),
                ..Counts::default()
            };
            let sample = Sample {
                nic: NicName::new("eth0").unwrap(),
                start_ns: START + second * SECOND,
                interval_ns: SECOND,
                rx,
                ..Sample::default()
            };
            let report = IntervalReport { samples: vec![sample], ..IntervalReport::default() };
            self.reports.as_ref().unwrap().send(report).unwrap();
        }
    }

    /// Where reports go.
    pub fn reports(&self) -> crossbeam_channel::Sender<IntervalReport> {
        self.reports.clone().unwrap()
    }

    /// Stops measuring.
    pub fn stop(&mut self) {
        self.reports = None;
    }

    /// Stops the recorder.
    pub fn end(self) {
        drop(self.reports);
        drop(self.delivery);
        self.recorder.join().unwrap();
    }
}
