//! Seeds: the first inputs of each corpus, made by the programs' own parts. What fuzzing found is
//! beside them.

mod host;
mod texts;
mod wire_bytes;

use std::fs;
use std::io;

use crate::{Target, bounded};

/// Name and input.
type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Writes all of them; those of before are replaced.
///
/// # Errors
/// What the system says of a file that can't be written.
pub fn write() -> io::Result<()> {
    for (target, seeds) in [wire_bytes::all(), host::all(), texts::all()].concat() {
        let Some(target) = Target::named(target) else { continue };
        fs::create_dir_all(target.corpus())?;
        for (name, input) in seeds {
            assert!(input.len() <= target.input_max, "{}: {name} is too long", target.name);
            bounded::run(target, &input);
            fs::write(target.corpus().join(format!("seed-{name}")), input)?;
        }
    }
    Ok(())
}
