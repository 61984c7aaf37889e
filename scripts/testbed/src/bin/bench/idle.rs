//! `bench idle`: the cost of the agent on a host whose NICs are silent.

use std::time::Duration;

use clap::Args;
use testbed::http::HTTP;
use testbed::{Namespace, Running, Site, metric, sh, wait_until};

use super::process::{Thread, cpu_ns, memory, threads};
use super::space::in_own_namespace;
use super::table::{Table, met};

/// Size of one NIC's ring, bytes.
const RING: u64 = 16 << 20;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// NICs, with one ring each
    #[arg(long, default_value_t = 4)]
    nics: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Runs a collector and an agent in their own network namespace.
///
/// # Errors
/// Fails if no namespace can be made.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if !in_own_namespace()? {
        return Ok(());
    }
    let beyond = Namespace::new();
    for nic in 0..options.nics {
        sh(&format!(
            "ip link add nic{nic} type veth peer name peer{nic} netns {} && ip link set nic{nic} up",
            beyond.pid()
        ));
        beyond.sh(&format!("ip link set peer{nic} up"));
    }
    let site = Site::new();
    let _collector = site.start_collector();
    site.enroll();
    let mut command = site.agent(&["run"]);
    command.env("NETMON_AGENT_MONITOR__SAMPLE_INTERVAL", "500ms");
    command.env("NETMON_AGENT_MONITOR__REPORT_INTERVAL", "500ms");
    let agent = Running::start(command, &site.dir().join("a.log"));
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 0.0);
    // Wait for the agent to finish its start, and for IPv6 to finish announcing itself on new NICs.
    std::thread::sleep(Duration::from_secs(5));

    let (before, before_ns) = (threads(agent.pid()), cpu_ns(agent.pid()));
    std::thread::sleep(Duration::from_secs(options.seconds.into()));
    let (after, after_ns) = (threads(agent.pid()), cpu_ns(agent.pid()));

    let seconds = f64::from(options.seconds);
    let mut table = Table::new(&["thread", "% of a core", "wake-ups/s"]);
    for thread in &after {
        let was = before.iter().find(|other| other.id == thread.id);
        let (was_ns, was_woken) = was.map_or((0, 0), |was| (was.cpu_ns, was.wakeups));
        table.row([
            thread.name.clone(),
            format!("{:.3}", percent(thread.cpu_ns - was_ns, seconds)),
            format!("{:.1}", f64::from(u32::try_from(thread.wakeups - was_woken)?) / seconds),
        ]);
    }
    let core = percent(after_ns - before_ns, seconds);
    let wakeups = |threads: &[Thread]| threads.iter().map(|thread| thread.wakeups).sum::<u64>();
    let woken = f64::from(u32::try_from(wakeups(&after) - wakeups(&before))?) / seconds;
    table.row(["all".to_owned(), format!("{core:.3}"), format!("{woken:.1}")]);
    println!("agent run, {} silent NICs at 500 ms, connected to a collector", options.nics);
    table.print();
    let memory = memory(agent.pid());
    let rings = u64::from(options.nics) * RING;
    println!(
        "memory: {:.1} MiB resident: {:.1} anonymous, {:.1} files, {:.1} shared; rings {:.1}",
        mib(memory.resident()),
        mib(memory.own),
        mib(memory.files),
        mib(memory.shared),
        mib(rings)
    );
    println!("{core:.3} % of a core, target below 0.5: {}", met(core < 0.5));
    let beside = mib(memory.resident().saturating_sub(rings));
    println!("{beside:.1} MiB beside the rings, target below 30: {}", met(beside < 30.0));
    agent.stop();
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
fn percent(cpu_ns: u64, seconds: f64) -> f64 {
    cpu_ns as f64 / seconds / 1e7
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
