//! Section `monitor`: how traffic is measured.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::{Interval, Problem, Size};

use super::talkers::TalkersSection;
use crate::account::bank::SLOTS;
use crate::capture::reader::hold;
use crate::capture::ring::RingConfig;
use crate::nic::choose::NicFilter;
use crate::sampler::CaptureConfig;

/// Section `monitor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Length of a sample; 10 ms to 60 s.
    pub sample_interval: Interval,
    /// Time between reports; from the sample interval to 60 s. Default: the sample interval.
    pub report_interval: Interval,
    /// Length of a mix interval; 1 s to 10 min.
    pub mix_interval: Interval,
    /// CPUs for the readers. Empty: all allowed CPUs.
    #[serde(deserialize_with = "cpus")]
    pub cpus: Vec<usize>,
    /// Rings per NIC; 1 to 64.
    pub rings_per_nic: u16,
    /// True: NICs also receive packets that are addressed to others.
    pub promiscuous: bool,
    /// Which NICs are captured.
    pub nics: NicsSection,
    /// Size of each ring.
    pub ring: RingSize,
    /// Who sent and received how much.
    pub talkers: TalkersSection,
}

/// Section `monitor.nics`: exceptions to the automatic choice of NICs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NicsSection {
    /// NICs that are always captured, in addition to the automatic choice.
    #[serde(deserialize_with = "settings::list")]
    pub include: Vec<NicGlob>,
    /// NICs that are never captured, even if included.
    #[serde(deserialize_with = "settings::list")]
    pub exclude: Vec<NicGlob>,
}

/// Section `monitor.ring`: size of each ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RingSize {
    /// Number of blocks; 4 to 4096.
    pub blocks: u32,
    /// Size of a block, a multiple of 4 KiB; 4 KiB to 16 MiB. Blocks are split if so few of them
    /// could not outlast a stall.
    pub block_size: Size,
    /// Time after which a block is read although it isn't full; 1 ms to 1 s. Rings too small to
    /// outlast a stall use a longer one.
    pub retire: Interval,
    /// Bytes captured of each packet; 64 to 65535.
    pub snaplen: u32,
    /// Most memory of all rings together; 16 MiB to 1 TiB. Rings are made smaller to stay below it.
    pub memory: Size,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            sample_interval: Interval::millis(500),
            report_interval: Interval::secs(1),
            mix_interval: Interval::secs(10),
            cpus: Vec::new(),
            rings_per_nic: 1,
            promiscuous: false,
            nics: NicsSection::default(),
            ring: RingSize::default(),
            talkers: TalkersSection::default(),
        }
    }
}

impl Default for RingSize {
    fn default() -> Self {
        Self {
            blocks: 2048,
            block_size: Size::kib(8),
            retire: Interval::millis(12),
            snaplen: 192,
            memory: Size::mib(512),
        }
    }
}

/// A glob for names of NICs: `*` is any text, `?` any character, `[ab]` one of a set, `{a,b}` either.
#[derive(Debug, Clone)]
pub struct NicGlob(GlobMatcher);

/// Why a text is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no glob: {0}; write for example eth0, eth* or enp[0-9]s0")]
pub struct InvalidGlob(String);

impl PartialEq for NicGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl FromStr for NicGlob {
    type Err = InvalidGlob;

    fn from_str(text: &str) -> Result<Self, InvalidGlob> {
        let glob = Glob::new(text).map_err(|error| InvalidGlob(error.kind().to_string()))?;
        Ok(Self(glob.compile_matcher()))
    }
}

impl fmt::Display for NicGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.glob().glob())
    }
}

impl Serialize for NicGlob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a list of CPU numbers.
fn cpus<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Cpu(usize);

    impl FromStr for Cpu {
        type Err = &'static str;

        fn from_str(text: &str) -> Result<Self, &'static str> {
            text.parse().map(Self).map_err(|_| "no CPU; write its number, for example 0")
        }
    }

    let cpus: Vec<Cpu> = settings::list(deserializer)?;
    Ok(cpus.into_iter().map(|Cpu(number)| number).collect())
}

impl Monitor {
    /// The config, in the sampler's form.
    #[must_use]
    pub fn capture(&self) -> CaptureConfig {
        let globs = |globs: &[NicGlob]| globs.iter().map(|glob| glob.0.clone()).collect();
        CaptureConfig {
            sample_interval: self.sample_interval.0,
            mix_interval: self.mix_interval.0,
            ring: RingConfig { promiscuous: self.promiscuous, ..self.ring.config() },
            ring_memory: self.ring.memory.0,
            rings_per_nic: self.rings_per_nic,
            cpus: self.cpus.clone(),
            filter: NicFilter {
                only: Vec::new(),
                include: globs(&self.nics.include),
                exclude: globs(&self.nics.exclude),
            },
            talkers: self.talkers.config(),
        }
    }

    /// Finds CPUs outside `may`, the set that this process may use, if it is known. A host may lose
    /// CPUs, so this is only a warning, and readers run where the kernel puts them.
    ///
    /// # Errors
    /// The first such CPU.
    pub fn check_cpus(&self, may: &[usize]) -> Result<(), Problem> {
        match self.cpus.iter().find(|cpu| !may.is_empty() && !may.contains(cpu)) {
            None => Ok(()),
            Some(cpu) => {
                let may = may.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
                let why = format!("this process may not use CPU {cpu}; choose from {may}");
                Err(Problem::new("monitor.cpus", why))
            }
        }
    }

    pub(super) fn check(&mut self, given: &dyn Fn(&str) -> bool) -> Result<(), Problem> {
        let longest = Interval::secs(60);
        let samples = Interval::millis(10)..=longest;
        Problem::unless_within("monitor.sample_interval", &self.sample_interval, &samples)?;
        if !given("monitor.report_interval") {
            self.report_interval = self.report_interval.max(self.sample_interval);
        }
        Problem::unless(
            self.report_interval >= self.sample_interval,
            "monitor.report_interval",
            || {
                let Self { report_interval, sample_interval, .. } = self;
                format!(
                    "{report_interval} is shorter than monitor.sample_interval \
                     ({sample_interval}); make it at least as long"
                )
            },
        )?;
        let reports = self.sample_interval..=longest;
        Problem::unless_within("monitor.report_interval", &self.report_interval, &reports)?;
        let mixes = Interval::secs(1)..=Interval::secs(600);
        Problem::unless_within("monitor.mix_interval", &self.mix_interval, &mixes)?;
        Problem::unless_within("monitor.rings_per_nic", &self.rings_per_nic, &(1..=64))?;
        self.ring.check()?;
        self.talkers.check()?;
        /// Longest name that Linux allows.
        const TICK_MAX_NS: u64 = 10_000_000;
        // Samples that packets are held back for have to be countable into.
        let slots = u32::try_from(SLOTS / 2).unwrap_or(1);
        let held_back = hold(&self.ring.config(), TICK_MAX_NS) <= self.sample_interval.0 * slots;
        Problem::unless(held_back, "monitor.ring.retire", || {
            let Self { ring: RingSize { retire, .. }, sample_interval, .. } = self;
            format!(
                "{retire} is too long for a monitor.sample_interval of {sample_interval}; choose \
                 at most 200ms, or longer samples"
            )
        })
    }
}

impl RingSize {
    /// Most memory of one ring. The kernel keeps the size in a signed 32-bit number.
    const MEMORY_MAX: u64 = 1 << 30;

    /// The size, in the ring's form.
    #[must_use]
    pub fn config(&self) -> RingConfig {
        let at_most = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        RingConfig {
            block_size: at_most(self.block_size.0),
            block_count: self.blocks,
            retire_ms: u32::try_from(self.retire.0.as_millis()).unwrap_or(u32::MAX),
            snaplen: self.snaplen,
            ..RingConfig::default()
        }
    }

    fn check(&self) -> Result<(), Problem> {
        Problem::unless_within("monitor.ring.blocks", &self.blocks, &(4..=4096))?;
        let sizes = Size::kib(4)..=Size::mib(16);
        Problem::unless_within("monitor.ring.block_size", &self.block_size, &sizes)?;
        let pages = self.block_size.0.is_multiple_of(4096);
        Problem::unless(pages, "monitor.ring.block_size", || {
            format!("{} is no multiple of 4KiB; choose for example 8KiB", self.block_size)
        })?;
        let memory = u64::from(self.blocks) * self.block_size.0;
        Problem::unless(memory <= Self::MEMORY_MAX, "monitor.ring.blocks", || {
            let Self { blocks, block_size, .. } = self;
            format!(
                "{blocks} blocks of {block_size} are {}; choose at most {}",
                Size(memory),
                Size(Self::MEMORY_MAX)
            )
        })?;
        let retire = Interval::millis(1)..=Interval::secs(1);
        Problem::unless_within("monitor.ring.retire", &self.retire, &retire)?;
        Problem::unless_within("monitor.ring.snaplen", &self.snaplen, &(64..=65_535))?;
        let memory = Size::mib(16)..=Size::mib(1 << 20);
        Problem::unless_within("monitor.ring.memory", &self.memory, &memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_long_as_a_sample_unless_somebody_says_otherwise() {
        let mut monitor = Monitor { sample_interval: Interval::secs(5), ..Monitor::default() };
        monitor.check(&|_| false).unwrap();
        assert_eq!(monitor.report_interval, Interval::secs(5));
        monitor.report_interval = Interval::secs(1);
        let problem = monitor.check(&|_| true).unwrap_err();
        assert_eq!(problem.key, "monitor.report_interval");
    }

    #[test]
    fn packets_are_not_held_back_for_more_samples_than_can_be_counted_into() {
        let ring = RingSize { retire: Interval::secs(1), ..RingSize::default() };
        let mut monitor = Monitor { ring, ..Monitor::default() };
        monitor.check(&|_| true).unwrap();
        monitor.sample_interval = Interval::millis(10);
        let problem = monitor.check(&|_| true).unwrap_err();
        assert_eq!(problem.key, "monitor.ring.retire");
        monitor.ring.retire = Interval::millis(200);
        monitor.check(&|_| true).unwrap();
    }

    #[test]
    fn the_default_ring_is_the_measured_one() {
        assert_eq!(RingSize::default().config(), RingConfig::default());
    }

    #[test]
    fn cpus_are_those_that_there_are() {
        let monitor = Monitor { cpus: vec![1, 99], ..Monitor::default() };
        assert_eq!(monitor.check_cpus(&[0, 1, 99]), Ok(()));
        let problem = monitor.check_cpus(&[0, 1]).unwrap_err();
        assert_eq!(problem.why, "this process may not use CPU 99; choose from 0, 1");
        assert_eq!(monitor.check_cpus(&[]), Ok(()), "unknown");
    }

    #[test]
    fn globs_match_whole_names() {
        let glob: NicGlob = "{eth*,wlan?}".parse().unwrap();
        assert!(glob.0.is_match("eth0.7") && glob.0.is_match("wlan1"));
        assert!(!glob.0.is_match("veth0") && !glob.0.is_match("wlan10"));
    }
}
