//! An operator's installation of both programs, in any order, as root and as the services' users.
//! `chown` and `setpriv` replace systemd here; `scripts/boot` starts the real units.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testbed::http::{self, HTTP, metric};
use testbed::{Namespace, Running, done, in_namespace, program, wait_until};

/// The users of the services, and an unrelated one; none of them has a name.
const COLLECTOR: u32 = 65_431;
const AGENT: u32 = 65_432;
const OTHER: u32 = 65_433;

/// The relevant part of a host's file system.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["", "bin", "lib"] {
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["agent", "collector"] {
            // Other users may not be able to read the build folder.
            fs::copy(program(name), dir.path().join("bin").join(name)).unwrap();
        }
        Self(dir)
    }

    fn data_dir(&self, name: &str) -> PathBuf {
        self.0.path().join("lib/network-monitor").join(name)
    }

    /// A command of a user with a strict umask.
    fn command(&self, user: u32, name: &str, args: &[&str]) -> Command {
        let mut command = Namespace::own().command("setpriv");
        let user = user.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        if name == "agent" {
            command.args(["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"]);
        }
        command.args(["sh", "-c", "umask 077; exec \"$0\" \"$@\""]);
        command.arg(self.0.path().join("bin").join(name)).args(args);
        command.arg("--data-dir").arg(self.data_dir(name));
        command.env("NETMON_COLLECTOR_SERVER__HOST", "127.0.0.1");
        command
            .env("NETMON_AGENT_MONITOR__NICS__INCLUDE", "lo")
            .env("NETMON_AGENT_CLIENT__ID", "a");
        command
    }

    fn output(&self, user: u32, name: &str, args: &[&str]) -> Output {
        self.command(user, name, args).output().unwrap()
    }

    /// Starts a service as systemd does: its user owns its directory.
    fn start(&self, user: u32, name: &str) -> Running {
        let data_dir = self.data_dir(name);
        fs::create_dir_all(&data_dir).unwrap();
        all_in(&data_dir, &mut |path| lchown(path, Some(user), Some(user)).unwrap());
        let log = self.0.path().join(format!("{name}.log"));
        Running::start(self.command(user, name, &["run"]), &log)
    }
}

fn all_in(path: &Path, each: &mut impl FnMut(&Path)) {
    each(path);
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| all_in(&entry.unwrap().path(), each));
    }
}

/// The standard error of a failed command.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn whoever_runs_first_the_services_start_and_need_no_config() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT TESTED: installing, since only root can be several users");
        return;
    }
    if !in_namespace() {
        return;
    }
    let host = Host::new();
    // As root, before the first start of the service.
    let _token = done(host.output(0, "collector", &["token"]));
    let collector = host.start(COLLECTOR, "collector");
    wait_until("the collector", || http::is_ready(HTTP));
    let token = done(host.output(COLLECTOR, "collector", &["token"]));
    let report = done(host.output(0, "agent", &["enroll", token.trim()]));
    assert!(report.contains("systemctl enable --now network-monitor-agent"), "{report}");
    let agent = host.start(AGENT, "agent");
    let frames = || metric(HTTP, "netmon_collector_frames_total");
    wait_until("frames of an agent without config", || frames() > 3.0);

    // As root while the services run, and again after the store is removed.
    for command in ["token", "clients", "fsck"] {
        let _report = done(host.output(0, "collector", &[command]));
    }
    agent.stop();
    collector.stop();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let store = host.data_dir("collector").join(format!("netmon.sqlite{suffix}"));
        let _absent = fs::remove_file(store);
    }
    let _report = done(host.output(0, "collector", &["migrate"]));
    for (name, user) in [("collector", COLLECTOR), ("agent", AGENT)] {
        all_in(&host.data_dir(name), &mut |path| {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (user, user), "{}", path.display());
        });
        assert_eq!(fs::metadata(host.data_dir(name)).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
fn the_wrong_user_is_told_the_right_one() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT TESTED: the wrong user, since only root can be several users");
        return;
    }
    if !in_namespace() {
        return;
    }
    let host = Host::new();
    // Before anything exists.
    let told = refusal(&host.output(OTHER, "collector", &["token"]));
    assert!(told.contains("run: sudo collector ..."), "{told}");
    let collector = host.start(COLLECTOR, "collector");
    wait_until("the collector", || http::is_ready(HTTP));
    let owner = format!("sudo -u '#{COLLECTOR}' collector ...");
    for command in [
        &["token"][..],
        &["clients"],
        &["revoke", "a"],
        &["fsck"],
        &["migrate"],
        &["migrate", "--check"],
        &["export", "--client", "a"],
        &["run"],
    ] {
        let told = refusal(&host.output(OTHER, "collector", command));
        assert!(told.contains(&owner), "{command:?}: {told}");
    }
    let token = done(host.output(COLLECTOR, "collector", &["token"]));
    let _report = done(host.output(0, "agent", &["enroll", token.trim()]));
    // As root made it, and as systemd keeps it: private, behind a link.
    for _ in 0..2 {
        for command in [&["run"][..], &["enroll", token.trim()]] {
            let told = refusal(&host.output(OTHER, "agent", command));
            assert!(told.contains("run: sudo agent ..."), "{command:?}: {told}");
            assert!(!told.contains("TOKEN"), "{command:?}: {told}");
        }
        let output = host.output(OTHER, "agent", &["doctor"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |subject: &str| told.lines().find(|it| it.contains(subject)).unwrap();
        assert!(line("certificate  ").contains("run: sudo agent ..."), "{told}");
        assert!(line("spool  ").contains("run: sudo agent ..."), "{told}");
        let output = host.output(OTHER, "agent", &["check-config"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.contains("run: sudo agent ..."), "{told}");

        let (data_dir, private) = (host.data_dir("agent"), host.0.path().join("lib/private"));
        if !private.exists() {
            fs::create_dir(&private).unwrap();
            fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
            fs::rename(&data_dir, private.join("agent")).unwrap();
            std::os::unix::fs::symlink("../private/agent", &data_dir).unwrap();
        }
    }
    collector.stop();
}

#[test]
fn what_is_recommended_can_be_typed_under_the_names_that_packages_install() {
    let folder = tempfile::tempdir().unwrap();
    let said = |name: &str, args: &[&str]| {
        let installed = folder.path().join(format!("netmon-{name}"));
        if !installed.exists() {
            std::os::unix::fs::symlink(program(name), &installed).unwrap();
        }
        let mut command = Command::new(installed);
        command.env_clear().args(args).arg("--data-dir").arg(folder.path().join(name));
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for (name, args, recommended) in [
        ("agent", &["--help"][..], "Example: netmon-agent watch"),
        ("agent", &["enroll", "--help"], "Examples: netmon-agent enroll -"),
        ("agent", &["--version"], "netmon-agent "),
        ("agent", &["enrol"], "see `netmon-agent --help`"),
        ("agent", &["run"], "netmon-agent enroll TOKEN"),
        ("agent", &["enroll", "no-token"], "`netmon-collector token`"),
        ("agent", &["doctor"], "`netmon-agent nics`"),
        ("collector", &["token", "--help"], "netmon-collector token --client web-1"),
        ("collector", &["tokens"], "netmon-collector token"),
        ("collector", &["revoke", "web-1"], "`netmon-collector clients`"),
    ] {
        let said = said(name, args);
        assert!(said.contains(recommended), "{name} {args:?}: {said}");
        let bare = format!(" {name} enroll");
        assert!(!said.contains(&bare) && !said.starts_with(name), "{name} {args:?}: {said}");
    }
}
