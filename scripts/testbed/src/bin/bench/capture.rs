//! `bench capture`: the cost of a captured packet, beside other programs on the same traffic.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use testbed::generator::{Generator, udp_packet};
use testbed::{Pair, program, sh};

use super::paced::{Paced, answer_nobody};
use super::process::{own_thread_cpu_ns, pin};
use super::space::in_own_namespace;
use super::table::{Table, least, median, met};
use super::tap::{Tap, Tapping};

/// The receiving NIC.
const NIC: &str = "here";

/// Whom the generator's packets are for.
const RECEIVER: &str = "192.0.2.2";

/// Our taps.
const OURS: [Tap; 5] = [Tap::None, Tap::Floor, Tap::FloorGathering, Tap::Agent, Tap::AgentTalkers];

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Measurements of each program; programs take turns
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Packets of each run at full speed
    #[arg(long, default_value_t = 1_000_000)]
    packets: u32,
    /// Only the agent, without and with talkers, and the minimal reader
    #[arg(long)]
    ours: bool,
    /// Another build of the agent, to be measured beside this one in the same run
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
}

/// The traffic of a run.
#[derive(Debug, Clone, Copy)]
struct Load {
    len: usize,
    packets: u32,
    /// Packets per second; `None`: as fast as possible.
    rate: Option<u32>,
    from: From,
}

/// Who sends the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    One,
    /// About so many, a power of two.
    Many(u32),
    /// The same, to another host: the packets are forwarded.
    ToAnother(u32),
    /// A new one each, which opens a TCP connection.
    Flood,
}

impl From {
    /// Which bits of the sender's address are random, as [`Generator::from_random`] takes them.
    const fn mask(self) -> Option<u32> {
        match self {
            Self::One => None,
            Self::Many(senders) | Self::ToAnother(senders) => Some((senders - 1).swap_bytes()),
            Self::Flood => Some(u32::MAX),
        }
    }
}

impl Load {
    fn name(&self) -> String {
        let from = match self.from {
            From::One => String::new(),
            From::Many(senders) => format!(", {senders} senders"),
            From::ToAnother(senders) => format!(", {senders} senders, forwarded"),
            From::Flood => ", a flood of TCP SYN with forged senders".to_owned(),
        };
        match self.rate {
            None => format!("{} bytes, full speed{from}", self.len),
            Some(rate) => format!("{} bytes, {rate} packets/s{from}", self.len),
        }
    }

    /// Its packets, from the MAC header on.
    fn packet(&self) -> Vec<u8> {
        let mut packet = udp_packet(self.len);
        if self.from == From::Flood {
            // TCP, a header of 20 bytes with SYN.
            (packet[23], packet[46], packet[47]) = (6, 5 << 4, 2);
        }
        packet
    }
}

/// One run of one program.
#[derive(Debug, Clone, Copy)]
struct Run {
    offered: u64,
    seen: u64,
    lost: u64,
    seconds: f64,
    /// CPU time of the tap, and of the generator, which also pays for the kernel's work for the tap.
    tap_ns: f64,
    generator_ns: f64,
}

/// Builds of the agent.
#[derive(Debug)]
struct Agents {
    own: PathBuf,
    other: PathBuf,
}

/// Runs all measurements in its own network namespace.
///
/// # Errors
/// Fails without root or if a program is missing.
pub fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        nix::unistd::geteuid().is_root(),
        "the generator needs root: sudo scripts/bench capture"
    );
    if !in_own_namespace()? {
        return Ok(());
    }
    let link = Pair::new();
    sh(&format!("ethtool -K {NIC} gro on"));
    answer_nobody(&link);
    let mut taps: Vec<Tap> = if options.ours {
        OURS.to_vec()
    } else {
        let others = Tap::ALL.into_iter().filter(|tap| !OURS.contains(tap) && tap.is_here());
        OURS.into_iter().chain(others).collect()
    };
    taps.extend(options.beside.is_some().then_some(Tap::AgentBeside));
    let agents =
        Agents { own: program("agent"), other: options.beside.clone().unwrap_or_default() };
    let full = |len| Load { len, packets: options.packets, rate: None, from: From::One };
    let calm = Load { packets: 100_000, rate: Some(100_000), ..full(60) };
    for load in [full(60), full(1500), calm] {
        measure(load, &taps, options.rounds, &agents, link.there_pid())?;
    }
    println!("\nTalkers, off and on");
    let receiver = format!("addr add {RECEIVER}/32 dev {NIC}");
    sh(&format!("ip {receiver}"));
    for from in [From::One, From::Many(1 << 10), From::Many(1 << 19), From::Flood] {
        measure(Load { from, ..full(60) }, &OURS, options.rounds, &agents, link.there_pid())?;
    }
    sh(&format!("ip {}", receiver.replace("add", "del")));
    let forwarded = Load { from: From::ToAnother(1 << 10), ..full(60) };
    measure(forwarded, &OURS, options.rounds, &agents, link.there_pid())
}

/// Measures all taps under a load and prints the table.
fn measure(
    load: Load,
    taps: &[Tap],
    rounds: u32,
    agents: &Agents,
    sender: u32,
) -> anyhow::Result<()> {
    let mut results: Vec<(Tap, Vec<Run>)> = taps.iter().map(|&tap| (tap, Vec::new())).collect();
    for _ in 0..rounds {
        for (tap, runs) in &mut results {
            let agent = if *tap == Tap::AgentBeside { &agents.other } else { &agents.own };
            runs.push(once(*tap, agent, load, sender)?);
        }
    }
    println!("\n{}", load.name());
    print(load, &results);
    Ok(())
}

fn once(tap: Tap, agent: &Path, load: Load, sender: u32) -> anyhow::Result<Run> {
    let tapping = Tapping::start(tap, agent, NIC)?;
    // Let it finish its start, which isn't measured.
    std::thread::sleep(Duration::from_millis(200));
    let before_ns = tapping.cpu_ns();
    let (seconds, generator_ns) = std::thread::spawn(move || generate(load, sender))
        .join()
        .map_err(|_| anyhow::anyhow!("the generator panicked"))?
        .context("the generator")?;
    // Let the tap read what is still in its buffers.
    std::thread::sleep(Duration::from_millis(400));
    let tap_ns = tapping.cpu_ns() - before_ns;
    let (seen, lost) = tapping.stop()?;
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    let run = Run {
        offered: load.packets.into(),
        seen,
        lost,
        seconds,
        tap_ns: tap_ns as f64 / f64::from(load.packets),
        generator_ns: generator_ns as f64 / f64::from(load.packets),
    };
    Ok(run)
}

/// Sends the packets from CPU 0. Returns the elapsed time in seconds and the CPU time in nanoseconds.
fn generate(load: Load, sender: u32) -> anyhow::Result<(f64, u64)> {
    pin(0)?;
    match load.rate {
        None => {
            let generator = match load.from.mask() {
                Some(mask) => Generator::from_random(NIC, mask)?,
                None => Generator::on(NIC)?,
            };
            let packet = load.packet();
            let (start, start_ns) = (Instant::now(), own_thread_cpu_ns());
            generator.send(&packet, load.packets)?;
            Ok((start.elapsed().as_secs_f64(), own_thread_cpu_ns() - start_ns))
        }
        Some(rate) => {
            let paced = Paced { len: load.len, packets: load.packets, rate };
            let start_ns = own_thread_cpu_ns();
            let seconds = paced.send_from(sender)?.as_secs_f64();
            Ok((seconds, own_thread_cpu_ns() - start_ns))
        }
    }
}

fn print(load: Load, results: &[(Tap, Vec<Run>)]) {
    let of = |tap: Tap, figure: fn(&Run) -> f64| -> Vec<f64> {
        let runs = results.iter().filter(|(other, _)| *other == tap).flat_map(|(_, runs)| runs);
        runs.map(figure).collect()
    };
    let cpu = |tap| median(of(tap, |run| run.tap_ns));
    let untapped = least(&of(Tap::None, |run| run.generator_ns));
    let mut table = Table::new(&[
        "",
        "packets/s",
        "offered",
        "seen",
        "lost",
        "CPU ns/packet",
        "x minimal",
        "% of a core",
        "kernel ns/packet",
    ]);
    for (tap, runs) in results {
        let sum = |figure: fn(&Run) -> u64| runs.iter().map(figure).sum::<u64>().to_string();
        let rate = median(runs.iter().map(|run| f64::from(load.packets) / run.seconds).collect());
        let mut row = vec![tap.name().to_owned(), format!("{rate:.0}"), sum(|run| run.offered)];
        if *tap == Tap::None {
            row.extend(["", "", "", "", ""].map(str::to_owned));
            row.push(format!("({untapped:.0})"));
        } else {
            let kernel = least(&of(*tap, |run| run.generator_ns)) - untapped;
            row.extend([
                sum(|run| run.seen),
                sum(|run| run.lost),
                format!("{:.1}", cpu(*tap)),
                format!("{:.2}", cpu(*tap) / cpu(Tap::Floor)),
                format!("{:.2}", cpu(*tap) * rate / 1e7),
                format!("+{kernel:.0}"),
            ]);
        }
        table.row(row);
    }
    table.print();
    for (tap, runs) in results {
        if matches!(tap, Tap::Agent | Tap::AgentTalkers) {
            let unseen: u64 = runs.iter().map(|run| run.offered.abs_diff(run.seen)).sum();
            println!("{}: {unseen} packets missed, target 0: {}", tap.name(), met(unseen == 0));
        }
    }
    if results.iter().any(|(tap, _)| *tap == Tap::AgentTalkers) {
        let talkers = cpu(Tap::AgentTalkers) - cpu(Tap::Agent);
        println!("talkers: {talkers:+.1} ns of CPU per packet");
    }
    if results.iter().any(|(tap, _)| *tap == Tap::AgentBeside) {
        // Total cost of a packet to the host: its reader, and the kernel on the sender's CPU.
        let cost = |tap| {
            least(&of(tap, |run| run.tap_ns)) + least(&of(tap, |run| run.generator_ns)) - untapped
        };
        let (own, other) = (cost(Tap::Agent), cost(Tap::AgentBeside));
        println!(
            "a packet costs {own:.0} ns in total, with the other agent {other:.0} ns: {:+.1} %",
            100.0 * (own / other - 1.0)
        );
    }
    if load.rate.is_some() {
        let core = cpu(Tap::Agent) * f64::from(load.rate.unwrap_or(0)) / 1e7;
        println!("agent: {core:.2} % of a core, target at most 1: {}", met(core <= 1.0));
        return;
    }
    let ratio = cpu(Tap::Agent) / cpu(Tap::Floor);
    println!("agent / minimal reader: {ratio:.2}, target at most 1.3: {}", met(ratio <= 1.3));
    let ratio = cpu(Tap::Agent) / cpu(Tap::FloorGathering);
    println!("agent / minimal, gathering as the agent does: {ratio:.2}");
    for (tap, _) in results.iter().filter(|(tap, _)| Tap::ALL[4..].contains(tap)) {
        let (ratio, most) =
            (cpu(Tap::Agent) / cpu(*tap), if *tap == Tap::Tcpdump { 0.5 } else { 1.0 });
        println!(
            "agent / {}: {ratio:.2}, target at most {most}: {}",
            tap.name(),
            met(ratio <= most)
        );
    }
}
