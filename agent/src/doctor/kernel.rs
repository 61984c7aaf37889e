//! Capabilities, the ring, its memory, and the NICs to capture.

use std::fs;

use super::Finding;
use crate::capture::probe::{self, VnetHeaderSupport};
use crate::capture::ring::{Ring, RingConfig, RingError};
use crate::nic::choose::{Choice, choose};
use crate::nic::inventory::Inventory;
use crate::sampler::CaptureConfig;
use settings::units::bytes;

/// Bit of `CAP_NET_RAW` (`include/uapi/linux/capability.h`).
const CAP_NET_RAW: u32 = 13;

pub(super) fn examine(capture: &CaptureConfig) -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mut findings = vec![capability(&status), ring()];
    match Inventory::open().and_then(|mut inventory| inventory.links()) {
        Ok(links) => {
            let choices = choose(&links, &capture.filter);
            let captured = choices.iter().filter(|it| matches!(it, Choice::Capture { .. })).count();
            findings.push(nics(captured, links.len()));
            findings.push(ring_memory(capture, captured as u64, available(&memory)));
        }
        Err(error) => findings.push(Finding::fail("NICs", error.to_string())),
    }
    findings
}

fn capability(status: &str) -> Finding {
    const SUBJECT: &str = "capability";
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    match mask {
        Some(mask) if mask >> CAP_NET_RAW & 1 == 1 => Finding::ok(SUBJECT, "CAP_NET_RAW is there"),
        Some(_) => Finding::fail(
            SUBJECT,
            "CAP_NET_RAW is missing; run as root, or: setcap cap_net_raw+ep $(command -v agent)",
        ),
        None => Finding::warn(SUBJECT, "/proc/self/status can't be read; mount /proc"),
    }
}

/// Tries all that a ring is made of on the loopback, for a moment.
fn ring() -> Finding {
    let small = RingConfig {
        block_size: 16 << 10,
        block_count: 4,
        vnet_header: false,
        ..RingConfig::default()
    };
    match Ring::open("lo", &small) {
        Ok(_) => {
            let support = probe::examine();
            let sound = support == VnetHeaderSupport::Full;
            let text = format!("TPACKET_V3 works; {support}");
            if sound { Finding::ok("kernel", text) } else { Finding::warn("kernel", text) }
        }
        Err(error @ RingError::Bind { .. }) => Finding::warn("kernel", error.to_string()),
        Err(error) => Finding::fail("kernel", error.to_string()),
    }
}

fn nics(captured: usize, all: usize) -> Finding {
    if captured == 0 {
        let text = format!("none of {all} would be captured; `agent nics` says why");
        return Finding::warn("NICs", text);
    }
    Finding::ok("NICs", format!("{captured} of {all} captured; `agent nics` lists them"))
}

/// `MemAvailable` in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn ring_memory(capture: &CaptureConfig, nics: u64, available: Option<u64>) -> Finding {
    const SUBJECT: &str = "ring memory";
    let ring = u64::from(capture.ring.block_size) * u64::from(capture.ring.block_count);
    let need = ring * u64::from(capture.rings_per_nic) * nics;
    let text = format!("{} for {nics} NICs", bytes(need));
    match available {
        Some(available) if need > available / 4 => Finding::warn(
            SUBJECT,
            format!(
                "{text}, with {} available; lower monitor.ring.blocks or monitor.rings_per_nic, \
                 or exclude NICs",
                bytes(available)
            ),
        ),
        _ => Finding::ok(SUBJECT, text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Level;
    use super::*;
    use crate::nic::choose::NicFilter;

    #[test]
    fn the_capability_is_one_bit_of_the_mask() {
        assert_eq!(capability("Name:\tx\nCapEff:\t0000000000002000\n").level, Level::Ok);
        let missing = capability("CapEff:\t0000000000001000\n");
        assert_eq!(missing.level, Level::Fail);
        assert!(missing.text.contains("setcap"));
        assert_eq!(capability("").level, Level::Warn);
    }

    #[test]
    fn rings_that_take_more_than_a_quarter_of_the_memory_are_warned_of() {
        let capture = CaptureConfig {
            sample_interval: Duration::from_millis(500),
            mix_interval: Duration::from_secs(10),
            ring: RingConfig::default(),
            ring_memory: 512 << 20,
            rings_per_nic: 2,
            cpus: Vec::new(),
            filter: NicFilter::default(),
        };
        let memory = available("MemFree: 1 kB\nMemAvailable:    1048576 kB\n");
        assert_eq!(memory, Some(1 << 30));
        assert_eq!(ring_memory(&capture, 8, memory).level, Level::Ok);
        let much = ring_memory(&capture, 9, memory);
        assert_eq!(much.level, Level::Warn);
        assert!(much.text.contains("monitor.ring.blocks"), "{}", much.text);
    }
}
