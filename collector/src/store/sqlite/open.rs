//! Opening the file: its lock, its settings, its schema.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use wire::private_file::{self, Acting, FileError};

use super::error::OpenError;
use super::functions;
use super::numbers;
use super::wide;

/// Version of the newest schema (`PRAGMA user_version`).
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The migrations from each version to the next. Never changed once released.
const MIGRATIONS: [&str; 27] = [
    concat!(include_str!("schema.sql"), include_str!("views.sql")),
    include_str!("percentile.sql"),
    include_str!("links.sql"),
    include_str!("clock.sql"),
    include_str!("forgotten.sql"),
    include_str!("digests.sql"),
    include_str!("revocations.sql"),
    include_str!("misdated.sql"),
    include_str!("wide.sql"),
    include_str!("nics.sql"),
    include_str!("tokens.sql"),
    include_str!("enrolled.sql"),
    include_str!("quarantine.sql"),
    include_str!("sign_outs.sql"),
    include_str!("second_hosts.sql"),
    include_str!("tags.sql"),
    include_str!("accounts.sql"),
    include_str!("alerts.sql"),
    include_str!("alert_columns.sql"),
    include_str!("alert_keepers.sql"),
    include_str!("talkers.sql"),
    include_str!("client_days.sql"),
    include_str!("talkers_time.sql"),
    include_str!("talkers_alike.sql"),
    include_str!("packed.sql"),
    include_str!("packed_mixes.sql"),
    include_str!("checksums.sql"),
];

/// Most memory that the pages of the writing connection take, KiB. Each NIC writes to a few pages of its own at each
/// commit, again and again: a commit of some thousand NICs changes some ten thousand pages of 4 KiB. What doesn't fit
/// goes to the WAL more than once in a commit.
const CACHE_KIB: u32 = 64 << 10;

/// Marks the file as a collector's (`PRAGMA application_id`): "NMON".
const APPLICATION_ID: i64 = 0x4e4d_4f4e;

/// Prepared statements kept per connection.
const STATEMENTS: usize = 64;

/// How long a statement waits for a short lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Locks the file against other writing processes, but not against readers. The lock ends with the
/// value.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    if let Some(directory) = path.parent() {
        private_file::make_directory(directory)?;
    }
    // In a separate file: closing a descriptor of the database file would drop SQLite's own locks.
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = private_file::open_lock(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(FileError::write(&name, error).into()),
    }
}

/// Opens the file for writing; creates and migrates it if needed.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let sorted = |error| OpenError::from_sqlite(path, error);
    let _acting = prepare(path)?;
    let mut db = open(path, OpenFlags::default())?;
    set_up(&db).map_err(sorted)?;
    check_identity(&db, path)?;
    // FULL: acknowledged data has reached the disk.
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -{CACHE_KIB};"
    ))
    .map_err(sorted)?;
    numbers::register(&db).map_err(sorted)?;
    migrate(&mut db).map_err(sorted)?;
    Ok(db)
}

/// Creates the file if it is missing, for the owner of the directory: root may run a service's
/// commands. While the value lives, SQLite creates its own files with that owner's rights.
fn prepare(path: &Path) -> Result<Acting, OpenError> {
    for (path, mode) in private_file::reserve_database(path)? {
        let mode = format!("{mode:03o}");
        tracing::warn!(path = %path.display(), mode, "other users could read this file; its mode is corrected");
    }
    Ok(private_file::act_for(path)?)
}

/// Opens the file itself, and follows no link that the directory's owner may have planted since the
/// check.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let real = private_file::real_path(path)?;
    Connection::open_with_flags(real, flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)
        .map_err(|error| OpenError::from_sqlite(path, error))
}

/// Opens the file for writing beside a collector that has it open. Its schema must be the newest.
pub(super) fn beside(path: &Path) -> Result<Connection, OpenError> {
    let sorted = |error| OpenError::from_sqlite(path, error);
    drop(reader(path)?);
    let _acting = prepare(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = open(path, flags)?;
    set_up(&db).map_err(sorted)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").map_err(sorted)?;
    // This opens the files beside it too.
    check_identity(&db, path)?;
    Ok(db)
}

/// Free space inside the file at `path` from deleted rows, bytes. `None` if it can't be read.
#[must_use]
pub fn reusable_bytes(path: &Path) -> Option<u64> {
    let db = reader(path).ok()?;
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).ok();
    let bytes = number("PRAGMA freelist_count")?.checked_mul(number("PRAGMA page_size")?)?;
    u64::try_from(bytes).ok()
}

/// Version of the schema of a file; 0 if there is none yet.
pub(super) fn version(path: &Path) -> Result<i64, OpenError> {
    if private_file::exists(path)? { Ok(read_only(path)?.1) } else { Ok(0) }
}

/// Opens the file to read, whatever its version up to this collector's, which is given too.
pub(super) fn read_only(path: &Path) -> Result<(Connection, i64), OpenError> {
    if !private_file::exists(path)? {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let sorted = |error| OpenError::from_sqlite(path, error);
    private_file::check_database(path)?;
    let _acting = private_file::act_for(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = open(path, flags)?;
    set_up(&db).map_err(sorted)?;
    let found = check_identity(&db, path)?;
    Ok((db, found))
}

/// Opens the file for reading, also beside a running collector.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let (db, found) = read_only(path)?;
    if found < SCHEMA_VERSION {
        return Err(OpenError::Older { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(db)
}

pub(super) fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    wide::register(db)?;
    functions::register(db)?;
    // Statements are planned once instead of for each row's values: commits take a fifth of the time.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Checks that the file is a collector's and not newer than this program; returns its version.
pub(super) fn check_identity(db: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || {
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((tables, number("PRAGMA application_id")?, number("PRAGMA user_version")?))
    };
    let (tables, application, version) =
        read().map_err(|error| OpenError::from_sqlite(path, error))?;
    let empty = tables == 0 && application == 0 && version == 0;
    if !empty && application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    Ok(version)
}

fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}
