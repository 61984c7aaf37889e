//! Decides which connections may be open, with limits in total and per address. If there are too many,
//! one that waits for its client gives way. So an active client is served however many idle connections
//! others hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::activity::Activity;
use super::caller::Caller;
use super::limits::WebLimits;

/// Number of a connection.
pub(super) type Id = u64;

/// The open connections.
#[derive(Debug)]
pub(super) struct Places {
    limits: WebLimits,
    open: BTreeMap<Id, (Caller, Arc<Activity>)>,
    next: Id,
}

/// Whether a connection may be open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Admitted under this number; if another number is given, that connection must end for it.
    Admitted(Id, Option<Id>),
    /// Refused because of this limit.
    Refused(&'static str),
}

impl Places {
    pub const fn new(limits: WebLimits) -> Self {
        Self { limits, open: BTreeMap::new(), next: 0 }
    }

    /// Admits a connection of a caller. A connection that must end for it loses its place at once.
    pub fn admit(&mut self, from: Caller, activity: Arc<Activity>) -> Admission {
        let WebLimits { connections, connections_per_address, .. } = self.limits;
        let mut count: HashMap<&Caller, usize> = HashMap::new();
        self.open.values().for_each(|(of, _)| *count.entry(of).or_default() += 1);
        let own = count.get(&from).copied().unwrap_or(0);
        let full = self.open.len() >= connections;
        let over = own >= from.share(connections_per_address, usize::MAX);
        let mut instead_of = None;
        if full || over {
            // Of the caller with the most connections, the one that has waited longest gives way. A
            // proxy carries many people.
            let waiting = self.open.iter().filter_map(|(id, (of, activity))| {
                let has = if *of == Caller::Proxy { 1 } else { count[of] };
                let since = activity.waits_since().filter(|_| !over || *of == from)?;
                Some((std::cmp::Reverse(has), since, *id))
            });
            let Some((_, _, id)) = waiting.min() else {
                return Admission::Refused(if over {
                    "connections_per_address"
                } else {
                    "connections"
                });
            };
            self.open.remove(&id);
            instead_of = Some(id);
        }
        self.next += 1;
        self.open.insert(self.next, (from, activity));
        Admission::Admitted(self.next, instead_of)
    }

    /// True if a connection is open.
    pub fn has(&self, id: Id) -> bool {
        self.open.contains_key(&id)
    }

    /// A connection has ended.
    pub fn leave(&mut self, id: Id) {
        self.open.remove(&id);
    }

    /// Number of open connections.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// The connections over a time limit, and the limit's name.
    pub fn overdue(&self, now: Duration) -> Vec<(Id, &'static str)> {
        let overdue = |(&id, (_, activity)): (&Id, &(Caller, Arc<Activity>))| {
            Some((id, activity.overdue(&self.limits, now)?))
        };
        self.open.iter().filter_map(overdue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> WebLimits =
        || WebLimits { connections: 4, connections_per_address: 3, ..WebLimits::default() };

    fn at(last: u8) -> Caller {
        Caller::at([192, 0, 2, last].into())
    }

    fn waiting(seconds: u64) -> Arc<Activity> {
        Arc::new(Activity::accepted(Duration::from_secs(seconds)))
    }

    fn answering() -> Arc<Activity> {
        let activity = waiting(0);
        activity.on_request(false, Duration::ZERO);
        activity
    }

    #[test]
    fn of_one_address_what_waited_longest_gives_way_and_others_keep_theirs() {
        let mut places = Places::new(LIMITS());
        assert_eq!(places.admit(at(1), waiting(0)), Admission::Admitted(1, None));
        assert_eq!(places.admit(at(2), waiting(3)), Admission::Admitted(2, None));
        assert_eq!(places.admit(at(2), waiting(2)), Admission::Admitted(3, None));
        assert_eq!(places.admit(at(2), waiting(4)), Admission::Admitted(4, None));
        assert_eq!(places.admit(at(2), waiting(5)), Admission::Admitted(5, Some(3)));
        // All places are taken: the caller with the most gives way, although another has waited longer.
        assert_eq!(places.admit(at(3), waiting(6)), Admission::Admitted(6, Some(2)));
        assert_eq!(places.len(), 4);
        places.leave(6);
        places.leave(6);
        assert_eq!(places.admit(at(4), waiting(7)), Admission::Admitted(7, None));
    }

    #[test]
    fn what_is_being_answered_gives_way_to_nobody() {
        let mut places = Places::new(LIMITS());
        for _ in 0..3 {
            places.admit(at(1), answering());
        }
        let refused = Admission::Refused("connections_per_address");
        assert_eq!(places.admit(at(1), waiting(1)), refused);
        places.admit(at(2), answering());
        assert_eq!(places.admit(at(3), waiting(1)), Admission::Refused("connections"));
    }

    #[test]
    fn a_proxy_may_have_all_and_is_not_taken_for_one_with_most() {
        let mut places = Places::new(LIMITS());
        for _ in 0..2 {
            places.admit(Caller::Proxy, waiting(5));
        }
        places.admit(at(1), waiting(6));
        places.admit(at(1), waiting(7));
        assert_eq!(places.admit(Caller::Proxy, waiting(8)), Admission::Admitted(5, Some(3)));
        assert_eq!(places.admit(Caller::Proxy, waiting(9)), Admission::Admitted(6, Some(1)));
    }

    #[test]
    fn what_is_overdue_is_named_with_its_limit() {
        let mut places = Places::new(LIMITS());
        places.admit(at(1), waiting(0));
        places.admit(at(1), answering());
        places.admit(at(1), waiting(8));
        assert_eq!(places.overdue(Duration::from_secs(11)), [(1, "header_time")]);
    }
}
