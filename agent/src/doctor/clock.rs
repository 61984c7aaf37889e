//! The clock that stamps packets, and who keeps it right.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Finding;

/// Programs that keep the clock, as the kernel shortens their names.
const KEEPERS: [&str; 7] =
    ["chronyd", "ntpd", "ntpd-rs", "ntp-daemon", "ptp4l", "phc2sys", "systemd-timesyn"];

pub(super) fn examine() -> Vec<Finding> {
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let timesyncd = Path::new("/run/systemd/timesync/synchronized").exists();
    let synchronized = if timesyncd { Some(true) } else { kernel_says() };
    vec![clock_source(source.unwrap_or_default().trim()), time_sync(synchronized, &running())]
}

fn clock_source(name: &str) -> Finding {
    const SUBJECT: &str = "clock source";
    match name {
        "" => Finding::warn(SUBJECT, "unknown; mount /sys to have it checked"),
        "hpet" | "acpi_pm" | "jiffies" | "pit" => Finding::warn(
            SUBJECT,
            format!("{name} makes each packet's time stamp slow; boot with clocksource=tsc"),
        ),
        name => Finding::ok(SUBJECT, name),
    }
}

/// Names of the processes that can be seen.
fn running() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

/// What the kernel says of the clock (adjtimex(2), `STA_UNSYNC`), where systemd can be asked.
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
        (Some(true), Some(name)) => Finding::ok(SUBJECT, format!("the clock is kept by {name}")),
        (Some(true), None) => Finding::ok(SUBJECT, "the kernel says that the clock is kept"),
        (None, Some(name)) => Finding::ok(SUBJECT, format!("{name} runs")),
        (Some(false), Some(name)) => Finding::warn(
            SUBJECT,
            format!("{name} runs, but the clock isn't right yet; look into its log"),
        ),
        (_, None) => Finding::warn(
            SUBJECT,
            "nothing seems to keep the clock right; run chrony or systemd-timesyncd, unless the \
             host of this container does",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn slow_clocks_and_unkept_ones_are_warned_of() {
        assert_eq!(clock_source("tsc").level, Level::Ok);
        assert_eq!(clock_source("hpet").level, Level::Warn);
        assert_eq!(clock_source("").level, Level::Warn);
        let keeper = ["bash".to_owned(), "chronyd".to_owned()];
        let level = |synchronized, running: &[String]| time_sync(synchronized, running).level;
        assert_eq!(level(None, &keeper), Level::Ok);
        assert_eq!(level(Some(false), &keeper), Level::Warn);
        assert_eq!(level(None, &keeper[..1]), Level::Warn);
        assert_eq!(level(Some(true), &[]), Level::Ok);
    }
}
