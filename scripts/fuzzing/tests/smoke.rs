//! Every target replays its corpus and mutates it at random for a moment, without a nightly toolchain.
//! `scripts/fuzz TARGET SECONDS` searches further, guided by coverage.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use fuzzing::TARGETS;

/// Seconds of mutation per target.
const SECONDS: &str = "0.7";

/// Most files per corpus, and bytes of all corpora: they are cloned with the source.
const FILES_MAX: usize = 50;
const BYTES_MAX: u64 = 200 << 10;

#[test]
fn every_target_stands_its_corpus_and_random_changes_of_it() {
    let waiting = Mutex::new(TARGETS.iter());
    let at_once = thread::available_parallelism().map_or(2, usize::from);
    // For decoders that read files; in memory if possible.
    let memory = Some(Path::new("/dev/shm")).filter(|memory| memory.is_dir());
    let place = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let run = || {
        let mut broken = Vec::new();
        loop {
            // Not in the condition of the loop, which would hold the lock during its body.
            let next = waiting.lock().unwrap().next();
            let Some(target) = next else { return broken };
            // One process per target, so that time and memory are those of one input.
            let fuzz = Command::new(env!("CARGO_BIN_EXE_fuzz"))
                .args(["smoke", target.name, SECONDS])
                .env("TMPDIR", place.path())
                .output()
                .unwrap();
            if !fuzz.status.success() {
                broken.push(format!("{}: {}", target.name, String::from_utf8_lossy(&fuzz.stderr)));
            }
        }
    };
    let broken: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn corpora_are_small_and_every_one_has_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let list = |path: &Path| -> Vec<_> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut bytes = 0;
    for corpus in list(&corpora) {
        let name = corpus.file_name().unwrap().to_string_lossy().into_owned();
        assert!(fuzzing::named(&name).is_some(), "corpus/{name} has no target");
        let files = list(&corpus);
        assert!((1..=FILES_MAX).contains(&files.len()), "corpus/{name}: {} files", files.len());
        bytes += files.iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes; at most {BYTES_MAX} are to be cloned");
    assert!(TARGETS.iter().all(|target| target.corpus().is_dir()), "a target has no corpus");
}
