//! Talkers with their owners, from real packets to the report that is stored.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod watched;

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use agent::owner;
use agent::sampler::{Capture, CaptureConfig, IntervalReport, TalkersConfig};
use agent::talkers::moment::Thresholds;
use crossbeam_channel::Receiver;
use testbed::{Cgroups, Pair, SLACK, in_namespace, wait_until};
use watched::config;
use wire::talkers::{TALKERS_MAX, Talker, TalkerOwner, Talkers};

/// Capture with samples of 50 ms, of which each is listed.
fn capture() -> (Capture, Receiver<IntervalReport>) {
    let talkers = Some(TalkersConfig { entries: TALKERS_MAX, on: Thresholds::EVERY });
    let config = CaptureConfig { talkers, ..config(Duration::from_millis(50)) };
    let (capture, reports) = Capture::start(config).unwrap();
    (capture, owner::start(reports).unwrap())
}

/// The next record with a talker that is wanted, and that talker's owner, which a busy machine may not
/// find in time.
fn next(
    reports: &Receiver<IntervalReport>,
    wanted: impl Fn(&Talker) -> bool,
) -> (Talkers, Option<TalkerOwner>) {
    let end = Instant::now() + Duration::from_secs(10) + SLACK;
    loop {
        let report = reports.recv_deadline(end).expect("a record of it");
        for record in report.talkers.into_iter().map(|it| it.record) {
            let talkers = record.rx.talkers.iter().chain(&record.tx.talkers);
            if let Some(talker) = talkers.copied().find(&wanted) {
                let owner = usize::from(talker.owner).checked_sub(1);
                let owner = owner.map(|at| record.owners[at].clone());
                return (record, owner);
            }
        }
    }
}

#[test]
fn a_burst_of_300_ms_is_named_with_the_unit_that_made_it() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let pair = Pair::new();
    let (_capture, reports) = capture();
    // What was there before needs no news of closed sockets, what comes now does.
    std::thread::sleep(Duration::from_millis(600));
    while reports.try_recv().is_ok() {}
    cgroups.enter("system.slice/upload.service");
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    wait_until("a burst with an owner", || {
        for _ in 0..30 {
            for _ in 0..20 {
                socket.send_to(&[0; 1000], "10.9.0.2:9").unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let (record, owner) = next(&reports, |talker| talker.key.port == 9);
        assert!(record.tx.total_bytes >= record.tx.talkers[0].bytes);
        owner.is_some_and(|owner| {
            assert_eq!(owner.name, "upload.service");
            true
        })
    });
    drop(pair);
}

#[test]
fn what_a_service_of_this_host_receives_is_its_units() {
    if !in_namespace() {
        return;
    }
    let cgroups = Cgroups::new();
    let pair = Pair::new();
    cgroups.enter("system.slice/backup.service");
    let listener = TcpListener::bind("10.9.0.1:443").unwrap();
    cgroups.leave();
    let (_capture, reports) = capture();
    std::thread::sleep(Duration::from_millis(600));
    // It listens until the record is there.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::io::copy(&mut stream.unwrap(), &mut std::io::sink()).unwrap();
        }
    });
    wait_until("an upload with an owner", || {
        pair.there_sh("dd if=/dev/zero bs=1M count=20 status=none > /dev/tcp/10.9.0.1/443");
        let (_, owner) = next(&reports, |talker| talker.key.port == 443);
        owner.is_some_and(|owner| {
            assert_eq!(owner.name, "backup.service");
            true
        })
    });
}
