//! Members by parts of the range, each for one statement: a planner knows what the rows of all clients on a
//! day cost, and those of a few over a long time, but not which client has how long.

use std::collections::BTreeMap;

use wire::WallNs;

use crate::store::rows::client_days::DAY_NS;

/// Longest window of many members: as long as a partition of `bandwidth_5m`.
const LENGTH_NS: u64 = 10 * DAY_NS;

/// Most members of a window that is longer.
const MEMBERS_MAX: usize = 1000;

/// A client is in a group from `from_ns` until `to_ns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct GroupMember {
    pub client: i64,
    pub from_ns: WallNs,
    pub to_ns: WallNs,
    /// Place of the group in the list of groups.
    pub group: usize,
}

/// A part of the range, and the members within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Window {
    pub from_ns: WallNs,
    pub to_ns: WallNs,
    pub members: Vec<GroupMember>,
}

/// The windows of members, oldest first.
pub(in crate::store) fn windows(members: &[GroupMember]) -> Vec<Window> {
    let mut parts: BTreeMap<u64, Vec<GroupMember>> = BTreeMap::new();
    for member in members {
        let mut from_ns = member.from_ns;
        while from_ns < member.to_ns {
            let part = from_ns / LENGTH_NS;
            let to_ns = member.to_ns.min(WallNs(part.saturating_add(1).saturating_mul(LENGTH_NS)));
            parts.entry(part).or_default().push(GroupMember { from_ns, to_ns, ..member.clone() });
            from_ns = to_ns;
        }
    }
    let mut windows: Vec<Window> = Vec::new();
    for members in parts.into_values() {
        let from_ns = members.iter().map(|it| it.from_ns).min().unwrap_or_default();
        let to_ns = members.iter().map(|it| it.to_ns).max().unwrap_or_default();
        match windows.last_mut() {
            Some(last) if last.members.len() + members.len() <= MEMBERS_MAX => {
                last.to_ns = to_ns;
                last.members.extend(members);
            }
            _ => windows.push(Window { from_ns, to_ns, members }),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::client_days::start_of;

    #[test]
    fn partitions_of_many_are_windows_of_their_own_and_those_of_few_go_together() {
        let member = |client, from_ns, to_ns| GroupMember { client, from_ns, to_ns, group: 0 };
        let mut members = vec![member(0, start_of(3) + 5, start_of(34))];
        // All but one from day 28 on.
        members.extend((1..1000).map(|client| member(client, start_of(28), start_of(40) + 7)));
        let found = windows(&members);
        let seen: Vec<_> =
            found.iter().map(|it| (it.from_ns, it.to_ns, it.members.len())).collect();
        let expected = [
            (start_of(3) + 5, start_of(20), 2),
            (start_of(20), start_of(30), 1000),
            (start_of(30), start_of(40), 1000),
            (start_of(40), start_of(40) + 7, 999),
        ];
        assert_eq!(seen, expected);
        assert_eq!(found[0].members[0], member(0, start_of(3) + 5, start_of(10)));
        assert_eq!(found[3].members[0], member(1, start_of(40), start_of(40) + 7));
        assert_eq!(windows(&[member(1, WallNs::MAX, WallNs::MAX)]), []);
    }
}
