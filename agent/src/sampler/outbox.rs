//! The sampler's output: a channel that never makes it wait.

use std::collections::BTreeMap;

use crossbeam_channel::{Sender, TrySendError};
use wire::frame::{Mix, Sample};
use wire::id::NicName;
use wire::talkers::{RECORDS_MAX, TalkersKind};

use super::report::IntervalReport;
use crate::talkers::TalkersReport;

/// Passes reports on. If there is no room, merges them into one that waits.
#[derive(Debug)]
pub(super) struct Outbox {
    reports: Sender<IntervalReport>,
    waiting: Option<IntervalReport>,
    closed: bool,
}

impl Outbox {
    pub const fn new(reports: Sender<IntervalReport>) -> Self {
        Self { reports, waiting: None, closed: false }
    }

    /// True once the receiver is gone.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn put(&mut self, report: IntervalReport) {
        let report = match self.waiting.take() {
            Some(waiting) => merged(waiting, report),
            None => report,
        };
        if report.samples.is_empty()
            && report.mixes.is_empty()
            && report.talkers.is_empty()
            && report.ended.is_empty()
        {
            return;
        }
        match self.reports.try_send(report) {
            Ok(()) => {}
            Err(TrySendError::Full(report)) => self.waiting = Some(report),
            Err(TrySendError::Disconnected(_)) => self.closed = true,
        }
    }

    /// Passes on what still waits, however long that takes.
    pub fn finish(self) {
        if let Some(waiting) = self.waiting {
            // If the receiver is gone, nobody misses it.
            let _gone = self.reports.send(waiting);
        }
    }
}

/// Two reports as one: a sample and a mix per NIC.
fn merged(earlier: IntervalReport, later: IntervalReport) -> IntervalReport {
    let mut samples: BTreeMap<NicName, Sample> = BTreeMap::new();
    for sample in earlier.samples.into_iter().chain(later.samples) {
        let same = samples.entry(sample.nic);
        same.and_modify(|earlier| earlier.merge(&sample)).or_insert(sample);
    }
    let mut mixes: BTreeMap<NicName, Mix> = BTreeMap::new();
    for mix in earlier.mixes.into_iter().chain(later.mixes) {
        let same = mixes.entry(mix.nic);
        same.and_modify(|earlier| earlier.merge(&mix)).or_insert(mix);
    }
    IntervalReport {
        samples: samples.into_values().collect(),
        mixes: mixes.into_values().collect(),
        talkers: merged_talkers(earlier.talkers.into_iter().chain(later.talkers)),
        largest: later.largest,
        ended: earlier.ended.into_iter().chain(later.ended).collect(),
    }
}

/// One list of minutes per NIC, and the newest moments, whose traffic the minutes name as well.
fn merged_talkers(reports: impl Iterator<Item = TalkersReport>) -> Vec<TalkersReport> {
    let (minutes, mut moments): (Vec<_>, Vec<_>) =
        reports.partition(|it| it.record.kind == TalkersKind::Minute as u8);
    moments.drain(..moments.len().saturating_sub(RECORDS_MAX));
    let mut of_nics: BTreeMap<NicName, TalkersReport> = BTreeMap::new();
    for minute in minutes {
        let same = of_nics.entry(minute.record.nic);
        same.and_modify(|earlier| earlier.merge(&minute)).or_insert(minute);
    }
    of_nics.into_values().chain(moments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::talkers::Talkers;
    use wire::{Bytes, WallNs};

    fn report(start_ns: u64) -> IntervalReport {
        let nic = NicName::new("eth0").unwrap();
        let mut sample =
            Sample { nic, start_ns: WallNs(start_ns), interval_ns: 10, ..Sample::default() };
        sample.rx.bytes = Bytes(1);
        IntervalReport { samples: vec![sample], ..IntervalReport::default() }
    }

    #[test]
    fn what_nobody_takes_in_time_is_put_together_and_not_lost() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox::new(sender);
        for n in 0..5 {
            outbox.put(report(n * 10));
        }
        let first = receiver.recv().unwrap();
        assert_eq!(first, report(0));
        outbox.put(report(50));
        let rest = receiver.recv().unwrap().samples[0];
        assert_eq!((rest.start_ns, rest.interval_ns, rest.rx.bytes), (WallNs(10), 50, Bytes(5)));
        outbox.put(report(60));
        outbox.put(report(70));
        let taker = std::thread::spawn(move || receiver.iter().collect::<Vec<_>>());
        outbox.finish();
        assert_eq!(taker.join().unwrap().len(), 2);
    }

    #[test]
    fn talkers_that_nobody_takes_in_time_are_bounded_and_their_minutes_add_up() {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let mut outbox = Outbox::new(sender);
        outbox.put(report(0));
        for n in 1..100 {
            let nic = NicName::new("eth0").unwrap();
            let talkers = [TalkersKind::Minute, TalkersKind::Moment].map(|kind| {
                let start_ns = WallNs(n * 60);
                let mut record = Talkers {
                    nic,
                    start_ns,
                    interval_ns: 60,
                    kind: kind as u8,
                    ..Talkers::default()
                };
                record.rx.total_bytes = Bytes(1);
                TalkersReport { record, ..TalkersReport::default() }
            });
            outbox.put(IntervalReport { talkers: talkers.into(), ..report(n) });
        }
        drop(receiver.recv().unwrap());
        outbox.put(report(100));
        let talkers = receiver.recv().unwrap().talkers;
        let (minute, moments) = (&talkers[0].record, &talkers[1..]);
        assert_eq!((minute.interval_ns, minute.rx.total_bytes), (99 * 60, Bytes(99)));
        assert_eq!(moments.len(), RECORDS_MAX);
        assert_eq!(moments[RECORDS_MAX - 1].record.start_ns, WallNs(99 * 60), "the newest");
    }
}
