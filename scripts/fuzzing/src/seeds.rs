//! Seeds: the first inputs of each corpus, made by the programs' own code. Inputs found by fuzzing lie
//! beside them.

mod host;
mod inputs;
mod stretches;
mod texts;
mod wire_bytes;

use std::fs;
use std::io;

use crate::bounded;
use crate::targets::named;

/// Writes all seeds and replaces earlier ones.
///
/// # Errors
/// Fails if a file can't be written.
pub fn write() -> io::Result<()> {
    for (target, seeds) in [wire_bytes::all(), host::all(), stretches::all(), texts::all()].concat()
    {
        let Some(target) = named(target) else { continue };
        fs::create_dir_all(target.corpus())?;
        for (name, input) in seeds {
            assert!(input.len() <= target.input_max, "{}: {name} is too long", target.name);
            bounded::run(target, &input);
            fs::write(target.corpus().join(format!("seed-{name}")), input)?;
        }
    }
    Ok(())
}
