//! Wrong wall clocks: a step never expires a record or makes an unreadable one, and an unreadable
//! record becomes a gap, once.

use std::path::Path;
use std::time::Duration;

use agent::ship::framer::Framer;
use agent::ship::spool::{Now, Spool, SpoolLimits};
use wire::codec;
use wire::frame::{Frame, Gap, INTERVAL_MAX_NS, Sample};
use wire::id::SessionId;
use wire::message::Committed;
use wire::{BootNs, Seq, WallNs};

use crate::support::{
    SECOND, SESSION, append, at, bytes, decoded, frame, frame_of, limits, open, range, read_all,
};

const DAY: u64 = 86_400 * SECOND;
const YEAR: u64 = 365 * DAY;
const NEXT: SessionId = SessionId::new(77);

/// The record of a second, dated by a clock that is ahead.
fn ahead(seq: u64, by_ns: u64) -> Frame {
    let mut frame = frame(seq);
    frame.samples[0].start_ns += by_ns;
    frame
}

fn with_db(path: &Path, act: impl FnOnce(&rusqlite::Connection)) {
    act(&rusqlite::Connection::open(path).unwrap());
}

#[test]
fn records_lost_around_a_step_are_one_gap_with_exact_counts() {
    for (before_ns, after_ns) in [(0, 2 * DAY), (0, 20 * YEAR), (20 * YEAR, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool.db");
        let mut spool = open(&path, limits());
        spool.begin(SESSION, Now::default()).unwrap();
        for seq in 1..=20 {
            let by_ns = if seq <= 10 { before_ns } else { after_ns };
            spool.append(&[ahead(seq, by_ns)], BootNs(seq * SECOND)).unwrap();
        }
        drop(spool);
        with_db(&path, |db| {
            db.execute("DELETE FROM records WHERE first_seq BETWEEN 8 AND 13", []).unwrap();
        });
        let mut spool = open(&path, limits());
        let frames = read_all(&mut spool, 20);
        assert_eq!((frames[7].gap, frames[7].last_seq), (Gap::SpoolDamaged as u8, Seq(13)));
        assert_eq!(bytes(&frames), (1..=20).sum::<u64>());
    }
}

#[test]
fn a_record_that_no_one_can_read_is_a_gap_and_reading_goes_on() {
    // Such records were written when a clock was set forward by two days within a mix, or when a host
    // slept for 26 hours.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=20);
    drop(spool);
    with_db(&path, |db| {
        for seq in [1, 9, 10, 20] {
            let mut long = frame(seq);
            long.samples[0].interval_ns = 26 * 3600 * SECOND;
            assert!(codec::encode_frame(&long).is_err(), "unreadable records are not made");
            let sql = "UPDATE records SET frame = ?2, crc = -1 WHERE first_seq = ?1";
            db.execute(sql, (seq.cast_signed(), codec::frame_bytes(&long))).unwrap();
        }
    });
    let mut spool = open(&path, limits());
    let frames = read_all(&mut spool, 20);
    let gaps: Vec<_> = frames
        .iter()
        .filter(|it| it.gap != 0)
        .map(|it| (it.first_seq.get(), it.last_seq.get()))
        .collect();
    assert_eq!(gaps, [(1, 1), (9, 9), (10, 10), (20, 20)]);
    // No record after the last one gives its counts.
    assert_eq!(bytes(&frames), (1..20).sum::<u64>());
    assert_eq!(read_all(&mut spool, 20), frames, "the file was repaired");
    drop(spool);
    let mut spool = open(&path, SpoolLimits { max_size: 1, ..limits() });
    spool.maintain(SessionId::new(0), BootNs(21 * SECOND)).unwrap();
    assert_eq!(bytes(&read_all(&mut spool, 20)), (1..20).sum::<u64>());
}

#[test]
fn whatever_time_a_report_covers_its_records_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory.path().join("spool.db"), limits());
    spool.begin(SESSION, Now::default()).unwrap();
    let mut framer = Framer::new(SESSION, Seq(0), SECOND);
    let (mut last, mut lasted_ns) = (Seq(0), 0);
    for interval_ns in [1, SECOND, 26 * 3600 * SECOND, 40 * DAY] {
        let sample = Sample { interval_ns, ..frame(1).samples[0] };
        let frames = framer.add(vec![sample], vec![]);
        last = frames.last().map_or(last, |frame| frame.last_seq);
        spool.append(&frames, BootNs(lasted_ns)).unwrap();
        lasted_ns += interval_ns;
    }
    let rest = framer.finish();
    last = rest.last().map_or(last, |frame| frame.last_seq);
    spool.append(&rest, BootNs(lasted_ns)).unwrap();
    let frames = read_all(&mut spool, last.get());
    assert!(frames.iter().all(|frame| frame.gap == 0));
    let covered = frames.iter().flat_map(|frame| &frame.samples).map(|it| it.interval_ns);
    assert_eq!((covered.sum::<u64>(), bytes(&frames)), (lasted_ns, 4));
}

#[test]
fn a_step_of_the_wall_clock_expires_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let limits = SpoolLimits { max_age: Duration::from_secs(100), ..limits() };
    let mut spool = open(&path, limits.clone());
    // An agent that started 20 years ahead, and whose clock was corrected while it ran.
    let began = Now { wall_ns: WallNs(20 * YEAR), boot_ns: BootNs(0), ..Now::default() };
    spool.begin(SESSION, began).unwrap();
    for seq in 1..=50 {
        spool
            .append(&[ahead(seq, if seq <= 25 { 20 * YEAR } else { 0 })], BootNs(seq * SECOND))
            .unwrap();
        spool.maintain(SESSION, BootNs(seq * SECOND)).unwrap();
    }
    drop(spool);
    // Restarted, with an arbitrary wall clock; the boot-time clock continued.
    for (wall_ns, boot_ns) in [(0, 60), (8 * DAY, 70), (20 * YEAR, 80)] {
        let now =
            Now { wall_ns: WallNs(wall_ns), boot_ns: BootNs(boot_ns * SECOND), ..Now::default() };
        let (mut spool, damaged) = Spool::open(&path, limits.clone(), now).unwrap();
        assert_eq!(damaged, None);
        spool.maintain(SessionId::new(0), BootNs((boot_ns + 5) * SECOND)).unwrap();
        assert!(read_all(&mut spool, 50).iter().all(|frame| frame.gap == 0), "{wall_ns}");
    }
    // Rebooted: the time in between is unknown, so it doesn't count.
    let now = Now { wall_ns: WallNs(20 * YEAR), boot_ns: BootNs(5 * SECOND), ..Now::default() };
    let (mut spool, _) = Spool::open(&path, limits.clone(), now).unwrap();
    spool.maintain(SessionId::new(0), BootNs(10 * SECOND)).unwrap();
    assert!(read_all(&mut spool, 50).iter().all(|frame| frame.gap == 0), "100 s old at most");
    spool.maintain(SessionId::new(0), BootNs(40 * SECOND)).unwrap();
    let frames = read_all(&mut spool, 50);
    assert_eq!(frames[0].gap, Gap::SpoolFull as u8, "known to be older");
    assert_eq!(bytes(&frames), (1..=50).sum::<u64>());
}

#[test]
fn committed_records_are_kept_their_while_over_steps_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    spool.on_committed(Committed { session: SESSION, seq: Seq(10) }, BootNs(10 * SECOND)).unwrap();
    spool.maintain(SESSION, BootNs(20 * SECOND)).unwrap();
    drop(spool);
    let now = Now { wall_ns: WallNs(20 * YEAR), boot_ns: BootNs(25 * SECOND), ..Now::default() };
    let (mut spool, _) = Spool::open(&path, limits(), now).unwrap();
    spool.maintain(SessionId::new(0), BootNs(600 * SECOND)).unwrap();
    assert_eq!(read_all(&mut spool, 10).len(), 10);
    spool.maintain(SessionId::new(0), BootNs(611 * SECOND)).unwrap();
    assert_eq!(spool.sessions(SESSION).unwrap(), []);
}

#[test]
fn a_spool_of_the_second_version_keeps_all_it_has_whatever_the_clock_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    with_db(&path, |db| {
        db.execute_batch(include_str!("version_2.sql")).unwrap();
        for (session, started, wall) in [(5, 9 * YEAR, 9 * YEAR), (6, 1, 50 * YEAR)] {
            db.execute(
                "INSERT INTO sessions VALUES (?1, ?2, 3, 1, 1, 0, 1)",
                [session, started.cast_signed()],
            )
            .unwrap();
            for seq in 1..=3 {
                let frame = frame_of(SessionId::of_column(session), seq, seq);
                let encoded = codec::encode_frame(&frame).unwrap();
                db.execute(
                    "INSERT INTO records VALUES (?1, ?2, ?2, 0, ?3, ?4, -1)",
                    (session, seq.cast_signed(), wall.cast_signed(), encoded),
                )
                .unwrap();
            }
            for at_ns in [wall, wall + 1] {
                db.execute(
                    "INSERT INTO commits VALUES (?1, ?2, 1)",
                    [session, at_ns.cast_signed()],
                )
                .unwrap();
            }
        }
    });
    let now = Now { wall_ns: WallNs(100 * YEAR), boot_ns: BootNs(3600 * SECOND), ..Now::default() };
    let (mut spool, damaged) = Spool::open(&path, limits(), now).unwrap();
    assert_eq!(damaged, None);
    let order: Vec<_> =
        spool.sessions(SessionId::new(0)).unwrap().iter().map(|it| it.session).collect();
    assert_eq!(order, [6, 5].map(SessionId::new), "the best known order");
    spool.maintain(SessionId::new(0), BootNs(3700 * SECOND)).unwrap();
    for session in [5, 6].map(SessionId::new) {
        let frames = decoded(&spool.read(session, range(1, 3), usize::MAX).unwrap());
        assert_eq!((frames.len(), frames[2].gap), (3, 0));
    }
    spool.maintain(SessionId::new(0), BootNs(5000 * SECOND)).unwrap();
    let frames = decoded(&spool.read(SessionId::new(5), range(1, 3), usize::MAX).unwrap());
    assert_eq!((frames[0].gap, frames[0].last_seq), (Gap::Forgotten as u8, Seq(1)));
    assert_eq!(frames[1].gap, 0);
}

/// Length of the gap at the start of a run whose first sample has these times on wall clock and
/// boot-time clock, after a run that ended at 11 s on both.
fn outage(wall_ns: u64, boot_ns: u64) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    drop(spool);
    let now = Now { wall_ns: WallNs(wall_ns), boot_ns: BootNs(boot_ns), ..Now::default() };
    let (mut spool, _) = Spool::open(&path, limits(), now).unwrap();
    assert_eq!(spool.begin(NEXT, now).unwrap(), Seq(1));
    let mut first = frame_of(NEXT, 2, 2);
    first.samples[0].start_ns = WallNs(wall_ns);
    spool.append(&[first], BootNs(boot_ns)).unwrap();
    let frames = decoded(&spool.read(NEXT, range(1, 2), usize::MAX).unwrap());
    assert_eq!(frames[0].gap, Gap::Unmeasured as u8);
    let samples = &frames[0].samples;
    assert_eq!(samples[0].start_ns, WallNs(11 * SECOND));
    assert!(samples.iter().all(|it| it.interval_ns <= INTERVAL_MAX_NS));
    samples.iter().map(|it| it.interval_ns).sum()
}

#[test]
fn a_gap_without_an_agent_is_as_long_as_is_known() {
    assert_eq!(outage(40 * SECOND, 40 * SECOND), 29 * SECOND, "by the wall clock");
    assert_eq!(outage(3 * DAY + 11 * SECOND, 7 * SECOND), 3 * DAY, "off for three days");
    let known = outage(5 * SECOND, 3000 * SECOND);
    assert!((2980 * SECOND..=3000 * SECOND).contains(&known), "clock set back meanwhile: {known}");
    assert_eq!(outage(20 * YEAR, 40 * SECOND), 31 * DAY, "limited to a plausible time");
}

#[test]
fn sessions_come_in_the_order_in_which_they_began() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    for (n, wall_ns) in [(1, 50 * YEAR), (2, 3), (3, 9 * YEAR)] {
        let session = SessionId::new(n);
        let mut spool = open(&path, limits());
        spool.begin(session, at(wall_ns)).unwrap();
        spool.append(&[frame_of(session, 1, 1)], BootNs(SECOND)).unwrap();
        spool.end(session).unwrap();
    }
    let order = open(&path, limits()).sessions(SessionId::new(0)).unwrap();
    assert_eq!(order.iter().map(|it| it.session.get()).collect::<Vec<_>>(), [1, 2, 3]);
}
