//! What the tests of capture share: namespaces, NIC pairs, and other people's counters.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it, and may panic")]

pub mod watched;

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Set in the copy of a test program that runs inside a namespace.
const INSIDE: &str = "NETMON_TEST_INSIDE";

/// Runs the named test of this program again as root of a namespace with loopback up. True in
/// that copy, false once it has passed.
pub fn in_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    // Without root a user namespace makes one, of a kind that lets tcpdump change to no other
    // user: that is why root stays root.
    let namespaces = if nix::unistd::geteuid().is_root() { "-n" } else { "-rn" };
    let output = Command::new("unshare")
        .args([
            namespaces,
            "sh",
            "-c",
            "ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(program)
        .arg(test)
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in a namespace (unshare {namespaces}):\n{text}{errors}");
    assert!(text.contains("1 passed"), "the test did not run in the namespace:\n{text}");
    print!("{text}");
    false
}

/// Runs a shell command, which must succeed, and gives what it prints.
pub fn sh(command: &str) -> String {
    let output = Command::new("bash").args(["-c", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A veth pair, `here` in this namespace and `there` in another, with counting qdiscs on both
/// ends, and nothing on it that isn't sent by the test.
pub struct Pair {
    other: Child,
}

impl Pair {
    /// 10.9.0.1 here, 10.9.0.2 there.
    pub fn new() -> Self {
        let other = Command::new("unshare")
            .args(["-n", "sleep", "600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pair = Self { other };
        let pid = pair.other.id();
        let own = sh("readlink /proc/self/ns/net");
        wait_until("another namespace", || sh(&format!("readlink /proc/{pid}/ns/net")) != own);
        sh(&format!("ip link add here type veth peer name there && ip link set there netns {pid}"));
        let silent = "echo 1 > /proc/sys/net/ipv6/conf/DEV/disable_ipv6; \
                      ip link set DEV address 02:00:00:00:00:0HERE mtu 1500 up && \
                      tc qdisc add dev DEV root pfifo limit 100000 && \
                      ip addr add 10.9.0.HERE/24 dev DEV && \
                      ip neigh add 10.9.0.THERE lladdr 02:00:00:00:00:0THERE dev DEV nud permanent";
        sh(&silent.replace("DEV", "here").replace("THERE", "2").replace("HERE", "1"));
        pair.there_sh(&silent.replace("DEV", "there").replace("THERE", "1").replace("HERE", "2"));
        let carrier = || sh("cat /proc/net/dev; ip -o link show here").contains("LOWER_UP");
        wait_until("a carrier", carrier);
        pair
    }

    /// Also fd09::1 here and fd09::2 there, once what IPv6 says unasked has been said.
    pub fn with_ipv6(self) -> Self {
        let add = "echo 0 > /proc/sys/net/ipv6/conf/DEV/router_solicitations; \
                   echo 0 > /proc/sys/net/ipv6/conf/DEV/disable_ipv6; \
                   ip addr add fd09::HERE/64 dev DEV nodad && \
                   ip neigh add fd09::THERE lladdr 02:00:00:00:00:0THERE dev DEV nud permanent";
        sh(&add.replace("DEV", "here").replace("THERE", "2").replace("HERE", "1"));
        self.there_sh(&add.replace("DEV", "there").replace("THERE", "1").replace("HERE", "2"));
        // Two reports of group membership, at random times within a second each (RFC 3810,
        // section 9.11).
        self.silent_for(Duration::from_millis(2500));
        self
    }

    /// Waits until nothing has passed for a while: the last acknowledgements have come.
    pub fn wait_for_silence(&self) {
        self.silent_for(Duration::from_millis(300));
    }

    fn silent_for(&self, time: Duration) {
        let mut before = (self.sent_here(), self.sent_there());
        wait_until("silence on the link", || {
            std::thread::sleep(time);
            let now = (self.sent_here(), self.sent_there());
            std::mem::replace(&mut before, now) == now
        });
    }

    /// Runs a shell command in the other namespace.
    pub fn there_sh(&self, command: &str) -> String {
        let pid = self.other.id();
        let quoted = command.replace('\'', "'\\''");
        sh(&format!("nsenter -t {pid} -n bash -c '{quoted}'"))
    }

    /// Starts a shell command in the other namespace.
    pub fn there_spawn(&self, command: &str) -> Child {
        let pid = self.other.id().to_string();
        Command::new("nsenter").args(["-t", &pid, "-n", "bash", "-c", command]).spawn().unwrap()
    }

    /// Bytes and packets on the wire that left `there`, as its qdisc counted them.
    pub fn sent_there(&self) -> (u64, u64) {
        qdisc_sent(&self.there_sh("tc -s -j qdisc show dev there"))
    }

    /// Bytes and packets on the wire that left `here`, as its qdisc counted them.
    pub fn sent_here(&self) -> (u64, u64) {
        qdisc_sent(&sh("tc -s -j qdisc show dev here"))
    }

    /// Turns segmentation and receive offloads of both ends on or off.
    pub fn offloads(&self, on: bool) {
        let state = if on { "on" } else { "off" };
        let set = |dev: &str| format!("ethtool -K {dev} tso {state} gso {state} gro {state}");
        sh(&set("here"));
        self.there_sh(&set("there"));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ended = self.other.kill();
        let _reaped = self.other.wait();
    }
}

fn qdisc_sent(json: &str) -> (u64, u64) {
    let parsed: serde_json::Value = serde_json::from_str(json).unwrap();
    let root = parsed.as_array().unwrap().iter().find(|qdisc| qdisc["root"] == true).unwrap();
    assert_eq!(root["drops"], 0, "the sender's queue lost some");
    (root["bytes"].as_u64().unwrap(), root["packets"].as_u64().unwrap())
}

/// Receives on a port of this namespace until the other end has sent `bytes`.
pub fn receive_tcp(address: &str, bytes: u64) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap() as u64;
        }
    });
    (port, receiver)
}

/// Sends from the other namespace to this one.
pub fn bulk_tcp(pair: &Pair, here: &str, bytes: u64) {
    let (port, receiver) = receive_tcp(&format!("{here}:0"), bytes);
    let host = here.trim_matches(['[', ']']);
    pair.there_sh(&format!("head -c {bytes} /dev/zero > /dev/tcp/{host}/{port}"));
    receiver.join().unwrap();
}
