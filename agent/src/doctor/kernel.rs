//! Capabilities, and the kernel features of a ring.

use std::fs;

use crate::capture::probe::{self, VnetHeaderSupport};
use crate::capture::ring::{Ring, RingConfig, RingError};
use settings::{Finding, InFull};

/// Bit of `CAP_NET_RAW` (`include/uapi/linux/capability.h`).
const CAP_NET_RAW: u32 = 13;

pub(super) fn examine() -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    vec![capability(&status), ring()]
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

/// Opens a ring on the loopback for a moment.
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
        Err(error @ RingError::Bind { .. }) => Finding::warn("kernel", error.in_full().to_string()),
        Err(error) => Finding::fail("kernel", error.in_full().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Level;

    #[test]
    fn the_capability_is_one_bit_of_the_mask() {
        assert_eq!(capability("Name:\tx\nCapEff:\t0000000000002000\n").level, Level::Ok);
        let missing = capability("CapEff:\t0000000000001000\n");
        assert_eq!(missing.level, Level::Fail);
        assert!(missing.text.contains("setcap"));
        assert_eq!(capability("").level, Level::Warn);
    }
}
