//! Damage is found, set aside, and turned into a gap with exact counts; it never crashes the agent or
//! stays silent.

use std::path::Path;

use agent::ship::spool::{Now, Spool};
use proptest::prelude::*;
use wire::Packets;
use wire::frame::{Frame, Gap};
use wire::id::SessionId;
use wire::message::Committed;
use wire::{BootNs, Seq, WallNs};

use crate::support::{
    SECOND, SESSION, append, at, bytes, decoded, frame, frame_of, limits, open, range, read_all,
};

const LAST: u64 = 300;
const NEXT: SessionId = SessionId::new(77);

/// A spool with a few hundred records, closed as by a kill: with its WAL or without.
fn write_spool(path: &Path, keep_wal: bool) {
    let mut spool = open(path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=LAST);
    if keep_wal {
        let wal = path.with_extension("db-wal");
        let copies = [path.with_extension("copy"), path.with_extension("copy-wal")];
        std::fs::copy(path, &copies[0]).unwrap();
        std::fs::copy(&wal, &copies[1]).unwrap();
        drop(spool);
        std::fs::rename(&copies[0], path).unwrap();
        std::fs::rename(&copies[1], wal).unwrap();
    }
}

fn with_db(path: &Path, sql: &str) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(sql).unwrap();
}

#[test]
fn a_record_that_was_changed_becomes_a_gap_with_exact_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    write_spool(&path, false);
    let db = rusqlite::Connection::open(&path).unwrap();
    let select = "SELECT frame FROM records WHERE first_seq = 100";
    let mut bytes_of_it: Vec<u8> = db.query_row(select, [], |row| row.get(0)).unwrap();
    let middle = bytes_of_it.len() / 2;
    bytes_of_it[middle] ^= 0x10;
    db.execute("UPDATE records SET frame = ?1 WHERE first_seq = 100", [bytes_of_it]).unwrap();
    drop(db);
    let mut spool = open(&path, limits());
    let frames = read_all(&mut spool, LAST);
    assert_eq!((frames[99].gap, frames[99].first_seq), (Gap::SpoolDamaged as u8, Seq(100)));
    assert_eq!(bytes(&frames), (1..=LAST).sum::<u64>());
    assert_eq!(frames[100], frame(101));
}

#[test]
fn records_that_are_missing_become_a_gap_with_exact_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    write_spool(&path, false);
    with_db(&path, "DELETE FROM records WHERE first_seq BETWEEN 50 AND 149");
    let mut spool = open(&path, limits());
    // Read in pieces, as a window does.
    let piece = decoded(&spool.read(SESSION, range(1, 60), usize::MAX).unwrap());
    assert_eq!((piece[49].first_seq, piece[49].last_seq), (Seq(50), Seq(149)));
    let frames = read_all(&mut spool, LAST);
    let gap = &frames[49];
    assert_eq!((gap.gap, gap.samples[0].rx.packets), (Gap::SpoolDamaged as u8, Packets(100)));
    assert_eq!(
        (gap.samples[0].start_ns, gap.samples[0].interval_ns),
        (WallNs(50 * SECOND), 100 * SECOND)
    );
    assert_eq!(bytes(&frames), (1..=LAST).sum::<u64>());
}

#[test]
fn a_file_that_breaks_while_in_use_is_set_aside_and_the_session_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    let mut spool = open(&path, limits());
    spool.begin(SESSION, Now::default()).unwrap();
    append(&mut spool, 1..=LAST);
    spool
        .on_committed(Committed { session: SESSION, seq: Seq(20) }, BootNs(LAST * SECOND))
        .unwrap();
    let aside = spool.recover(WallNs(7 * SECOND)).unwrap();
    assert!(aside.exists());
    let frames = decoded(&spool.read(SESSION, range(21, LAST), usize::MAX).unwrap());
    assert_eq!(frames, (21..=LAST).map(frame).collect::<Vec<_>>(), "all records are saved");
    // Now nothing can be saved.
    for file in [&path, &path.with_extension("db-wal")] {
        std::fs::write(file, vec![b'x'; 8192]).unwrap();
    }
    spool.recover(WallNs(9 * SECOND)).unwrap();
    append(&mut spool, LAST + 1..=LAST + 5);
    let frames = decoded(&spool.read(SESSION, range(21, LAST + 5), usize::MAX).unwrap());
    let gap = &frames[0];
    assert_eq!(
        (gap.first_seq, gap.last_seq, gap.gap),
        (Seq(21), Seq(LAST), Gap::SpoolDamaged as u8)
    );
    assert_eq!(frames[1..], (LAST + 1..=LAST + 5).map(frame).collect::<Vec<_>>());
    assert!(!aside.exists(), "only one damaged file is kept");
}

#[test]
fn a_column_that_lost_its_name_is_damage_and_keeps_no_agent_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    write_spool(&path, false);
    let mut content = std::fs::read(&path).unwrap();
    let (name, flipped) = (b"forgotten_seq", b"forgottdn_seq");
    let place = content.windows(name.len()).position(|it| it == name).unwrap();
    content[place..place + name.len()].copy_from_slice(flipped);
    std::fs::write(&path, content).unwrap();
    let (mut spool, aside) = Spool::open(&path, limits(), at(5 * SECOND)).unwrap();
    assert!(aside.is_some());
    spool.begin(NEXT, at(5 * SECOND)).unwrap();
}

#[test]
fn a_value_that_is_no_number_is_damage_and_keeps_no_agent_from_starting() {
    for wrong in [
        "UPDATE sessions SET last_seq = 400.5",
        "UPDATE sessions SET committed_seq = 'x', last_seq = 'y'",
        "UPDATE sessions SET ended = x'00'",
        "UPDATE records SET made_ns = 'x' WHERE first_seq = 7",
        "UPDATE records SET last_seq = 7.5 WHERE first_seq = 7",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool.db");
        write_spool(&path, false);
        with_db(&path, wrong);
        let (mut spool, aside) = Spool::open(&path, limits(), Now::default()).unwrap();
        assert!(aside.is_some(), "{wrong}");
        spool.begin(NEXT, at(400 * SECOND)).unwrap();
        let sessions = spool.sessions(NEXT).unwrap();
        let old = sessions.iter().find(|it| it.session == SESSION).unwrap();
        assert_eq!(
            bytes(&read_all(&mut spool, old.last_seq.get())),
            (1..=LAST).sum::<u64>(),
            "{wrong}"
        );
    }
}

#[test]
fn a_spool_of_which_nothing_is_left_is_told_of_by_the_next_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let (mut spool, aside) = Spool::open(&path, limits(), Now::default()).unwrap();
    assert!(aside.is_some());
    assert_eq!(spool.begin(NEXT, Now::default()).unwrap(), Seq(1));
    spool.append(&[frame_of(NEXT, 2, 2)], BootNs(0)).unwrap();
    let frames = decoded(&spool.read(NEXT, range(1, 2), usize::MAX).unwrap());
    assert_eq!((frames[0].gap, frames[0].samples.len()), (Gap::SpoolDamaged as u8, 0));
}

#[test]
fn a_kill_while_a_file_is_being_saved_is_made_good_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool.db");
    write_spool(&path, true);
    // The file was moved, its WAL not yet.
    std::fs::rename(&path, directory.path().join("spool.recovering")).unwrap();
    let (mut spool, aside) = Spool::open(&path, limits(), at(5 * SECOND)).unwrap();
    assert_eq!(aside, Some(directory.path().join("spool.damaged-5")));
    assert_eq!(read_all(&mut spool, LAST), (1..=LAST).map(frame).collect::<Vec<_>>());
}

/// One kind of damage.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Zero(prop::sample::Index),
    Truncate(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = (bool, bool, Damage)> {
    let index = any::<prop::sample::Index>;
    let what = prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        index().prop_map(Damage::Zero),
        index().prop_map(Damage::Truncate),
    ];
    // With a WAL or without, and which of the two files is damaged.
    (any::<bool>(), any::<bool>(), what)
}

fn apply(file: &Path, damage: &Damage) {
    let mut content = std::fs::read(file).unwrap();
    match damage {
        Damage::Flip(at, bit) => {
            let at = at.index(content.len());
            content[at] ^= 1 << bit;
        }
        Damage::Zero(at) => {
            let page = at.index(content.len().div_ceil(4096)) * 4096;
            let end = (page + 4096).min(content.len());
            content[page..end].fill(0);
        }
        Damage::Truncate(at) => content.truncate(at.index(content.len())),
    }
    std::fs::write(file, content).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_crashes_or_goes_unsaid((wal, in_wal, damage) in damage()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool.db");
        write_spool(&path, wal);
        let file = if wal && in_wal { path.with_extension("db-wal") } else { path.clone() };
        apply(&file, &damage);

        let (mut spool, _) = Spool::open(&path, limits(), Now::default()).unwrap();
        let numbers = spool.begin(NEXT, at(400 * SECOND)).unwrap();
        spool.append(&[frame_of(NEXT, (numbers + 1).get(), 400)], BootNs(400 * SECOND)).unwrap();
        let next = decoded(&spool.read(NEXT, range(1, (numbers + 1).get()), usize::MAX).unwrap());
        let sessions = spool.sessions(SessionId::new(0)).unwrap();
        let Some(old) = sessions.iter().find(|it| it.session == SESSION) else {
            // A damaged file that loses everything is reported. A file without records whose WAL SQLite
            // rejects looks like a new spool.
            prop_assert!(wal || next.iter().any(|frame| frame.gap == Gap::SpoolDamaged as u8));
            return Ok(());
        };
        let frames = read_all(&mut spool, old.last_seq.get());
        // Every number's report is true, and sums match the totals.
        let last_sample = |frames: &[Frame]| frames.iter().flat_map(|it| &it.samples).last().copied();
        if let Some(sample) = last_sample(&frames) {
            prop_assert_eq!(bytes(&frames), sample.rx.total_bytes.get());
        }
        for sound in frames.iter().filter(|frame| frame.gap == 0) {
            prop_assert_eq!(sound, &frame(sound.first_seq.get()));
        }
        // The run was killed: the next one always reports the unmeasured time.
        let unmeasured = next.iter().find(|frame| frame.gap == Gap::Unmeasured as u8);
        prop_assert!(unmeasured.is_some());
    }
}
