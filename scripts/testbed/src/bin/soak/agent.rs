//! An agent in its own namespace, with two NICs to a neighbour and a link to the collectors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testbed::clock::now_ns;
use testbed::pair::{End, join};
use testbed::{Clock, Namespace, Running, program, sh, wait_until};

use crate::traffic::{Flow, Sent};

/// The measured NICs of an agent.
pub const NICS: [&str; 2] = ["d0", "d1"];

/// Size of an agent's data directory, MiB.
const DISK_MIB: u32 = 8;

/// A period in which an agent measured or wrote nothing, nanoseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, Default)]
pub struct Outage {
    /// Anything not yet in the spool at this time is lost.
    pub from_ns: u64,
    /// Time of its next start.
    pub to_ns: u64,
    /// Packets may be lost from this time on.
    pub lost_from_ns: u64,
    /// Time at which it captured again.
    pub lost_to_ns: u64,
}

/// Longest time that a stopping agent still captures, nanoseconds.
const STOPPING_NS: u64 = 50_000_000;

/// An agent and all that belongs to it.
#[derive(Debug)]
pub struct Agent {
    number: usize,
    space: Namespace,
    neighbour: Namespace,
    dir: PathBuf,
    running: Option<Running>,
    /// Last number of its address.
    host: u8,
    flows: Vec<Flow>,
    /// The clocks of its host, as the agent reads them.
    pub clock: Clock,
    /// Its longest graceful stop.
    pub slowest_stop: Duration,
    /// Its kills.
    pub outages: Vec<Outage>,
    /// Number of current faults that keep it from writing.
    hindered: u32,
    /// The last period in which it could not write.
    unwritten: Outage,
}

/// Traffic offered to a NIC in one direction.
#[derive(Debug)]
pub struct Offered {
    /// Bytes, as the sender's qdisc counted them.
    pub bytes: u64,
    /// Every packet.
    pub journal: Vec<Sent>,
}

impl Agent {
    /// Builds its namespaces, links and configuration.
    #[must_use]
    pub fn new(number: usize, dir: &Path) -> Self {
        let (space, neighbour) = (Namespace::new(), Namespace::new());
        let name = format!("agent-{number}");
        let (clock, dir) = (Clock::new(dir, &name), dir.join(name));
        let net = format!("10.1.{number}");
        let link = format!("m{number}");
        join(
            End { space: &Namespace::own(), dev: &link, net: &net, host: 1 },
            End { space: &space, dev: "mgmt", net: &net, host: 2 },
        );
        for (nic, dev) in (0..).zip(NICS) {
            let net = format!("10.2.{}", 10 * number + nic);
            let far = format!("far{nic}");
            let ends = [(&space, dev, 1), (&neighbour, far.as_str(), 2)];
            let [a, b] = ends.map(|(space, dev, host)| End { space, dev, net: &net, host });
            join(a, b);
            for (space, dev, host) in ends {
                // An address that both ends believe to be behind the other, and that never answers.
                let peer = 3 - host;
                space.sh(&format!(
                    "sysctl -qw net.ipv4.ip_forward=0; \
                     ip neigh add {net}.77 lladdr 02:00:00:00:00:0{peer} dev {dev} nud permanent"
                ));
            }
        }
        let (sample, report, spool) = match number {
            0 => ("100ms", "200ms", "64MiB"),
            _ => ("10ms", "50ms", "1MiB"),
        };
        let place = dir.display();
        sh(&format!("mkdir {place} && mount -t tmpfs -o size={DISK_MIB}m,mode=700 tmpfs {place}"));
        let config = format!(
            "server: {{host: {net}.1, max_retry: 3, retry_interval: 500ms, fallbacks: ['{net}.1:8092']}}\n\
             client: {{id: host-{number}}}\n\
             monitor: {{sample_interval: {sample}, report_interval: {report}, mix_interval: 1s, nics: {{exclude: [mgmt]}}}}\n\
             spool: {{max_size: {spool}, max_age: 1m}}\ndata_dir: {place}\n"
        );
        std::fs::write(dir.with_extension("yaml"), config).expect("the directory is writable");
        let (outages, unwritten) = (vec![], Outage::default());
        Self {
            number,
            space,
            neighbour,
            dir,
            running: None,
            host: 2,
            flows: vec![],
            clock,
            slowest_stop: Duration::ZERO,
            outages,
            hindered: 0,
            unwritten,
        }
    }

    /// The agent's command with arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.space.command(program("agent"));
        command.arg("-c").arg(self.dir.with_extension("yaml")).args(args);
        command
    }

    /// Longest period that a kill may lose, nanoseconds: the unwritten report, and the time that a
    /// sample waits for late packets.
    #[must_use]
    pub const fn open_interval_ns(&self) -> u64 {
        let (sample_ms, report_ms) = if self.number == 0 { (100, 200) } else { (10, 50) };
        // The hold for late packets is 10 ms. The rest is for a busy machine, where other processes may
        // also hold the rtnetlink lock that reading link speeds needs.
        (report_ms + sample_ms + 10 + 490) * 1_000_000
    }

    /// Path of its spool.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool.sqlite")
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        log_of(&self.dir)
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        let log = self.dir.with_extension("log");
        let mut command = self.command(&["run"]);
        self.clock.apply(&mut command);
        self.running = Some(Running::start(command, &log));
    }

    /// Kills the agent (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            let now_ns = now_ns();
            running.kill();
            let from_ns = if self.is_behind(now_ns) { self.unwritten.from_ns } else { now_ns };
            self.goes(from_ns, from_ns.saturating_sub(self.open_interval_ns()));
        }
    }

    /// Stops the agent gracefully until its next start.
    pub fn stop_for_a_while(&mut self) {
        let from_ns = now_ns();
        self.goes(from_ns, from_ns.saturating_sub(STOPPING_NS));
        let _delivered = self.stop();
    }

    /// Records that it measures nothing until its next start.
    fn goes(&mut self, from_ns: u64, lost_from_ns: u64) {
        self.outages.push(Outage { from_ns, to_ns: u64::MAX, lost_from_ns, lost_to_ns: u64::MAX });
    }

    /// Waits until it captures, looking at its log from byte `said` on.
    pub fn wait_for_capture(&self, said: usize) {
        let captures = |nic| format!(r#""capturing","nic":"{nic}""#);
        wait_until("capture", || {
            let log = self.log();
            NICS.iter().all(|nic| log[said..].contains(&captures(nic)))
        });
    }

    /// Starts it after a kill. With `wait`, waits until it captures.
    pub fn start_again(&mut self, wait: bool) {
        let said = self.log().len();
        self.start();
        if let Some(outage) = self.outages.last_mut() {
            outage.to_ns = now_ns();
        }
        if wait {
            self.wait_for_capture(said);
            if let Some(outage) = self.outages.last_mut() {
                outage.lost_to_ns = now_ns();
            }
        }
    }

    /// Stops it gracefully. Returns true if all its data is in the database.
    pub fn stop(&mut self) -> bool {
        let Some(running) = self.running.take() else { return false };
        let (before, told) = (running.log().len(), Instant::now());
        running.stop();
        self.slowest_stop = self.slowest_stop.max(told.elapsed());
        !self.log()[before..].contains("the rest is in the spool")
    }

    /// Pauses it (SIGSTOP) or resumes it.
    pub fn pause(&mut self, paused: bool) {
        if let Some(running) = &self.running {
            running.signal(if paused { Signal::SIGSTOP } else { Signal::SIGCONT });
            self.hinder(paused);
        }
    }

    /// Records that a fault that keeps it from writing begins or ends.
    fn hinder(&mut self, begins: bool) {
        let now_ns = now_ns();
        if begins {
            if !self.is_behind(now_ns) {
                self.unwritten.from_ns = now_ns;
            }
            self.hindered += 1;
        } else {
            self.hindered -= 1;
            self.unwritten.to_ns = now_ns;
        }
    }

    /// Records that this machine, and so perhaps the agent, stood still, nanoseconds since 1970 (UTC).
    pub fn stood_still(&mut self, from_ns: u64, to_ns: u64) {
        if !self.is_behind(from_ns) {
            self.unwritten.from_ns = from_ns;
        }
        self.unwritten.to_ns = self.unwritten.to_ns.max(to_ns);
    }

    /// True if it may not have written yet what a fault held up: its next report writes that.
    const fn is_behind(&self, now_ns: u64) -> bool {
        self.hindered > 0 || now_ns < self.unwritten.to_ns + self.open_interval_ns()
    }

    /// Fills its disk or makes room again.
    pub fn fill_disk(&mut self, full: bool) {
        let file = self.dir.join("fill");
        let file = file.display();
        if full {
            self.hinder(true);
            sh(&format!("dd if=/dev/zero of={file} bs=4k 2>/dev/null || true"));
        } else {
            self.hinder(false);
            sh(&format!("rm -f {file}"));
        }
    }

    /// Gives it a new address.
    pub fn change_address(&mut self) {
        let (net, old) = (format!("10.1.{}", self.number), self.host);
        self.host = if old < 250 { old + 1 } else { 2 };
        let new = self.host;
        self.space.sh(&format!(
            "ip addr del {net}.{old}/24 dev mgmt && ip addr add {net}.{new}/24 dev mgmt"
        ));
    }

    /// Starts traffic on its NICs, both ways.
    pub fn start_traffic(&mut self, seed: u64) {
        for nic in 0..NICS.len() {
            let net = format!("10.2.{}", 10 * self.number + nic);
            let flow = |space, host, salt: u64| {
                let (source, target) = (format!("{net}.{host}"), format!("{net}.77"));
                Flow::start(space, &source, &target, seed ^ ((nic as u64) << 16) ^ salt)
            };
            self.flows.extend([flow(&self.neighbour, 2, 1), flow(&self.space, 1, 2)]);
        }
    }

    /// Ends the traffic. Returns what each NIC was offered: received, transmitted.
    pub fn stop_traffic(&mut self) -> Vec<[Offered; 2]> {
        let mut journals = self.flows.drain(..).map(Flow::stop);
        let mut offered = Vec::new();
        for (nic, dev) in NICS.iter().enumerate() {
            let mut of = |space: &Namespace, dev: &str| {
                let journal = journals.next().unwrap_or_default();
                Offered { bytes: space.sent(dev).0, journal }
            };
            offered.push([of(&self.neighbour, &format!("far{nic}")), of(&self.space, dev)]);
        }
        offered
    }
}

/// The log of the program with this data directory.
#[must_use]
pub fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.with_extension("log")).unwrap_or_default()
}
