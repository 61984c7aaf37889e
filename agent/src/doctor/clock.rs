//! The clock that stamps packets, and what synchronises it.

use std::fs;

use settings::examine_time_sync;

use settings::Finding;

pub(super) fn examine() -> Vec<Finding> {
    let source =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    vec![clock_source(source.unwrap_or_default().trim()), examine_time_sync()]
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

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Level;

    #[test]
    fn slow_clocks_are_warned_of() {
        assert_eq!(clock_source("tsc").level, Level::Ok);
        assert_eq!(clock_source("hpet").level, Level::Warn);
        assert_eq!(clock_source("").level, Level::Warn);
    }
}
