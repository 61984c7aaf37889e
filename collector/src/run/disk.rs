//! Watches the disk of the embedded store: no rows are added before it is full, so that retention and
//! others still have room to work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use settings::{Size, free_space};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::store::sqlite::reusable_bytes;
use crate::writer::StoreState;

/// Interval between checks of the disk. The amount written in between is far below the limit.
const EVERY: Duration = Duration::from_secs(2);

/// Room that SQLite's log needs on the disk itself, regardless of free space within the file, bytes:
/// twice its size limit (`journal_size_limit`).
const LOG: u64 = 128 << 20;

/// Room for rows, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Room {
    /// On the disk.
    disk: u64,
    /// Within the file, where deleted rows leave it.
    file: u64,
}

impl Room {
    /// Room for rows; none if the disk lacks room for the log.
    const fn all(self) -> u64 {
        if self.disk < LOG { self.disk } else { self.disk.saturating_add(self.file) }
    }

    /// True if rows may be added. After a stop, a little more room is required, so that the state
    /// doesn't flap.
    const fn is_enough(self, least: u64, held: bool) -> bool {
        self.all() >= if held { least.saturating_add(least / 8) } else { least }
    }
}

/// Watches the disk of `path`, the store's file, forever. Reports why rows may not be added, if less
/// than `least` is left.
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
    // If the disk can't be checked, the store itself reports its problems.
    let disk = free_space(path).ok()?;
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
        // Deleted rows leave room in the file, but the log needs its own.
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
