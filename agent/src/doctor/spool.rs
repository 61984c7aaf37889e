//! The data directory: whether the spool can be written, and has room.

use std::fs;
use std::path::Path;

use nix::unistd::{AccessFlags, access};
use wire::permission;

use super::config::mib;
use settings::{Finding, Size, free_space};

const SUBJECT: &str = "spool";

pub(super) fn examine(data_dir: &Path, most: u64) -> Vec<Finding> {
    // If it doesn't exist yet, the first start creates it in the nearest existing parent.
    let absent = |path: &&Path| fs::exists(path).is_ok_and(|exists| !exists);
    let place = data_dir.ancestors().find(|path| !absent(path)).unwrap_or(data_dir);
    let shown = data_dir.display();
    if let Err(errno) = access(place, AccessFlags::W_OK | AccessFlags::X_OK) {
        let way_out = permission::way_out(place, &errno.into(), "set data_dir");
        return vec![Finding::warn(
            SUBJECT,
            format!("{shown} can't be written: {errno}; {way_out}"),
        )];
    }
    vec![match free_space(place) {
        Ok(free) => room(&format!("{} at most in {shown}", Size(most)), most, free),
        Err(errno) => Finding::warn(SUBJECT, format!("{shown}: {errno}; set data_dir")),
    }]
}

fn room(text: &str, most: u64, free: u64) -> Finding {
    if free < most {
        let text = format!("{text}, but only {} are free there", mib(free));
        return Finding::warn(SUBJECT, format!("{text}; lower spool.max_size or free some space"));
    }
    Finding::ok(SUBJECT, format!("{text}, {} free", mib(free)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Level;

    #[test]
    fn a_full_disk_is_warned_of_and_a_missing_folder_is_not() {
        assert_eq!(room("", 64, 63).level, Level::Warn);
        let dir = tempfile::tempdir().unwrap();
        let found = examine(&dir.path().join("not/yet"), 1);
        assert_eq!(found[0].level, Level::Ok, "{found:?}");
        assert_eq!(examine(dir.path(), u64::MAX)[0].level, Level::Warn);
    }
}
