//! Checks the data directory: write access, owner and free space.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, User, access, geteuid};
use settings::{Finding, InFull, Size, free_space};

use crate::store_location::StoreLocation;

const SUBJECT: &str = "data";
const DISK: &str = "disk space";

/// Warn below this much free space, bytes, or below twice the limit.
const SCARCE: u64 = 1 << 30;

/// `least` is the free space required for adding rows.
pub(super) fn examine(data_dir: &Path, least: Size, location: &StoreLocation) -> Vec<Finding> {
    // What doesn't exist yet is created at the first start, in the nearest existing folder.
    let existing = data_dir.ancestors().find(|path| fs::exists(path).unwrap_or(false));
    let place = existing.unwrap_or(data_dir);
    let mut findings = vec![directory(data_dir, place)];
    match free_space(place) {
        Ok(free) => findings.push(room(data_dir, free, least)),
        Err(errno) => {
            let text = format!("{}: {errno}; set data_dir", place.display());
            findings.push(Finding::fail(DISK, text));
        }
    }
    if let StoreLocation::Postgres(_) = location {
        let text = "can't see the disk of the database's server from here; watch it there";
        findings.push(Finding::ok(DISK, text.to_owned()));
    }
    findings
}

fn directory(data_dir: &Path, place: &Path) -> Finding {
    let shown = data_dir.display();
    let owner = fs::metadata(place).map(|it| it.uid());
    let named = |uid: u32| {
        let user = User::from_uid(uid.into()).ok().flatten();
        user.map_or_else(|| format!("user {uid}"), |user| user.name)
    };
    let owner = match owner {
        Ok(owner) => owner,
        Err(error) => {
            return Finding::fail(SUBJECT, format!("{shown}: {}; set data_dir", error.in_full()));
        }
    };
    let me = geteuid().as_raw();
    if let Err(errno) = access(place, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        let text = format!(
            "{} can't be read and written by {} ({errno}); run this as its owner: sudo -u {} \
             collector doctor",
            place.display(),
            named(me),
            named(owner)
        );
        return Finding::fail(SUBJECT, text);
    }
    if place != data_dir {
        return Finding::ok(SUBJECT, format!("{shown} is made at the first start"));
    }
    let strange = files(data_dir).into_iter().find(|(_, uid)| *uid != owner);
    if let Some((file, uid)) = strange {
        let text = format!(
            "{file} in {shown} belongs to {}, the directory to {}; chown it, or the collector \
             can't use it",
            named(uid),
            named(owner)
        );
        return Finding::fail(SUBJECT, text);
    }
    Finding::ok(SUBJECT, format!("{shown}, of {}", named(owner)))
}

/// Files in the directory and the identity's directory, with their owners.
fn files(data_dir: &Path) -> Vec<(String, u32)> {
    let entries = [data_dir.to_owned(), crate::run::identity_dir(data_dir)];
    let entries = entries.iter().filter_map(|it| fs::read_dir(it).ok()).flatten().flatten();
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((name, entry.metadata().ok()?.uid()))
    };
    entries.filter_map(named).collect()
}

fn room(data_dir: &Path, free: u64, least: Size) -> Finding {
    let text = format!("{} free at {}", Size(free >> 20 << 20), data_dir.display());
    let way_out = "free some space, or shorten retention";
    if free < least.0 {
        let less = format!("less than limits.disk_free_min ({least}): no rows are added");
        Finding::fail(DISK, format!("{text}, {less}; {way_out}"))
    } else if free < SCARCE.max(least.0.saturating_mul(2)) {
        Finding::warn(DISK, format!("{text}; {way_out}"))
    } else {
        Finding::ok(DISK, text)
    }
}

#[cfg(test)]
mod tests {
    use settings::Level;

    use super::*;

    #[test]
    fn a_missing_directory_is_well_and_a_full_disk_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let found = directory(&dir.path().join("not/yet"), dir.path());
        assert_eq!(found.level, Level::Ok, "{found:?}");
        let least = Size::mib(256);
        let low = room(dir.path(), 255 << 20, least);
        assert!(low.level == Level::Fail && low.text.contains("limits.disk_free_min"), "{low:?}");
        assert_eq!(room(dir.path(), 512 << 20, least).level, Level::Warn);
        assert_eq!(room(dir.path(), 1 << 40, least).level, Level::Ok);
    }
}
