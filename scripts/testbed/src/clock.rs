//! Wrong clocks: a program reads a shifted wall clock and boot-time clock, while the real clocks stay
//! unchanged. The C compiler builds a shim, which is preloaded. Agents that measure meanwhile need the
//! feature `clock-seam`, because the kernel stamps packets with its own clock.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::shell::sh;

/// How early a shift is written before it applies: programs look every 50 ms.
const AHEAD: Duration = Duration::from_millis(150);

/// The wall clock now, nanoseconds since 1970 (UTC).
#[must_use]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The clocks of one program, across restarts.
#[derive(Debug)]
pub struct Clock {
    shim: PathBuf,
    steps: PathBuf,
    /// How far the wall clock is ahead, nanoseconds.
    wall_ns: i64,
    /// How far the boot-time clock is ahead, nanoseconds.
    boot_ns: i64,
}

impl Clock {
    /// Correct clocks. Their files are in `dir`.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        let (shim, source) = (dir.join("clock.so"), dir.join("clock.c"));
        if !shim.exists() {
            std::fs::write(&source, include_str!("clock_shim.c")).unwrap();
            sh(&format!("cc -shared -fPIC -O2 -o {} {} -ldl", shim.display(), source.display()));
        }
        let steps = dir.join(format!("{name}.clock"));
        std::fs::write(&steps, "").unwrap();
        Self { shim, steps, wall_ns: 0, boot_ns: 0 }
    }

    /// Makes a program read these clocks.
    pub fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("NETMON_TEST_CLOCK", &self.steps);
    }

    /// Sets the offset of the wall clock from the real one, nanoseconds; negative is behind.
    pub fn set(&mut self, wall_ns: i64) {
        self.wall_ns = wall_ns;
        self.write();
    }

    /// Lets the host sleep for these nanoseconds: both clocks run on.
    pub fn sleep(&mut self, ns: i64) {
        self.wall_ns += ns;
        self.boot_ns += ns;
        self.write();
    }

    fn write(&self) {
        let from = Duration::from_nanos(now_ns()) + AHEAD;
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.steps).unwrap();
        let line = format!("{} {} {}\n", from.as_nanos(), self.wall_ns, self.boot_ns);
        file.write_all(line.as_bytes()).unwrap();
        std::thread::sleep(AHEAD);
    }
}
