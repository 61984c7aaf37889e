//! The talkers of one NIC: lists of its minutes, and of moments that break a threshold.

use wire::talkers::{TALKERS_MAX, Talkers, TalkersKind};
use wire::{Bytes, Packets, WallNs};

use super::rings::Reserved;
use super::wall_span::WallSpan;
use crate::talkers::list::{largest, list};
use crate::talkers::moment::{Moments, Thresholds};
use crate::talkers::table::{Seed, TalkerTables, TalkerTablesRef, tables};
use crate::talkers::{SeenSockets, TalkersReport};
use wire::frame::{Counts, Sample};

/// Length of the lists' interval, nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;

/// Which talkers are listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TalkersConfig {
    /// Most talkers of a minute and direction, 1 to [`TALKERS_MAX`].
    pub entries: usize,
    /// Samples whose talkers are listed by themselves, with [`TALKERS_MAX`] talkers.
    pub on: Thresholds,
}

/// What ends with a sample.
#[derive(Debug, Default)]
pub(super) struct TakenTalkers {
    pub reports: Vec<TalkersReport>,
    /// The sockets of the sample's largest talkers, with the kinds of their keys.
    pub largest: Vec<(u8, SeenSockets)>,
}

/// Talkers of a NIC that are in no list yet.
#[derive(Debug)]
pub(super) struct NicTalkers {
    entries: usize,
    moments: Moments,
    seed: Seed,
    /// Room for talkers of each table, and the memory of all of them and of the readers'.
    room: usize,
    _memory: Reserved,
    /// Those of the sample that is being taken.
    sample: TalkerTables,
    minute: TalkerTables,
    span: WallSpan,
    /// What the samples of the minute have, rx and tx.
    totals: [(Bytes, Packets); 2],
}

impl NicTalkers {
    /// Tables with room for so many talkers each, whose memory is reserved.
    pub fn new(config: &TalkersConfig, seed: Seed, room: usize, memory: Reserved) -> Self {
        Self {
            entries: config.entries,
            moments: Moments::new(config.on),
            seed,
            room,
            _memory: memory,
            sample: tables(seed, room),
            minute: tables(seed, room),
            span: WallSpan::new(MINUTE_NS),
            totals: [(Bytes(0), Packets(0)); 2],
        }
    }

    /// Tables for what is left of readers that have ended.
    pub fn empty_tables(&self) -> TalkerTables {
        tables(self.seed, self.room)
    }

    /// Adds what a reader counted in the slots of the next sample.
    pub fn add(&mut self, counted: TalkerTablesRef<'_>) {
        merge(&mut self.sample, counted);
    }

    /// Lists that end with a sample; `last`: no other follows.
    pub fn take(&mut self, sample: &Sample, speed_bits: u64, last: bool) -> TakenTalkers {
        let totals = [&sample.rx, &sample.tx].map(|counts: &Counts| (counts.bytes, counts.packets));
        let mut reports = Vec::new();
        let (start_ns, interval_ns) = (sample.start_ns, sample.interval_ns);
        if self.moments.lists(sample, speed_bits) {
            let span = (start_ns, interval_ns);
            let kind = TalkersKind::Moment;
            reports.push(report(sample, kind, span, (&self.sample, totals), TALKERS_MAX));
        }
        let largest = self.sample.iter().flat_map(|table| largest(table, self.entries)).collect();
        merge(&mut self.minute, self.sample.each_ref());
        self.sample.iter_mut().for_each(|table| table.clear());
        for (sum, (bytes, packets)) in self.totals.iter_mut().zip(totals) {
            *sum = (sum.0 + bytes, sum.1 + packets);
        }
        if let Some(span) = self.span.add(&(start_ns..start_ns + interval_ns), last) {
            let totals = std::mem::take(&mut self.totals);
            let kind = TalkersKind::Minute;
            reports.push(report(sample, kind, span, (&self.minute, totals), self.entries));
            self.minute.iter_mut().for_each(|table| table.clear());
        }
        TakenTalkers { reports, largest }
    }
}

/// Adds tables to those of the same directions.
pub(super) fn merge(sums: &mut TalkerTables, more: TalkerTablesRef<'_>) {
    for (sum, more) in sums.iter_mut().zip(more) {
        sum.merge(more);
    }
}

/// A record of tables, whose totals are given.
fn report(
    sample: &Sample,
    kind: TalkersKind,
    (start_ns, interval_ns): (WallNs, u64),
    ([rx, tx], [rx_total, tx_total]): (&TalkerTables, [(Bytes, Packets); 2]),
    most: usize,
) -> TalkersReport {
    let (rx, rx_seen) = list(rx, rx_total, most);
    let (tx, tx_seen) = list(tx, tx_total, most);
    let (nic, kind) = (sample.nic, kind as u8);
    let record = Talkers { nic, start_ns, interval_ns, kind, rx, tx, owners: Vec::new() };
    TalkersReport { record, rx_seen, tx_seen }
}

#[cfg(test)]
mod tests {
    use wire::id::NicName;

    use super::super::rings::MemoryInUse;
    use super::*;
    use crate::talkers::key::{KeyAddress, KeyedFlow};

    const SECOND: u64 = 1_000_000_000;

    fn talkers(on: Thresholds) -> NicTalkers {
        let (config, seed) = (TalkersConfig { entries: 2, on }, Seed::random().unwrap());
        NicTalkers::new(&config, seed, 100, MemoryInUse::default().reserve(0))
    }

    fn sample(second: u64, bytes: u64) -> Sample {
        let rx = Counts { bytes: Bytes(bytes), packets: Packets(4), ..Counts::default() };
        let nic = NicName::new("eth0").unwrap();
        let start_ns = WallNs(second * SECOND);
        Sample { nic, start_ns, interval_ns: SECOND, rx, ..Sample::default() }
    }

    /// What a reader counted: four packets of different talkers.
    fn counted(mut tables: TalkerTables) -> TalkerTables {
        for n in 1..=4 {
            let flow = KeyedFlow::arp(KeyAddress::v4([192, 0, 2, n]));
            tables[0].add(&flow, Bytes(u64::from(n) * 100), Packets(1));
        }
        tables
    }

    #[test]
    fn a_minute_ends_at_the_wall_clocks_and_has_its_samples_sums() {
        let mut talkers = talkers(Thresholds::default());
        let mut records = Vec::new();
        for second in 90..200 {
            talkers.add(counted(talkers.empty_tables()).each_ref());
            // 30 bytes of each sample have no name.
            records.extend(talkers.take(&sample(second, 1030), 0, second == 199).reports);
        }
        let spans: Vec<(u64, u64)> = records
            .iter()
            .map(|it| (it.record.start_ns.get() / SECOND, it.record.interval_ns / SECOND))
            .collect();
        assert_eq!(spans, [(90, 30), (120, 60), (180, 20)]);
        for (TalkersReport { record, rx_seen, .. }, seconds) in records.iter().zip([30, 60, 20]) {
            assert_eq!(record.kind, TalkersKind::Minute as u8);
            assert_eq!(record.rx.total_bytes, Bytes(1030 * seconds));
            assert_eq!(record.rx.total_packets, Packets(4 * seconds));
            let named: Vec<u64> = record.rx.talkers.iter().map(|it| it.bytes.get()).collect();
            assert_eq!((named, rx_seen.len()), (vec![400 * seconds, 300 * seconds], 2));
            assert_eq!(record.rx.rest().0, Bytes(330 * seconds));
            assert_eq!(record.rx.error_bytes, Bytes(30 * seconds));
            assert_eq!(record.rx.unlisted_bytes, Bytes(230 * seconds));
            assert_eq!((record.rx.distinct, record.tx.distinct), (4, 0));
        }
    }

    #[test]
    fn a_sample_that_breaks_a_threshold_is_listed_by_itself() {
        let mut talkers = talkers(Thresholds { rate: Some(10_000.0), ..Thresholds::default() });
        let mut take = |second, bytes| {
            talkers.add(counted(talkers.empty_tables()).each_ref());
            talkers.take(&sample(second, bytes), 0, false).reports
        };
        assert!(take(60, 1100).is_empty());
        let moment = take(61, 1250).pop().unwrap().record;
        assert_eq!((moment.kind, moment.interval_ns), (TalkersKind::Moment as u8, SECOND));
        assert_eq!((moment.start_ns, moment.rx.talkers.len()), (WallNs(61 * SECOND), 4));
        assert_eq!((moment.rx.total_bytes, moment.rx.rest().0), (Bytes(1250), Bytes(250)));
        assert!(take(62, 1100).is_empty());
        for second in 63..119 {
            take(second, 1100);
        }
        let minute = take(119, 1100).pop().unwrap().record;
        assert_eq!(minute.kind, TalkersKind::Minute as u8);
        assert_eq!(minute.rx.total_bytes, Bytes(60 * 1100 + 150), "the moment is in it as well");
    }
}
