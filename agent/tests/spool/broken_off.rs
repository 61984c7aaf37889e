//! A killed run: sent records keep their bounds, and the next run reports the gap.

use agent::ship::spool::{Now, Spool, SpoolLimits};
use wire::Bytes;
use wire::frame::Gap;
use wire::id::SessionId;
use wire::message::Committed;
use wire::{BootNs, Seq, WallNs};

use crate::support::{
    SECOND, SESSION, append, at, bytes, decoded, frame, frame_of, limits, open, range, read_all,
};

const NEXT: SessionId = SessionId::new(77);

#[test]
fn the_next_run_begins_with_a_gap_from_the_last_sample_to_its_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    assert_eq!(spool.begin(SESSION, Now::default()).unwrap(), Seq(0), "nothing came before");
    append(&mut spool, 1..=10);
    drop(spool);
    let mut spool = open(&path, limits());
    assert_eq!(spool.begin(NEXT, at(20 * SECOND)).unwrap(), Seq(1));
    // Killed again before a record was written: the gap stays.
    drop(spool);
    let mut spool = open(&path, limits());
    assert_eq!(spool.begin(SessionId::new(77 + 1), at(30 * SECOND)).unwrap(), Seq(1));
    spool.append(&[frame_of(SessionId::new(77 + 1), 2, 40)], BootNs(41 * SECOND)).unwrap();
    let frames = decoded(&spool.read(SessionId::new(77 + 1), range(1, 2), usize::MAX).unwrap());
    assert_eq!((frames[0].gap, frames[0].samples.len()), (Gap::Unmeasured as u8, 1));
    let gap = frames[0].samples[0];
    assert_eq!(
        (gap.start_ns, gap.interval_ns, gap.rx.bytes),
        (WallNs(11 * SECOND), 29 * SECOND, Bytes(0))
    );
    assert_eq!(spool.sessions(SessionId::new(77 + 1)).unwrap().last().unwrap().last_seq, Seq(2));
    drop(spool);
    let mut spool = open(&path, limits());
    assert_eq!(
        spool.begin(SessionId::new(77 + 2), at(90 * SECOND)).unwrap(),
        Seq(1),
        "that one was broken off too"
    );
}

#[test]
fn a_spool_of_the_first_version_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE sessions (session INTEGER PRIMARY KEY, started_ns INTEGER NOT NULL,
             last_seq INTEGER NOT NULL, committed_seq INTEGER NOT NULL);
         CREATE TABLE records (session INTEGER NOT NULL, first_seq INTEGER NOT NULL,
             last_seq INTEGER NOT NULL, level INTEGER NOT NULL, made_ns INTEGER NOT NULL,
             frame BLOB NOT NULL, PRIMARY KEY (session, first_seq)) WITHOUT ROWID;
         CREATE TABLE commits (session INTEGER NOT NULL, at_ns INTEGER NOT NULL,
             seq INTEGER NOT NULL, PRIMARY KEY (session, at_ns)) WITHOUT ROWID;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    let id = SESSION.to_column();
    db.execute("INSERT INTO sessions VALUES (?1, 7, 1, 0)", [id]).unwrap();
    let encoded = wire::codec::encode_frame(&frame(1)).unwrap();
    db.execute("INSERT INTO records VALUES (?1, 1, 1, 0, 0, ?2)", (id, encoded)).unwrap();
    drop(db);
    let mut spool = open(&path, limits());
    assert_eq!(
        spool.begin(NEXT, at(20 * SECOND)).unwrap(),
        Seq(0),
        "version 1 doesn't record how a run ended"
    );
    assert_eq!(read_all(&mut spool, 1), [frame(1)]);
}

#[test]
fn a_run_that_ended_leaves_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=10);
    spool.end(SESSION).unwrap();
    drop(spool);
    let mut spool = open(&path, limits());
    assert_eq!(spool.begin(NEXT, at(20 * SECOND)).unwrap(), Seq(0));
}

/// A killed spool whose records up to 60 were sent, in either way.
fn sent_and_killed(path: &std::path::Path) -> Spool {
    let mut spool = open(path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=50);
    spool.on_welcome(&[Committed { session: SESSION, seq: Seq(10) }], BootNs(50 * SECOND)).unwrap();
    // While connected, a record counts as sent once the backlog before it was sent.
    append(&mut spool, 51..=60);
    spool.on_sent(SESSION, range(11, 50)).unwrap();
    spool.on_disconnected();
    append(&mut spool, 61..=100);
    drop(spool);
    open(path, SpoolLimits { max_size: 1, ..limits() })
}

#[test]
fn what_was_sent_keeps_its_bounds_over_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = sent_and_killed(&directory.path().join("spool.db"));
    spool.maintain(SessionId::new(0), BootNs(100 * SECOND)).unwrap();
    // The database may have any of the first 60.
    for committed in [10, 11, 35, 59, 60] {
        let frames = decoded(&spool.read(SESSION, range(committed + 1, 100), usize::MAX).unwrap());
        assert_eq!(frames[0].first_seq, Seq(committed + 1));
        assert_eq!(bytes(&frames), (committed + 1..=100).sum::<u64>(), "after {committed}");
    }
    let frames = decoded(&spool.read(SESSION, range(11, 100), usize::MAX).unwrap());
    assert_eq!(frames[..50], (11..=60).map(frame).collect::<Vec<_>>());
    assert!(frames.len() < 60, "unsent records are coarse: {}", frames.len());
}

#[test]
fn a_commit_in_the_middle_of_a_record_is_no_dead_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, SpoolLimits { max_size: 1, ..limits() });
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=100);
    spool.maintain(SessionId::new(0), BootNs(100 * SECOND)).unwrap();
    assert_eq!(read_all(&mut spool, 100).len(), 1);
    // Another collector with its own database has committed a part of it.
    let frames = decoded(&spool.read(SESSION, range(31, 100), usize::MAX).unwrap());
    assert_eq!((frames[0].first_seq, frames[0].last_seq), (Seq(31), Seq(100)));
    assert_eq!((frames[0].gap, frames.len()), (Gap::Forgotten as u8, 1));
}
