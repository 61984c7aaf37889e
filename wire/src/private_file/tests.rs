//! Modes, owners and errors of the functions.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use nix::unistd::geteuid;

use super::*;
use crate::causes::InFull as _;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn a_secret_is_written_for_its_owner_alone_and_replaced_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/key.pem");
    create_directory(path.parent().unwrap()).unwrap();
    std::fs::write(path.with_file_name(".key.pem.new"), "left by a crash").unwrap();
    write(&path, b"long first text").unwrap();
    write(&path, b"second").unwrap();
    assert_eq!(read(&path).unwrap(), b"second");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_directories_above_let_everybody_pass() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lib/network-monitor/agent/identity");
    create_directory(&path).unwrap();
    let modes: Vec<u32> = path.ancestors().take(4).map(mode).collect();
    assert_eq!(modes, [0o700, 0o755, 0o755, 0o755]);
}

#[test]
fn a_link_that_leads_nowhere_is_named_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent");
    std::os::unix::fs::symlink("private/agent", &path).unwrap();
    let text = create_directory(&path.join("identity")).unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("rm {}", path.display())), "{text}");
}

#[test]
fn what_root_makes_is_of_the_owner_of_its_directory() {
    const SERVICE: u32 = 65_432;
    if !geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(SERVICE), Some(SERVICE)).unwrap();
    let path = directory.path().join("agent/identity");
    create_directory(&path).unwrap();
    write(&path.join("key"), b"x").unwrap();
    reserve(&path.join("store")).unwrap();
    drop(lock(&path).unwrap());
    for made in ["..", "key", "store", "lock"].map(|name| path.join(name)) {
        let metadata = std::fs::metadata(&made).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (SERVICE, SERVICE), "{}", made.display());
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    write_public(&path, b"x").unwrap();
    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let text = read(&path).unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
    assert!(text.contains("644"), "{text}");
    assert_eq!(read_public(&path).unwrap(), b"x");
    set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(read(&path), Err(FileError::Exposed { mode: 0o640, .. })));
    set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert_eq!(read(&path).unwrap(), b"x");
}

#[test]
fn a_directory_in_which_others_can_write_is_refused_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    set_permissions(directory.path(), Permissions::from_mode(0o770)).unwrap();
    let text = create_directory(directory.path()).unwrap_err().in_full().to_string();
    assert!(text.contains(&format!("chmod 700 {}", directory.path().display())), "{text}");
}

#[test]
fn of_two_that_remove_a_file_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    write(&path, b"x").unwrap();
    assert!(remove(&path).unwrap());
    assert!(!remove(&path).unwrap());
}

#[test]
fn what_is_no_file_or_no_directory_or_too_long_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    assert!(read(&path).unwrap_err().is_absent());
    File::create(&path).unwrap().set_len(SIZE_MAX + 1).unwrap();
    let text = read_public(&path).unwrap_err().in_full().to_string();
    assert!(text.contains(&path.display().to_string()) && text.contains("bytes"), "{text}");
    assert!(create_directory(&path).unwrap_err().in_full().to_string().contains("/x"));
    assert!(write(&path.join("y"), b"").unwrap_err().in_full().to_string().contains("/x/y"));
}
