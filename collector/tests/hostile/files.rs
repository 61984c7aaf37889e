//! Files that an unprivileged user of the host has prepared for root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use testbed::{Site, done, in_namespace, sh};

/// The user that the test's services run as.
const NOBODY: u32 = 65534;

/// True if root can give files to others.
fn is_root_of_all() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2) == Some("4294967295")
}

/// Owner, mode and contents of a file.
fn state(path: &Path) -> (u32, u32, String) {
    let it = fs::metadata(path).unwrap();
    (it.uid(), it.mode() & 0o7777, fs::read_to_string(path).unwrap())
}

fn owned_by_nobody(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
}

#[test]
fn links_that_a_service_user_left_give_it_no_file_of_root() {
    if !in_namespace() {
        return;
    }
    if !is_root_of_all() {
        eprintln!("not tried: root is needed");
        return;
    }
    let site = Site::new();
    let victim = site.dir().join("victim");
    fs::write(&victim, "root's own\n").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let before = state(&victim);
    let collector = site.start_collector();
    let token = || done(site.collector(&["token"]).output().unwrap());
    let names = ["lock", "ca.pem", "key.pem", "cert.pem", "server.pem", "reset.key", "tokens"];
    for name in names {
        for program in ["agent", "collector"] {
            let data = site.dir().join(format!("{program}-{name}"));
            owned_by_nobody(&data);
            owned_by_nobody(&data.join("identity"));
            symlink(&victim, data.join("identity").join(name)).unwrap();
            let folder = data.file_name().unwrap().to_str().unwrap();
            let output = if program == "agent" {
                site.agent_in(folder, &format!("host-{}", &name[..2]), &["enroll", token().trim()])
                    .output()
            } else {
                site.collector_in(folder, &["token"]).output()
            };
            assert_eq!(state(&victim), before, "{program}, {name}: {output:?}");
        }
    }
    // The directory itself.
    let target = site.dir().join("target");
    fs::create_dir(&target).unwrap();
    let data = site.dir().join("linked");
    owned_by_nobody(&data);
    symlink(&target, data.join("identity")).unwrap();
    let output = site.collector_in("linked", &["token"]).output();
    assert_eq!(fs::metadata(&target).unwrap().uid(), 0, "{output:?}");
    collector.stop();
}

#[test]
fn the_files_of_the_store_are_for_their_owner_alone_in_any_directory() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    fs::create_dir(site.collector_data()).unwrap();
    sh(&format!("chmod 755 {}", site.collector_data().display()));
    let collector = site.start_collector();
    let mut open = Vec::new();
    for entry in fs::read_dir(site.collector_data()).unwrap() {
        let entry = entry.unwrap();
        let it = entry.metadata().unwrap();
        if it.is_file() && it.mode() & 0o077 != 0 {
            open.push((entry.file_name(), format!("{:o}", it.mode() & 0o777)));
        }
    }
    assert!(open.is_empty(), "others may read {open:?}");
    collector.stop();
}
