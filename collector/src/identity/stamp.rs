//! Detects changes of a file or directory without reading it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// File metadata that changes with the content; `None`: the file doesn't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    /// The stamp of a file or directory as it is now.
    pub fn of(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            Ok(it) => Ok(Self(Some((it.ino(), it.ctime(), it.ctime_nsec(), it.len())))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

/// Detects changes by stamps. A thing must be read again if its stamp has changed, and once more at the
/// next check, because two changes within one tick of the kernel's clock (at most 10 ms) share a stamp.
/// Checks are further apart than that.
#[derive(Debug)]
pub(super) struct StampedFile<T> {
    seen: Option<T>,
    again: bool,
}

impl<T> Default for StampedFile<T> {
    fn default() -> Self {
        Self { seen: None, again: false }
    }
}

impl<T: PartialEq> StampedFile<T> {
    /// True if it must be read, by its stamp at this check.
    pub fn changed(&mut self, stamp: T) -> bool {
        let differs = self.seen.as_ref() != Some(&stamp);
        let read = differs || self.again;
        (self.seen, self.again) = (Some(stamp), differs);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_read_now_and_once_more() {
        let mut watched = StampedFile::default();
        let read = [1, 1, 1, 2, 3, 3, 3].map(|stamp| watched.changed(stamp));
        assert_eq!(read, [true, true, false, true, true, true, false]);
    }

    #[test]
    fn a_file_that_is_replaced_or_goes_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let none = Stamp::of(&path).unwrap();
        std::fs::write(&path, "a").unwrap();
        let first = Stamp::of(&path).unwrap();
        std::fs::write(directory.path().join("y"), "b").unwrap();
        std::fs::rename(directory.path().join("y"), &path).unwrap();
        let second = Stamp::of(&path).unwrap();
        assert!(none != first && first != second && Stamp::of(&path).unwrap() == second);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Stamp::of(&path).unwrap(), none);
    }
}
