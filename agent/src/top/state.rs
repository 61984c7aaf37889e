//! State of `agent top`: the last samples of each NIC, and their sums. No I/O, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use settings::terminal::Input;
use wire::frame::{Mix, Sample, flags};
use wire::id::NicName;
use wire::message::{Inventory, Nic};
use wire::talkers::{Talkers, TalkersKind};
use wire::{Bytes, Packets};

use crate::sampler::IntervalReport;
use crate::talkers::TalkersReport;

/// Samples kept for each NIC: as many as the widest screen has columns.
const HISTORY: usize = 512;

/// The view's state.
#[derive(Debug)]
pub(super) struct State {
    interval: Duration,
    nics: BTreeMap<NicName, NicState>,
    selected: usize,
    paused: bool,
    counts_talkers: bool,
    talkers_only: bool,
}

/// Data about one NIC.
#[derive(Debug, Default)]
pub(super) struct NicState {
    /// The kernel's facts about it; `None` once it is no longer captured.
    pub(super) link: Option<Nic>,
    /// Oldest first.
    pub(super) history: VecDeque<Sample>,
    /// All samples since the view was opened.
    pub(super) total: Option<Sample>,
    /// The newest mix.
    pub(super) mix: Option<Mix>,
    /// The talkers of the newest sample.
    pub(super) moment: Option<Talkers>,
    /// The talkers of the last minute that ended.
    pub(super) minute: Option<Talkers>,
}

impl State {
    /// Nothing yet, of samples this long. `counts_talkers`: there will be talkers.
    pub(super) const fn new(interval: Duration, counts_talkers: bool) -> Self {
        Self {
            interval,
            nics: BTreeMap::new(),
            selected: 0,
            paused: false,
            counts_talkers,
            talkers_only: false,
        }
    }

    /// Adds an interval's samples. While the view is paused, only its totals grow.
    pub(super) fn add(&mut self, report: &IntervalReport) {
        for sample in &report.samples {
            let nic = self.nics.entry(sample.nic).or_default();
            match &mut nic.total {
                Some(total) => total.merge(sample),
                None => nic.total = Some(*sample),
            }
            // The first and last sample of a capture are cut short: their rates mean little.
            if self.paused || sample.flags & flags::PARTIAL != 0 {
                continue;
            }
            if nic.history.len() == HISTORY {
                nic.history.pop_front();
            }
            nic.history.push_back(*sample);
        }
        for mix in report.mixes.iter().filter(|_| !self.paused) {
            self.nics.entry(mix.nic).or_default().mix = Some(*mix);
        }
    }

    /// Adds the records of talkers of a report.
    pub(super) fn add_talkers(&mut self, report: &IntervalReport) {
        for TalkersReport { record, .. } in report.talkers.iter().filter(|_| !self.paused) {
            let nic = self.nics.entry(record.nic).or_default();
            let is_minute = record.kind == TalkersKind::Minute as u8;
            let newest = if is_minute { &mut nic.minute } else { &mut nic.moment };
            *newest = Some(record.clone());
        }
    }

    /// Sets the captured NICs.
    pub(super) fn set_nics(&mut self, inventory: &Inventory) {
        for (name, nic) in &mut self.nics {
            nic.link = inventory.nics.iter().find(|link| link.name == *name).cloned();
        }
        for link in &inventory.nics {
            self.nics.entry(link.name).or_default().link = Some(link.clone());
        }
    }

    /// Does what a key asks for.
    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Up => self.selected = self.selected.saturating_sub(1),
            Input::Down => {
                self.selected = (self.selected + 1).min(self.nics.len().saturating_sub(1));
            }
            Input::Pause => self.paused = !self.paused,
            Input::Open => self.talkers_only = !self.talkers_only,
            _ => {}
        }
    }

    /// Length of a sample.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// True while the figures stand still.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// False if talkers are switched off.
    pub(super) const fn counts_talkers(&self) -> bool {
        self.counts_talkers
    }

    /// True while talkers take the place of charts and figures.
    pub(super) const fn shows_talkers_only(&self) -> bool {
        self.talkers_only
    }

    /// All NICs, by name.
    pub(super) fn nics(&self) -> impl ExactSizeIterator<Item = (&NicName, &NicState)> {
        self.nics.iter()
    }

    /// Which of them is selected.
    pub(super) const fn selected(&self) -> usize {
        self.selected
    }

    /// The NIC that is selected.
    pub(super) fn selected_nic(&self) -> Option<(&NicName, &NicState)> {
        self.nics.iter().nth(self.selected)
    }
}

impl NicState {
    /// Bytes of the samples kept, oldest first, to be drawn.
    pub(super) fn bytes(&self, direction: impl Fn(&Sample) -> Bytes) -> Vec<u64> {
        self.history.iter().map(|sample| direction(sample).get()).collect()
    }

    /// True if a packet since the view was opened is in no figure.
    pub(super) fn has_lost(&self) -> bool {
        self.total.is_some_and(|total| total.drops > Packets(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(nic: &str, bytes: u64) -> Sample {
        let mut sample = Sample { nic: NicName::new(nic).unwrap(), ..Sample::default() };
        sample.interval_ns = 500_000_000;
        sample.rx.bytes = Bytes(bytes);
        sample
    }

    fn report(samples: &[Sample]) -> IntervalReport {
        IntervalReport { samples: samples.to_vec(), ..IntervalReport::default() }
    }

    fn state() -> State {
        State::new(Duration::from_millis(500), true)
    }

    #[test]
    fn a_paused_view_stands_still_and_loses_nothing() {
        let mut state = state();
        state.add(&report(&[sample("eth0", 1)]));
        state.input(Input::Pause);
        state.add(&report(&[sample("eth0", 2)]));
        let (_, nic) = state.nics().next().unwrap();
        assert_eq!((nic.history.len(), nic.total.unwrap().rx.bytes), (1, Bytes(3)));
        state.input(Input::Pause);
        state.add(&report(&[sample("eth0", 4)]));
        let (_, nic) = state.nics().next().unwrap();
        assert_eq!(nic.bytes(|sample| sample.rx.bytes), [1, 4]);
    }

    #[test]
    fn a_history_is_bounded_and_keeps_the_newest() {
        let mut state = state();
        for bytes in 0..=HISTORY as u64 {
            state.add(&report(&[sample("eth0", bytes)]));
        }
        let (_, nic) = state.nics().next().unwrap();
        let bytes = nic.bytes(|sample| sample.rx.bytes);
        assert_eq!((bytes.len(), bytes[0], bytes[HISTORY - 1]), (HISTORY, 1, HISTORY as u64));
    }

    #[test]
    fn the_selection_stays_on_the_list() {
        let mut state = state();
        state.add(&report(&[sample("a", 0), sample("b", 0)]));
        for (input, selected) in [(Input::Up, 0), (Input::Down, 1), (Input::Down, 1)] {
            state.input(input);
            assert_eq!(state.selected(), selected);
        }
        assert_eq!(state.selected_nic().unwrap().0.to_string(), "b");
    }

    #[test]
    fn a_nic_that_is_gone_stays_on_the_screen_without_its_link() {
        let mut state = state();
        let link = Nic { name: NicName::new("eth0").unwrap(), ..Nic::default() };
        state.set_nics(&Inventory { nics: vec![link] });
        assert!(state.nics().next().unwrap().1.link.is_some());
        state.set_nics(&Inventory::default());
        assert!(state.nics().next().unwrap().1.link.is_none());
    }

    #[test]
    fn samples_cut_short_are_in_the_total_only() {
        let mut state = state();
        let cut = Sample { flags: flags::PARTIAL, ..sample("eth0", 9) };
        state.add(&report(&[cut]));
        let (_, nic) = state.nics().next().unwrap();
        assert_eq!((nic.history.len(), nic.total.unwrap().rx.bytes), (0, Bytes(9)));
    }
}
