//! Sender and receiver with a model of their surroundings: every record reaches the database exactly
//! once, memory stays bounded, and a fair channel makes progress. Planted bugs in the surroundings are
//! found.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wire::delivery::{AckPace, WINDOW};

use self::model::{Bug, Event, World, event};

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..300)
}

fn pace() -> impl Strategy<Value = AckPace> {
    prop_oneof![Just(AckPace::Prompt), Just(AckPace::Joined)]
}

/// The violation in a world with a bug, if any.
fn violation(bug: Bug, pace: AckPace, events: &[Event]) -> Option<String> {
    let mut world = World::new(bug, pace);
    events.iter().for_each(|event| world.on(event));
    world.settle();
    world.violation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_committed_exactly_once(pace in pace(), events in events()) {
        prop_assert_eq!(violation(Bug::None, pace, &events), None);
    }
}

/// Finds the first of many random worlds in which a bug shows.
fn found(bug: Bug) -> (usize, String) {
    let mut runner = TestRunner::deterministic();
    for case in 0..1000 {
        let (pace, events) = (pace(), events()).new_tree(&mut runner).unwrap().current();
        if let Some(violation) = violation(bug, pace, &events) {
            return (case, violation);
        }
    }
    panic!("{bug:?} was not found");
}

#[test]
fn each_planted_bug_is_found() {
    let bugs = [
        Bug::AckBeforeCommit,
        Bug::CursorUnguarded,
        Bug::SpoolEntryRemoved,
        Bug::GapNotRecorded,
        Bug::ForkTakenForRepeat,
    ];
    for bug in bugs {
        let (case, violation) = found(bug);
        println!("{bug:?}: case {case}: {violation}");
    }
}

#[test]
fn a_backlog_of_many_windows_drains_while_new_records_are_made() {
    let mut world = World::new(Bug::None, AckPace::Joined);
    world.on(&Event::KillCollector { collector: 0, commits: false });
    for _ in 0..20 * WINDOW {
        world.make();
    }
    let collector = 0;
    let records = usize::MAX;
    for _ in 0..60 {
        world.make();
        world.stream(1);
        world.arrive_all();
        for event in [
            Event::Begin { collector, records },
            Event::Commit { collector },
            Event::Ack,
            Event::Hear,
        ] {
            world.on(&event);
        }
    }
    assert!(world.is_committed(), "one window per round trip, and all new records");
}
