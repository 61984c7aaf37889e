//! Runs one input within limits of time and memory. An input that breaks a limit, or panics on any
//! thread, is written to a file and ends the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use crate::target::Target;

/// Measures the peak of allocated memory.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// CPU time limit of an input. A busy machine doesn't stretch CPU time.
pub const CPU_MAX: Duration = Duration::from_secs(1);

/// Wall time limit of an input: it waits for something that never comes.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Time between two looks at a running input.
const LOOK: Duration = Duration::from_millis(100);

/// The input in progress.
struct Running {
    target: &'static str,
    input: Vec<u8>,
    cpu: Duration,
    began: Instant,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Prepares the process: a panic on any thread, or an input that never ends, writes the input to a
/// file, names it and ends the process.
pub fn prepare() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        show(panic);
        // The panicking thread may hold the lock.
        let running = RUNNING.try_lock().ok().and_then(|mut running| running.take());
        if let Some(running) = running {
            end(&running, "a panic");
        }
        process::abort();
    }));
    thread::spawn(|| {
        loop {
            thread::sleep(LOOK);
            let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            let late = running.as_ref().is_some_and(|running| {
                cpu_time().saturating_sub(running.cpu) > CPU_MAX + LOOK
                    || running.began.elapsed() > WAIT_MAX
            });
            if let Some(running) = running.take_if(|_| late) {
                end(&running, "it doesn't end");
            }
        }
    });
}

/// Runs a target on an input.
pub fn run(target: &Target, input: &[u8]) {
    let input = &input[..input.len().min(target.input_max)];
    let cpu = cpu_time();
    let running =
        Running { target: target.name, input: input.to_vec(), cpu, began: Instant::now() };
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    (target.run)(input);
    let memory = MEMORY.peak_usage().saturating_sub(before);
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    let took = cpu_time().saturating_sub(cpu);
    let Some(running) = running else { return };
    if took > CPU_MAX {
        end(&running, &format!("{took:?} of CPU time; at most {CPU_MAX:?} are allowed"));
    }
    if memory > target.memory_max {
        let most = target.memory_max;
        end(&running, &format!("{memory} bytes of memory; at most {most} are allowed"));
    }
}

/// Saves the input and ends the process.
fn end(running: &Running, why: &str) -> ! {
    let Running { target, input, .. } = running;
    match keep(target, input) {
        Ok(file) => eprintln!("\n{target}: {why}, with the input in {}", file.display()),
        Err(error) => eprintln!("\n{target}: {why}, with {input:02x?} ({error})"),
    }
    process::abort()
}

/// Folder of saved inputs.
#[must_use]
pub fn finds() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    target.join("fuzz-finds")
}

fn keep(target: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let directory = finds().join(target);
    fs::create_dir_all(&directory)?;
    let file = directory.join(name_of(input));
    fs::write(&file, input)?;
    Ok(file)
}

/// File name of an input: the first 8 bytes of its SHA-256.
#[must_use]
pub fn name_of(input: &[u8]) -> String {
    Sha256::digest(input).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
