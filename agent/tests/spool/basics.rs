//! Written records stay until they are committed, within limits of size and age.

use std::time::Duration;

use agent::ship::spool::{Now, Spool, SpoolError, SpoolLimits};
use settings::InFull;
use wire::Bytes;
use wire::frame::Gap;
use wire::id::SessionId;
use wire::message::Committed;
use wire::{BootNs, Seq, WallNs};

use crate::support::{
    SECOND, SESSION, append, at, bytes, decoded, frame, limits, open, range, read_all,
};

#[test]
fn what_was_written_is_there_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now { wall_ns: WallNs(7), boot_ns: BootNs(0), ..Now::default() }).unwrap();
    append(&mut spool, 1..=50);
    // No clean stop: copy the file as a kill would leave it.
    let killed = directory.path().join("killed.db");
    std::fs::copy(&path, &killed).unwrap();
    std::fs::copy(directory.path().join("spool.db-wal"), directory.path().join("killed.db-wal"))
        .unwrap();
    let mut spool = open(&killed, limits());
    let sessions = spool.sessions(SessionId::new(0)).unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].session, sessions[0].started_ns), (SESSION, WallNs(7)));
    assert_eq!((sessions[0].last_seq, sessions[0].committed_seq), (Seq(50), Seq(0)));
    let frames = read_all(&mut spool, 50);
    assert_eq!(frames, (1..=50).map(frame).collect::<Vec<_>>());
}

#[test]
fn reading_is_bounded_and_gives_at_least_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory.path().join("spool.db"), limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    let one = spool.read(SESSION, range(4, 9), 1).unwrap();
    assert_eq!(one.iter().map(|record| record.range).collect::<Vec<_>>(), [range(4, 4)]);
}

#[test]
fn committed_records_are_kept_a_while_and_then_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory.path().join("spool.db"), limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    spool.on_committed(Committed { session: SESSION, seq: Seq(6) }, BootNs(100 * SECOND)).unwrap();
    spool.maintain(SESSION, BootNs(699 * SECOND)).unwrap();
    assert_eq!(
        read_all(&mut spool, 10).len(),
        10,
        "records are kept for a database that falls back"
    );
    spool.maintain(SESSION, BootNs(701 * SECOND)).unwrap();
    let frames = read_all(&mut spool, 10);
    assert_eq!((frames[0].last_seq, frames[0].gap), (Seq(6), Gap::Forgotten as u8));
    assert_eq!(frames[1..], (7..=10).map(frame).collect::<Vec<_>>());
}

#[test]
fn a_database_that_fell_back_makes_later_commits_void() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory.path().join("spool.db"), limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    spool.on_committed(Committed { session: SESSION, seq: Seq(9) }, BootNs(100 * SECOND)).unwrap();
    spool.on_welcome(&[Committed { session: SESSION, seq: Seq(2) }], BootNs(200 * SECOND)).unwrap();
    spool.maintain(SESSION, BootNs(750 * SECOND)).unwrap();
    assert_eq!(read_all(&mut spool, 10).len(), 10);
    assert_eq!(spool.sessions(SESSION).unwrap()[0].committed_seq, Seq(2));
}

#[test]
fn a_session_is_gone_once_all_of_it_is_committed_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = open(&directory.path().join("spool.db"), limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=3);
    spool.on_committed(Committed { session: SESSION, seq: Seq(3) }, BootNs(0)).unwrap();
    assert_eq!(spool.sessions(SessionId::new(1)).unwrap(), [], "nothing to deliver");
    spool.maintain(SessionId::new(1), BootNs(700 * SECOND)).unwrap();
    assert_eq!(spool.sessions(SESSION).unwrap(), [], "not even as the running one");
}

#[test]
fn a_full_spool_coarsens_and_conserves_the_sums() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let max_size = 600 << 10;
    let mut spool = open(&path, SpoolLimits { max_size, ..limits() });
    spool.begin(SESSION, Now::default()).unwrap();
    let last = 20_000;
    for seq in 1..=last {
        spool.append(&[frame(seq)], BootNs(seq * SECOND)).unwrap();
        if seq % 500 == 0 {
            spool.maintain(SESSION, BootNs(seq * SECOND)).unwrap();
        }
    }
    let frames = read_all(&mut spool, last);
    assert_eq!(bytes(&frames), (1..=last).sum::<u64>());
    assert!(frames.len() < 5000, "{}", frames.len());
    assert_eq!(frames.last().unwrap(), &frame(last), "the newest stay exact");
    drop(spool);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 2 * max_size, "{size}");
}

#[test]
fn a_record_that_was_sent_keeps_its_bounds_until_the_next_welcome() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool =
        open(&directory.path().join("spool.db"), SpoolLimits { max_size: 1, ..limits() });
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=100);
    spool.on_sent(SESSION, range(1, 40)).unwrap();
    spool.on_sent(SESSION, range(41, 60)).unwrap();
    spool.maintain(SESSION, BootNs(100 * SECOND)).unwrap();
    let frames = read_all(&mut spool, 100);
    assert_eq!(frames[..60], (1..=60).map(frame).collect::<Vec<_>>());
    assert_eq!(frames.len(), 61);
    spool
        .on_welcome(&[Committed { session: SESSION, seq: Seq(50) }], BootNs(100 * SECOND))
        .unwrap();
    spool.maintain(SESSION, BootNs(100 * SECOND)).unwrap();
    let frames = decoded(&spool.read(SESSION, range(51, 100), usize::MAX).unwrap());
    assert_eq!((frames[0].first_seq, bytes(&frames)), (Seq(51), (51..=100).sum::<u64>()));
}

#[test]
fn records_past_their_age_become_a_gap_with_exact_counts() {
    let directory = tempfile::tempdir().unwrap();
    let max_age = Duration::from_secs(100);
    let mut spool = open(&directory.path().join("spool.db"), SpoolLimits { max_age, ..limits() });
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=200);
    spool.maintain(SESSION, BootNs(200 * SECOND)).unwrap();
    let frames = read_all(&mut spool, 200);
    assert_eq!((frames[0].gap, frames[0].last_seq), (Gap::SpoolFull as u8, Seq(99)));
    assert_eq!(frames[0].samples[0].rx.bytes, Bytes((1..=99).sum::<u64>()));
    assert_eq!(frames.len(), 102);
}

#[test]
fn a_damaged_file_is_set_aside_and_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let (mut spool, aside) = Spool::open(&path, limits(), at(1_700 * SECOND)).unwrap();
    let aside = aside.unwrap();
    assert_eq!(aside, directory.path().join("spool.damaged-1700"));
    assert_eq!(std::fs::read(aside).unwrap(), vec![b'x'; 8192], "the damaged file is kept whole");
    spool.begin(SESSION, Now::default()).unwrap();
}

#[test]
fn a_second_agent_and_a_newer_schema_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let first = open(&path, limits());
    let error = Spool::open(&path, limits(), Now::default()).unwrap_err().in_full().to_string();
    assert!(error.contains("spool.db") && error.contains("another agent uses"), "{error}");
    drop(first);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(db);
    let error = Spool::open(&path, limits(), Now::default()).unwrap_err();
    assert!(matches!(error, SpoolError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn an_unwritable_place_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), b"").unwrap();
    let path = directory.path().join("file/spool.db");
    let error = Spool::open(&path, limits(), Now::default()).unwrap_err().in_full().to_string();
    assert!(error.contains("/file: Not a directory") && error.contains("data_dir"), "{error}");
}
