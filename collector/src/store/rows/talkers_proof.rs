//! The proof of talkers for `fsck`: each list can be read, adds up, and has the total of the samples of the
//! same interval, where these are all there. Pure: every store decides the same.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use settings::InFull;
use wire::WallNs;

use crate::store::rows::nics::NicId;
use crate::store::rows::series::Point;
use crate::store::rows::talker_entries::UnreadableTalkers;
use crate::store::rows::talkers::StoredList;
use crate::time::Time;

/// What was found in all lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct TalkersProof {
    /// Number of lists.
    pub lists: u64,
    /// Those whose samples are all there.
    pub compared: u64,
    pub faults: BTreeMap<NicId, TalkersFault>,
}

/// Faulty lists of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct TalkersFault {
    lists: u64,
    /// The first of them.
    start_ns: WallNs,
    wrong: String,
}

/// The samples of a list's NIC that start in its interval: those of its direction added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct SamplesOfList {
    pub bytes: i128,
    pub packets: i128,
    /// Sum of their lengths, nanoseconds.
    pub covered_ns: i128,
    /// Start of the first and end of the last. `None` without samples.
    pub span: Option<(WallNs, WallNs)>,
}

impl SamplesOfList {
    /// Adds a sample, as far as it counts in one direction.
    pub fn add(&mut self, sample: &Point, sent: bool) {
        let Point { start_ns, interval_ns, rx, tx, .. } = sample;
        let counts = if sent { tx } else { rx };
        self.bytes += i128::from(counts.bytes.get());
        self.packets += i128::from(counts.packets.get());
        self.covered_ns += i128::from(*interval_ns);
        let end_ns = start_ns.saturating_add(*interval_ns);
        let (first_ns, last_ns) = self.span.unwrap_or((*start_ns, end_ns));
        self.span = Some((first_ns.min(*start_ns), last_ns.max(end_ns)));
    }

    /// True if they cover the interval of a list, no more and no less: none of them is in a gap, expired, or
    /// coarsened beyond it, and no second session measured beside.
    fn cover(&self, stored: &StoredList, precise_ns: u64) -> bool {
        let end_ns = stored.start_ns.saturating_add(stored.interval_ns);
        let same = |a: WallNs, b: WallNs| a.abs_diff(b) < precise_ns.max(1);
        self.covered_ns == i128::from(stored.interval_ns)
            && self.span.is_some_and(|(first_ns, last_ns)| {
                same(first_ns, stored.start_ns) && same(last_ns, end_ns)
            })
    }
}

/// The samples of all lists of a NIC.
#[derive(Debug, Default)]
pub(in crate::store) struct SumsOfLists {
    /// Received and transmitted, by start and length of the interval.
    sums: BTreeMap<(WallNs, u64), [SamplesOfList; 2]>,
    /// The longest interval.
    longest_ns: u64,
}

impl SumsOfLists {
    /// Expects samples for lists of an interval.
    pub fn expect(&mut self, start_ns: WallNs, interval_ns: u64) {
        self.sums.entry((start_ns, interval_ns)).or_default();
        self.longest_ns = self.longest_ns.max(interval_ns);
    }

    /// From the start of the first interval to the end of the last.
    pub fn span(&self) -> Range<WallNs> {
        let start_ns = self.sums.keys().next().map_or(WallNs(0), |(start_ns, _)| *start_ns);
        let ends = self.sums.keys().map(|(start_ns, length)| start_ns.saturating_add(*length));
        start_ns..ends.max().unwrap_or_default()
    }

    /// Adds a sample to the intervals in which it starts.
    pub fn add(&mut self, sample: &Point) {
        let first_ns = sample.start_ns.saturating_sub(self.longest_ns);
        for ((start_ns, length), sums) in
            self.sums.range_mut((first_ns, 0)..=(sample.start_ns, u64::MAX))
        {
            if start_ns.saturating_add(*length) > sample.start_ns {
                let [received, sent] = sums;
                received.add(sample, false);
                sent.add(sample, true);
            }
        }
    }

    /// The samples of a list.
    pub fn of(&self, start_ns: WallNs, interval_ns: u64, sent: bool) -> SamplesOfList {
        let sums = self.sums.get(&(start_ns, interval_ns)).copied().unwrap_or_default();
        sums[usize::from(sent)]
    }
}

impl TalkersProof {
    /// Adds a list and its samples. Stored times have a precision of `precise_ns`.
    pub fn add(
        &mut self,
        nic: NicId,
        start_ns: WallNs,
        stored: Result<StoredList, UnreadableTalkers>,
        samples: SamplesOfList,
        precise_ns: u64,
    ) {
        self.lists += 1;
        let wrong = match stored.and_then(|stored| stored.check().map(|()| stored)) {
            Err(error) => Some(error.in_full().to_string()),
            Ok(stored) if samples.cover(&stored, precise_ns) => {
                self.compared += 1;
                let (bytes, packets) = (stored.list.total_bytes, stored.list.total_packets);
                let differ = samples.bytes != i128::from(bytes.get())
                    || samples.packets != i128::from(packets.get());
                differ.then(|| {
                    format!(
                        "{} {bytes} bytes in {packets} packets, but its samples add up to {} in {}",
                        stored.direction.name(),
                        samples.bytes,
                        samples.packets
                    )
                })
            }
            Ok(_) => None,
        };
        let Some(wrong) = wrong else { return };
        let fault = self.faults.entry(nic);
        fault.and_modify(|fault| fault.lists += 1).or_insert(TalkersFault {
            lists: 1,
            start_ns,
            wrong,
        });
    }
}

impl fmt::Display for TalkersFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lists, start_ns, wrong } = self;
        let are = if *lists == 1 { "list of talkers is" } else { "lists of talkers are" };
        write!(f, "{lists} {are} wrong, the first at {}: {wrong}", Time(*start_ns))
    }
}
