//! The proof of talkers for `fsck`: each list can be read, adds up, and has the total of the samples of the
//! same interval, where these are all there. Pure: every store decides the same.

use std::collections::BTreeMap;
use std::fmt;

use settings::InFull;
use wire::WallNs;

use crate::store::rows::nics::NicId;
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
