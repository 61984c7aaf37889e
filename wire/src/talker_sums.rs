//! Sums of lists: bounds stay true, whichever of the lists a talker was in.

use std::collections::HashMap;

use crate::amount::{Bytes, Packets};
use crate::talkers::{Talker, TalkerKey, TalkerList, TalkerOwner};

/// Adds up lists of different times, NICs or hosts. Its memory is that of their entries.
#[derive(Debug, Clone, Default)]
pub struct TalkerSums {
    total_bytes: Bytes,
    total_packets: Packets,
    /// Most that a talker in none of the lists has.
    unlisted_bytes: Bytes,
    /// Fewest and most different talkers.
    distinct: (u64, u64),
    talkers: HashMap<TalkerKey, Sum>,
}

/// One talker of all lists.
#[derive(Debug, Clone, Default)]
struct Sum {
    bytes: Bytes,
    packets: Packets,
    /// How much less than `unlisted_bytes` the error is, thanks to the lists that have the talker.
    known_bytes: Bytes,
    /// `None` once lists name different owners, or one names none.
    owner: Option<TalkerOwner>,
}

impl TalkerSums {
    /// Adds a list, whose talkers refer to these owners.
    pub fn add(&mut self, list: &TalkerList, owners: &[TalkerOwner]) {
        self.total_bytes = self.total_bytes.saturating_add(list.total_bytes);
        self.total_packets = self.total_packets.saturating_add(list.total_packets);
        self.unlisted_bytes = self.unlisted_bytes.saturating_add(list.unlisted_bytes);
        let (fewest, most) = &mut self.distinct;
        *fewest = (*fewest).max(list.distinct.saturating_sub(list.distinct_error));
        *most = most.saturating_add(list.distinct.saturating_add(list.distinct_error));
        for talker in &list.talkers {
            let owner = usize::from(talker.owner).checked_sub(1).and_then(|n| owners.get(n));
            let sum = self
                .talkers
                .entry(talker.key)
                .or_insert_with(|| Sum { owner: owner.cloned(), ..Sum::default() });
            if sum.owner.as_ref() != owner {
                sum.owner = None;
            }
            sum.bytes = sum.bytes.saturating_add(talker.bytes);
            sum.packets = sum.packets.saturating_add(talker.packets);
            let known = list.unlisted_bytes.saturating_sub(list.error_bytes);
            sum.known_bytes = sum.known_bytes.saturating_add(known);
        }
    }

    /// The largest talkers of all lists, at most `most`. Adds their owners to `owners`.
    ///
    /// The error is that of the listed talker with the largest one.
    #[must_use]
    pub fn list(self, most: usize, owners: &mut Vec<TalkerOwner>) -> TalkerList {
        let error = |sum: &Sum| self.unlisted_bytes.saturating_sub(sum.known_bytes);
        let mut sorted: Vec<(TalkerKey, Sum)> = self.talkers.into_iter().collect();
        // Equal talkers in the order of their keys, so that the result is always the same.
        sorted.sort_unstable_by(|(key, a), (other, b)| b.bytes.cmp(&a.bytes).then(key.cmp(other)));
        let cut = sorted.split_off(most.min(sorted.len()));
        let left_out = cut.iter().map(|(_, sum)| sum.bytes.saturating_add(error(sum)));
        let unlisted_bytes = left_out.fold(self.unlisted_bytes, Bytes::max);
        let error_bytes = sorted.iter().map(|(_, sum)| error(sum)).max().unwrap_or_default();
        let talkers = sorted.into_iter().map(|(key, sum)| Talker {
            key,
            bytes: sum.bytes,
            packets: sum.packets,
            owner: sum.owner.map_or(0, |owner| number_of(owner, owners)),
        });
        let talkers = talkers.collect();
        let (fewest, most) = self.distinct;
        let distinct_error = most.saturating_sub(fewest).div_ceil(2);
        TalkerList {
            total_bytes: self.total_bytes,
            total_packets: self.total_packets,
            error_bytes,
            unlisted_bytes,
            distinct: fewest.saturating_add(distinct_error),
            distinct_error,
            talkers,
        }
    }
}

/// The number of an owner in a record, from 1; 0 beyond 65,535.
pub(crate) fn number_of(owner: TalkerOwner, owners: &mut Vec<TalkerOwner>) -> u16 {
    let place = owners.iter().position(|it| *it == owner).unwrap_or_else(|| {
        owners.push(owner);
        owners.len() - 1
    });
    u16::try_from(place + 1).unwrap_or(0)
}
