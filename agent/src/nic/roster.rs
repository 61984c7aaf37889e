//! The roster: which NICs exist according to the kernel, and what to do with their rings. Takes
//! events and times, gives actions. However many events come at once, it decides once.

use std::collections::{BTreeMap, VecDeque};

use wire::BootNs;
use wire::id::NicName;

use super::choose::{Choice, NicFilter, Reason, choose};
use super::link::Link;
use super::link_stats::LinkStats;

/// How long to wait after a ring could not be opened, nanoseconds.
pub const RETRY_NS: u64 = 5_000_000_000;

/// An event reported by the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A NIC is new or has changed.
    Changed(Link),
    /// The NIC of this index is no more, or in another namespace; with its last counters.
    Gone(u32, Option<LinkStats>),
    /// Addresses have come or gone.
    Addresses,
    /// Events were lost, so a dump is needed.
    Overrun,
}

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open the rings of a NIC.
    Open(Link, Stacked),
    /// Facts about a captured NIC have changed; its rings continue.
    Update(Link, Stacked),
    /// End a NIC's capture: it is gone, with these last counters, or isn't wanted any more.
    Close(u32, Option<LinkStats>),
}

/// Another captured NIC carries the same bytes.
pub type Stacked = bool;

/// The NICs of this namespace and what is done about them.
#[derive(Debug)]
pub struct Roster {
    filter: NicFilter,
    links: BTreeMap<u32, Link>,
    /// Captured NICs, from the newest dump or event.
    open: BTreeMap<u32, (Link, Stacked)>,
    /// When a ring could last not be opened.
    failed: BTreeMap<u32, BootNs>,
    stale: bool,
    /// The actions do not follow from `links`.
    changed: bool,
    actions: VecDeque<Action>,
}

impl Roster {
    /// Knows of no NIC yet: a dump is needed.
    #[must_use]
    pub const fn new(filter: NicFilter) -> Self {
        Self {
            filter,
            links: BTreeMap::new(),
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            stale: true,
            changed: false,
            actions: VecDeque::new(),
        }
    }

    /// Processes the kernel's events.
    pub fn on_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Changed(link) => {
                self.changed |= self.links.get(&link.index) != Some(&link);
                self.links.insert(link.index, link);
            }
            LinkEvent::Gone(index, stats) => {
                self.links.remove(&index);
                self.failed.remove(&index);
                self.close(index, stats);
                self.changed = true;
            }
            LinkEvent::Addresses => {}
            LinkEvent::Overrun => self.stale = true,
        }
    }

    /// True if a dump is needed. Read all pending events before making it, so that none is newer.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// The newest name of a NIC.
    #[must_use]
    pub fn name(&self, index: u32) -> Option<NicName> {
        self.links.get(&index).map(|link| link.name)
    }

    /// Takes in a dump. `is_bound` says whether a captured NIC's rings are still bound: a NIC that
    /// left and returned keeps its index, but its rings are dead.
    pub fn on_dump(&mut self, links: Vec<Link>, is_bound: impl Fn(u32) -> bool) {
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        let lost = |index: &u32| !self.links.contains_key(index) || !is_bound(*index);
        let lost: Vec<u32> = self.open.keys().copied().filter(lost).collect();
        lost.into_iter().for_each(|index| self.close(index, None));
        self.failed.retain(|index, _| self.links.contains_key(index));
        (self.stale, self.changed) = (false, true);
    }

    /// The next thing to do at `now_ns` (boot time), if there is one. It counts as done.
    pub fn next(&mut self, now_ns: BootNs) -> Option<Action> {
        let retry = self.failed.values().any(|failed| retry_ns(*failed) <= now_ns);
        if self.changed || retry {
            self.plan(now_ns);
        }
        let action = self.actions.pop_front()?;
        if let Action::Open(link, stacked) | Action::Update(link, stacked) = &action {
            self.open.insert(link.index, (link.clone(), *stacked));
        }
        Some(action)
    }

    /// When something is due even without an event, boot time in nanoseconds.
    #[must_use]
    pub fn due_ns(&self) -> Option<BootNs> {
        if self.changed || !self.actions.is_empty() {
            return Some(BootNs(0));
        }
        self.failed.values().copied().map(retry_ns).min()
    }

    /// The rings of a NIC could not be opened. True the first time.
    pub fn on_failed(&mut self, index: u32, now_ns: BootNs) -> bool {
        self.open.remove(&index);
        self.failed.insert(index, now_ns).is_none()
    }

    /// The rings of a NIC are open.
    pub fn on_opened(&mut self, index: u32) {
        self.failed.remove(&index);
    }

    fn close(&mut self, index: u32, stats: Option<LinkStats>) {
        if self.open.remove(&index).is_some() {
            self.actions.push_back(Action::Close(index, stats));
        }
    }

    /// Decides again. NICs waiting to be closed stay so.
    fn plan(&mut self, now_ns: BootNs) {
        self.changed = false;
        self.actions.retain(|action| matches!(action, Action::Close(..)));
        let links: Vec<Link> = self.links.values().cloned().collect();
        for (link, choice) in links.iter().zip(choose(&links, &self.filter)) {
            let index = link.index;
            let stacked = match (choice, self.open.get(&index)) {
                (Choice::Capture { stacked }, _) => stacked,
                // A NIC that went down is kept, for it may come up again.
                (Choice::Skip(Reason::Down), Some((_, stacked))) => *stacked,
                (Choice::Skip(_), _) => {
                    self.failed.remove(&index);
                    self.close(index, None);
                    continue;
                }
            };
            match self.open.get(&index) {
                Some((told, was)) if told == link && *was == stacked => {}
                Some(_) => self.actions.push_back(Action::Update(link.clone(), stacked)),
                None if self.failed.get(&index).is_some_and(|it| retry_ns(*it) > now_ns) => {}
                None => {
                    // Tried again once, until it is known to have failed again.
                    self.failed.entry(index).and_modify(|failed| *failed = now_ns);
                    self.actions.push_back(Action::Open(link.clone(), stacked));
                }
            }
        }
    }
}

const fn retry_ns(failed_ns: BootNs) -> BootNs {
    failed_ns.saturating_add(RETRY_NS)
}

#[cfg(test)]
mod tests {
    use super::super::link::Class;
    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link { kind: "veth".into(), ..Link::up(index, name, Class::Virtual) }
    }

    fn roster(links: Vec<Link>) -> Roster {
        let mut roster = Roster::new(NicFilter::default());
        assert!(roster.is_stale());
        roster.on_dump(links, |_| true);
        roster
    }

    fn all(roster: &mut Roster, now_ns: u64) -> Vec<Action> {
        std::iter::from_fn(|| roster.next(BootNs(now_ns))).collect()
    }

    fn open(index: u32, name: &str) -> Action {
        Action::Open(link(index, name), false)
    }

    #[test]
    fn a_nic_is_opened_when_it_comes_and_closed_when_it_goes() {
        let mut roster = roster(vec![link(2, "a")]);
        assert_eq!(all(&mut roster, 0), [open(2, "a")]);
        assert_eq!(roster.due_ns(), None);
        roster.on_event(LinkEvent::Changed(link(3, "b")));
        assert_eq!(roster.due_ns(), Some(BootNs(0)));
        assert_eq!(all(&mut roster, 0), [open(3, "b")]);
        roster.on_event(LinkEvent::Gone(2, None));
        assert_eq!(all(&mut roster, 0), [Action::Close(2, None)]);
        roster.on_event(LinkEvent::Gone(2, None));
        assert_eq!(all(&mut roster, 0), [], "what isn't captured needs no end");
    }

    #[test]
    fn a_nic_that_waits_for_up_is_opened_then_and_kept_when_it_goes_down() {
        let down = |index, name| Link { up: false, ..link(index, name) };
        let mut roster = roster(vec![down(2, "a")]);
        assert_eq!(all(&mut roster, 0), []);
        roster.on_event(LinkEvent::Changed(link(2, "a")));
        assert_eq!(all(&mut roster, 0), [open(2, "a")]);
        roster.on_event(LinkEvent::Changed(down(2, "a")));
        assert_eq!(all(&mut roster, 0), [Action::Update(down(2, "a"), false)]);
    }

    #[test]
    fn a_renamed_nic_goes_on_and_one_made_anew_is_another() {
        let mut roster = roster(vec![link(2, "a")]);
        assert_eq!(all(&mut roster, 0), [open(2, "a")]);
        roster.on_event(LinkEvent::Changed(link(2, "b")));
        assert_eq!(all(&mut roster, 0), [Action::Update(link(2, "b"), false)]);
        roster.on_event(LinkEvent::Gone(2, None));
        roster.on_event(LinkEvent::Changed(link(3, "b")));
        assert_eq!(all(&mut roster, 0), [Action::Close(2, None), open(3, "b")]);
    }

    #[test]
    fn a_nic_that_was_in_another_namespace_is_opened_again_under_its_index() {
        let mut roster = roster(vec![link(2, "a")]);
        assert_eq!(all(&mut roster, 0), [open(2, "a")]);
        roster.on_event(LinkEvent::Gone(2, None));
        roster.on_event(LinkEvent::Changed(link(2, "a")));
        assert_eq!(all(&mut roster, 0), [Action::Close(2, None), open(2, "a")]);
        // The same, but the events were lost.
        roster.on_event(LinkEvent::Overrun);
        assert!(roster.is_stale());
        roster.on_dump(vec![link(2, "a")], |_| false);
        assert!(!roster.is_stale());
        assert_eq!(all(&mut roster, 0), [Action::Close(2, None), open(2, "a")]);
    }

    #[test]
    fn many_events_at_once_need_no_dump_and_each_nic_one_action() {
        let mut roster = roster(Vec::new());
        for index in 2..202 {
            let name = format!("v{index}");
            roster.on_event(LinkEvent::Changed(Link { up: false, ..link(index, &name) }));
            roster.on_event(LinkEvent::Changed(link(index, &name)));
        }
        assert!(!roster.is_stale());
        assert_eq!(all(&mut roster, 0).len(), 200);
        // Those that are gone before their turn are never opened.
        (300..310).for_each(|index| roster.on_event(LinkEvent::Changed(link(index, "x"))));
        assert!(matches!(roster.next(BootNs(0)), Some(Action::Open(..))));
        (300..310).for_each(|index| roster.on_event(LinkEvent::Gone(index, None)));
        assert_eq!(all(&mut roster, 0), [Action::Close(300, None)]);
    }

    #[test]
    fn a_ring_that_can_not_be_opened_is_tried_again_later_and_said_once() {
        let mut roster = roster(vec![link(2, "a")]);
        assert_eq!(all(&mut roster, 0), [open(2, "a")]);
        assert!(roster.on_failed(2, BootNs(0)));
        assert_eq!(roster.due_ns(), Some(BootNs(RETRY_NS)));
        roster.on_event(LinkEvent::Changed(Link { mtu: 9000, ..link(2, "a") }));
        assert_eq!(all(&mut roster, RETRY_NS - 1), []);
        let action = roster.next(BootNs(RETRY_NS));
        assert!(matches!(&action, Some(Action::Open(link, _)) if link.mtu == 9000), "{action:?}");
        assert!(!roster.on_failed(2, BootNs(RETRY_NS)));
        assert!(roster.next(BootNs(2 * RETRY_NS)).is_some());
        roster.on_opened(2);
        assert_eq!((roster.next(BootNs(u64::MAX)), roster.due_ns()), (None, None));
    }
}
