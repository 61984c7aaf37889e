//! The data directory: whether the spool can be written, and has room.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::{Finding, mib};
use settings::Size;

const SUBJECT: &str = "spool";

pub(super) fn examine(data_dir: &Path, most: u64) -> Vec<Finding> {
    // What is not there yet is made at the first start, in the nearest folder that is.
    let existing = data_dir.ancestors().find(|path| fs::exists(path).unwrap_or(false));
    let place = existing.unwrap_or(data_dir);
    let shown = data_dir.display();
    if let Err(errno) = access(place, AccessFlags::W_OK | AccessFlags::X_OK) {
        let text = format!(
            "{} can't be written ({errno}); run this as the user of `agent run`, or set data_dir",
            place.display()
        );
        return vec![Finding::warn(SUBJECT, text)];
    }
    let free = statvfs(place).map(|it| it.blocks_available() * it.fragment_size());
    vec![match free {
        Ok(free) => room(&format!("{} at most in {shown}", Size(most)), most, free),
        Err(errno) => Finding::warn(SUBJECT, format!("{shown}: {errno}; set data_dir")),
    }]
}

fn room(text: &str, most: u64, free: u64) -> Finding {
    if free < most {
        let text = format!("{text}, where only {} are free", mib(free));
        return Finding::warn(SUBJECT, format!("{text}; lower spool.max_size or free some space"));
    }
    Finding::ok(SUBJECT, format!("{text}, {} free", mib(free)))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_full_disk_is_warned_of_and_a_missing_folder_is_not() {
        assert_eq!(room("", 64, 63).level, Level::Warn);
        let dir = tempfile::tempdir().unwrap();
        let found = examine(&dir.path().join("not/yet"), 1);
        assert_eq!(found[0].level, Level::Ok, "{found:?}");
        assert_eq!(examine(dir.path(), u64::MAX)[0].level, Level::Warn);
    }
}
