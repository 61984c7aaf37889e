//! Every kind of fault while two collectors commit, and the proof after each.

use std::time::{Duration, Instant};

use clap::Args;
use testbed::sh;

use crate::feed::Feed;
use crate::lab::{Lab, collector};
use crate::proxy::Phase;
use crate::truth;

/// Options of the faults.
#[derive(Debug, Args)]
pub struct Options {
    /// Times that a node is killed, over all kinds
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Only kinds whose names contain this text; default: all
    #[arg(long)]
    only: Option<String>,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// No fault: figures for comparison.
    Nothing,
    /// One worker after the other is killed at a random moment.
    KillWorker,
    /// The coordinator is killed at a random moment.
    KillCoordinator,
    /// A worker is killed before it receives the statement of a phase.
    KillWorkerAt(Phase),
    /// The coordinator is killed before a worker receives the statement of a phase.
    KillCoordinatorAt(Phase),
    /// A worker is stopped (SIGSTOP) for a number of seconds.
    Stop(u64),
    /// A percentage of the packets to and from workers is lost for a number of seconds.
    Lose(u64, u64),
    /// A shard moves to the other worker.
    Move,
}

/// A kind of fault with its name.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    fault: Fault,
    times: u64,
    /// `citus.recover_2pc_interval`, seconds.
    recover: u64,
}

/// Seconds between rounds of Citus' maintenance. Transactions that a dead node had prepared block
/// commits to the same minutes until the next round.
const RECOVER: u64 = 5;
const RECOVER_DEFAULT: u64 = 60;

/// Longest wait for the phase of a commit.
const PHASE: Duration = Duration::from_secs(30);

fn kinds(kills: u64) -> Vec<Kind> {
    let share = |percent: u64| (kills * percent).div_ceil(100);
    let kind = |name, fault, times| Kind { name, fault, times, recover: RECOVER };
    let late = Fault::KillWorkerAt(Phase::CommitPrepared);
    let default =
        Kind { recover: RECOVER_DEFAULT, ..kind("worker killed, default recovery", late, 2) };
    let random = kills.saturating_sub(share(10) * 2 + share(20) * 2 + 2);
    vec![
        kind("no fault", Fault::Nothing, 3),
        kind("worker killed at random", Fault::KillWorker, random - random / 2),
        kind("coordinator killed at random", Fault::KillCoordinator, random / 2),
        kind("worker killed before PREPARE", Fault::KillWorkerAt(Phase::Prepare), share(10)),
        kind("worker killed before COMMIT PREPARED", late, share(20)),
        kind(
            "coordinator killed before PREPARE",
            Fault::KillCoordinatorAt(Phase::Prepare),
            share(10),
        ),
        kind(
            "coordinator killed before COMMIT PREPARED",
            Fault::KillCoordinatorAt(Phase::CommitPrepared),
            share(20),
        ),
        default,
        kind("worker stopped 30 s", Fault::Stop(30), 1),
        kind("worker stopped 90 s", Fault::Stop(90), 1),
        kind("30 % of packets lost 20 s", Fault::Lose(30, 20), 1),
        kind("all packets lost 20 s", Fault::Lose(100, 20), 1),
        kind("shard moved", Fault::Move, 2),
    ]
}

/// The outcome of a kind of fault.
#[derive(Debug, Default)]
struct Outcome {
    times: u64,
    /// Time from the end of each fault until everything delivered by then was committed.
    goes_on: Vec<Duration>,
    /// Longest time from the begin of a fault until the collectors reported it.
    told: Option<Duration>,
    wrong: Vec<String>,
}

/// Runs the faults; true if everything is sound.
#[must_use]
pub fn run(options: &Options) -> bool {
    let lab = Lab::start();
    let directory = tempfile::tempdir().expect("a directory");
    let (done, said) = collector(&lab.url, directory.path(), &["migrate"]);
    assert!(done, "{said}");
    let mut feed = Feed::new(&lab.url).expect("the URL is right");
    let wanted = |kind: &Kind| options.only.as_ref().is_none_or(|only| kind.name.contains(only));
    let (mut sound, mut kills) = (true, 0);
    println!(
        "{:<42} {:>5} {:>8} {:>19} {:>7} {:>12}  outcome",
        "fault", "times", "rows", "goes on after, s", "seen, s", "in doubt, s"
    );
    for kind in kinds(options.kills).into_iter().filter(wanted) {
        let before: u64 = feed.delivered().map(|(_, it)| it.rows).sum();
        let outcome = befall(&lab, &mut feed, &kind);
        let mut wrong = outcome.wrong;
        let settled = truth::settled(&lab.cluster);
        if settled.is_none() {
            wrong.push("transactions stay prepared".to_owned());
        }
        let rows: u64 = feed.delivered().map(|(_, it)| it.rows).sum();
        wrong.extend(truth::differs(&lab.cluster, &lab.database, feed.delivered()));
        let (proven, said) = collector(&lab.url, directory.path(), &["fsck"]);
        if !proven {
            wrong.push(format!("fsck: {said}"));
        }
        if kind.name.contains("killed") {
            kills += outcome.times;
        }
        let mut after: Vec<f64> = outcome.goes_on.iter().map(Duration::as_secs_f64).collect();
        after.sort_by(f64::total_cmp);
        let middle = after.get(after.len() / 2).copied().unwrap_or(f64::NAN);
        let most = after.last().copied().unwrap_or(f64::NAN);
        let told =
            outcome.told.map_or_else(String::new, |told| format!("{:.1}", told.as_secs_f64()));
        let doubt = settled.map_or_else(String::new, |(count, time)| {
            if count == 0 {
                "-".to_owned()
            } else {
                format!("{count} in {:.1}", time.as_secs_f64())
            }
        });
        println!(
            "{:<42} {:>5} {:>8} {:>19} {told:>7} {doubt:>12}  {}",
            kind.name,
            outcome.times,
            rows - before,
            format!("{middle:.1}, at most {most:.1}"),
            if wrong.is_empty() { "exact, sound" } else { "VIOLATION" }
        );
        for what in &wrong {
            println!("  {what}");
        }
        sound &= wrong.is_empty();
        if !feed.is_at_rest() {
            println!("agents could not end: the remaining faults are skipped");
            return false;
        }
    }
    println!(
        "{kills} kills; rows and sums of all tables {}",
        if sound { "exact" } else { "WRONG" }
    );
    sound
}

/// Inflicts a kind of fault on the nodes while agents deliver.
fn befall(lab: &Lab, feed: &mut Feed, kind: &Kind) -> Outcome {
    let mut outcome = Outcome::default();
    lab.set(&format!("citus.recover_2pc_interval = '{}s'", kind.recover));
    feed.start();
    for turn in 0..kind.times {
        // Irregular times, so that they don't coincide with commits or anything else periodic.
        std::thread::sleep(Duration::from_millis(300 + turn * 7919 % 1009));
        let begun = Instant::now();
        let mut told = None;
        let mut watch = |lasts: u64| {
            while begun.elapsed() < Duration::from_secs(lasts) {
                if told.is_none() && feed.trouble().is_some() {
                    told = Some(begun.elapsed());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        let happened = strike(lab, kind.fault, turn, &mut watch);
        outcome.told = outcome.told.max(told);
        if let Fault::Stop(_) | Fault::Lose(100, _) = kind.fault
            && told.is_none()
        {
            outcome.wrong.push("the collectors didn't report it".to_owned());
        }
        match happened {
            Ok(true) => outcome.times += 1,
            Ok(false) => outcome.wrong.push("the phase was not reached in time".to_owned()),
            Err(why) => outcome.wrong.push(why),
        }
        match feed.catch_up() {
            Some(time) => outcome.goes_on.push(time),
            None => {
                outcome.wrong.push(format!("no commits: {:?}", feed.trouble()));
                break;
            }
        }
    }
    if let Err(why) = feed.stop() {
        outcome.wrong.push(format!("{why:#}"));
    }
    outcome
}

/// Inflicts the fault once, from begin to end. Returns false if its phase was not reached.
fn strike(lab: &Lab, fault: Fault, turn: u64, watch: &mut impl FnMut(u64)) -> Result<bool, String> {
    let workers = lab.proxies.len() as u64;
    #[allow(clippy::cast_possible_truncation, reason = "a few workers")]
    let worker = (turn % workers) as usize;
    let kill = |node: usize| {
        lab.node(node).stop("QUIT");
        std::thread::sleep(Duration::from_millis(turn * 131 % 400));
    };
    match fault {
        Fault::Nothing => watch(5),
        Fault::KillWorker => {
            kill(worker + 1);
            lab.node(worker + 1).start_again();
        }
        Fault::KillCoordinator => {
            kill(0);
            lab.node(0).start_again();
        }
        Fault::KillWorkerAt(phase) | Fault::KillCoordinatorAt(phase) => {
            let node = if matches!(fault, Fault::KillWorkerAt(_)) { worker + 1 } else { 0 };
            let Some(caught) = lab.proxies[worker].catch(phase, PHASE) else { return Ok(false) };
            kill(node);
            drop(caught);
            lab.node(node).start_again();
        }
        Fault::Stop(seconds) => {
            lab.node(worker + 1).signal_all("STOP");
            watch(seconds);
            lab.node(worker + 1).signal_all("CONT");
        }
        Fault::Lose(percent, seconds) => {
            lose(lab, percent);
            watch(seconds);
            sh("nft delete table inet lossy");
        }
        Fault::Move => return move_shard(lab).map(|()| true),
    }
    Ok(true)
}

/// Drops packets between workers and everybody else, both ways.
fn lose(lab: &Lab, percent: u64) {
    let ports: Vec<String> =
        lab.cluster.workers().iter().map(|worker| worker.tls().port.to_string()).collect();
    let ports = ports.join(", ");
    // The kernel refuses a modulo comparison that always holds.
    let some =
        if percent < 100 { format!("numgen random mod 100 < {percent} ") } else { String::new() };
    sh(&format!(
        "nft -f - <<'END'\n\
         table inet lossy {{\n\
           chain input {{\n\
             type filter hook input priority 0;\n\
             tcp dport {{ {ports} }} {some}drop\n\
             tcp sport {{ {ports} }} {some}drop\n\
           }}\n\
         }}\nEND"
    ));
}

/// Moves a shard of the fact tables, and the shards beside it, to the other worker. Samples have no key
/// for replicating changes, so writes to that shard wait during the move.
fn move_shard(lab: &Lab) -> Result<(), String> {
    let sql = "
        SELECT citus_move_shard_placement(shard.shardid, there.nodename, there.nodeport,
                   other.nodename, other.nodeport, shard_transfer_mode => 'block_writes')
        FROM (SELECT shardid, groupid FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
              WHERE logicalrelid = 'hot_samples'::regclass ORDER BY shardid LIMIT 1) AS shard
        JOIN pg_dist_node AS there USING (groupid)
        JOIN pg_dist_node AS other ON other.groupid NOT IN (0, shard.groupid)";
    let before = "SELECT groupid FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
        WHERE logicalrelid = 'hot_samples'::regclass ORDER BY shardid LIMIT 1";
    let place = lab.psql(before);
    let _moved = lab.psql(sql);
    let after = lab.psql(before);
    if place == after { Err(format!("the shard is on {after} still")) } else { Ok(()) }
}
