//! Spools of earlier schemas, filled as an agent of that time has left them: today's takes them over with
//! all that they hold. `BLESS=1 cargo test -p agent --test spool upgrade` adds today's schema; do that
//! before each release that has a new one.

use std::path::Path;

use agent::ship::spool::Now;
use rusqlite::Connection;
use testbed::dump::{dump, dumps};
use wire::id::SessionId;
use wire::message::Committed;
use wire::{BootNs, Seq};

use crate::support::{SECOND, SESSION, append, at, frame, limits, open, read_all};

const NEXT: SessionId = SessionId::new(9);

/// An agent's run whose first five records are committed, after which nothing was acknowledged.
fn fill(path: &Path) {
    let mut spool = open(path, limits());
    spool.begin(SESSION, at(SECOND)).unwrap();
    append(&mut spool, 1..=20);
    spool.on_committed(Committed { session: SESSION, seq: Seq(5) }, BootNs(21 * SECOND)).unwrap();
}

#[test]
fn spools_of_earlier_schemas_are_taken_over_whole_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fill(&path("filled"));
    let db = Connection::open(path("filled")).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spool/schemas");
    for (file, sql) in dumps(&folder, &format!("{version:02}.sql"), || dump(&db)) {
        let name = file.file_name().unwrap().to_str().unwrap();
        Connection::open(path(name)).unwrap().execute_batch(&sql).unwrap();
        let mut spool = open(&path(name), limits());
        let sessions = spool.sessions(SessionId::new(0)).unwrap();
        assert_eq!(sessions.len(), 1, "{name}");
        let of = &sessions[0];
        assert_eq!(
            (of.session, of.last_seq, of.committed_seq),
            (SESSION, Seq(20), Seq(5)),
            "{name}"
        );
        let frames = read_all(&mut spool, 20);
        assert_eq!(frames, (1..=20).map(frame).collect::<Vec<_>>(), "{name}");
        spool
            .on_committed(Committed { session: SESSION, seq: Seq(20) }, BootNs(30 * SECOND))
            .unwrap();
        spool.begin(NEXT, Now::default()).unwrap();
        assert_eq!(spool.sessions(NEXT).unwrap().len(), 1, "{name}: the old one is delivered");
    }
}
