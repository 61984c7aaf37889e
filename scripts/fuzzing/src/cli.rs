//! The command line of `fuzz`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutate};
use crate::target::Target;
use crate::targets::{TARGETS, named};
use crate::{bounded, seeds};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Fuzzes the decoders of foreign bytes")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the targets and their bounds
    List,
    /// Replay the corpus of a target, or the files given
    Replay { target: String, files: Vec<PathBuf> },
    /// Replay the corpus of a target, then mutate it at random for some seconds
    Smoke { target: String, seconds: f64 },
    /// Write the seeds of every target into its corpus, made by the programs' own code
    Seeds,
}

/// Runs the command.
#[must_use]
pub fn run() -> ExitCode {
    match obey(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> Result<(), String> {
    let named = |name: &str| named(name).ok_or_else(|| format!("no target {name:?}: see `list`"));
    bounded::prepare();
    match command {
        Command::List => {
            for Target { name, about, input_max, memory_max, .. } in TARGETS {
                let (input, memory) = (input_max >> 10, memory_max >> 20);
                println!("{name:16} {input:5} KiB  {memory:3} MiB  {about}");
            }
        }
        Command::Replay { target, files } => replay(named(&target)?, &files)?,
        Command::Smoke { target, seconds } => smoke(named(&target)?, seconds)?,
        Command::Seeds => seeds::write().map_err(|error| error.to_string())?,
    }
    Ok(())
}

fn replay(target: &Target, files: &[PathBuf]) -> Result<(), String> {
    for file in files {
        let input = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        bounded::run(target, &input);
    }
    if files.is_empty() {
        corpus(target)?.iter().for_each(|input| bounded::run(target, input));
    }
    Ok(())
}

fn smoke(target: &Target, seconds: f64) -> Result<(), String> {
    let corpus = corpus(target)?;
    corpus.iter().for_each(|input| bounded::run(target, input));
    let seed = getrandom::u64().map_err(|error| error.to_string())?;
    let (mut random, mut inputs) = (Random::new(seed), 0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        bounded::run(target, &mutate(&corpus, &mut random));
        inputs += 1;
    }
    println!("{}: {} of the corpus and {inputs} changed inputs", target.name, corpus.len());
    Ok(())
}

/// The inputs of a target's corpus.
fn corpus(target: &Target) -> Result<Vec<Vec<u8>>, String> {
    let directory = target.corpus();
    let read = || {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&directory)? {
            files.push(entry?.path());
        }
        files.sort();
        files.iter().map(fs::read).collect::<Result<Vec<_>, _>>()
    };
    match read() {
        Ok(inputs) if !inputs.is_empty() => Ok(inputs),
        Ok(_) => Err(format!("{} is empty", directory.display())),
        Err(error) => Err(format!("{}: {error}", directory.display())),
    }
}
