//! Checks that an open store's files are still in place: rows written to a deleted file vanish when the
//! collector stops.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Failure;

/// The database and its log, as they were on opening.
#[derive(Debug, Clone)]
pub(super) struct Files {
    known: Vec<(PathBuf, Id)>,
}

/// Device and inode.
type Id = (u64, u64);

fn id(path: &Path) -> Option<Id> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Files {
    /// The files of the open store at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let there = |path: PathBuf| id(&path).map(|id| (path, id));
        Self { known: [path.to_owned(), log.into()].into_iter().filter_map(there).collect() }
    }

    /// Fails while one of them is not in place, so that nothing is acknowledged. Succeeds again once it
    /// is back.
    pub(super) fn check(&self) -> Result<(), Failure> {
        for (path, opened) in &self.known {
            let found = id(path);
            if found == Some(*opened) {
                continue;
            }
            let (pid, what) = (std::process::id(), found.map_or("deleted", |_| "replaced"));
            return Err(Failure::File(
                format!(
                    "{} was {what} while the collector had it open; put it back, or restart the \
                 collector to go on with what is there now; until then what it held can be copied \
                 out of /proc/{pid}/fd",
                    path.display()
                )
                .into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_deleted_or_replaced_is_noticed_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netmon.sqlite");
        let log = dir.path().join("netmon.sqlite-wal");
        fs::write(&path, "a").unwrap();
        fs::write(&log, "b").unwrap();
        let files = Files::of(&path);
        let words = || match files.check() {
            Err(Failure::File(words)) => words.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(files.check().is_ok());
        let away = dir.path().join("away");
        fs::rename(&path, &away).unwrap();
        assert!(words().contains("netmon.sqlite was deleted"));
        fs::write(&path, "other").unwrap();
        assert!(words().contains("netmon.sqlite was replaced"));
        fs::rename(&away, &path).unwrap();
        assert!(files.check().is_ok());
        fs::remove_file(&log).unwrap();
        assert!(words().contains("netmon.sqlite-wal was deleted"));
    }
}
