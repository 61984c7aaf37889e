//! A spool that was set back to an earlier state, and its reaction to the collector's digests.

use agent::clocks::BootId;
use agent::ship::spool::{Forked, Now, Spool};
use tempfile::TempDir;
use wire::Bytes;
use wire::codec;
use wire::delivery::StoredProgress;
use wire::frame::{Frame, Gap};
use wire::id::{NicName, SessionId};
use wire::message::{Committed, SeqRange};
use wire::{BootNs, Seq};

use crate::support::*;

const NEW: SessionId = SessionId::new(77);

/// A spool with a running session of this many records.
fn spool(dir: &TempDir, last: u64) -> Spool {
    let mut spool = open(&dir.path().join("spool.sqlite"), limits());
    spool.begin(SESSION, at(0)).unwrap();
    append(&mut spool, 1..=last);
    spool
}

fn committed(spool: &mut Spool, seq: u64) {
    let told = Committed { session: SESSION, seq: Seq(seq) };
    spool.on_welcome(&[told], BootNs(0)).unwrap();
    spool.on_disconnected();
}

const fn told(seq: u64, digest: Option<u64>) -> StoredProgress {
    StoredProgress { session: SESSION, seq: Seq(seq), digest }
}

fn fork(spool: &mut Spool, told: StoredProgress) -> Vec<Forked> {
    spool.fork(&[told], || NEW).unwrap()
}

/// The records of the new session, whose numbers are contiguous.
fn new_records(spool: &mut Spool, last: u64) -> Vec<Frame> {
    let frames = decoded(&spool.read(NEW, range(1, last), usize::MAX).unwrap());
    let mut next = 1;
    for frame in &frames {
        assert_eq!((frame.session, frame.first_seq), (NEW, Seq(next)));
        assert_eq!(frame.check(), Ok(()));
        next = (frame.last_seq + 1).get();
    }
    assert_eq!(next, last + 1);
    frames
}

/// The digest of the other future's record with this number.
fn other(seq: u64) -> u64 {
    codec::digest(&frame_of(SESSION, seq, seq + 1))
}

#[test]
fn what_the_collector_has_of_this_spool_is_no_fork_whether_it_was_told_so_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 50);
    committed(&mut spool, 20);
    for seq in [1, 20, 21, 50] {
        assert_eq!(fork(&mut spool, told(seq, Some(codec::digest(&frame(seq))))), []);
        assert_eq!(fork(&mut spool, told(seq, None)), []);
    }
    assert_eq!(bytes(&read_all(&mut spool, 50)), (1..=50).sum::<u64>());
}

#[test]
fn a_record_that_an_older_collector_took_without_its_talkers_is_no_fork() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 20);
    let nic = NicName::new("eth0").unwrap();
    let with = Frame { samples: vec![], talkers: vec![minute(nic, 1, 1000, 10)], ..frame(21) };
    let without = Frame { talkers: vec![], ..with.clone() };
    spool.append(std::slice::from_ref(&with), BootNs(21 * SECOND)).unwrap();
    for taken in [with, without] {
        assert_eq!(fork(&mut spool, told(21, Some(codec::digest(&taken)))), []);
    }
    assert_eq!(fork(&mut spool, told(21, Some(other(21)))).len(), 1);
    let frames = new_records(&mut spool, 21);
    assert!(frames.iter().all(|frame| frame.talkers.is_empty()), "a gap names nobody");
}

#[test]
fn disputed_records_become_a_gap_with_exact_counts_and_the_rest_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 50);
    committed(&mut spool, 20);
    let forked = fork(&mut spool, told(35, Some(other(35))));
    assert_eq!(forked.len(), 1);
    let Forked { before, session, lowered, disputed } = forked[0];
    assert_eq!((before, session.session, lowered, disputed), (SESSION, NEW, 20, 15));
    assert_eq!((session.last_seq, session.committed_seq), (Seq(30), Seq(0)));
    let frames = new_records(&mut spool, 30);
    assert_eq!((frames[0].last_seq, frames[0].gap), (Seq(15), Gap::Forked as u8));
    assert_eq!(bytes(&frames[..1]), (21..=35).sum::<u64>());
    assert!(frames[1..].iter().all(|frame| frame.gap == 0));
    assert_eq!(bytes(&frames[1..]), (36..=50).sum::<u64>());
    // The session continues, and the old one has nothing left to deliver.
    let sessions = spool.sessions(NEW).unwrap();
    assert_eq!(sessions, [session]);
    spool.append(&[frame_of(NEW, 31, 51)], BootNs(51 * SECOND)).unwrap();
    assert_eq!(spool.sessions(NEW).unwrap()[0].last_seq, Seq(31));
    assert_eq!(fork(&mut spool, StoredProgress { session: NEW, seq: Seq(0), digest: None }), []);
}

#[test]
fn more_than_was_ever_made_is_a_fork_of_a_session_that_runs_also_without_digests() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 50);
    committed(&mut spool, 20);
    let forked = fork(&mut spool, told(90, None));
    assert_eq!((forked[0].lowered, forked[0].disputed), (20, 30));
    let frames = new_records(&mut spool, 30);
    assert_eq!((frames.len(), bytes(&frames)), (1, (21..=50).sum::<u64>()));
}

#[test]
fn without_anything_in_dispute_a_gap_of_one_number_says_that_it_is_a_fork() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 50);
    committed(&mut spool, 50);
    let forked = fork(&mut spool, told(90, Some(other(90))));
    assert_eq!((forked[0].lowered, forked[0].disputed), (49, 0));
    let frames = new_records(&mut spool, 1);
    assert_eq!((frames[0].gap, frames[0].samples.len()), (Gap::Forked as u8, 0));
    spool.append(&[frame_of(NEW, 2, 51)], BootNs(51 * SECOND)).unwrap();
    assert_eq!(new_records(&mut spool, 2)[1].samples, frame(51).samples);
}

#[test]
fn a_session_of_which_nothing_is_written_just_gets_another_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 0);
    let forked = fork(&mut spool, told(9, Some(other(9))));
    assert_eq!((forked[0].lowered, forked[0].session.last_seq), (0, Seq(0)));
    spool.append(&[frame_of(NEW, 1, 1)], BootNs(SECOND)).unwrap();
    assert_eq!(new_records(&mut spool, 1).len(), 1);
}

#[test]
fn a_power_loss_that_took_the_newest_records_is_no_fork() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = spool(&dir, 20);
    committed(&mut first, 20);
    // Everything was sent when made; the last records never reached the disk.
    first.on_welcome(&[Committed { session: SESSION, seq: Seq(20) }], BootNs(0)).unwrap();
    append(&mut first, 21..=30);
    drop(first);
    let mut next = open(&dir.path().join("spool.sqlite"), limits());
    let begun = next.begin(SessionId::new(5), at(0)).unwrap();
    assert_eq!(fork(&mut next, told(40, Some(other(40)))), []);
    next.append(&[frame_of(SessionId::new(5), (begun + 1).get(), 50)], BootNs(0)).unwrap();
    assert_eq!(fork(&mut next, told(40, Some(other(40)))), []);
}

#[test]
fn a_kill_is_no_power_loss_so_that_another_future_is_found_out_after_it() {
    for (boot, forked) in [(BootId(8), 0), (BootId(7), 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = open(&dir.path().join("spool.sqlite"), limits());
        first.begin(SESSION, Now { boot: BootId(7), ..at(0) }).unwrap();
        append(&mut first, 1..=20);
        // Set back here; the agent doesn't know yet and sends into a dead connection.
        first.on_welcome(&[Committed { session: SESSION, seq: Seq(20) }], BootNs(0)).unwrap();
        append(&mut first, 21..=22);
        drop(first);
        let mut next = open(&dir.path().join("spool.sqlite"), limits());
        let begun = next.begin(SessionId::new(5), Now { boot, ..at(0) }).unwrap();
        let found = fork(&mut next, told(30, Some(other(30))));
        assert_eq!(found.len(), forked, "in {boot:?}");
        if forked > 0 {
            assert_eq!(found[0].disputed, 2);
            assert_eq!(bytes(&new_records(&mut next, 2)), 21 + 22);
            continue;
        }
        // The same once the next run has records.
        next.append(&[frame_of(SessionId::new(5), (begun + 1).get(), 50)], BootNs(0)).unwrap();
        assert_eq!(fork(&mut next, told(30, Some(other(30)))), []);
    }
}

#[test]
fn a_session_that_is_over_is_found_to_be_forked_too() {
    for (made, ended) in [(30, true), (45, false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = spool(&dir, 20);
        committed(&mut first, 20);
        // Set back here; it was never connected since.
        append(&mut first, 21..=made);
        if ended {
            first.end(SESSION).unwrap();
        }
        drop(first);
        let mut next = open(&dir.path().join("spool.sqlite"), limits());
        let begun = next.begin(SessionId::new(5), at(0)).unwrap();
        next.append(&[frame_of(SessionId::new(5), (begun + 1).get(), 50)], BootNs(0)).unwrap();
        let forked = fork(&mut next, told(60, Some(other(60))));
        assert_eq!(forked[0].disputed, made - 20, "{ended}");
        let gap = &new_records(&mut next, made - 20)[0];
        assert_eq!(gap.samples[0].rx.bytes, Bytes((21..=made).sum::<u64>()));
        // It is delivered before the running session.
        let sessions: Vec<SessionId> =
            next.sessions(SessionId::new(5)).unwrap().iter().map(|it| it.session).collect();
        assert_eq!(sessions, [NEW, SessionId::new(5)]);
    }
}

/// A spool so full that records after the 20th, up to 9000, were merged.
fn coarse(dir: &TempDir) -> Spool {
    let small = agent::ship::spool::SpoolLimits { max_size: 1 << 20, ..limits() };
    let mut spool = open(&dir.path().join("spool.sqlite"), small);
    spool.begin(SESSION, at(0)).unwrap();
    append(&mut spool, 1..=20);
    committed(&mut spool, 20);
    let frames: Vec<Frame> = (21..=9000).map(frame).collect();
    for some in frames.chunks(500) {
        spool.append(some, BootNs(some[0].samples[0].start_ns.get())).unwrap();
    }
    spool.maintain(SESSION, BootNs(9000 * SECOND)).unwrap();
    spool
}

/// The first record with several numbers.
fn long(spool: &mut Spool) -> Frame {
    let mut frames = decoded(&spool.read(SESSION, range(21, 9000), usize::MAX).unwrap());
    let at = frames.iter().position(|frame| frame.last_seq > frame.first_seq + 2).unwrap();
    frames.swap_remove(at)
}

#[test]
fn records_made_coarser_since_are_disputed_whole_where_the_other_future_ends_within() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = coarse(&dir);
    let long = long(&mut spool);
    let SeqRange { first, last } = SeqRange { first: long.first_seq, last: long.last_seq };
    // A coarse record is recognised as a whole.
    assert_eq!(fork(&mut spool, told(last.get(), Some(codec::digest(&long)))), []);
    let forked = fork(&mut spool, told((first + 1).get(), Some(other((first + 1).get()))));
    assert_eq!((forked[0].lowered, forked[0].disputed), (20, (last - 20).get()));
    let frames = new_records(&mut spool, 9000 - 20);
    assert_eq!(bytes(&frames), (21..=9000).sum::<u64>());
}

#[test]
fn a_fork_within_a_record_that_is_committed_elsewhere_leaves_a_sound_spool() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = coarse(&dir);
    let long = long(&mut spool);
    committed(&mut spool, long.last_seq.get());
    let agreed = long.first_seq.get() + 1;
    let forked = fork(&mut spool, told(agreed, Some(other(agreed))));
    let Forked { lowered, disputed, .. } = forked[0];
    assert_eq!((lowered, disputed), (agreed, long.last_seq.get() - agreed));
    let frames = new_records(&mut spool, 9000 - lowered);
    assert_eq!(bytes(&frames), (long.first_seq.get()..=9000).sum::<u64>(), "of the whole record");
    drop(spool);
    let mut next = open(&dir.path().join("spool.sqlite"), limits());
    next.begin(SessionId::new(5), at(9000)).unwrap();
    assert_eq!(next.sessions(SessionId::new(5)).unwrap()[0].session, NEW);
    let files = std::fs::read_dir(dir.path()).unwrap();
    let set_aside = |name: &std::ffi::OsStr| name.to_string_lossy().contains("damaged");
    assert!(!files.into_iter().any(|file| set_aside(&file.unwrap().file_name())));
}

#[test]
fn a_database_that_fell_back_to_another_future_gets_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = spool(&dir, 50);
    committed(&mut spool, 40);
    let forked = fork(&mut spool, told(30, Some(other(30))));
    assert_eq!((forked[0].lowered, forked[0].disputed), (29, 0));
    let frames = new_records(&mut spool, 21);
    assert_eq!(bytes(&frames), (31..=50).sum::<u64>());
}
