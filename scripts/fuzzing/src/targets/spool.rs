//! Rows of the agent's spool: values of any type in place of numbers and frames, as a damaged file or
//! another program may leave them. SQLite's own format is left to SQLite.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::sync::OnceLock;
use std::time::Duration;

use agent::clocks::BootId;
use agent::ship::spool::{Now, Spool, SpoolError, SpoolLimits};
use rusqlite::Connection;
use rusqlite::types::Value;
use wire::codec::{self, Received};
use wire::frame::Frame;
use wire::id::SessionId;
use wire::message::{Committed, SeqRange};
use wire::{BootNs, Seq, WallNs};

use super::support::{KIB, MIB, directory};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "spool",
    about: "rows of the agent's spool (agent::ship::spool)",
    input_max: 4 * KIB,
    memory_max: 4 * MIB,
    run,
};

const SESSION: i64 = 7;

/// The session that starts.
const NEXT: SessionId = SessionId::new(77);

fn limits() -> SpoolLimits {
    let (max_size, keep_committed) = (8 << 20, Duration::from_secs(600));
    SpoolLimits { max_size, max_age: Duration::from_secs(7 * 86_400), keep_committed }
}

const fn at(seconds: u64) -> Now {
    Now {
        wall_ns: WallNs(seconds * 1_000_000_000),
        boot_ns: BootNs(seconds * 1_000_000_000),
        boot: BootId(0),
    }
}

fn run(input: &[u8]) {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let place = directory().join("spool");
    let path = place.join("spool.db");
    let clear = || {
        let _absent = fs::remove_dir_all(&place);
        fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    };
    clear();
    let empty = EMPTY.get_or_init(|| {
        drop(Spool::open(&path, limits(), at(0)).unwrap());
        fs::read(&path).unwrap()
    });
    clear();
    fs::write(&path, empty).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
    Rows(input).insert(&db);
    db.execute_batch("COMMIT").unwrap();
    drop(db);

    let (mut spool, _aside) =
        Spool::open(&path, limits(), at(100)).expect("it opens or is recreated");
    deliver(&mut spool);
}

/// Delivers as an agent does.
fn deliver(spool: &mut Spool) {
    let numbers = spool.begin(NEXT, at(101)).unwrap();
    let frame = |seq| Frame {
        session: NEXT,
        first_seq: seq,
        last_seq: seq,
        gap: 0,
        samples: Vec::new(),
        mixes: Vec::new(),
        talkers: vec![],
    };
    or_anew(spool, |spool| spool.append(&[frame(numbers + 1)], at(102).boot_ns));
    let sessions = spool.sessions(NEXT).unwrap();
    for session in &sessions {
        assert!(session.committed_seq <= session.last_seq);
        let range = SeqRange { first: session.committed_seq + 1, last: session.last_seq };
        let records = or_anew(spool, |spool| spool.read(session.session, range, 64 << 10));
        let mut next = range.first;
        for record in &records {
            let Ok(Received::Frame(frame)) = codec::decode(&record.frame) else {
                panic!("an unreadable record");
            };
            assert_eq!(
                (frame.session, frame.first_seq),
                (session.session, next),
                "records are contiguous"
            );
            assert_eq!((record.range.first, record.range.last), (frame.first_seq, frame.last_seq));
            next = frame.last_seq + 1;
        }
        let seq = next - 1;
        let committed = Committed { session: session.session, seq };
        or_anew(spool, |spool| spool.on_committed(committed, at(103).boot_ns));
    }
    assert!(sessions.iter().any(|it| it.session == NEXT), "the running session is listed");
}

/// If the spool turns out damaged in use, continues with a new file.
fn or_anew<T>(spool: &mut Spool, work: impl Fn(&mut Spool) -> Result<T, SpoolError>) -> T {
    match work(spool) {
        Err(error) if error.is_damage() => {
            spool.recover(at(104).wall_ns).unwrap();
            work(spool).unwrap()
        }
        done => done.unwrap(),
    }
}

/// Builds rows from bytes.
struct Rows<'a>(&'a [u8]);

impl Rows<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    /// Mostly a small number, so that numbers match each other.
    fn value(&mut self) -> Value {
        match self.byte().unwrap_or(0) {
            small @ 0..200 => Value::Integer(small.into()),
            200..230 => {
                let bytes: Vec<u8> = self.take(8);
                let mut number = [0; 8];
                number[..bytes.len()].copy_from_slice(&bytes);
                Value::Integer(i64::from_le_bytes(number))
            }
            230..238 => Value::Text(String::from_utf8_lossy(&self.take(5)).into_owned()),
            238..246 => Value::Blob(self.take(5)),
            246..250 => Value::Null,
            _ => Value::Real(1.5),
        }
    }

    /// A frame with these numbers, or any bytes.
    fn frame(&mut self, first: &Value, last: &Value) -> Value {
        let (&Value::Integer(first), &Value::Integer(last)) = (first, last) else {
            return self.value();
        };
        let kind = self.byte().unwrap_or(0);
        if kind > 127 {
            let len = usize::from(kind) - 100;
            return Value::Blob(self.take(len));
        }
        let frame = Frame {
            session: SessionId::of_column(SESSION),
            first_seq: Seq(first.cast_unsigned()),
            last_seq: Seq(last.cast_unsigned()),
            gap: kind % 7,
            samples: Vec::new(),
            mixes: Vec::new(),
            talkers: vec![],
        };
        Value::Blob(codec::frame_bytes(&frame))
    }

    fn insert(&mut self, db: &Connection) {
        let last_seq = Value::Integer(40);
        let known = [Value::Integer(SESSION), Value::Integer(5), last_seq];
        let rest = [0, 0, 0, 0, 1, 0].map(Value::Integer);
        put(db, "sessions", &[&known[..], &rest].concat()).expect("the table has these columns");
        while let Some(table) = self.byte() {
            let (table, columns) = match table % 8 {
                0 => ("sessions", 9),
                1 => ("commits", 3),
                2 => ("clock", 3),
                _ => ("records", 7),
            };
            let mut values: Vec<Value> = (0..columns).map(|_| self.value()).collect();
            if table == "records" {
                values[0] = Value::Integer(SESSION);
                values[5] = self.frame(&values[1].clone(), &values[2].clone());
                // Rows of version 1 have no checksum.
                values[6] = Value::Integer(-1);
            }
            // The table may refuse the row.
            let _refused = put(db, table, &values);
        }
        // Ids of sessions are 64 random bits: no real file already has the next one.
        let next = [NEXT.to_column()];
        db.execute("DELETE FROM sessions WHERE session = ?1", next).expect("it can be deleted");
    }
}

/// Inserts a row.
fn put(db: &Connection, table: &str, values: &[Value]) -> rusqlite::Result<usize> {
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    db.execute(&sql, rusqlite::params_from_iter(values))
}
