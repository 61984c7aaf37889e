//! The schedule of faults, drawn from a seed alone.

use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// Agents in the testbed. The last one samples every 10 ms into a spool of 1 MiB.
pub const AGENTS: usize = 2;

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Clock errors, nanoseconds; a random part is added.
const STEPS: [i64; 9] = [
    SECOND,
    10 * SECOND,
    5 * 60 * SECOND,
    HOUR,
    26 * HOUR,
    2 * DAY,
    8 * DAY,
    2 * 365 * DAY,
    20 * 365 * DAY,
];

/// Furthest that an agent's clock lags: older samples are past their retention.
const BEHIND: i64 = 5 * DAY;

/// A temporary fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An agent is killed (SIGKILL) and starts again.
    KillAgent(usize),
    /// An agent is paused (SIGSTOP) and resumes.
    PauseAgent(usize),
    /// An agent's data directory is full.
    FillDisk(usize),
    /// An agent's link to the collectors is down.
    LinkDown(usize),
    /// An agent's link to the collectors loses a percentage of packets, both ways.
    Loss(usize, u64),
    /// An agent's link silently swallows large packets.
    BlackHole(usize),
    /// An agent's address changes.
    NewAddress(usize),
    /// A collector is killed (SIGKILL) and starts again.
    KillCollector(usize),
    /// A collector is paused (SIGSTOP) and resumes.
    PauseCollector(usize),
    /// All collectors are down.
    KillCollectors,
    /// The database ends without a checkpoint, as in a crash.
    CrashDatabase,
    /// The database is paused (SIGSTOP) and resumes.
    PauseDatabase,
    /// An agent is stopped (SIGTERM), must obey in time, and starts again.
    StopAgent(usize),
    /// Collectors are stopped (SIGTERM), must obey in time, and start again.
    StopCollectors,
    /// The wall clock of an agent's host is ahead by these nanoseconds, then is set right.
    AgentClock(usize, i64),
    /// The wall clock of the collectors' host is ahead by these nanoseconds, then is set right.
    CollectorClock(i64),
    /// An agent's host sleeps for these nanoseconds; when it wakes, the time is set right.
    Sleep(usize, i64),
}

impl Fault {
    /// The part it hits: each has one fault at a time.
    const fn part(self) -> (u8, usize) {
        match self {
            Self::KillAgent(agent) | Self::PauseAgent(agent) | Self::StopAgent(agent) => (0, agent),
            Self::FillDisk(agent) => (1, agent),
            Self::LinkDown(agent)
            | Self::Loss(agent, _)
            | Self::BlackHole(agent)
            | Self::NewAddress(agent) => (2, agent),
            Self::KillCollector(_)
            | Self::PauseCollector(_)
            | Self::KillCollectors
            | Self::StopCollectors => (3, 0),
            Self::CrashDatabase | Self::PauseDatabase => (4, 0),
            Self::AgentClock(agent, _) | Self::Sleep(agent, _) => (5, agent),
            Self::CollectorClock(_) => (6, 0),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillAgent(agent) => write!(f, "kill agent {agent}"),
            Self::PauseAgent(agent) => write!(f, "pause agent {agent}"),
            Self::FillDisk(agent) => write!(f, "fill disk of agent {agent}"),
            Self::LinkDown(agent) => write!(f, "link of agent {agent} down"),
            Self::Loss(agent, percent) => write!(f, "link of agent {agent} loses {percent} %"),
            Self::BlackHole(agent) => write!(f, "link of agent {agent} swallows large packets"),
            Self::NewAddress(agent) => write!(f, "new address of agent {agent}"),
            Self::KillCollector(one) => write!(f, "kill collector {one}"),
            Self::PauseCollector(one) => write!(f, "pause collector {one}"),
            Self::KillCollectors => write!(f, "kill all collectors"),
            Self::CrashDatabase => write!(f, "crash the database"),
            Self::PauseDatabase => write!(f, "pause the database"),
            Self::StopAgent(agent) => write!(f, "stop agent {agent}"),
            Self::StopCollectors => write!(f, "stop all collectors"),
            Self::AgentClock(agent, by) => {
                write!(f, "clock of agent {agent} {} s ahead", by / SECOND)
            }
            Self::CollectorClock(by) => write!(f, "clock of collectors {} s ahead", by / SECOND),
            Self::Sleep(agent, by) => {
                write!(f, "host of agent {agent} sleeps for {} s", by / SECOND)
            }
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Begin, from the start of the run.
    pub from: Duration,
    /// End.
    pub to: Duration,
    /// The fault.
    pub fault: Fault,
}

/// The parts that faults can hit.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// Number of collectors.
    pub collectors: usize,
    /// True with a database server.
    pub database: bool,
}

/// The faults of a run of `length`, ordered by begin. All end within the run.
#[must_use]
pub fn plan(seed: u64, length: Duration, parts: Parts) -> Vec<Step> {
    let mut random = Random::new(seed);
    let end = ms(length);
    // One outage of all collectors is long enough to fill the small spool.
    let long = end * 2 / 5;
    let from = random.below((end - long).max(1));
    let outage = |from: u64, lasts: u64, fault| Step {
        from: Duration::from_millis(from),
        to: Duration::from_millis(from + lasts),
        fault,
    };
    let mut steps = vec![outage(from, long, Fault::KillCollectors)];
    let mut at = 0;
    loop {
        at += 100 + random.below(1500);
        let fault = any(&mut random, parts);
        // A ring holds one second: only some pauses are longer.
        let brief = matches!(fault, Fault::PauseAgent(_)) && random.below(4) > 0;
        let lasts = 100 + random.below(if brief { 600 } else { 4000 });
        let step = outage(at, lasts, fault);
        if at + lasts > end {
            break;
        }
        let busy = |other: &Step| {
            other.fault.part() == fault.part() && other.from <= step.to && step.from <= other.to
        };
        if !steps.iter().any(busy) {
            steps.push(step);
        }
    }
    steps.sort_by_key(|step| step.from);
    steps
}

/// A schedule of wrong clocks and sleeping hosts, with stops, kills and an outage.
#[must_use]
pub fn clocks(seed: u64, length: Duration, parts: Parts) -> Vec<Step> {
    let (mut random, end) = (Random::new(seed), ms(length));
    let mut steps: Vec<Step> = Vec::new();
    for _ in 0..400 {
        let fault = wrong_clock(&mut random, parts);
        let lasts = 300 + random.below(4000);
        let from = random.below(end.saturating_sub(lasts).max(1));
        let [from, to] = [from, (from + lasts).min(end)].map(Duration::from_millis);
        let step = Step { from, to, fault };
        // A stopping agent drains for seconds and measures nothing meanwhile.
        let apart = Duration::from_millis(if fault.part().0 == 0 { 6000 } else { 400 });
        let busy = |other: &Step| {
            other.fault.part() == fault.part()
                && other.from <= step.to + apart
                && step.from <= other.to + apart
        };
        if !steps.iter().any(busy) {
            steps.push(step);
        }
    }
    steps.sort_by_key(|step| step.from);
    steps
}

fn wrong_clock(random: &mut Random, parts: Parts) -> Fault {
    let agent = usize::try_from(random.below(AGENTS as u64)).unwrap_or(0);
    let step = STEPS[usize::try_from(random.below(STEPS.len() as u64)).unwrap_or(0)];
    let step = step + random.below(SECOND.unsigned_abs()).cast_signed();
    let signed = if random.below(2) == 0 { step } else { -step };
    match random.below(12) {
        0..4 => Fault::AgentClock(agent, signed.max(-BEHIND)),
        4..6 => Fault::CollectorClock(signed),
        6..8 => Fault::Sleep(agent, HOUR + random.below((60 * HOUR).unsigned_abs()).cast_signed()),
        8 => Fault::StopAgent(agent),
        9 => Fault::KillAgent(agent),
        10 => Fault::StopCollectors,
        _ if parts.collectors > 1 => Fault::KillCollector(0),
        _ => Fault::KillCollectors,
    }
}

/// `count` kills of agents, at random moments after their start.
#[must_use]
pub fn kills(seed: u64, count: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut next = [0; AGENTS];
    let mut steps = Vec::new();
    for n in 0..count {
        let agent = usize::try_from(n % AGENTS as u64).unwrap_or(0);
        let from = next[agent] + 50 + random.below(900);
        next[agent] = from + 10 + random.below(200);
        let [from, to] = [from, next[agent]].map(Duration::from_millis);
        steps.push(Step { from, to, fault: Fault::KillAgent(agent) });
    }
    steps.sort_by_key(|step| step.from);
    steps
}

fn any(random: &mut Random, parts: Parts) -> Fault {
    let agent = usize::try_from(random.below(AGENTS as u64)).unwrap_or(0);
    let collector = usize::try_from(random.below(parts.collectors as u64)).unwrap_or(0);
    match random.below(if parts.database { 12 } else { 10 }) {
        0 | 1 => Fault::KillAgent(agent),
        2 => Fault::PauseAgent(agent),
        3 => Fault::FillDisk(agent),
        4 => Fault::LinkDown(agent),
        5 => Fault::Loss(agent, 1 + random.below(60)),
        6 => Fault::BlackHole(agent),
        7 => Fault::NewAddress(agent),
        8 => Fault::KillCollector(collector),
        9 => Fault::PauseCollector(collector),
        10 => Fault::CrashDatabase,
        _ => Fault::PauseDatabase,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        let parts = Parts { collectors: 2, database: true };
        let minute = Duration::from_secs(60);
        let steps = plan(7, minute, parts);
        assert_eq!(steps, plan(7, minute, parts));
        assert_ne!(steps, plan(8, minute, parts));
        assert!(steps.len() > 10 && steps.iter().all(|step| step.to <= minute), "{steps:?}");
    }

    #[test]
    fn clocks_of_a_seed_go_wrong_by_seconds_and_years_both_ways() {
        let parts = Parts { collectors: 1, database: false };
        let all = (0..50).flat_map(|seed| clocks(seed, Duration::from_secs(15), parts));
        let by: Vec<i64> = all
            .filter_map(|step| match step.fault {
                Fault::AgentClock(_, by) | Fault::CollectorClock(by) => Some(by),
                _ => None,
            })
            .collect();
        for (from, to) in [(-2, -1), (1, 2), (-20 * 31_536_001, -20 * 31_535_999)] {
            assert!(by.iter().any(|by| (from * SECOND..=to * SECOND).contains(by)), "{from} s");
        }
    }

    #[test]
    fn one_part_has_one_fault_at_a_time() {
        for seed in 0..50 {
            let parts = Parts { collectors: 2, database: true };
            let steps = plan(seed, Duration::from_secs(60), parts);
            for (n, one) in steps.iter().enumerate() {
                let later = &steps[n + 1..];
                let same = |other: &&Step| other.fault.part() == one.fault.part();
                assert!(later.iter().filter(same).all(|other| other.from > one.to), "{seed}");
            }
        }
    }
}
