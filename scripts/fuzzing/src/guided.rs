//! Searches inputs guided by coverage (libFuzzer). `FUZZ_TARGET` names the target; `scripts/fuzz`
//! builds and starts this program.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls what the macro makes")]

use std::sync::OnceLock;

use fuzzing::{Target, bounded, named};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn target() -> &'static Target {
    let named = || {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET is {name:?}: no target"))
    };
    TARGET.get_or_init(named)
}

libfuzzer_sys::fuzz_target!(init: bounded::prepare(), |input: &[u8]| bounded::run(target(), input));
