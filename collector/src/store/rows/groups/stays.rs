//! In which groups a client was when.

use std::collections::{BTreeMap, BTreeSet};

use wire::WallNs;
use wire::tag::{Tag, TagKey};

use crate::store::rows::tags::TagInterval;

/// A client's stay in a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub value: Option<String>,
    pub from_ns: WallNs,
    pub to_ns: WallNs,
}

/// The stays of a client between two times in groups by the values of a tag, while it has others, oldest
/// first. `tags` are its intervals in any order, of which those of one key don't overlap.
pub(super) fn stays_of(
    (first_ns, last_ns): (WallNs, WallNs),
    by: Option<&TagKey>,
    having: &[Tag],
    tags: &[&TagInterval],
) -> Vec<Stay> {
    let mut tags = tags.to_vec();
    tags.sort_unstable_by_key(|it| it.from_ns);
    let ends = tags.iter().flat_map(|it| [Some(it.from_ns), it.to_ns]).flatten();
    let inside = ends.filter(|at| first_ns < *at && *at < last_ns);
    let cuts: BTreeSet<WallNs> = inside.chain([first_ns, last_ns]).collect();
    let cuts: Vec<WallNs> = cuts.into_iter().collect();
    let mut next = tags.iter().peekable();
    // Of each key the interval that began last.
    let mut newest: BTreeMap<&TagKey, &TagInterval> = BTreeMap::new();
    let mut stays: Vec<Stay> = Vec::new();
    for pair in cuts.windows(2) {
        let &[from_ns, to_ns] = pair else { continue };
        while let Some(begun) = next.next_if(|it| it.from_ns <= from_ns) {
            newest.insert(&begun.key, begun);
        }
        let value = |key: &TagKey| {
            let valid = |it: &&&TagInterval| it.to_ns.is_none_or(|to_ns| from_ns < to_ns);
            newest.get(key).filter(valid).map(|it| it.value.as_str())
        };
        if !having.iter().all(|tag| value(tag.key()) == Some(tag.value())) {
            continue;
        }
        let value = by.and_then(value).map(str::to_owned);
        match stays.last_mut() {
            Some(last) if last.value == value && last.to_ns == from_ns => last.to_ns = to_ns,
            _ => stays.push(Stay { value, from_ns, to_ns }),
        }
    }
    stays
}
