//! Opening the spool: its settings, its schema, and whether it is sound.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use wire::BootNs;
use wire::Seq;
use wire::id::SessionId;
use wire::message::SeqRange;
use wire::private_file;

use super::age::Clock;
use super::damage;
use super::error::{SCHEMA_VERSION, SpoolError, SqliteError};
use super::file::{LOG_SHARE, Now, Spool, SpoolLimits, read_clock};
use super::sent::Sent;
use crate::clocks::BootId;

/// Migrations from each version of the schema to the next, beginning with the first.
const UPGRADES: [&str; 3] =
    [include_str!("upgrade_1.sql"), include_str!("upgrade_2.sql"), include_str!("upgrade_3.sql")];

/// Most pages of the log before SQLite checkpoints it: its own default.
const LOG_PAGES_MAX: u64 = 1000;

impl Spool {
    /// Opens the spool at `path`, or makes a new one. A damaged file is moved aside under a name
    /// that tells the wall time, and reported by the second value. All times that other functions
    /// take are of the boot-time clock.
    ///
    /// # Errors
    /// [`SpoolError`] names the file and the remedy.
    pub fn open(
        path: &Path,
        limits: SpoolLimits,
        now: Now,
    ) -> Result<(Self, Option<PathBuf>), SpoolError> {
        if let Some(directory) = path.parent() {
            private_file::make_directory(directory)?;
        }
        let _acting = private_file::act_for(path)?;
        // A kill may have come while the last one was being saved.
        if !private_file::exists(&damage::recovering(path))? {
            match Self::open_sound(path, limits.clone(), now.boot_ns) {
                Err(error) if error.is_damage() => {}
                opened => return Ok((opened?, None)),
            }
        }
        let (spool, aside) = Self::open_anew(path, limits, now)?;
        Ok((spool, Some(aside)))
    }

    pub(super) fn open_sound(
        path: &Path,
        limits: SpoolLimits,
        boot_ns: BootNs,
    ) -> Result<Self, SpoolError> {
        let mut spool = Self {
            db: Self::open_file(path)?,
            path: path.to_owned(),
            limits,
            clock: Clock::new(boot_ns),
            boot: BootId::default(),
            sent: Sent::default(),
            connected: false,
            running: None,
            beginning: None,
            lost: false,
            lost_all: false,
            complained: Cell::default(),
        };
        spool.wrap(spool.prepare())??;
        let loaded = spool.load_sent();
        spool.wrap(loaded)?;
        let clock = spool.wrap(read_clock(&spool.db))?;
        spool.clock = clock.map_or(spool.clock, |clock| clock.resumed(boot_ns));
        Ok(spool)
    }

    pub(super) fn open_file(path: &Path) -> Result<Connection, SpoolError> {
        // As the owner of the directory: root may run a service's commands.
        for (path, mode) in private_file::reserve_database(path)? {
            let mode = format!("{mode:03o}");
            tracing::warn!(path = %path.display(), mode, "other users could read this file; its \
             mode is corrected");
        }
        // Don't follow a link that the owner has put there in the meantime.
        let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        Connection::open_with_flags(private_file::real_path(path)?, flags)
            .map_err(|error| SpoolError::open(path, SqliteError(error)))
    }

    pub(super) fn prepare(&self) -> rusqlite::Result<Result<(), SpoolError>> {
        // One writer and no other reader: the lock is held for good, which also refuses a
        // second agent on the same directory.
        let page: i64 = self.db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        // Half the log's share: a transaction may be written to it at any time before.
        let share = self.limits.max_size / LOG_SHARE / 2;
        let pages = (share / page.cast_unsigned()).clamp(1, LOG_PAGES_MAX);
        let size = pages * page.cast_unsigned();
        self.db.execute_batch(&format!(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = {size};
             PRAGMA wal_autocheckpoint = {pages};",
        ))?;
        let found: i64 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            0 => self.db.execute_batch(include_str!("schema.sql"))?,
            1..=SCHEMA_VERSION => {
                for upgrade in UPGRADES.iter().zip(1..).filter(|(_, from)| *from >= found) {
                    self.db.execute_batch(upgrade.0)?;
                }
            }
            _ => return Ok(Err(SpoolError::Newer { path: self.path.clone(), found })),
        }
        let check: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        // SQLite can't see contradictory or invalid numbers: check them.
        let no_number = |columns: &[&str]| {
            let of_each = columns.iter().map(|column| format!("typeof({column}) <> 'integer'"));
            of_each.collect::<Vec<_>>().join(" OR ")
        };
        let of_sessions = no_number(&[
            "started_ns",
            "last_seq",
            "committed_seq",
            "sent_seq",
            "forgotten_seq",
            "ended",
            "nth",
            "boot",
        ]);
        let of_records = no_number(&["session", "first_seq", "last_seq", "level", "made_ns"]);
        let wrong: i64 = self.db.query_row(
            &format!(
                "SELECT (SELECT count(*) FROM sessions
                     WHERE max(committed_seq, sent_seq, forgotten_seq) > last_seq
                         OR min(committed_seq, sent_seq, forgotten_seq) < 0 OR {of_sessions})
                 + (SELECT count(*) FROM (SELECT session, first_seq, last_seq, level, made_ns,
                     lag(last_seq, 1, 0) OVER (PARTITION BY session ORDER BY first_seq) AS before
                     FROM records) WHERE first_seq <= before OR last_seq < first_seq
                         OR {of_records})
                 + (SELECT count(*) FROM (SELECT session, max(last_seq) AS newest FROM records
                     GROUP BY session) LEFT JOIN sessions USING (session)
                     WHERE last_seq IS NULL OR last_seq < newest)"
            ),
            [],
            |row| row.get(0),
        )?;
        if check == "ok" && wrong == 0 {
            Ok(Ok(()))
        } else {
            Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(check),
            ))
        }
    }

    /// Records that an earlier run has sent keep their bounds until the next Welcome.
    pub(super) fn load_sent(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare(
            "SELECT session, committed_seq + 1, sent_seq FROM sessions
             WHERE sent_seq > committed_seq",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = |at| row.get(at).map(Seq::of_column);
            let session = SessionId::of_column(row.get(0)?);
            self.sent.add(session, SeqRange { first: number(1)?, last: number(2)? });
        }
        Ok(())
    }
}
