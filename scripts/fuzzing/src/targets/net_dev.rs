//! `/proc/net/dev`: a text with names that any user with a network namespace can choose.

use agent::nic::net_dev::counters;

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "net_dev",
    about: "the text of /proc/net/dev (agent::nic::net_dev)",
    input_max: 32 * KIB,
    memory_max: MIB,
    run,
};

fn run(input: &[u8]) {
    let found = counters(input);
    let lines = input.split(|byte| *byte == b'\n').count();
    assert!(found.len() <= lines);
    assert!(found.keys().all(|nic| nic.as_str().is_some()));
    // The last of two lines of the same NIC counts, as in a reader of lines.
    let text = input.split(|byte| *byte == b'\n').flat_map(counters);
    assert_eq!(text.collect::<std::collections::HashMap<_, _>>(), found);
}
