//! The disk of the embedded store: stops adding rows before it is full, so that retention and
//! others still have room to work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use settings::Size;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::store::sqlite::reusable_bytes;
use crate::writer::StoreState;

/// How often to check the disk: far less than the limit can be written meanwhile.
const EVERY: Duration = Duration::from_secs(2);

/// Room that SQLite's log needs on the disk itself, whatever is free within the file, bytes: twice
/// what it is cut to (`journal_size_limit`).
const LOG: u64 = 128 << 20;

/// Room for rows, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Room {
    /// On the disk.
    disk: u64,
    /// Within the file: deleted rows leave it there, not on the disk.
    file: u64,
}

impl Room {
    /// What rows can take. A disk without room for the log has none.
    const fn all(self) -> u64 {
        if self.disk < LOG { self.disk } else { self.disk.saturating_add(self.file) }
    }

    /// Whether rows are added. After a stop, a little more is asked for, or they would come and go.
    const fn is_enough(self, least: u64, held: bool) -> bool {
        self.all() >= if held { least.saturating_add(least / 8) } else { least }
    }
}

/// Looks at the disk of `path`, the store's file, for ever. Tells why rows may not be taken, if so:
/// there is less than `least` left.
pub fn watch(path: PathBuf, least: Size) -> watch::Receiver<StoreState> {
    let (sender, receiver) = watch::channel(look(&path, least, false));
    tokio::spawn(async move {
        loop {
            sleep(EVERY).await;
            let (path, held) = (path.clone(), sender.borrow().is_some());
            let looked = tokio::task::spawn_blocking(move || look(&path, least, held)).await;
            let Ok(why) = looked else { continue };
            let changed = sender.borrow().is_some() != why.is_some();
            sender.send_if_modified(|old| {
                *old = why;
                changed
            });
        }
    });
    receiver
}

fn look(path: &Path, least: Size, held: bool) -> StoreState {
    // A disk that can't be looked at: the store itself tells what it lacks.
    let found = statvfs(path).ok()?;
    let disk = found.blocks_available() * found.fragment_size();
    let short = disk < least.0.saturating_mul(2);
    let file = if short { reusable_bytes(path).unwrap_or(0) } else { 0 };
    let room = Room { disk, file };
    #[allow(clippy::cast_precision_loss, reason = "a metric far below 2^53")]
    metrics::gauge!("netmon_collector_disk_free_bytes").set(room.all() as f64);
    if room.is_enough(least.0, held) {
        return None;
    }
    Some(format!(
        "{} left for {}, less than limits.disk_free_min ({least}): no rows are added, and agents \
         keep them; free some space, or shorten retention",
        Size(room.all() >> 20 << 20),
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn rows_are_held_below_the_mark_and_taken_again_well_above_it() {
        let room = |disk, file| Room { disk: disk * MIB, file: file * MIB };
        let least = 256 * MIB;
        assert!(room(256, 0).is_enough(least, false));
        assert!(!room(255, 0).is_enough(least, false));
        assert!(!room(256, 0).is_enough(least, true));
        assert!(room(288, 0).is_enough(least, true));
        // Rows that were deleted leave room in the file, but the log needs its own.
        assert!(room(130, 500).is_enough(least, true));
        assert!(!room(100, 500).is_enough(least, false));
    }

    #[test]
    fn a_disk_with_less_is_told_with_the_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let why = look(file.path(), Size(u64::MAX), false).unwrap();
        assert!(why.contains("limits.disk_free_min") && why.contains("free some space"), "{why}");
        assert_eq!(look(file.path(), Size(1), true), None);
    }
}
