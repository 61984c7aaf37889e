//! Damage: a file that SQLite can't read is set aside, and its readable records are saved. Lost
//! records become a gap, whose exact counts follow from the totals of the records on both sides.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row, params};
use wire::frame::{Counts, Frame, Gap, INTERVAL_MAX_NS, SAMPLES_MAX, Sample};
use wire::id::SessionId;
use wire::message::SeqRange;
use wire::private_file;
use wire::{Seq, WallNs};

use super::coarsen::Coarseness;
use super::error::SpoolError;
use super::file::{Now, Record, Spool, SpoolLimits, read_clock};
use super::records::{checked, gap_frame, insert, record};

/// Shortest time between two messages about lost records.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Suffixes of SQLite's further files.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Name of a damaged file that is not saved into the new one yet.
pub(super) fn recovering(path: &Path) -> PathBuf {
    path.with_extension("recovering")
}

/// Moves a damaged file and its further files out of the way.
fn set_aside(path: &Path) -> Result<(), SpoolError> {
    move_all(path, &recovering(path))
}

/// Names a damaged file after the time. Removes earlier ones, to save disk space.
fn keep_aside(path: &Path, now_ns: WallNs) -> Result<PathBuf, SpoolError> {
    let earlier = path.with_extension("damaged-");
    let earlier = earlier.file_name().map(|name| name.to_string_lossy().into_owned());
    let folder = path.parent().map(std::fs::read_dir);
    for entry in folder.into_iter().flatten().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if earlier.as_ref().is_some_and(|earlier| name.starts_with(earlier)) {
            // If it stays, it only takes disk space.
            let _stays = std::fs::remove_file(entry.path());
        }
    }
    let aside = path.with_extension(format!("damaged-{}", now_ns / 1_000_000_000));
    move_all(&recovering(path), &aside)?;
    Ok(aside)
}

/// Removes a file that is not complete yet.
fn remove(path: &Path) {
    let _absent = std::fs::remove_file(path);
    for suffix in BESIDE {
        let _absent = std::fs::remove_file(with_suffix(path, suffix));
    }
}

fn move_all(from: &Path, to: &Path) -> Result<(), SpoolError> {
    std::fs::rename(from, to).map_err(|error| SpoolError::open(from, error))?;
    for suffix in BESIDE {
        // Absent after a clean stop.
        let _absent = std::fs::rename(with_suffix(from, suffix), with_suffix(to, suffix));
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A session of a damaged file.
struct OldSession {
    session: SessionId,
    started_ns: WallNs,
    last_seq: Seq,
    committed_seq: Seq,
    forgotten_seq: Seq,
    ended: i64,
    nth: i64,
}

impl OldSession {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let last_seq = Seq::of_column(row.get::<_, i64>(2)?.max(0));
        // The column is damaged; any valid value will do.
        let number =
            |at| row.get(at).map(|number: i64| Seq::of_column(number.max(0)).min(last_seq));
        Ok(Self {
            session: SessionId::of_column(row.get::<_, i64>(0)?),
            started_ns: WallNs::of_column(row.get(1)?),
            last_seq,
            committed_seq: number(3)?,
            forgotten_seq: number(4)?,
            ended: row.get(5)?,
            nth: row.get(6)?,
        })
    }
}

impl Spool {
    /// Opens a new file in place of a damaged one, with the records that can be saved. If it is
    /// killed meanwhile, the next try continues.
    pub(super) fn open_anew(
        path: &Path,
        limits: SpoolLimits,
        now: Now,
    ) -> Result<(Self, PathBuf), SpoolError> {
        let old = recovering(path);
        if !private_file::exists(&old)? {
            set_aside(path)?;
        } else if !private_file::exists(path)? {
            for suffix in BESIDE {
                let _absent = std::fs::rename(with_suffix(path, suffix), with_suffix(&old, suffix));
            }
        }
        remove(path);
        let mut spool = Self::open_sound(path, limits, now.boot_ns)?;
        spool.save(&old)?;
        Ok((spool, keep_aside(path, now.wall_ns)?))
    }

    /// Sets aside a file that turned out to be damaged, named after the wall time, and continues
    /// with a new one.
    ///
    /// # Errors
    /// [`SpoolError`] if no new file can be made; the next use tries again.
    pub fn recover(&mut self, wall_ns: WallNs) -> Result<PathBuf, SpoolError> {
        let nothing = self.wrap(Connection::open_in_memory())?;
        drop(std::mem::replace(&mut self.db, nothing));
        self.lost = true;
        if !private_file::exists(&recovering(&self.path))? {
            set_aside(&self.path)?;
        }
        self.reopen()?;
        keep_aside(&self.path, wall_ns)
    }

    /// Creates the new file for a damaged one set aside, if it is missing.
    pub(super) fn reopen(&mut self) -> Result<(), SpoolError> {
        if !self.lost {
            return Ok(());
        }
        remove(&self.path);
        self.db = Self::open_file(&self.path)?;
        self.wrap(self.prepare())??;
        self.save(&recovering(&self.path))?;
        let resumed = self.resume();
        self.wrap(resumed)?;
        self.lost = false;
        Ok(())
    }

    /// Copies what can be read from a file that was set aside.
    fn save(&mut self, aside: &Path) -> Result<(), SpoolError> {
        let saved = self.salvage(aside);
        match self.wrap(saved)? {
            Some((records, lost)) => {
                tracing::warn!(
                    records,
                    lost,
                    "saved these records from the damaged spool; the \
                                               rest is a gap"
                );
            }
            None => {
                self.lost_all = true;
                tracing::error!("can't save anything from the damaged spool; it becomes a gap");
            }
        }
        let loaded = self.load_sent();
        self.wrap(loaded)
    }

    /// Copies intact records, session by session, from both ends. Gives the number of records and
    /// of sequence numbers lost, or `None` if nothing can be read.
    fn salvage(&mut self, aside: &Path) -> rusqlite::Result<Option<(u64, u64)>> {
        let Ok((old, sessions)) = open_damaged(aside) else { return Ok(None) };
        // Without it, records have no age until the new clock has come as far.
        if let Ok(Some(clock)) = read_clock(&old) {
            self.clock = clock.resumed(self.clock.boot_ns);
        }
        let (mut records, mut lost) = (0, 0);
        for it in sessions {
            // Its boot stays unknown: what of its end is missing may be damage.
            let id = it.session.to_column();
            self.db.execute(
                "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?3, ?5, ?6, ?7, 0)",
                params![
                    id,
                    it.started_ns.to_column(),
                    it.last_seq.to_column(),
                    it.committed_seq.to_column(),
                    it.forgotten_seq.to_column(),
                    it.ended,
                    it.nth
                ],
            )?;
            let mut missing = SeqRange { first: Seq::FIRST, last: it.last_seq };
            for forwards in [true, false] {
                records += self.copy(&old, it.session, &mut missing, forwards)?;
            }
            lost += self.fill_holes(it.session)?;
        }
        Ok(Some((records, lost)))
    }

    /// Copies the records of a session within `missing`, up to the first that can't be read.
    fn copy(
        &self,
        old: &Connection,
        session: SessionId,
        missing: &mut SeqRange,
        forwards: bool,
    ) -> rusqlite::Result<u64> {
        let order = if forwards { "ASC" } else { "DESC" };
        let id = session.to_column();
        let Ok(mut statement) = old.prepare(&format!(
            "SELECT first_seq, last_seq, frame, crc, level, made_ns FROM records
             WHERE session = ?1 ORDER BY first_seq {order}"
        )) else {
            return Ok(0);
        };
        let Ok(mut rows) = statement.query([id]) else { return Ok(0) };
        let transaction = self.db.unchecked_transaction()?;
        let mut copied = 0;
        while let Ok(Some(row)) = rows.next() {
            let read = || -> rusqlite::Result<(SeqRange, u8, i64)> {
                let number = |at| row.get(at).map(Seq::of_column);
                let range = SeqRange { first: number(0)?, last: number(1)? };
                Ok((range, row.get(4)?, row.get(5)?))
            };
            let Ok((range, level, made_ns)) = read() else { continue };
            let Some((frame, _)) = checked(session, range, row, [2, 3]) else { continue };
            if range.first < missing.first || range.last > missing.last {
                continue;
            }
            if forwards {
                missing.first = range.last + 1;
            } else {
                missing.last = range.first - 1;
            }
            let record = Record { range, frame };
            let level = Coarseness::from_number(level);
            insert(&transaction, session, &record, level, made_ns.cast_unsigned())?;
            copied += 1;
        }
        transaction.commit()?;
        Ok(copied)
    }

    /// The running session continues in the new file, whatever was saved of it.
    fn resume(&mut self) -> rusqlite::Result<()> {
        let Some(running) = self.running.filter(|_| self.beginning.is_none()) else {
            return Ok(());
        };
        let [id, started, last, committed] = [
            running.session.to_column(),
            running.started_ns.to_column(),
            running.last_seq.to_column(),
            running.committed_seq.to_column(),
        ];
        self.db.execute(
            "INSERT OR IGNORE INTO sessions VALUES (?1, ?2, ?3, ?4, ?3, ?4, 0,
                 (SELECT coalesce(max(nth), 0) + 1 FROM sessions), 0)",
            [id, started, last, committed],
        )?;
        let sql = "UPDATE sessions SET last_seq = ?2, ended = 0 WHERE session = ?1";
        self.db.execute(sql, [id, last])?;
        self.fill_holes(running.session)?;
        Ok(())
    }

    /// Replaces a damaged record by a gap.
    pub(super) fn replace_broken(
        &self,
        session: SessionId,
        broken: SeqRange,
    ) -> rusqlite::Result<()> {
        self.db.execute(
            "DELETE FROM records WHERE session = ?1 AND first_seq = ?2",
            [session.to_column(), broken.first.to_column()],
        )?;
        let lost = self.fill_holes(session)?;
        self.complain(lost, "damaged");
        Ok(())
    }

    /// Logs that records were lost, at most once a minute: there may be thousands.
    pub(super) fn complain(&self, lost: u64, how: &str) {
        let said = self.complained.get();
        if said.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            self.complained.set(Some(Instant::now()));
            tracing::error!(lost, how, "records of the spool are lost and become gaps");
        } else {
            tracing::debug!(lost, how, "more records of the spool are lost");
        }
    }

    /// Adds a gap record wherever uncommitted numbers are in no record. Gives the count of these
    /// numbers.
    pub(super) fn fill_holes(&self, session: SessionId) -> rusqlite::Result<u64> {
        let id = session.to_column();
        let [committed, last, forgotten] = self.db.query_row(
            "SELECT committed_seq, last_seq, forgotten_seq FROM sessions WHERE session = ?1",
            [id],
            |row| {
                let number = |at| row.get(at).map(Seq::of_column);
                Ok([number(0)?, number(1)?, number(2)?])
            },
        )?;
        let ranges: Vec<(Seq, Seq)> = self
            .db
            .prepare_cached(
                "SELECT first_seq, last_seq FROM records WHERE session = ?1 AND last_seq > ?2
                 ORDER BY first_seq",
            )?
            .query_map([id, committed.to_column()], |row| {
                let number = |at| row.get(at).map(Seq::of_column);
                Ok((number(0)?, number(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let (mut next, mut filled) = (committed + 1, 0);
        let transaction = self.db.unchecked_transaction()?;
        for (first, end) in ranges.into_iter().chain([(last + 1, last + 1)]) {
            if first > next {
                let gap = if first - 1 <= forgotten { Gap::Forgotten } else { Gap::SpoolDamaged };
                let frame = self.gap_between(session, next, first - 1, gap)?;
                insert(&transaction, session, &record(&frame), Coarseness::Gap, 0)?;
                filled += first - next;
            }
            next = next.max(end + 1);
        }
        transaction.commit()?;
        Ok(filled)
    }

    /// A gap of some numbers, with the counts that follow from the totals on both sides.
    fn gap_between(
        &self,
        session: SessionId,
        first: Seq,
        last: Seq,
        gap: Gap,
    ) -> rusqlite::Result<Frame> {
        let before = self.newest_samples(session, first)?;
        let after = self.neighbours(
            "SELECT first_seq, last_seq, frame, crc FROM records
             WHERE session = ?1 AND first_seq > ?2 ORDER BY first_seq LIMIT ?3",
            session,
            last,
        )?;
        let mut frame = gap_frame(session, first, last, gap);
        for next in after.iter().flat_map(|frame| &frame.samples) {
            let known = frame.samples.iter().any(|sample| sample.nic == next.nic);
            let from = match before.get(&next.nic) {
                Some(sample) => *sample,
                // No record before it: the totals began at zero.
                None if first == Seq::FIRST => {
                    Sample { start_ns: next.start_ns.saturating_sub(1), ..Sample::default() }
                }
                None => continue,
            };
            if known || frame.samples.len() == SAMPLES_MAX {
                continue;
            }
            let start_ns = from.start_ns.saturating_add(from.interval_ns);
            frame.samples.push(Sample {
                nic: next.nic,
                start_ns,
                // By the wall clock, which may have been stepped in the meantime.
                interval_ns: next.start_ns.saturating_since(start_ns).clamp(1, INTERVAL_MAX_NS),
                rx: between(&from.rx, &next.rx),
                tx: between(&from.tx, &next.tx),
                ..Sample::default()
            });
        }
        Ok(frame)
    }
}

/// The counts after one sample and before another.
fn between(from: &Counts, next: &Counts) -> Counts {
    let total_bytes = next.total_bytes.saturating_sub(next.bytes);
    let total_packets = next.total_packets.saturating_sub(next.packets);
    Counts {
        bytes: total_bytes.saturating_sub(from.total_bytes),
        packets: total_packets.saturating_sub(from.total_packets),
        total_bytes,
        total_packets,
        ..Counts::default()
    }
}

/// Opens a damaged file read-only and reads its sessions.
fn open_damaged(path: &Path) -> rusqlite::Result<(Connection, Vec<OldSession>)> {
    let real = private_file::real_path(path);
    let real = real.map_err(|_| rusqlite::Error::InvalidPath(path.to_owned()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let old = Connection::open_with_flags(real, flags)?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    old.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 0;")?;
    let mut sessions = Vec::new();
    // A session is known by its records even if its own row is lost or wrong.
    for sql in [
        "SELECT session, started_ns, last_seq, committed_seq, forgotten_seq, ended, nth
         FROM sessions",
        // As version 2 had it.
        "SELECT session, started_ns, last_seq, committed_seq, forgotten_seq, ended, 0
         FROM sessions",
        "SELECT session, 0, max(last_seq), 0, 0, 0, 0 FROM records GROUP BY session",
    ] {
        let Ok(mut statement) = old.prepare(sql) else { continue };
        let Ok(mut rows) = statement.query([]) else { continue };
        while let Ok(Some(row)) = rows.next() {
            // Skip a row that can't be read.
            let Ok(found) = OldSession::read(row) else { continue };
            match sessions.iter_mut().find(|it: &&mut OldSession| it.session == found.session) {
                Some(known) => known.last_seq = known.last_seq.max(found.last_seq),
                None => sessions.push(found),
            }
        }
    }
    if sessions.is_empty() {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    Ok((old, sessions))
}
