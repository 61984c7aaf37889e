//! What holds in the end: the model settles, and everything is stored once or in a gap with a reason.

use std::collections::BTreeSet;
use std::time::Duration;

use wire::Seq;

use super::agent::Agent;
use super::collector::Database;
use super::{RTT, World};

impl World {
    /// Everything in flight arrives.
    pub fn arrive_all(&mut self) {
        for it in std::mem::take(&mut self.under_way) {
            self.arrive(it.record);
        }
    }

    /// True once the database has everything made.
    pub fn is_committed(&self) -> bool {
        self.database().committed == self.agent.made
    }

    /// From now on the channel is fair, and nothing fails.
    pub fn settle(&mut self) {
        if self.unheard {
            self.connect(0);
        }
        for _ in 0..1000 {
            if self.violation.is_some() {
                return;
            }
            if self.is_committed() && self.agent.sender.is_done() {
                return self.check();
            }
            self.stream(3);
            self.arrive_all();
            for collector in 0..2 {
                self.begin(collector, usize::MAX);
                self.commit(collector);
            }
            self.now += RTT;
            self.ack();
            while !self.acks.is_empty() {
                self.hear();
            }
            self.now += Duration::from_millis(500);
            self.agent.sender.on_time(self.now, RTT);
        }
        let (committed, Agent { made, sender, .. }) = (self.database().committed, &self.agent);
        self.violate(format!("no progress: {committed} of {made}, {sender:?}"));
    }

    /// Every number of every session is in the database once. Nothing is stored twice, everything in
    /// gaps has a reason, and every measurement is stored or in a gap.
    pub(super) fn check(&mut self) {
        let (mut stored, mut in_gaps) = (BTreeSet::new(), BTreeSet::new());
        let mut found = None;
        for Database { committed, tiles, .. } in &self.databases {
            let mut next = Seq::FIRST;
            for tile in tiles {
                if tile.range.first != next {
                    found =
                        found.or_else(|| Some(format!("{next} follows, but there is {tile:?}")));
                }
                next = tile.range.last + 1;
                for it in &*tile.measured {
                    let given_up = self.overflowed.contains(it);
                    let wrong = if tile.gap {
                        in_gaps.insert(*it);
                        let reason = given_up || self.disputed.contains(it);
                        (!reason).then(|| format!("{it} is in a gap without a reason"))
                    } else if !stored.insert(*it) {
                        Some(format!("{it} is stored twice"))
                    } else {
                        // Unless another future kept it.
                        let wrong = given_up && !self.reverted;
                        wrong.then(|| format!("{it} is stored though it was given up"))
                    };
                    found = found.or(wrong);
                }
            }
            if next != *committed + 1 {
                found = found.or_else(|| Some(format!("{next} is missing of {committed}")));
            }
        }
        let mut measured = self.agent.measured.iter();
        let lost = measured.find(|it| !stored.contains(it) && !in_gaps.contains(it));
        let found = found.or_else(|| lost.map(|it| format!("{it} is lost silently")));
        if let Some(found) = found {
            self.violate(found);
        }
    }
}
