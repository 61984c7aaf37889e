//! The collector under attack by an independent QUIC client (aioquic) and by plain sockets, and the
//! agent at the mercy of a hostile collector, while honest agents' delivery is watched.
//!
//! `attacks.py` and `web.py` have the attacks, one function each; `scripts/bench hostile` runs the
//! same with figures in print.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod agents;
mod certificates;
mod collectors;
mod disk;
mod files;
mod requests;
mod words;

use serde_json::Value;
use testbed::Site;
use testbed::siege::{Cost, Siege};

/// Longest time that an honest report may take to be committed while an attack goes on,
/// milliseconds: CI is a busy place. What attacks cost on a quiet machine, `scripts/bench hostile`
/// tells.
const LATE_MS: f64 = 15_000.0;

/// Most memory that a collector may take, MiB: its units' limit is far above.
const MEMORY_MIB: u64 = 400;

#[test]
fn the_format_that_attacks_speak_is_that_of_the_golden_files() {
    let checked = testbed::siege::python("wire.py").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Runs attacks one after the other, each for `seconds` at most and to a part of its full extent,
/// and gives what they said, and what all together cost. Honest agents may notice nothing of it.
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
