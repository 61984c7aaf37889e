//! Network namespaces: one for a whole test, and further ones.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};

use crate::patience::wait_until;
use crate::shell::{run, sh};

/// Set in the copy of a test program that runs inside a namespace.
const INSIDE: &str = "NETMON_TEST_INSIDE";

/// Runs the calling test again as root of a namespace with loopback up. Returns true in that copy, and
/// false once the copy has passed. The name of the thread is the name of the test.
#[must_use]
pub fn in_namespace() -> bool {
    if is_inside() {
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().expect("called on the thread of a test");
    let output = inside(&["--exact", test, "--nocapture"]).output();
    let output = output.expect("unshare of util-linux is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in a namespace (unshare):\n{text}{errors}");
    assert!(text.contains("1 passed"), "the test did not run in the namespace:\n{text}");
    print!("{text}");
    false
}

/// True in a copy of this program that [`inside`] started.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A command that runs this program again as root of its own network and mount namespaces, with
/// loopback up.
#[must_use]
pub fn inside(args: &[impl AsRef<OsStr>]) -> Command {
    // Without root, a user namespace provides one. tcpdump can't change its user there, so it stays
    // root.
    let namespaces = if nix::unistd::geteuid().is_root() { "-nm" } else { "-rnm" };
    let mut command = Command::new("unshare");
    command
        .args([namespaces, "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(args)
        .env(INSIDE, "1");
    command
}

/// A network namespace. A namespace made here ends when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    /// The process that keeps it; `None` for the namespace of this process.
    holder: Option<Child>,
}

impl Namespace {
    /// The namespace of this process.
    #[must_use]
    pub const fn own() -> Self {
        Self { holder: None }
    }

    /// A new namespace with loopback up.
    #[must_use]
    pub fn new() -> Self {
        let mut holder = Command::new("setpriv");
        holder.args(["--pdeathsig", "KILL", "unshare", "-n", "sleep", "infinity"]);
        let space = Self { holder: Some(holder.stdout(Stdio::null()).spawn().unwrap()) };
        let (own, new) = (sh("readlink /proc/self/ns/net"), space.pid());
        wait_until("another namespace", || sh(&format!("readlink /proc/{new}/ns/net")) != own);
        space.sh("ip link set lo up");
        space
    }

    /// A process inside it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.as_ref().map_or_else(std::process::id, Child::id)
    }

    /// A command that runs a program inside it. The program ends with the thread that starts it. The
    /// child's process id is that of the program.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(holder) = &self.holder {
            command.args(["nsenter", "-t", &holder.id().to_string(), "-n"]);
        }
        command.arg(program);
        command
    }

    /// Runs a shell command inside it and returns the output. The command must succeed.
    pub fn sh(&self, command: &str) -> String {
        run(self.command("bash").args(["-c", command]), command)
    }

    /// Bytes and packets that left it on a device, as the device's qdisc counted them.
    #[must_use]
    pub fn sent(&self, dev: &str) -> (u64, u64) {
        let json = self.sh(&format!("tc -s -j qdisc show dev {dev}"));
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        let root = parsed.as_array().unwrap().iter().find(|qdisc| qdisc["root"] == true).unwrap();
        assert_eq!(root["drops"], 0, "the sender's queue lost some");
        (root["bytes"].as_u64().unwrap(), root["packets"].as_u64().unwrap())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ended = holder.kill();
            let _reaped = holder.wait();
        }
    }
}
