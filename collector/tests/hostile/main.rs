//! The collector under attack by an independent QUIC client (aioquic) and by plain sockets, and the
//! agent with a hostile collector, while honest agents keep delivering.
//!
//! `attacks.py` and `web.py` hold the attacks, one function each; `scripts/bench hostile` runs the same
//! attacks and prints figures.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod agents;
mod certificates;
mod collectors;
mod disk;
mod files;
mod requests;
mod words;

use serde_json::Value;
use testbed::siege::{Cost, Siege};
use testbed::{SLACK, Site};

/// Longest time until an honest report is committed during an attack, milliseconds; CI machines are
/// busy. `scripts/bench hostile` measures the cost of attacks on a quiet machine.
const LATE_MS: f64 = 30_000.0;

/// Longest time until a revoked client is cut off, with slack for a busy machine, milliseconds.
const CUT_OFF_MS: f64 = 1_000.0 + 1000.0 * SLACK.as_secs() as f64;

/// Most memory of a collector, MiB. Its unit's limit is far above.
const MEMORY_MIB: u64 = 400;

#[test]
fn the_format_that_attacks_speak_is_that_of_the_golden_files() {
    let checked = testbed::siege::python("wire.py").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// True if `/readyz` never denied and seldom was late: a busy machine delays some answers.
fn always_ready(cost: &Cost) -> bool {
    cost.ready.no == 0 && 10 * cost.ready.silent <= cost.ready.yes
}

/// Runs attacks one after the other, each for at most `seconds` and at a part of its full strength.
/// Returns their outputs and the total cost. Honest agents must not notice.
fn besieged(site: Site, attacks: &[(&str, f64, f64)]) -> (Vec<Value>, Cost) {
    let mut siege = Siege::begin(site);
    for (attack, seconds, scale) in attacks {
        let said = siege.attack(attack, *seconds, *scale);
        println!("{attack}: {said}");
    }
    let cost = siege.end();
    let slowest = cost.during_ms.iter().copied().fold(0.0, f64::max);
    assert!(cost.all_kept(), "{:?}, stopped {}\n{}", cost.kept, cost.stopped, cost.fsck);
    assert!(slowest < LATE_MS, "an honest report took {slowest} ms");
    let memory = cost.most.memory >> 20;
    assert!(memory < MEMORY_MIB, "the collector took {memory} MiB");
    assert!(!cost.log.contains("panicked"), "{}", cost.log);
    (cost.said.clone(), cost)
}
