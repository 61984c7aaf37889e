//! Watches a collector's resources and readiness continuously.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::python::now;
use crate::http::HTTP;

/// Time between two looks, and the longest answer of `/readyz`.
const EVERY: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_secs(1);

/// Resources that a collector uses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Resident memory, bytes.
    pub memory: u64,
    /// Size of its data directory, bytes.
    pub disk: u64,
    /// CPU time so far, hundredths of a second.
    ticks: u64,
}

/// Count of each answer of `/readyz`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Ready.
    pub yes: u32,
    /// Not ready.
    pub no: u32,
    /// No answer within a second.
    pub silent: u32,
}

/// Times and the observation at each.
type Seen<T> = Arc<Mutex<Vec<(f64, T)>>>;

/// Watches a collector until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    pid: u32,
    folder: PathBuf,
    uses: Seen<Use>,
    answers: Seen<Ready>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching a process and its data directory.
    pub fn start(pid: u32, folder: &Path) -> Self {
        let (uses, answers, stop) = (Seen::default(), Seen::default(), Arc::default());
        let place = folder.to_owned();
        let threads =
            vec![look(&stop, &uses, move || used(pid, &place)), look(&stop, &answers, ask)];
        Self { pid, folder: folder.to_owned(), uses, answers, stop, threads }
    }

    /// Current use.
    pub fn now(&self) -> Use {
        used(self.pid, &self.folder)
    }

    /// Use at a given time.
    pub fn at(&self, moment: f64) -> Use {
        let seen = self.uses.lock().unwrap();
        let until = seen.iter().take_while(|(at, _)| *at <= moment);
        until.last().map_or_else(Use::default, |(_, used)| *used)
    }

    /// The largest use since `begin`, the CPU time in cores, and the answers of `/readyz`.
    pub fn since(&self, begin: f64) -> (Use, f64, Ready) {
        let uses = since(&self.uses, begin);
        let most = |of: fn(&Use) -> u64| uses.iter().map(|(_, it)| of(it)).max().unwrap_or(0);
        let most = Use { memory: most(|it| it.memory), disk: most(|it| it.disk), ticks: 0 };
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let cores = uses.first().zip(uses.last()).map_or(0.0, |(first, last)| {
            let ticks = last.1.ticks.saturating_sub(first.1.ticks);
            ticks as f64 / 100.0 / (last.0 - first.0).max(0.1)
        });
        let ready = since(&self.answers, begin).iter().fold(Ready::default(), |sum, (_, it)| {
            Ready { yes: sum.yes + it.yes, no: sum.no + it.no, silent: sum.silent + it.silent }
        });
        (most, cores, ready)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _joined = thread.join();
        }
    }
}

fn since<T: Copy>(seen: &Seen<T>, begin: f64) -> Vec<(f64, T)> {
    let seen = seen.lock().unwrap();
    seen.iter().filter(|(at, _)| *at >= begin).copied().collect()
}

fn look<T: Send + 'static>(
    stop: &Arc<AtomicBool>,
    seen: &Seen<T>,
    mut see: impl FnMut() -> T + Send + 'static,
) -> JoinHandle<()> {
    let (stop, seen) = (stop.clone(), seen.clone());
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let at = now();
            let found = see();
            seen.lock().unwrap().push((at, found));
            std::thread::sleep(EVERY);
        }
    })
}

fn ask() -> Ready {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&HTTP.parse().ok()?, ANSWER).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).ok()?;
        Some(start.ends_with(b"200"))
    };
    match answer() {
        Some(true) => Ready { yes: 1, ..Ready::default() },
        Some(false) => Ready { no: 1, ..Ready::default() },
        None => Ready { silent: 1, ..Ready::default() },
    }
}

fn used(pid: u32, folder: &Path) -> Use {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|it| it.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    // User and system time, counted after the name, which may hold anything (proc_pid_stat(5)).
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<u64>().ok()).sum();
    Use { memory: kib * 1024, disk: size(folder), ticks }
}

/// Bytes of all files in a folder and its subfolders.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(it) if it.is_dir() => size(&entry.path()),
        Ok(it) => it.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
