//! Requests that wait for the receiver, and when to send the next one. Takes events and times of the boot
//! clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::OtlpAnswer;
use super::encode::OtlpRequest;

/// Wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Longest wait of its own accord: a receiver that is back gets data within a minute.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Longest wait that a receiver can ask for: a mistaken one doesn't end the export.
const ASKED_MAX: Duration = Duration::from_secs(600);

/// Why data points don't reach the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// Newer ones needed the memory.
    QueueFull,
    /// The receiver refused the request.
    Refused,
    /// The receiver refused these points of a request.
    Rejected,
    /// The collector stopped.
    Stopped,
}

impl LossReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::Refused, Self::Rejected, Self::Stopped];

    /// Its value of the label `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
        }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Send this request, then call [`RequestQueue::settle`].
    Send(OtlpRequest),
    /// Ask again after this time.
    Wait(Duration),
    /// Ask again when there is a new request.
    Idle,
    /// Nothing will be sent any more.
    End,
}

/// What became of the data points of a request. The rest waits again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Taken by the receiver.
    pub accepted: u64,
    /// Lost.
    pub lost: Option<(LossReason, u64)>,
}

/// The queue. It holds the newest requests that fit its memory, and beside them one that is being sent.
#[derive(Debug)]
pub struct RequestQueue {
    waiting: VecDeque<OtlpRequest>,
    bytes: usize,
    bytes_max: usize,
    /// Data points of the request that is being sent.
    sending: u64,
    /// Failures since the last success.
    failures: u32,
    /// Nothing is sent before this time.
    not_before: Duration,
    /// No request comes any more; `true` inside: nor is one sent.
    closed: Option<bool>,
}

impl RequestQueue {
    /// A queue of at most `bytes_max` bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max,
            sending: 0,
            failures: 0,
            not_before: Duration::ZERO,
            closed: None,
        }
    }

    /// Bytes that wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a request. Returns how many data points gave way: those of the oldest requests.
    pub fn push(&mut self, request: OtlpRequest) -> u64 {
        self.bytes += request.body.len();
        self.waiting.push_back(request);
        self.shrink()
    }

    fn shrink(&mut self) -> u64 {
        let mut lost = 0;
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.body.len();
            lost += oldest.points;
        }
        lost
    }

    /// What to do at `now`.
    pub fn step(&mut self, now: Duration) -> NextStep {
        match (self.closed, self.waiting.is_empty()) {
            (Some(true), _) | (Some(false), true) => return NextStep::End,
            (None, true) => return NextStep::Idle,
            (None, false) if now < self.not_before => return NextStep::Wait(self.not_before - now),
            (Some(false) | None, false) => {}
        }
        let Some(request) = self.waiting.pop_front() else { return NextStep::Idle };
        self.bytes -= request.body.len();
        self.sending = request.points;
        NextStep::Send(request)
    }

    /// Takes the answer to a request. `random` spreads the retries of several collectors.
    pub fn settle(
        &mut self,
        request: OtlpRequest,
        answer: &OtlpAnswer,
        now: Duration,
        random: u64,
    ) -> Settled {
        let points = std::mem::take(&mut self.sending);
        let lost = |reason, lost| Some((reason, lost)).filter(|_| lost > 0);
        if !matches!(answer, OtlpAnswer::Again { .. }) {
            self.failures = 0;
        }
        match answer {
            OtlpAnswer::Accepted => Settled { accepted: points, lost: None },
            OtlpAnswer::Partial { rejected, .. } => {
                let rejected = points.min(*rejected);
                let lost = lost(LossReason::Rejected, rejected);
                Settled { accepted: points - rejected, lost }
            }
            OtlpAnswer::Refused { .. } => {
                Settled { accepted: 0, lost: lost(LossReason::Refused, points) }
            }
            OtlpAnswer::Again { after, .. } => {
                self.failures = self.failures.saturating_add(1);
                let own = wait(self.failures, random);
                let asked = after.map(|after| after.clamp(FIRST_WAIT, ASKED_MAX));
                self.not_before = now.saturating_add(asked.unwrap_or(own));
                self.closed = self.closed.map(|_| true);
                self.bytes += request.body.len();
                self.waiting.push_front(request);
                Settled { accepted: 0, lost: lost(LossReason::QueueFull, self.shrink()) }
            }
        }
    }

    /// No request comes any more. The rest is sent without waiting, up to the first failure.
    pub const fn close(&mut self) {
        if self.closed.is_none() {
            self.closed = Some(false);
        }
    }

    /// Gives up what is left, and returns its data points.
    pub fn give_up(&mut self) -> u64 {
        self.closed = Some(true);
        self.bytes = 0;
        let left = self.waiting.drain(..).map(|request| request.points);
        left.sum::<u64>() + std::mem::take(&mut self.sending)
    }
}

/// The wait after the nth failure in a row: between half of it and all.
fn wait(failures: u32, random: u64) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    let half = FIRST_WAIT.saturating_mul(doubled).min(WAIT_MAX) / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(random % millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn request(size: usize, points: u64) -> OtlpRequest {
        OtlpRequest { body: vec![0; size].into(), points }
    }

    fn again(after: Option<u64>) -> OtlpAnswer {
        OtlpAnswer::Again { why: "busy".into(), after: after.map(at) }
    }

    /// Sends the next request, which must be due, and settles it.
    fn send(queue: &mut RequestQueue, now: Duration, answer: &OtlpAnswer) -> Settled {
        let NextStep::Send(request) = queue.step(now) else { panic!("not due: {queue:?}") };
        queue.settle(request, answer, now, 0)
    }

    #[test]
    fn requests_go_out_in_order_and_each_outcome_is_counted() {
        let mut queue = RequestQueue::new(100);
        for points in [1, 2, 3, 4] {
            assert_eq!(queue.push(request(10, points)), 0);
        }
        let partial = |rejected| OtlpAnswer::Partial { rejected, message: String::new() };
        let refused = OtlpAnswer::Refused { why: String::new() };
        let settled = |accepted, lost| Settled { accepted, lost };
        assert_eq!(send(&mut queue, at(0), &OtlpAnswer::Accepted), settled(1, None));
        let rejected = Some((LossReason::Rejected, 1));
        assert_eq!(send(&mut queue, at(0), &partial(1)), settled(1, rejected));
        assert_eq!(send(&mut queue, at(0), &refused), settled(0, Some((LossReason::Refused, 3))));
        let all = Some((LossReason::Rejected, 4));
        assert_eq!(
            send(&mut queue, at(0), &partial(99)),
            settled(0, all),
            "no more than were sent"
        );
        assert_eq!(queue.step(at(0)), NextStep::Idle);
    }

    #[test]
    fn waits_double_up_to_a_minute_and_end_with_a_success() {
        let mut queue = RequestQueue::new(100);
        let _none = queue.push(request(10, 1));
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(send(&mut queue, now, &again(None)), Settled::default());
            let NextStep::Wait(wait) = queue.step(now) else { panic!() };
            waits.push(wait.as_millis());
            now += wait;
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(send(&mut queue, now, &OtlpAnswer::Accepted).accepted, 1);
        let _none = queue.push(request(10, 1));
        let _again = send(&mut queue, now, &again(None));
        assert_eq!(queue.step(now), NextStep::Wait(Duration::from_millis(500)));
        assert!((1..99).all(|failures| wait(failures, u64::MAX) < WAIT_MAX));
    }

    #[test]
    fn the_receiver_is_left_alone_for_as_long_as_it_asks_within_reason() {
        for (asked, waited) in [(0, 1), (7, 7), (86_400, 600)] {
            let mut queue = RequestQueue::new(100);
            let _none = queue.push(request(10, 1));
            let _again = send(&mut queue, at(5), &again(Some(asked)));
            assert_eq!(queue.step(at(5)), NextStep::Wait(at(waited)));
        }
    }

    #[test]
    fn a_full_queue_loses_the_oldest_and_says_how_much() {
        let mut queue = RequestQueue::new(100);
        let lost: Vec<u64> = (1..=5).map(|points| queue.push(request(40, points))).collect();
        assert_eq!(lost, [0, 0, 1, 2, 3]);
        assert_eq!(queue.push(request(101, 6)), 4 + 5 + 6, "what never fits");
        let _none = queue.push(request(60, 7));
        let NextStep::Send(oldest) = queue.step(at(0)) else { panic!() };
        assert_eq!(queue.push(request(60, 8)), 0, "the one that is being sent is not in the queue");
        let settled = queue.settle(oldest, &again(None), at(0), 0);
        assert_eq!(settled.lost, Some((LossReason::QueueFull, 7)), "it is the oldest still");
        assert_eq!(queue.bytes(), 60);
    }

    #[test]
    fn at_the_end_everything_is_tried_once_without_waiting() {
        let mut queue = RequestQueue::new(100);
        for points in [1, 2, 4] {
            let _none = queue.push(request(10, points));
        }
        let _again = send(&mut queue, at(0), &again(Some(60)));
        queue.close();
        assert_eq!(send(&mut queue, at(0), &OtlpAnswer::Accepted).accepted, 1);
        let _again = send(&mut queue, at(0), &again(None));
        assert_eq!(queue.step(at(0)), NextStep::End);
        assert_eq!(queue.give_up(), 2 + 4);
        let mut cut_off = RequestQueue::new(100);
        let _none = cut_off.push(request(10, 8));
        let _sending = cut_off.step(at(0));
        assert_eq!(cut_off.give_up(), 8, "also what was being sent");
        assert_eq!(cut_off.step(at(0)), NextStep::End);
    }

    proptest! {
        /// Whatever happens, each data point is accepted, lost, or still there, and memory is bounded.
        #[test]
        fn every_data_point_is_accounted_for(
            events in prop::collection::vec((0..6u8, 0..60usize, 0..9u64), 0..200),
        ) {
            let mut queue = RequestQueue::new(150);
            let (mut pushed, mut accepted, mut lost, mut now) = (0, 0, 0, at(0));
            for (event, size, points) in events {
                now += at(size as u64);
                if event == 0 {
                    pushed += points;
                    lost += queue.push(request(size, points));
                } else if let NextStep::Send(request) = queue.step(now) {
                    let answer = match event {
                        1 => again(None),
                        2 => again(Some(points)),
                        3 => OtlpAnswer::Refused { why: String::new() },
                        4 => OtlpAnswer::Partial { rejected: points, message: String::new() },
                        _ => OtlpAnswer::Accepted,
                    };
                    let settled = queue.settle(request, &answer, now, points);
                    accepted += settled.accepted;
                    lost += settled.lost.map_or(0, |(_, lost)| lost);
                }
                prop_assert!(queue.bytes() <= 150);
            }
            prop_assert_eq!(pushed, accepted + lost + queue.give_up());
        }
    }
}
