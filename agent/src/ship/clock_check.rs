//! Compares this host's clock with the collector's by its probes, because samples are dated by one
//! and looked up by the other. Pure.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::WallNs;
use wire::certificate::utc;

/// Probes that must agree before a warning: a single one may have been delayed.
const PROBES: u32 = 2;

/// Compares the clocks at every probe.
#[derive(Debug)]
pub struct ClockCheck {
    /// Largest difference that is ignored, nanoseconds: a sample's interval.
    tolerance_ns: u64,
    /// Probes in a row that found them different.
    different: u32,
    told: bool,
}

/// A change to report, once.
#[derive(Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// The clocks differ; the text says how.
    Differ(String),
    /// They differed, and agree again.
    Agree,
}

impl ClockCheck {
    /// Assumes that the clocks agree.
    #[must_use]
    pub fn new(tolerance_ns: u64) -> Self {
        Self { tolerance_ns, different: 0, told: false }
    }

    /// Takes a probe that left at `asked_ns` by the collector's clock and came at `arrived_ns` by
    /// this host's, with the connection's round-trip time.
    pub fn on_probe(
        &mut self,
        asked_ns: WallNs,
        arrived_ns: WallNs,
        rtt: Duration,
    ) -> Option<ClockVerdict> {
        let rtt_ns = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
        let left_ns = asked_ns.saturating_add(rtt_ns / 2);
        if left_ns.abs_diff(arrived_ns) <= self.tolerance_ns.saturating_add(rtt_ns) {
            self.different = 0;
            return std::mem::take(&mut self.told).then_some(ClockVerdict::Agree);
        }
        self.different = self.different.saturating_add(1);
        if self.told || self.different < PROBES {
            return None;
        }
        self.told = true;
        Some(ClockVerdict::Differ(difference(arrived_ns, left_ns)))
    }
}

/// Describes how far this host's clock is from the collector's; both in nanoseconds since 1970.
#[must_use]
pub fn difference(here_ns: WallNs, there_ns: WallNs) -> String {
    let by = Duration::from_nanos(here_ns.abs_diff(there_ns));
    // Rounded, so that the text doesn't change with every probe.
    let by = if by.as_secs() < 120 {
        format!("{:.1} s", by.as_secs_f64())
    } else {
        format!("{} min", by.as_secs() / 60)
    };
    let way = if here_ns > there_ns { "ahead of" } else { "behind" };
    let time = |at: WallNs| utc(UnixTime::since_unix_epoch(Duration::from_nanos(at.get())));
    format!(
        "this host's clock is {by} {way} the collector's: {} here, {} there; check the clocks of \
         both (timedatectl, chronyc tracking)",
        time(here_ns),
        time(there_ns)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const NOW: u64 = 1_700_000_000_000 * MS;
    const RTT: Duration = Duration::from_millis(20);

    #[test]
    fn a_difference_is_told_once_and_so_is_its_end() {
        let mut check = ClockCheck::new(500 * MS);
        let mut probe = |ahead_ms: i64| {
            let arrived = (NOW + 10 * MS).saturating_add_signed(ahead_ms * MS.cast_signed());
            check.on_probe(WallNs(NOW), WallNs(arrived), RTT)
        };
        assert_eq!(probe(0), None);
        assert_eq!(probe(3000), None, "one probe may have been late");
        assert_eq!(probe(400), None);
        assert_eq!(probe(3000), None);
        let Some(ClockVerdict::Differ(text)) = probe(3000) else { panic!("nothing said") };
        assert!(text.contains("3.0 s ahead of the collector's: 2023-11-14"), "{text}");
        assert_eq!(probe(3000), None, "once");
        assert_eq!(probe(-900), None, "whatever it is by then");
        assert_eq!(probe(100), Some(ClockVerdict::Agree));
        assert_eq!(probe(-900), None);
        let Some(ClockVerdict::Differ(text)) = probe(-900) else { panic!("nothing said") };
        assert!(text.contains("0.9 s behind"), "{text}");
    }

    #[test]
    fn a_clock_that_is_years_off_is_no_number_of_seconds() {
        let text = difference(WallNs(0), WallNs(20 * 365 * 86_400_000 * MS));
        assert!(text.contains("10512000 min behind"), "{text}");
    }
}
