//! Capture that reports what it sees, and NICs for it.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::capture::ring::RingConfig;
use agent::nic::choose::NicFilter;
use agent::sampler::verdict::Verdict;
use agent::sampler::{Capture, CaptureConfig, CaptureEnd, IntervalReport};
use globset::GlobMatcher;
use wire::Packets;
use wire::frame::{Counts, Sample};
use wire::message::Nic;

use testbed::{sh, wait_until};

/// Bytes on the wire of every packet sent here.
pub const PACKET_LEN: u64 = 14 + 20 + 8 + 100;

/// Small rings, because there are many NICs.
pub fn config(interval: Duration) -> CaptureConfig {
    CaptureConfig {
        sample_interval: interval,
        mix_interval: Duration::from_secs(1),
        ring: RingConfig { block_size: 16 << 10, block_count: 64, ..RingConfig::default() },
        ring_memory: 32 << 20,
        rings_per_nic: 1,
        cpus: Vec::new(),
        talkers: None,
        filter: NicFilter::default(),
    }
}

pub fn globs(globs: &[&str]) -> Vec<GlobMatcher> {
    globs.iter().map(|glob| globset::Glob::new(glob).unwrap().compile_matcher()).collect()
}

/// Totals of one name.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    pub rx: Counts,
    pub tx: Counts,
    pub drops: u64,
    pub kernel_tx_packets: u64,
    pub samples: Vec<Sample>,
    pub ended: Vec<CaptureEnd>,
}

impl Sums {
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.ended.iter().map(|ended| ended.verdict).collect()
    }
}

pub type ByName = BTreeMap<String, Sums>;

/// Running capture.
pub struct Watched {
    capture: Capture,
    taker: JoinHandle<()>,
    sums: Arc<Mutex<ByName>>,
}

impl Watched {
    pub fn start(config: CaptureConfig) -> Self {
        let (capture, reports) = Capture::start(config).unwrap();
        let sums = Arc::new(Mutex::new(ByName::new()));
        let taken = sums.clone();
        let taker = std::thread::spawn(move || {
            reports.iter().for_each(|report| add(&mut taken.lock().unwrap(), report));
        });
        Self { capture, taker, sums }
    }

    pub fn captured(&self) -> Vec<Nic> {
        self.capture.nics().borrow().nics.clone()
    }

    pub fn nic(&self, name: &str) -> Option<Nic> {
        self.captured().into_iter().find(|nic| nic.name.to_string() == name)
    }

    pub fn wait_for(&self, name: &str) -> Nic {
        wait_until(&format!("capture on {name}"), || self.nic(name).is_some());
        self.nic(name).unwrap()
    }

    pub fn wait_for_end(&self, name: &str) {
        wait_until(&format!("the end of capture on {name}"), || self.nic(name).is_none());
    }

    /// Counts so far.
    pub fn so_far(&self, name: &str) -> Sums {
        self.sums.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// Waits until this many sent packets of a NIC are counted.
    pub fn wait_for_sent(&self, name: &str, packets: u64) {
        let sent = || self.so_far(name).tx.packets;
        wait_until(&format!("{packets} packets on {name}"), || sent() >= Packets(packets));
        assert_eq!(sent(), Packets(packets), "{name}");
    }

    /// Ends capture and returns the totals of every name. Checks that all balances are even.
    pub fn finish(mut self) -> ByName {
        self.capture.stop();
        self.taker.join().unwrap();
        std::mem::take(&mut *self.sums.lock().unwrap())
    }
}

fn add(nics: &mut ByName, report: IntervalReport) {
    for sample in report.samples {
        let sums = nics.entry(sample.nic.to_string()).or_default();
        sums.rx.merge(&sample.rx);
        sums.tx.merge(&sample.tx);
        sums.drops += sample.drops.get();
        sums.kernel_tx_packets += sample.kernel.tx_packets.get();
        sums.samples.push(sample);
    }
    for ended in report.ended {
        assert!(ended.balance.is_balanced(), "offered = seen + dropped: {ended:?}");
        nics.entry(ended.nic.to_string()).or_default().ended.push(ended);
    }
}

/// Another network namespace. Its ends of pairs never send by themselves and accept everything.
pub struct Elsewhere(Child);

impl Elsewhere {
    /// Also stops this namespace from sending by itself.
    pub fn new() -> Self {
        let silent = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
        sh(silent);
        let child = Command::new("unshare")
            .args(["-n", "bash", "-c", &format!("{silent}; echo up; exec sleep 600")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut elsewhere = Self(child);
        let out = elsewhere.0.stdout.as_mut().unwrap();
        std::io::Read::read_exact(out, &mut [0; 3]).unwrap();
        elsewhere
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn sh(&self, command: &str) -> String {
        let quoted = command.replace('\'', "'\\''");
        sh(&format!("nsenter -t {} -n bash -c '{quoted}'", self.pid()))
    }

    /// Shell commands that make one end of a pair here, ready for [`send`], and the other there.
    pub fn veth(&self, name: &str, net: u8) -> String {
        self.veth_at(name, "", net)
    }

    /// The same, with further arguments for the end here, such as `index 77`.
    pub fn veth_at(&self, name: &str, more: &str, net: u8) -> String {
        let pid = self.pid();
        format!(
            "ip link add name {name} {more} type veth peer name p{net} netns {pid}; \
             nsenter -t {pid} -n ip link set dev p{net} up; {}",
            ready(name, net)
        )
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A shell command that makes a NIC ready for [`send`].
pub fn ready(name: &str, net: u8) -> String {
    format!(
        "ip -batch - <<< $'link set dev {name} up\\naddr replace 10.9.{net}.1/24 dev {name}\\n\
         neigh replace 10.9.{net}.2 lladdr 02:00:00:00:00:02 dev {name} nud permanent'; "
    )
}

/// Sends packets of [`PACKET_LEN`] through the NIC with this net.
pub fn send(net: u8, packets: u64) {
    let socket = UdpSocket::bind((format!("10.9.{net}.1"), 0)).unwrap();
    for _ in 0..packets {
        socket.send_to(&[7; 100], (format!("10.9.{net}.2"), 9)).unwrap();
    }
}

/// Packets that a NIC sent, from `ip -s link`.
pub fn sent_by_ip(name: &str) -> u64 {
    let json = sh(&format!("ip -s -j link show dev {name}"));
    let links: serde_json::Value = serde_json::from_str(&json).unwrap();
    links[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
}
