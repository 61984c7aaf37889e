//! The programs under comparison: each taps one NIC and reports its losses in its own format.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Namespace, program, sh, wait_until};

use super::process;

/// The CPU of the taps. The generator uses another.
const CPU: &str = "1";

/// A program that taps a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tap {
    /// No tap: the generator alone.
    None,
    /// The agent's ring and a sum of the lengths.
    Floor,
    /// The same, letting packets gather as the agent does.
    FloorGathering,
    /// `agent watch`, with all accounting.
    Agent,
    /// The same, with talkers.
    AgentTalkers,
    /// The same without them, from another build.
    AgentBeside,
    /// `tcpdump -w /dev/null`.
    Tcpdump,
    /// softflowd.
    Softflowd,
    /// pmacctd with its memory table, by host.
    Pmacctd,
    /// Wireshark's dumpcap, writing to /dev/null.
    Dumpcap,
}

impl Tap {
    /// All taps, ours first.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Floor,
        Self::FloorGathering,
        Self::Agent,
        Self::Tcpdump,
        Self::Softflowd,
        Self::Pmacctd,
        Self::Dumpcap,
    ];

    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no tap",
            Self::Floor => "minimal reader",
            Self::FloorGathering => "minimal, gathering",
            Self::Agent => "agent watch",
            Self::AgentTalkers => "agent watch --talkers",
            Self::AgentBeside => "the other agent",
            Self::Tcpdump => "tcpdump -w /dev/null",
            Self::Softflowd => "softflowd",
            Self::Pmacctd => "pmacctd",
            Self::Dumpcap => "dumpcap",
        }
    }

    /// True if it is installed.
    #[must_use]
    pub fn is_here(self) -> bool {
        let name = match self {
            Self::None | Self::Floor | Self::FloorGathering | Self::Agent => return true,
            Self::AgentTalkers | Self::AgentBeside => return false,
            Self::Tcpdump => "tcpdump",
            Self::Softflowd => "softflowd",
            Self::Pmacctd => "pmacctd",
            Self::Dumpcap => "dumpcap",
        };
        !sh(&format!("command -v {name} || true")).is_empty()
    }

    /// The command line. `agent` is the path of the agent.
    fn command(self, agent: &Path, nic: &str, dir: &Path) -> Option<Command> {
        let args = |name: &str, args: &[&str]| {
            let mut command = Namespace::own().command("taskset");
            command.args(["-c", CPU, name]).args(args);
            command
        };
        let path = |path: std::path::PathBuf| path.display().to_string();
        let control = path(dir.join("control"));
        Some(match self {
            Self::None => return None,
            Self::Floor => args(&path(program("bench")), &["floor", nic]),
            Self::FloorGathering => args(&path(program("bench")), &["floor", nic, "--gather"]),
            Self::Agent | Self::AgentBeside => {
                args(&path(agent.to_owned()), &["watch", "--nic", nic, "--format", "json"])
            }
            Self::AgentTalkers => args(
                &path(agent.to_owned()),
                &["watch", "--talkers", "--nic", nic, "--format", "json"],
            ),
            Self::Tcpdump => args("tcpdump", &["-i", nic, "-n", "-w", "/dev/null"]),
            Self::Softflowd => {
                args("softflowd", &["-D", "-i", nic, "-c", &control, "-p", &path(dir.join("pid"))])
            }
            Self::Pmacctd => args(
                "pmacctd",
                &["-i", nic, "-P", "memory", "-c", "src_host,dst_host", "-p", &control],
            ),
            Self::Dumpcap => args("dumpcap", &["-q", "-i", nic, "-w", "/dev/null"]),
        })
    }

    /// Parses its output: packets seen and packets lost.
    fn parse(self, text: &str) -> Option<(u64, u64)> {
        let after = |mark: &str, skip: usize| {
            let rest = text.rsplit_once(mark)?.1;
            let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter(|it| !it.is_empty());
            numbers.nth(skip)?.parse::<u64>().ok()
        };
        let before = |mark: &str| text.split_once(mark)?.0.split_whitespace().last()?.parse().ok();
        match self {
            Self::None => Some((0, 0)),
            Self::Floor | Self::FloorGathering => {
                Some((after("packets ", 0)?, after("dropped ", 0)?))
            }
            Self::Agent | Self::AgentTalkers | Self::AgentBeside => {
                Some((after("\"seen\":", 0)?, after("\"drops\":", 0)?))
            }
            Self::Tcpdump => {
                Some((before(" packets captured")?, before(" packets dropped by kernel")?))
            }
            Self::Softflowd => {
                let lost = after("dropped by libpcap:", 0)?;
                Some((after("received by libpcap:", 0)?.saturating_sub(lost), lost))
            }
            Self::Pmacctd => {
                let lost = after("dropped_packets=", 0)?;
                Some((after("received_packets=", 0)?.saturating_sub(lost), lost))
            }
            Self::Dumpcap => Some((after("on interface", 0)?, after("on interface", 1)?)),
        }
    }
}

/// A running tap.
#[derive(Debug)]
pub struct Tapping {
    tap: Tap,
    child: Option<Child>,
    dir: tempfile::TempDir,
}

impl Tapping {
    /// Starts the tap on a NIC of this namespace and waits until it takes packets. `agent` is the path
    /// of the agent.
    ///
    /// # Errors
    /// Fails if the program can't be started.
    pub fn start(tap: Tap, agent: &Path, nic: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let child = match tap.command(agent, nic, dir.path()) {
            None => None,
            Some(mut command) => {
                let log = File::create(dir.path().join("log"))?;
                let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
                wait_until(tap.name(), || is_tapped(nic));
                Some(child)
            }
        };
        Ok(Self { tap, child, dir })
    }

    /// Its process id; 0 without a process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// CPU time so far, nanoseconds.
    #[must_use]
    pub fn cpu_ns(&self) -> u64 {
        self.child.as_ref().map_or(0, |child| process::cpu_ns(child.id()))
    }

    /// Stops the tap. Returns packets seen and packets lost, as it reports them.
    ///
    /// # Errors
    /// Fails if its report can't be read.
    pub fn stop(mut self) -> anyhow::Result<(u64, u64)> {
        let Some(mut child) = self.child.take() else { return Ok((0, 0)) };
        let pid = Pid::from_raw(child.id().cast_signed());
        let log = self.dir.path().join("log");
        match self.tap {
            Tap::Softflowd => {
                let control = self.dir.path().join("control");
                let statistics = format!("softflowctl -c {} statistics", control.display());
                fs::write(&log, sh(&statistics))?;
            }
            Tap::Pmacctd => {
                kill(pid, Signal::SIGUSR1)?;
                wait_until("pmacctd's account", || self.account().is_some());
            }
            _ => {}
        }
        kill(pid, Signal::SIGINT)?;
        child.wait()?;
        let text = fs::read_to_string(&log)?;
        self.account().ok_or_else(|| anyhow::anyhow!("{} said:\n{text}", self.tap.name()))
    }

    fn account(&self) -> Option<(u64, u64)> {
        self.tap.parse(&fs::read_to_string(self.dir.path().join("log")).ok()?)
    }
}

impl Drop for Tapping {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// True once a packet socket takes packets of the NIC.
fn is_tapped(nic: &str) -> bool {
    let index = nix::net::if_::if_nametoindex(nic).unwrap_or(0).to_string();
    let sockets = fs::read_to_string("/proc/net/packet").unwrap_or_default();
    // Columns Iface and R (running).
    sockets.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(4);
        columns.next() == Some(&index) && columns.next() == Some("1")
    })
}
