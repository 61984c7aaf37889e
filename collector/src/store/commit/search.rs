//! Finds the frames that a store refuses, by trying halves. Pure: the caller tries.

use std::collections::HashSet;
use std::ops::Range;

use crate::store::rows::batch::Batch;
use crate::store::rows::batch::FrameKey;

/// A search for the frames of a batch that a store refuses, so that all others are committed.
#[derive(Debug)]
pub struct Bisection {
    frames: Vec<FrameKey>,
    /// Ranges still to try, the next one last.
    untried: Vec<Range<usize>>,
    refused: HashSet<FrameKey>,
}

impl Bisection {
    /// Starts with a batch that was refused without its already quarantined frames.
    #[must_use]
    pub fn new(batch: &Batch) -> Self {
        let frames = batch.frames().filter(|frame| batch.refusal(frame).is_none());
        let frames: Vec<FrameKey> = frames.map(|frame| (frame.session, frame.first_seq)).collect();
        let mut bisection = Self { frames, untried: Vec::new(), refused: HashSet::new() };
        let all = 0..bisection.frames.len();
        bisection.on_refused_range(all);
        bisection
    }

    /// The frames to leave out of the next trial; `None` once the refused ones are known.
    #[must_use]
    pub fn next_trial(&self) -> Option<HashSet<FrameKey>> {
        let trial = self.untried.last()?;
        let untried = self.frames.get(trial.end..).unwrap_or_default();
        Some(self.refused.iter().chain(untried).copied().collect())
    }

    /// Reports the outcome of the trial.
    pub fn on_trial(&mut self, accepted: bool) {
        if let Some(range) = self.untried.pop()
            && !accepted
        {
            self.on_refused_range(range);
        }
    }

    /// The refused frames, once they are known.
    #[must_use]
    pub fn into_refused(self) -> HashSet<FrameKey> {
        self.refused
    }

    fn on_refused_range(&mut self, range: Range<usize>) {
        if range.len() <= 1 {
            self.refused.extend(self.frames.get(range).unwrap_or_default());
        } else {
            let middle = range.start + range.len() / 2;
            self.untried.push(middle..range.end);
            self.untried.push(range.start..middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::batch::SessionBatch;
    use crate::store::rows::epoch::Epoch;
    use proptest::prelude::*;
    use wire::Seq;
    use wire::frame::Frame;
    use wire::id::{ClientId, SessionId};

    fn batch(frames: u64) -> Batch {
        let frame = |seq| Frame {
            session: SessionId::new(1),
            first_seq: Seq(seq),
            last_seq: Seq(seq),
            gap: 0,
            samples: vec![],
            mixes: vec![],
            talkers: vec![],
        };
        let frames = (1..=frames).map(frame).collect();
        let client = ClientId::new("web").unwrap();
        Batch::new(vec![SessionBatch::new(client, SessionId::new(1), Epoch(1), Seq(0), frames)])
    }

    /// Bisects against a store that accepts by `accepts`. Returns the refused frames and the number of
    /// trials.
    fn bisect(frames: u64, accepts: impl Fn(&[u64]) -> bool) -> (Vec<u64>, usize) {
        let mut bisection = Bisection::new(&batch(frames));
        let mut trials = 0;
        while let Some(left_out) = bisection.next_trial() {
            let tried: Vec<u64> = (1..=frames)
                .filter(|seq| !left_out.contains(&(SessionId::new(1), Seq(*seq))))
                .collect();
            trials += 1;
            bisection.on_trial(accepts(&tried));
        }
        let mut refused: Vec<u64> =
            bisection.into_refused().into_iter().map(|(_, seq)| seq.get()).collect();
        refused.sort_unstable();
        (refused, trials)
    }

    #[test]
    fn few_trials_find_one_bad_frame_among_many() {
        let (refused, trials) = bisect(1000, |tried| !tried.contains(&777));
        assert_eq!(refused, [777]);
        assert!(trials <= 20, "{trials}");
    }

    #[test]
    fn frames_that_are_too_much_only_together_go_in_as_far_as_they_can() {
        let (refused, _) = bisect(10, |tried| tried.len() <= 7);
        assert_eq!(refused, [8, 9, 10]);
    }

    proptest! {
        #[test]
        fn exactly_the_bad_frames_are_refused(
            frames in 1_u64..60,
            bad in proptest::collection::btree_set(1_u64..60, 1..8),
        ) {
            let bad: Vec<u64> = bad.into_iter().filter(|seq| *seq <= frames).collect();
            prop_assume!(!bad.is_empty());
            let (refused, _) = bisect(frames, |tried| !tried.iter().any(|seq| bad.contains(seq)));
            prop_assert_eq!(refused, bad);
        }
    }
}
