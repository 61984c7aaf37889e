//! The plan against a store that refuses given frames.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wire::bounds::FIGURE_MAX;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{NicName, SessionId};
use wire::{Bytes, Seq};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn frame(session: u64, seq: u64) -> Frame {
    let nic = NicName::new("eth0").unwrap();
    let sample = Sample { nic, interval_ns: 1, ..Sample::default() };
    Frame {
        session: SessionId::new(session),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![sample],
        mixes: vec![],
        talkers: vec![],
    }
}

fn client(number: u64) -> ClientId {
    ClientId::new(&format!("client-{number}")).unwrap()
}

/// A batch with one session per client and this many frames each.
fn batch(clients: u64, frames: u64) -> Batch {
    let session = |number| {
        let frames = (1..=frames).map(|seq| frame(number, seq)).collect();
        SessionBatch::new(client(number), SessionId::new(number), Epoch(1), Seq(0), frames)
    };
    Batch::new((1..=clients).map(session).collect())
}

/// The outcome of a store that refuses batches.
#[derive(Debug, Default)]
struct Stored {
    /// Sessions in order of their commit, and the number of steps before it.
    committed: Vec<(u64, usize)>,
    quarantined: BTreeMap<u64, (usize, bool)>,
    /// Frames tried over all steps.
    cost: usize,
    steps: usize,
    now: Duration,
    strikes: Strikes,
}

/// Commits to a store that refuses transactions with a `bad` frame; each takes `takes`.
fn run(batch: Batch, strikes: Strikes, takes: Duration, bad: impl Fn(u64, u64) -> bool) -> Stored {
    let mut stored = Stored::default();
    let mut plan = Plan::new(batch, strikes, stored.now);
    while let Some((part, _)) = plan.next_step() {
        stored.steps += 1;
        stored.now += takes;
        let kept = part.frames().filter(|it| part.refusal(it).is_none());
        let kept: Vec<_> = kept.map(|it| (it.session, it.first_seq)).collect();
        stored.cost += kept.len();
        if kept.iter().any(|(session, seq)| bad(session.get(), (*seq).get())) {
            assert!(plan.on_refused("because", stored.now));
            continue;
        }
        let taken = plan.on_taken(stored.now);
        stored.committed.extend(taken.sessions.iter().map(|it| (it.session.get(), stored.steps)));
        let told =
            taken.quarantined.into_iter().map(|it| (it.session.get(), (it.frames, it.whole)));
        stored.quarantined.extend(told);
    }
    stored.strikes = plan.into_strikes();
    stored
}

#[test]
fn a_batch_that_is_taken_takes_one_step() {
    let stored = run(batch(100, 3), Strikes::default(), MS, |_, _| false);
    assert_eq!((stored.steps, stored.committed.len()), (1, 100));
    assert!(stored.quarantined.is_empty());
}

#[test]
fn one_bad_frame_of_a_thousand_clients_costs_the_others_little() {
    let stored = run(batch(1000, 10), Strikes::default(), MS, |it, seq| (it, seq) == (700, 4));
    assert_eq!(stored.committed.len(), 1000);
    assert_eq!(stored.quarantined, BTreeMap::from([(700, (1, false))]));
    assert!(stored.cost < 4 * 10_000, "{} frames were tried to commit 10,000", stored.cost);
    assert!(stored.steps < 40, "{}", stored.steps);
}

#[test]
fn a_client_of_whose_frames_most_are_bad_is_quarantined_whole_after_few_trials() {
    let bad = |it, seq| it == 3 && seq % 3 != 0;
    let stored = run(batch(5, 20_000), Strikes::default(), MS, bad);
    assert_eq!(stored.quarantined, BTreeMap::from([(3, (20_000, true))]));
    assert!(stored.steps < TRIALS as usize + 10, "{}", stored.steps);
    // Remembered: the others go first, and it costs only two steps.
    let again = run(batch(5, 50), stored.strikes, MS, bad);
    assert_eq!(again.steps, 3);
    let order: Vec<_> = again.committed.iter().map(|(it, step)| (*it, *step)).collect();
    assert_eq!(order, [(1, 1), (2, 1), (4, 1), (5, 1), (3, 3)]);
    // Its valid frames are committed.
    let sound = run(batch(5, 50), again.strikes, MS, |_, _| false);
    assert_eq!((sound.steps, sound.quarantined.len()), (2, 0));
}

#[test]
fn a_search_ends_in_time_however_slow_the_store_is() {
    let slow = 300 * MS;
    let stored = run(batch(1, 1000), Strikes::default(), slow, |_, seq| seq == 500);
    assert_eq!(stored.quarantined, BTreeMap::from([(1, (1000, true))]));
    assert!(stored.steps <= 6, "{}", stored.steps);
}

#[test]
fn the_time_that_one_client_takes_is_not_anothers() {
    // The first client's search exceeds its time; the second one's follows.
    let bad = |it, seq| it == 1 && seq % 3 != 0 || (it, seq) == (2, 4);
    let stored = run(batch(2, 1000), Strikes::default(), 40 * MS, bad);
    assert_eq!(stored.quarantined, BTreeMap::from([(1, (1000, true)), (2, (1, false))]));
}

#[test]
fn what_turns_out_to_be_committed_is_told_with_what_was_quarantined_of_it() {
    let mut plan = Plan::new(batch(1, 9), Strikes::default(), MS);
    // Slow, so its client is quarantined as a whole.
    let sentenced = |plan: &Plan| plan.next_step().is_some_and(|it| it.0.refused.len() == 9);
    while !sentenced(&plan) {
        assert!(plan.on_refused("because", 9 * SEARCHES));
    }
    assert_eq!(plan.on_found(|_| false).sessions, []);
    let taken = plan.on_found(|it| it.session == SessionId::new(1));
    assert_eq!((taken.sessions.len(), taken.quarantined[0].frames), (1, 9));
    assert!(taken.quarantined[0].whole && plan.next_step().is_none());
}

#[test]
fn what_no_link_carries_is_never_tried_and_a_flood_of_it_is_told() {
    let mut flood = batch(2, 200);
    let frames = &mut Arc::make_mut(&mut flood.sessions[1]).frames;
    for frame in frames.iter_mut().take(150) {
        frame.samples[0].rx = Counts { bytes: Bytes(FIGURE_MAX + 1), ..Counts::default() };
    }
    let stored = run(flood, Strikes::default(), MS, |_, _| false);
    assert_eq!((stored.steps, stored.cost), (1, 250));
    assert_eq!(stored.quarantined, BTreeMap::from([(2, (150, true))]));
}

#[test]
fn sessions_that_are_elsewhere_leave_and_the_rest_goes_on() {
    let mut plan = Plan::new(batch(3, 1), Strikes::default(), MS);
    assert!(plan.on_refused("because", MS));
    assert_eq!(plan.sessions(), [1].map(SessionId::new));
    plan.leave_out(|it| it.session == SessionId::new(1));
    assert_eq!(plan.sessions(), [2, 3].map(SessionId::new));
    assert_eq!(plan.on_taken(MS).sessions.len(), 2);
    assert!(plan.next_step().is_none());
}

#[test]
fn a_store_that_refuses_even_the_quarantine_fails() {
    let mut plan = Plan::new(batch(1, 1), Strikes::default(), MS);
    let refused = (0..9).take_while(|_| plan.on_refused("because", MS)).count();
    assert!(refused < 5, "{refused}");
    assert_eq!(plan.sessions(), [1].map(SessionId::new), "it is tried again");
}

proptest! {
    #[test]
    fn every_session_is_committed_once_and_all_that_is_bad_is_in_quarantine(
        clients in 1_u64..20,
        frames in 1_u64..20,
        bad in proptest::collection::btree_set((1_u64..20, 1_u64..20), 0..12),
        takes in 1_u64..200,
    ) {
        let is_bad = |session, seq| bad.contains(&(session, seq));
        let takes = Duration::from_millis(takes);
        let stored = run(batch(clients, frames), Strikes::default(), takes, is_bad);
        let committed: BTreeSet<u64> = stored.committed.iter().map(|it| it.0).collect();
        prop_assert_eq!(stored.committed.len(), committed.len());
        prop_assert!(committed.into_iter().eq(1..=clients));
        for session in 1..=clients {
            let own = (1..=frames).filter(|seq| is_bad(session, *seq)).count();
            let (found, whole) = stored.quarantined.get(&session).copied().unwrap_or_default();
            prop_assert!(found == own || whole && own > 0, "{own} bad, {found} found");
        }
    }
}
