//! The NICs to capture, the memory of their rings, and packets that no tap sees.

use std::fs;

use super::config::mib;
use crate::capture::reader::{hold, talker_slots};
use crate::clocks;
use crate::nic::choose::Choice;
use crate::nic::driver::HW_TC;
use crate::nics::{Examined, examine as examine_nics};
use crate::sampler::memory::{TALKER_MEMORY, plan_talkers};
use crate::sampler::{CaptureConfig, allowed_cpus};
use crate::talkers::table::TALKERS;
use settings::Size;
use settings::{Finding, InFull};

/// Most NICs with a line of their own, so that other lines stay visible.
const LINES_MAX: usize = 8;

/// Descriptors of a ring: its socket, and another for its statistics.
const PER_RING: u64 = 2;

/// Descriptors of everything else: standard streams, spool, netlink, connections.
const OTHERS: u64 = 64;

pub(super) fn examine(capture: &CaptureConfig) -> Vec<Finding> {
    let nics = match examine_nics(capture) {
        Ok(nics) => nics,
        Err(error) => return vec![Finding::fail("NICs", error.in_full().to_string())],
    };
    let captured: Vec<&Examined> =
        nics.iter().filter(|nic| matches!(nic.choice, Choice::Capture { .. })).collect();
    let whole = capture.ring.bytes() * u64::from(capture.rings_per_nic);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut findings = vec![
        count(captured.len(), nics.len()),
        ring_memory(&captured, whole, capture.ring_memory, available(&read("/proc/meminfo"))),
        talker_memory(
            captured.len(),
            capture.talkers.map(|_| {
                let hold = hold(&capture.ring, clocks::tick_ns());
                let slots = talker_slots(capture.sample_interval, hold);
                slots * usize::from(capture.rings_per_nic.max(1))
            }),
        ),
        open_files(
            captured.len() as u64 * u64::from(capture.rings_per_nic),
            open_files_limit(&read("/proc/self/limits")),
        ),
    ];
    findings.extend(absent_cpus(&capture.cpus, &allowed_cpus()));
    findings.extend(captured.iter().take(LINES_MAX).map(|nic| offloads(nic)));
    if captured.len() > LINES_MAX {
        let text = format!("{} more: see `agent nics`", captured.len() - LINES_MAX);
        findings.push(Finding::ok("offloads", text));
    }
    findings.extend(captured.iter().filter_map(|nic| passed_by(nic)));
    findings
}

fn count(captured: usize, all: usize) -> Finding {
    if captured == 0 {
        let text = format!("none of {all} can be captured; `agent nics` says why");
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

/// `whole` is the memory of a NIC's rings when there is enough.
fn ring_memory(captured: &[&Examined], whole: u64, most: u64, available: Option<u64>) -> Finding {
    const SUBJECT: &str = "ring memory";
    let given: Vec<u64> = captured.iter().filter_map(|nic| nic.ring_bytes).collect();
    let need: u64 = given.iter().sum();
    let all = captured.len();
    let nics = if all == 1 { "NIC" } else { "NICs" };
    let text = format!("{} for {all} {nics}, of at most {}", Size(need), Size(most));
    if given.len() < all {
        return Finding::warn(
            SUBJECT,
            format!("{text}: {} get none; raise monitor.ring.memory", all - given.len()),
        );
    }
    if let Some(available) = available.filter(|available| need > available / 4) {
        let text = format!(
            "{text}, with {} available; lower monitor.ring.blocks or monitor.ring.memory, or \
             exclude NICs",
            mib(available)
        );
        return Finding::warn(SUBJECT, text);
    }
    match given.last().filter(|last| **last < whole) {
        Some(last) => Finding::ok(
            SUBJECT,
            format!(
                "{text}; as little as {} per NIC instead of {}: raise monitor.ring.memory if \
                 packets are dropped",
                Size(*last),
                Size(whole)
            ),
        ),
        None => Finding::ok(SUBJECT, text),
    }
}

/// `tables` are those of each NIC; `None`: talkers aren't counted.
fn talker_memory(nics: usize, tables: Option<usize>) -> Finding {
    const SUBJECT: &str = "talker memory";
    let Some(tables) = tables else {
        return Finding::ok(SUBJECT, "none: monitor.talkers.enabled is false");
    };
    let plan = plan_talkers(tables, nics);
    let given: Vec<(usize, u64)> = plan.into_iter().flatten().collect();
    let need = given.iter().map(|(_, bytes)| bytes).sum();
    let text = format!("up to {}, of at most {}", Size(need), Size(TALKER_MEMORY));
    if given.len() < nics {
        let text = format!(
            "{text}: the talkers of {} NICs are not counted; exclude NICs, or lower \
             monitor.rings_per_nic",
            nics - given.len()
        );
        return Finding::warn(SUBJECT, text);
    }
    match given.last().filter(|(room, _)| *room < TALKERS) {
        Some((room, _)) => Finding::ok(
            SUBJECT,
            format!(
                "{text}; as few as {room} talkers per NIC and direction without error, instead of \
                 {TALKERS}"
            ),
        ),
        None => Finding::ok(SUBJECT, text),
    }
}

/// The soft limit of open files, by `/proc/self/limits`.
fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files(rings: u64, limit: Option<u64>) -> Finding {
    const SUBJECT: &str = "open files";
    let need = rings * PER_RING + OTHERS;
    match limit {
        Some(limit) if need > limit => Finding::warn(
            SUBJECT,
            format!("{limit} are allowed, {need} may be needed; raise the limit: ulimit -n {need}"),
        ),
        Some(limit) => Finding::ok(SUBJECT, format!("up to {need} of {limit} are needed")),
        None => Finding::ok(SUBJECT, "no limit"),
    }
}

/// Configured CPUs that this process may not use.
fn absent_cpus(wanted: &[usize], may: &[usize]) -> Option<Finding> {
    let cpu = wanted.iter().find(|cpu| !may.is_empty() && !may.contains(cpu))?;
    let text = format!(
        "monitor.cpus names {cpu}, which this process may not use; its readers run on CPUs that \
         the kernel chooses; correct it, or take it out"
    );
    Some(Finding::warn("CPUs", text))
}

fn offloads(nic: &Examined) -> Finding {
    const SUBJECT: &str = "offloads";
    let name = nic.link.name;
    match nic.offloads.as_deref() {
        None => Finding::ok(SUBJECT, format!("{name}: unknown; `ethtool -k {name}` may tell")),
        Some([]) => Finding::ok(SUBJECT, format!("{name}: none")),
        Some(on) => Finding::ok(
            SUBJECT,
            format!("{name}: {}; figures are those on the wire all the same", on.join(" ")),
        ),
    }
}

/// Features that let packets bypass the tap of a NIC.
fn passed_by(nic: &Examined) -> Option<Finding> {
    const SUBJECT: &str = "tap";
    let name = nic.link.name;
    if nic.link.xdp {
        let text = format!(
            "{name}: an XDP program sees packets first; those that it drops or redirects are not \
             counted; if nobody needs it: ip link set dev {name} xdp off"
        );
        return Some(Finding::warn(SUBJECT, text));
    }
    let by_itself = nic.offloads.as_ref().is_some_and(|on| on.contains(&HW_TC));
    by_itself.then(|| {
        let text = format!(
            "{name}: {HW_TC} is on; packets that the NIC forwards by itself are not counted; if \
             nobody needs it: ethtool -K {name} {HW_TC} off"
        );
        Finding::warn(SUBJECT, text)
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::nic::link::{Class, Link};
    use settings::Level;

    const MIB: u64 = 1 << 20;

    fn nic(ring_bytes: Option<u64>) -> Examined {
        let link = Link { kind: "physical".into(), ..Link::up(1, "eth0", Class::Physical) };
        let choice = Choice::Capture { stacked: false };
        Examined { link, speed_bits: 0, offloads: Some(vec!["tso"]), choice, ring_bytes }
    }

    fn memory(rings: &[Option<u64>], available: u64) -> Finding {
        let nics: Vec<Examined> = rings.iter().map(|ring| nic(*ring)).collect();
        ring_memory(&nics.iter().collect::<Vec<_>>(), 16 * MIB, 512 * MIB, Some(available))
    }

    #[test]
    fn short_memory_is_warned_of_with_the_key_that_helps() {
        assert_eq!(available("MemFree: 1 kB\nMemAvailable:    1048576 kB\n"), Some(1 << 30));
        assert_eq!(memory(&[Some(16 * MIB); 16], 1 << 30).level, Level::Ok);
        let much = memory(&[Some(16 * MIB); 17], 1 << 30);
        assert_eq!(much.level, Level::Warn);
        assert!(much.text.contains("monitor.ring.blocks"), "{}", much.text);
        let spent = memory(&[Some(16 * MIB), None], 1 << 40);
        assert_eq!(spent.level, Level::Warn);
        assert!(spent.text.contains("1 get none; raise monitor.ring.memory"), "{}", spent.text);
        let smaller = memory(&[Some(16 * MIB), Some(MIB)], 1 << 40);
        assert_eq!(smaller.level, Level::Ok);
        assert!(smaller.text.contains("1MiB per NIC instead of 16MiB"), "{}", smaller.text);
    }

    #[test]
    fn memory_of_talkers_is_bounded_and_who_gets_little_is_said() {
        let of = |nics| talker_memory(nics, Some(6));
        assert_eq!(talker_memory(9, None).level, Level::Ok);
        let few = of(4);
        assert_eq!(few.level, Level::Ok);
        assert!(few.text.ends_with("of at most 256MiB"), "{}", few.text);
        let hundreds = of(300);
        assert_eq!(hundreds.level, Level::Ok);
        assert!(hundreds.text.contains("instead of 6144"), "{}", hundreds.text);
        let too_many = of(3000);
        assert_eq!(too_many.level, Level::Warn);
        assert!(too_many.text.contains("are not counted; exclude NICs"), "{}", too_many.text);
    }

    #[test]
    fn rings_need_descriptors() {
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
        assert_eq!(open_files(200, Some(1024)).level, Level::Ok);
        let short = open_files(600, Some(1024));
        assert!(short.level == Level::Warn && short.text.contains("ulimit -n 1264"), "{short:?}");
    }

    #[test]
    fn what_passes_the_tap_by_is_warned_of() {
        assert_eq!(passed_by(&nic(None)), None);
        let mut xdp = nic(None);
        xdp.link.xdp = true;
        assert!(passed_by(&xdp).unwrap().text.contains("xdp off"));
        let hardware = Examined { offloads: Some(vec!["tso", HW_TC]), ..nic(None) };
        assert!(passed_by(&hardware).unwrap().text.contains("ethtool -K eth0 hw-tc-offload off"));
    }
}
