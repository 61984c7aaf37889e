//! The clock that stamps packets, and who keeps it right.

use std::fs;
use std::path::Path;

use super::Finding;

/// Programs that keep the clock, as the kernel shortens their names.
const KEEPERS: [&str; 7] =
    ["chronyd", "ntpd", "ntpd-rs", "ntp-daemon", "ptp4l", "phc2sys", "systemd-timesyn"];

pub(super) fn examine() -> Vec<Finding> {
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let synchronized = Path::new("/run/systemd/timesync/synchronized").exists();
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

fn time_sync(synchronized: bool, running: &[String]) -> Finding {
    const SUBJECT: &str = "time sync";
    if synchronized {
        return Finding::ok(SUBJECT, "the clock was set by systemd-timesyncd");
    }
    match running.iter().find(|name| KEEPERS.contains(&name.as_str())) {
        Some(name) => Finding::ok(SUBJECT, format!("{name} runs")),
        None => Finding::warn(
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
        assert_eq!(time_sync(false, &["bash".into(), "chronyd".into()]).text, "chronyd runs");
        assert_eq!(time_sync(false, &["bash".into()]).level, Level::Warn);
        assert_eq!(time_sync(true, &[]).level, Level::Ok);
    }
}
