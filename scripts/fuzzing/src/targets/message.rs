//! Control messages of either side: the first byte is the kind, the rest the archive.

use settings::InFull;
use wire::codec;

use super::codec::{check, with_header};
use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "message",
    about: "a control message of an agent or collector, kind and archive (wire::message)",
    input_max: 64 * KIB,
    memory_max: 4 * MIB,
    run,
};

fn run(input: &[u8]) {
    let Some((&kind, body)) = input.split_first() else { return };
    match codec::decode(&with_header(kind, body)) {
        Ok(received) => check(received),
        Err(error) => {
            // The error is sent to the peer and logged.
            let len = error.in_full().to_string().len();
            assert!(len <= 1024, "an error of {len} bytes");
        }
    }
}
