//! A full disk: reports wait in memory, sampling continues, and nothing is lost.

use std::time::{Duration, Instant};

use agent::sampler::IntervalReport;
use agent::ship::recorder::{self, RecorderConfig, RecorderRequest};
use agent::ship::spool::{Now, Spool};
use agent::talkers::Addresses;
use testbed::{in_namespace, sh};
use tokio::sync::{mpsc, oneshot};
use wire::delivery::StoredProgress;
use wire::{Seq, WallNs};

use crate::support::{SECOND, SESSION, bytes, decoded, frame, limits, range, read_all};

const REPORTS: u64 = 400;

#[test]
fn what_is_measured_while_the_disk_is_full_is_written_once_there_is_room() {
    if !in_namespace() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path();
    sh(&format!("mount -t tmpfs -o size=1m tmpfs {}", disk.display()));
    let path = disk.join("spool.db");
    let (mut spool, _) = Spool::open(&path, limits(), Now::default()).unwrap();
    // Even the session can't be written yet.
    let fill = disk.join("fill");
    sh(&format!("dd if=/dev/zero of={} bs=1k 2>/dev/null || true", fill.display()));
    assert_eq!(spool.begin(SESSION, Now::default()).unwrap(), Seq(0));

    let (reports, taken) = crossbeam_channel::bounded(64);
    let (requests, asked) = crossbeam_channel::unbounded();
    let (events, made) = mpsc::channel(8);
    let config = RecorderConfig {
        session: SESSION,
        last_seq: Seq(0),
        report_interval: Duration::from_secs(1),
        fsync_interval: Duration::from_millis(50),
        addresses: Addresses::Whole,
    };
    let recorder = recorder::start(config, spool, taken, asked, events).unwrap();
    for seq in 1..=REPORTS {
        let report = IntervalReport { samples: frame(seq).samples, ..IntervalReport::default() };
        // Sampling never waits: the recorder accepts reports that it can't write.
        let begun = Instant::now();
        reports.send_timeout(report, Duration::from_secs(5)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        if seq == REPORTS / 2 {
            // Requests get an answer too.
            let (answer, answered) = oneshot::channel();
            let told = StoredProgress { session: SESSION, seq: Seq(0), digest: None };
            requests.send(RecorderRequest::Welcome(vec![told], answer)).unwrap();
            assert_eq!(answered.blocking_recv().unwrap().unwrap(), []);
        }
        if seq == REPORTS - 10 {
            std::fs::remove_file(&fill).unwrap();
        }
    }
    drop((reports, requests, made));
    recorder.join().unwrap();
    let (mut spool, damaged) = Spool::open(&path, limits(), Now::default()).unwrap();
    assert_eq!(damaged, None);
    let frames = read_all(&mut spool, REPORTS);
    assert_eq!(bytes(&frames), (1..=REPORTS).sum::<u64>());
    let last = decoded(&spool.read(SESSION, range(REPORTS, REPORTS), 1).unwrap());
    assert_eq!(last[0].samples[0].start_ns, WallNs(REPORTS * SECOND));
}
