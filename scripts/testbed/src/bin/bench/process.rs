//! The cost of a process, as the kernel counts it.

use std::fs;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// A thread of a process.
#[derive(Debug)]
pub struct Thread {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// CPU time so far, nanoseconds.
    pub cpu_ns: u64,
    /// Times that it slept and was woken.
    pub wakeups: u64,
}

/// The threads of a process.
#[must_use]
pub fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let thread = |task: fs::DirEntry| {
        let path = task.path().display().to_string();
        Some(Thread {
            id: task.file_name().to_str()?.parse().ok()?,
            name: fs::read_to_string(format!("{path}/comm")).ok()?.trim().to_owned(),
            cpu_ns: run_ns(&format!("{path}/schedstat")),
            wakeups: field(&format!("{path}/status"), "voluntary_ctxt_switches:"),
        })
    };
    tasks.filter_map(thread).collect()
}

/// CPU time of a process and its children so far, nanoseconds, without threads that have ended.
#[must_use]
pub fn cpu_ns(pid: u32) -> u64 {
    let own: u64 = threads(pid).iter().map(|thread| thread.cpu_ns).sum();
    own + children(pid).into_iter().map(cpu_ns).sum::<u64>()
}

/// CPU time including ended children, in hundredths of a second.
#[must_use]
pub fn cpu_ns_with_ended(pid: u32) -> u64 {
    // User and system time of a process and its ended children (proc_pid_stat(5)).
    let [user, system] = [13, 14].map(|at| stat(pid, at).unwrap_or(0));
    cpu_ns(pid) + (user + system) * 10_000_000
}

/// CPU time of this process so far, also of threads that have ended, without its children, nanoseconds.
#[must_use]
pub fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(0, |it| u64::try_from(it.num_nanoseconds()).unwrap_or(0))
}

/// CPU time of the calling thread so far, nanoseconds.
#[must_use]
pub fn own_thread_cpu_ns() -> u64 {
    run_ns("/proc/thread-self/schedstat")
}

/// Pins the calling thread to a CPU.
///
/// # Errors
/// Those of sched_setaffinity(2), most often: no such CPU.
pub fn pin(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Resident memory, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Anonymous memory.
    pub own: u64,
    /// Mapped files, including programs and libraries.
    pub files: u64,
    /// Shared memory.
    pub shared: u64,
}

impl Memory {
    /// The total.
    #[must_use]
    pub const fn resident(&self) -> u64 {
        self.own + self.files + self.shared
    }
}

/// The memory of a process.
#[must_use]
pub fn memory(pid: u32) -> Memory {
    let kib = |name| field(&format!("/proc/{pid}/status"), name) * 1024;
    Memory { own: kib("RssAnon:"), files: kib("RssFile:"), shared: kib("RssShmem:") }
}

/// The children of a process.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&other| parent(other) == Some(pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid, 1)
}

/// A field of /proc/PID/stat. Counts after the process's name, which may hold anything
/// (proc_pid_stat(5)).
fn stat<T: std::str::FromStr>(pid: u32, at: usize) -> Option<T> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(at)?.parse().ok()
}

fn run_ns(path: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
