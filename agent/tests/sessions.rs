//! An agent that was restarted many times without a collector: all of its sessions are delivered, the
//! oldest first.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test may panic")]

use std::time::Duration;

use agent::ship::spool::{Now, Spool, SpoolLimits};
use testbed::http::HTTP;
use testbed::{Cluster, PATIENCE, Pair, Site, in_namespace, metric, wait_for, wait_until};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{NicName, SessionId};
use wire::message::LIST_MAX;
use wire::{BootNs, Seq, WallNs};
use wire::{Bytes, Packets};

/// More than one message can list.
const SESSIONS: u64 = LIST_MAX as u64 + 304;

/// Writes a spool of this many runs, each with one packet of as many bytes as its number.
fn crash_loop(site: &Site) {
    let limits = SpoolLimits {
        max_size: 64 << 20,
        max_age: Duration::from_secs(7 * 86_400),
        keep_committed: Duration::from_secs(600),
    };
    let path = site.dir().join("agent/spool.sqlite");
    let (mut spool, _) = Spool::open(&path, limits, Now::default()).unwrap();
    for session in 1..=SESSIONS {
        // The wall clock goes backwards between runs.
        let wall_ns = 1_700_000_000_000_000_000 - session * 1_000_000_000;
        spool
            .begin(
                SessionId::new(session),
                Now { wall_ns: WallNs(wall_ns), boot_ns: BootNs(session), ..Now::default() },
            )
            .unwrap();
        let counts = Counts {
            bytes: Bytes(session),
            packets: Packets(1),
            captured: Packets(1),
            total_bytes: Bytes(session),
            total_packets: Packets(1),
            ..Counts::default()
        };
        let sample = Sample {
            nic: NicName::new("crashed0").unwrap(),
            start_ns: WallNs(wall_ns),
            interval_ns: 500_000_000,
            rx: counts,
            ..Sample::default()
        };
        let (first_seq, samples) = (1, vec![sample]);
        let frame = Frame {
            session: SessionId::new(session),
            first_seq: Seq(first_seq),
            last_seq: Seq(1),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        };
        spool.append(&[frame], BootNs(session)).unwrap();
        spool.end(SessionId::new(session)).unwrap();
    }
}

fn all_are_delivered(site: &Site) {
    let _link = Pair::new();
    let collector = site.start_collector();
    site.enroll();
    crash_loop(site);
    let agent = site.start_agent();
    let waiting = || {
        let path = site.dir().join("agent/spool.sqlite");
        let told = agent.log();
        assert!(!told.contains("the list of sessions has"), "{told}");
        path.exists() && told.matches(r#""message":"connected""#).count() >= 5
    };
    // Thousands of sessions are committed one by one.
    wait_for("the last portion", 5 * PATIENCE, waiting);
    // Stopping delivers the rest.
    let rows = || metric(HTTP, "netmon_collector_batch_rows_sum");
    wait_until("most of it", || rows() >= SESSIONS as f64);
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("crashed0"), ((1..=SESSIONS).sum(), SESSIONS));
}

#[test]
fn any_number_of_sessions_is_delivered() {
    if in_namespace() {
        all_are_delivered(&Site::new());
    }
}

#[test]
fn any_number_of_sessions_is_delivered_to_postgresql() {
    if in_namespace() {
        let cluster = Cluster::start();
        all_are_delivered(&Site::with_database(&cluster.new_database()));
    }
}
