//! One run: traffic and faults, then the proof.

use std::time::{Duration, Instant};

use testbed::clock::now_ns;
use testbed::{SLACK, metric};

use crate::agent::{Agent, NICS, Offered};
use crate::args::Args;
use crate::plan::{Fault, Step, clocks, kills, plan};
use crate::reached::Reached;
use crate::stored::{Stored, read_postgres, read_sqlite};
use crate::verdict::{judge, judge_sums};
use crate::world::{Store, World};
use crate::{faults, planted};

/// Time between two looks at the metrics, after which the collectors pack.
const LOOK: Duration = Duration::from_millis(500);

/// Reasons of gaps that a run never causes.
const DAMAGED: u64 = 2;
const FORGOTTEN: u64 = 3;

/// Longest standstill from a fault, nanoseconds. Only other processes can prolong it, when they hold
/// the kernel's rtnetlink lock while hundreds of links go away.
const STANDSTILL_NS: u64 = 2_000_000_000;

/// Longest graceful stop of a program, with slack for a busy machine. After 10 s it ends by itself.
const STOP: Duration = Duration::from_secs(11).saturating_add(SLACK);

/// Most log lines per second, of agents or of collectors.
const LINES_A_SECOND: u64 = 20;

/// Longest time until everything is delivered once no fault is left.
const SETTLE: Duration = Duration::from_secs(90);

/// Runs a seed. Returns true if everything is proven.
pub fn run(seed: u64, store: Store, args: &Args, reached: &mut Reached) -> bool {
    let mut world = World::new(store, seed, args.clocks);
    let steps = match args.kills {
        Some(count) => kills(seed, count),
        None if args.clocks => clocks(seed, args.length(), world.parts()),
        None => plan(seed, args.length(), world.parts()),
    };
    let length = steps.iter().map(|step| step.to).max().unwrap_or_default();
    println!("\nseed {seed}, {store:?}: {} faults in {length:?}", steps.len());
    if let Some(bug) = args.plant {
        planted::plant(&world, bug);
    }
    let duplicates = go_wrong(&mut world, &steps, args);
    let (offered, delivered) = settle(&mut world);
    let fsck = world.collector(0, &["fsck"]).output().expect("the collector");
    let stored = read(&world);
    reached.on_duplicates(duplicates);
    reached.on_stored(&stored);
    let agents: String = world.agents.iter().map(Agent::log).collect();
    reached.on_logs(&agents, &world.collector_logs());
    let mut sound = verdict(&world, &stored, &offered, reached);
    sound &= quick_to_stop(&world) && quiet(&agents, &world.collector_logs(), length);
    if !delivered {
        sound = false;
        println!("  not everything was delivered within {SETTLE:?}");
    }
    println!("  {} mixes", stored.mixes);
    if stored.mixes == 0 || stored.twice > 0 {
        sound = false;
        println!("  of {} mixes {} are stored twice", stored.mixes, stored.twice);
    }
    let unwarranted = stored.gaps(&[DAMAGED, FORGOTTEN]);
    if unwarranted > 0 {
        sound = false;
        println!("  {unwarranted} gaps for reasons that did not occur");
    }
    if !fsck.status.success() {
        sound = false;
        let [said, errors] = [&fsck.stdout, &fsck.stderr].map(|text| String::from_utf8_lossy(text));
        println!("  fsck: {said}{errors}");
    }
    for panicked in [agents, world.collector_logs()].iter().flat_map(|log| log.lines()) {
        if panicked.contains("panicked") {
            sound = false;
            println!("  {panicked}");
        }
    }
    if !sound {
        steps.iter().for_each(|Step { from, to, fault }| println!("  {from:?}-{to:?} {fault}"));
        if args.keep {
            println!("  kept: {}", world.keep(seed, &stored.rows).display());
        }
    }
    println!("  {}", if sound { "sound" } else { "VIOLATION" });
    sound
}

/// Follows the plan. Returns the number of duplicates that collectors counted.
fn go_wrong(world: &mut World, steps: &[Step], args: &Args) -> u64 {
    let begins = steps.iter().map(|step| (step.from, true, step.fault));
    let ends = steps.iter().map(|step| (step.to, false, step.fault));
    let mut events: Vec<(Duration, bool, Fault)> = begins.chain(ends).collect();
    events.sort_by_key(|(at, ..)| *at);
    let started = Instant::now();
    let mut duplicates = Duplicates::default();
    for (at, begin, fault) in events {
        loop {
            let left = at.saturating_sub(started.elapsed());
            std::thread::sleep(left.min(LOOK));
            duplicates.look(world);
            world.pack();
            if left <= LOOK {
                break;
            }
        }
        let before_ns = now_ns();
        if begin {
            faults::begin(world, fault);
        } else {
            if let (Fault::KillAgent(agent), Some(bug)) = (fault, args.plant) {
                planted::while_down(world, agent, bug);
            }
            faults::end(world, fault);
        }
        let after_ns = now_ns();
        if after_ns - before_ns > STANDSTILL_NS {
            world.agents.iter_mut().for_each(|agent| agent.stood_still(before_ns, after_ns));
        }
    }
    duplicates.look(world);
    duplicates.sum
}

/// Duplicates over all starts of all collectors. Their counters restart at 0.
#[derive(Debug, Default)]
struct Duplicates {
    last: Vec<u64>,
    sum: u64,
}

impl Duplicates {
    fn look(&mut self, world: &World) {
        self.last.resize(world.parts().collectors, 0);
        for (one, last) in self.last.iter_mut().enumerate() {
            if world.is_silent(one) {
                continue;
            }
            let now = metric(&world.http(one), "netmon_collector_duplicates_total");
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let now = now as u64;
            self.sum += now.saturating_sub(*last);
            *last = now;
        }
    }
}

/// Ends the traffic and waits until everything is delivered. Returns false if that takes too long.
fn settle(world: &mut World) -> (Vec<Vec<[Offered; 2]>>, bool) {
    let offered = world.agents.iter_mut().map(Agent::stop_traffic).collect();
    // By then the last packets are in a sample, even of an agent that catches up.
    std::thread::sleep(Duration::from_secs(1));
    let (begun, mut delivered) = (Instant::now(), true);
    for agent in &mut world.agents {
        let mut done = agent.stop();
        while !done && begun.elapsed() < SETTLE {
            agent.start();
            std::thread::sleep(Duration::from_secs(2));
            done = agent.stop();
        }
        delivered &= done;
    }
    world.stop_collectors();
    (offered, delivered)
}

/// Prints the slowest stop. Returns false if it took too long.
fn quick_to_stop(world: &World) -> bool {
    let stops = world.agents.iter().map(|agent| agent.slowest_stop).chain([world.slowest_stop]);
    let slowest = stops.max().unwrap_or_default();
    println!("  slowest stop {slowest:.1?}");
    slowest <= STOP
}

/// Prints the number of log lines. Returns false if a program repeated itself too often.
fn quiet(agents: &str, collectors: &str, length: Duration) -> bool {
    let most = LINES_A_SECOND * (length.as_secs() + SETTLE.as_secs());
    let lines = [agents, collectors].map(|log| log.lines().count() as u64);
    println!("  {} lines of agents, {} of collectors", lines[0], lines[1]);
    lines.iter().all(|lines| *lines <= most)
}

fn read(world: &World) -> Stored {
    match (&world.cluster, world.url()) {
        (Some(cluster), Some(url)) => read_postgres(cluster, url),
        _ => read_sqlite(&world.sqlite()),
    }
}

/// Judges every NIC and prints the findings.
fn verdict(
    world: &World,
    stored: &Stored,
    offered: &[Vec<[Offered; 2]>],
    reached: &mut Reached,
) -> bool {
    let mut sound = true;
    for (number, (agent, offered)) in world.agents.iter().zip(offered).enumerate() {
        for (nic, offered) in NICS.iter().zip(offered) {
            let client = format!("host-{number}");
            let of_nic = stored.rows.iter().filter(|row| row.client == client && row.nic == *nic);
            let rows: Vec<_> = of_nic.collect();
            let open_ns = agent.open_interval_ns();
            let verdict = if world.clocks {
                judge_sums(&rows, offered, &agent.outages)
            } else {
                judge(&rows, offered, &agent.outages, open_ns)
            };
            println!(" {client} {nic}: {} rows\n{verdict}", rows.len());
            verdict.accounts.iter().for_each(|account| reached.on_killed(account.killed.1));
            sound &= verdict.is_sound();
        }
    }
    sound
}
