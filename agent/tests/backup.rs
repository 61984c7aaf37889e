//! Backups of the embedded store while agents deliver, and a collector that was set back to one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testbed::http::HTTP;
use testbed::{Pair, Running, Site, done, in_namespace, metric, sh, wait_until};

fn backup(site: &Site, file: &Path) -> Output {
    site.collector(&["backup"]).arg(file).output().unwrap()
}

/// Starts both programs, the agent with a setting, and waits until frames arrive.
fn start(site: &Site, keep: &str) -> (Running, Running) {
    let collector = site.start_collector();
    site.enroll();
    let mut agent = site.agent(&["run"]);
    agent.env("NETMON_AGENT_SPOOL__KEEP_COMMITTED", keep);
    let agent = Running::start(agent, &site.dir().join("a.log"));
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 2.0);
    (collector, agent)
}

fn wait_until_stored(site: &Site, pair: &Pair) {
    pair.wait_for_silence();
    wait_until("all in the store", || site.stored("here") == pair.sent_there());
}

/// What the agent's spool has forgotten of its session, as a kill would leave it. `None` if it was being tidied.
fn forgotten_seq(site: &Site) -> Option<i64> {
    let copy = tempfile::tempdir().unwrap();
    for name in ["spool.sqlite", "spool.sqlite-wal"] {
        fs::copy(site.dir().join("agent").join(name), copy.path().join(name)).unwrap();
    }
    let db = rusqlite::Connection::open(copy.path().join("spool.sqlite")).unwrap();
    db.query_row("SELECT max(forgotten_seq) FROM sessions", [], |row| row.get(0)).ok()
}

/// What a collector's store has of its only session.
fn committed_seq(store: &Path) -> i64 {
    let db = rusqlite::Connection::open(store).unwrap();
    db.query_row("SELECT committed_seq FROM sessions", [], |row| row.get(0)).unwrap()
}

/// Makes a backup while traffic is delivered, lets more follow it, and puts it back as
/// deploy/docs/operations.md says.
fn set_back(site: &Site, pair: &Pair, collector: Running, forgotten: bool) -> Running {
    let file = site.dir().join("backup.sqlite");
    std::thread::scope(|scope| {
        scope.spawn(|| pair.bulk(30_000_000));
        let said = done(backup(site, &file));
        assert!(said.contains("checked") && said.contains("identity"), "{said}");
    });
    pair.bulk(10_000_000);
    wait_until_stored(site, pair);
    let store = site.collector_data().join("netmon.sqlite");
    if forgotten {
        // The agent hears of a commit some seconds later, and only then forgets.
        let committed = committed_seq(&store);
        wait_until("a spool that has forgotten it", || forgotten_seq(site) >= Some(committed));
    }
    collector.stop();
    for suffix in ["-wal", "-shm"] {
        let _absent = fs::remove_file(PathBuf::from(format!("{}{suffix}", store.display())));
    }
    fs::copy(&file, &store).unwrap();
    site.start_collector()
}

#[test]
fn a_collector_that_is_set_back_gets_again_what_agents_keep_and_counts_nothing_twice() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let (collector, agent) = start(&site, "10m");
    pair.bulk(10_000_000);
    wait_until_stored(&site, &pair);
    let collector = set_back(&site, &pair, collector, false);
    wait_until_stored(&site, &pair);
    pair.bulk(10_000_000);
    wait_until_stored(&site, &pair);
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there());
    let rows =
        done(site.collector(&["export", "--client", "host-1", "--nic", "here"]).output().unwrap());
    assert!(!rows.contains("forgotten"), "{rows}");
}

#[test]
fn what_agents_keep_no_more_is_a_gap_in_a_collector_that_is_set_back() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let (collector, agent) = start(&site, "0s");
    pair.bulk(10_000_000);
    wait_until_stored(&site, &pair);
    let collector = set_back(&site, &pair, collector, true);
    let export = || {
        let args = ["export", "--client", "host-1", "--nic", "here"];
        done(site.collector(&args).output().unwrap())
    };
    wait_until("the gap", || export().contains("forgotten"));
    let (before, _) = pair.sent_there();
    let (kept, _) = site.stored("here");
    assert!(kept < before, "{kept} of {before}: the gap is left out");
    pair.bulk(10_000_000);
    pair.wait_for_silence();
    let (after, _) = pair.sent_there();
    wait_until("what came since, once", || site.stored("here").0 == kept + (after - before));
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here").0, kept + (after - before), "and the proof holds");
}

#[test]
fn a_backup_is_whole_private_and_never_replaces_a_file() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let file = site.dir().join("backup.sqlite");
    let none = backup(&site, &file);
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(1) && said.contains("there is no database"), "{said}");
    let collector = site.start_collector();
    let _said = done(backup(&site, &file));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    let again = backup(&site, &file);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && said.contains("is there already"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // One file, which needs no log beside it, is a store that a collector takes.
    let other = site.dir().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(&file, other.join("netmon.sqlite")).unwrap();
    let report = done(site.collector_in("other", &["fsck"]).output().unwrap());
    assert!(report.contains("0 sessions"), "{report}");
    let missing = backup(&site, &site.dir().join("no/such/directory"));
    assert!(!missing.status.success());
    collector.stop();
    assert_eq!(hidden(site.dir()), [""; 0], "nothing is left beside it, nor of what failed");
}

/// Hidden files of a directory.
fn hidden(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|it| it.starts_with('.')).collect()
}

#[test]
fn backups_of_one_name_at_once_give_one_whole_file_and_leftovers_go() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    site.start_collector().stop();
    let place = site.dir().join("place");
    fs::create_dir(&place).unwrap();
    let mut over = Command::new("true").spawn().unwrap();
    over.wait().unwrap();
    let left = |pid: u32, ending: &str| format!(".netmon.sqlite.{pid}.0123456789abcdef.{ending}");
    let another = left(std::process::id(), "new");
    for name in [&left(over.id(), "new"), &left(over.id(), "new-wal"), &another] {
        fs::write(place.join(name), "part").unwrap();
    }
    let file = place.join("netmon.sqlite");
    let begin = |_| {
        let mut command = site.collector(&["backup"]);
        command.arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..4).map(begin).collect();
    let ended = running.into_iter().map(|it| it.wait_with_output().unwrap());
    let (made, refused): (Vec<_>, Vec<_>) = ended.partition(|it| it.status.success());
    assert_eq!(made.len(), 1, "{refused:?}");
    for it in refused {
        let said = String::from_utf8_lossy(&it.stderr).into_owned();
        assert!(said.contains("is there already and was not changed"), "{said}");
    }
    let report = done(site.collector_in("place", &["fsck"]).output().unwrap());
    assert!(report.contains("0 sessions"), "{report}");
    assert_eq!(hidden(&place), [another], "that of a process that runs stays");
}

#[test]
fn root_makes_a_backup_of_a_services_store_in_a_third_users_directory() {
    const SERVICE: u32 = 65_432;
    const ALICE: u32 = 65_433;
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    fs::set_permissions(site.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    site.start_collector().stop();
    let (data, home) = (site.collector_data(), site.dir().join("alice"));
    sh(&format!("chown -R {SERVICE}:{SERVICE} {}", data.display()));
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&home, Some(ALICE), Some(ALICE)).unwrap();
    let file = home.join("x.sqlite");
    let _said = done(backup(&site, &file));
    let made = fs::metadata(&file).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (ALICE, ALICE, 0o600));
    assert_eq!(hidden(&home), [""; 0]);
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), SERVICE, "{:?}", entry.file_name());
    }
}

#[test]
fn a_backup_that_does_not_fit_or_would_stop_the_store_is_refused() {
    if !in_namespace() {
        return;
    }
    let site = Site::new().with_setting("LIMITS__DISK_FREE_MIN", "128MiB");
    let (data, small) = (site.collector_data(), site.dir().join("small"));
    let mount = |size: &str, at: &Path| {
        let at = at.display();
        sh(&format!("mkdir {at} && mount -t tmpfs -o size={size},mode=700 tmpfs {at}"));
    };
    mount("150m", &data);
    mount("64k", &small);
    site.start_collector().stop();
    let refused = |file: &Path| {
        let output = backup(&site, file);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && !file.exists(), "{said}");
        said
    };
    let said = refused(&small.join("a"));
    assert!(said.contains("free, and the copy needs 1MiB; free some space"), "{said}");
    let _fits = done(backup(&site, &data.join("a")));
    sh(&format!("fallocate -l 22m {}", data.join("others").display()));
    let said = refused(&data.join("b"));
    assert!(said.contains("would leave less than limits.disk_free_min (128MiB)"), "{said}");
    let _elsewhere = done(backup(&site, &site.dir().join("b")));
    assert!(hidden(&small).is_empty() && hidden(&data).is_empty());
}

#[test]
fn the_backup_of_a_postgresql_database_is_left_to_its_own_tools() {
    let site = Site::with_database("postgresql://netmon:secret@db.example.org/netmon");
    let file = site.dir().join("backup");
    let refused = backup(&site, &file);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let command = format!("pg_dump --format=custom --file={}", file.display());
    let command = format!("{command} postgresql://netmon@db.example.org:5432/netmon");
    assert!(said.contains(&command), "{said}");
    assert!(!file.exists());
}
