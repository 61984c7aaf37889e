//! Findings of `doctor` and their output, and a check that both programs share: time synchronisation.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::foreign::Foreign;
use crate::names::Names;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// In order.
    Ok,
    /// The program works, but not at its best.
    Warn,
    /// The program can't do its work.
    Fail,
}

/// A finding about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its severity.
    pub level: Level,
    /// The subject examined.
    pub subject: &'static str,
    /// The result, with the remedy if it isn't in order.
    pub text: String,
}

impl Finding {
    /// A subject in order.
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject, text: text.into() }
    }

    /// A subject with which the program works, but not at its best.
    pub fn warn(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject, text: text.into() }
    }

    /// A subject that prevents the program's work.
    pub fn fail(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject, text: text.into() }
    }

    /// Formats it as one line.
    fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        format!("{level:4}  {:13}  {}", self.subject, Foreign(&Names::here().in_text(&self.text)))
    }
}

/// Prints findings at once, and returns the worst level.
///
/// # Errors
/// The output is closed or full.
pub fn print_findings(findings: &[Finding], out: &mut impl Write) -> io::Result<Level> {
    for finding in findings {
        writeln!(out, "{}", finding.line())?;
    }
    out.flush()?;
    Ok(findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok))
}

/// Programs that synchronise the clock, with names shortened as by the kernel.
const KEEPERS: [&str; 7] =
    ["chronyd", "ntpd", "ntpd-rs", "ntp-daemon", "ptp4l", "phc2sys", "systemd-timesyn"];

/// Checks whether anything synchronises this host's clock.
#[must_use]
pub fn examine_time_sync() -> Finding {
    let timesyncd = Path::new("/run/systemd/timesync/synchronized").exists();
    let synchronized = if timesyncd { Some(true) } else { kernel_says() };
    time_sync(synchronized, &running())
}

/// Names of the visible processes.
fn running() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

/// The kernel's clock state (adjtimex(2), `STA_UNSYNC`); `None` if systemd can't be asked.
fn kernel_says() -> Option<bool> {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match asked.ok()?.stdout.as_slice().trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn time_sync(synchronized: Option<bool>, running: &[String]) -> Finding {
    const SUBJECT: &str = "time sync";
    let keeper = running.iter().find(|name| KEEPERS.contains(&name.as_str()));
    match (synchronized, keeper) {
        (Some(true), Some(name)) => Finding::ok(SUBJECT, format!("{name} synchronises the clock")),
        (Some(true), None) => Finding::ok(
            SUBJECT,
            "the kernel says that the clock is \
         synchronised",
        ),
        (None, Some(name)) => Finding::ok(SUBJECT, format!("{name} runs")),
        (Some(false), Some(name)) => Finding::warn(
            SUBJECT,
            format!("{name} runs, but the clock isn't synchronised yet; check its log"),
        ),
        (_, None) => Finding::warn(
            SUBJECT,
            "nothing seems to synchronise the clock; run chrony or systemd-timesyncd, unless the \
             host of this container does",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_the_worst_level_counts() {
        let findings = [Finding::ok("time", "kept"), Finding::warn("disk", "full\nof \u{1b}")];
        let mut out = Vec::new();
        assert_eq!(print_findings(&findings, &mut out).unwrap(), Level::Warn);
        let lines = String::from_utf8(out).unwrap();
        assert_eq!(
            lines,
            "ok    time           kept\nwarn  disk           full\\u000aof \\u001b\n"
        );
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_warned_of() {
        let keeper = ["bash".to_owned(), "chronyd".to_owned()];
        let level = |synchronized, running: &[String]| time_sync(synchronized, running).level;
        assert_eq!(level(None, &keeper), Level::Ok);
        assert_eq!(level(Some(false), &keeper), Level::Warn);
        assert_eq!(level(None, &keeper[..1]), Level::Warn);
        assert_eq!(level(Some(true), &[]), Level::Ok);
    }
}
