//! Formats figures with units for people.

use std::time::Duration;

/// SI prefixes, beginning with none.
const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// A rate in bit/s with an SI prefix, from bytes within `interval_ns`.
#[must_use]
pub fn bits_per_second(bytes: u64, interval_ns: u64) -> String {
    bit_rate(per_second(bytes, interval_ns))
}

/// A rate in bit/s with an SI prefix, from bytes per second.
#[must_use]
pub fn bit_rate(bytes_per_second: f64) -> String {
    format!("{}bit/s", prefixed(bytes_per_second * 8.0))
}

/// Reads a rate in bit/s, with an SI prefix or none: `800Mbit/s`, `9.5 Gbps`.
#[must_use]
pub fn parse_bit_rate(text: &str) -> Option<f64> {
    let rest = ["bit/s", "bps", "b/s"].into_iter().find_map(|unit| text.strip_suffix(unit))?;
    let rest = rest.trim_end();
    let prefixes = [('k', 1e3), ('K', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12)];
    let found = prefixes.into_iter().find_map(|(it, by)| Some((rest.strip_suffix(it)?, by)));
    let (number, by) = found.unwrap_or((rest, 1.0));
    Some(number.trim().parse::<f64>().ok()? * by)
}

/// A rate per second with an SI prefix, from events within `interval_ns`.
#[must_use]
pub fn count(events: u64, interval_ns: u64) -> String {
    rate(per_second(events, interval_ns))
}

/// A rate per second with an SI prefix.
#[must_use]
pub fn rate(per_second: f64) -> String {
    prefixed(per_second).trim_end().to_owned()
}

/// Bytes with an SI prefix.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    format!("{}B", prefixed(as_f64(bytes)))
}

/// A duration in its largest unit: `59s`, `12m`, `5h`, `3d`.
#[must_use]
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3600 => format!("{}m", seconds / 60),
        // Up to two days.
        seconds @ ..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn per_second(amount: u64, interval_ns: u64) -> f64 {
    as_f64(amount) * 1e9 / as_f64(interval_ns.max(1))
}

#[allow(clippy::cast_precision_loss, reason = "shown with four digits")]
const fn as_f64(figure: u64) -> f64 {
    figure as f64
}

/// Three to four digits, a space and the prefix.
fn prefixed(mut figure: f64) -> String {
    let mut prefix = "";
    for next in PREFIXES {
        prefix = next;
        if figure < 999.5 {
            break;
        }
        if next != PREFIXES[PREFIXES.len() - 1] {
            figure /= 1000.0;
        }
    }
    let decimals = match (prefix, figure) {
        ("", _) => 0,
        (_, figure) if figure < 9.995 => 2,
        (_, figure) if figure < 99.95 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$} {prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_largest_unit() {
        let told = [59, 60, 3599, 3600, 172_799, 172_800].map(|it| span(Duration::from_secs(it)));
        assert_eq!(told, ["59s", "1m", "59m", "1h", "47h", "2d"]);
    }

    #[test]
    fn rates_have_three_digits_and_a_prefix() {
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(bits_per_second(0, SECOND), "0 bit/s");
        assert_eq!(bits_per_second(124, SECOND), "992 bit/s");
        assert_eq!(bits_per_second(125, SECOND), "1.00 kbit/s");
        assert_eq!(bits_per_second(1_250_000, SECOND / 2), "20.0 Mbit/s");
        assert_eq!(bits_per_second(12_499_999, SECOND), "100 Mbit/s");
        assert_eq!(bits_per_second(15_625_000_000, SECOND), "125 Gbit/s");
        assert_eq!(count(81_274, SECOND), "81.3 k");
        assert_eq!(count(7, SECOND), "7");
        assert_eq!(bytes(1_514), "1.51 kB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }
}
