//! The last hour of a client, minute by minute: what its NICs carried, their highest peaks and their
//! losses. Takes samples, stored minutes and times.
//!
//! Minutes and moments are those of the client's clock, as in the store, so that a minute found there
//! replaces the same minute here, and a moment can be looked up. Callers give the client's time: the
//! collector's plus the known offset. What a client's clock stamped before it was stepped by more than
//! an hour is not within its last hour any more.

use std::array;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::frame::{Counts, Sample, flags};
use wire::id::NicName;
use wire::{Bytes, Packets, WallNs};

use crate::store::Point;

/// Length of a minute, nanoseconds.
pub const MINUTE_NS: u64 = 60_000_000_000;

/// Minutes that are kept: an hour, and the one that is not over.
pub const MINUTES: usize = 61;

/// The same.
const KEPT: u32 = 61;
const _: () = assert!(KEPT as usize == MINUTES);

/// Their length, nanoseconds.
pub const HOUR_NS: u64 = MINUTES as u64 * MINUTE_NS;

/// Longest interval of a sample that belongs to one minute, nanoseconds. Longer ones are of gaps, whose
/// bytes no minute can claim.
const INTERVAL_MAX_NS: u64 = MINUTE_NS;

const MS_NS: u64 = 1_000_000;

/// Received or transmitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlowDirection {
    /// Received.
    #[default]
    Rx,
    /// Transmitted.
    Tx,
}

impl fmt::Display for FlowDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        })
    }
}

/// The interval in which something happened, by the client's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SampleSpan {
    /// Start, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Length, nanoseconds.
    pub interval_ns: u64,
}

/// The most that a NIC carried within 1 or 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peak {
    pub nic: NicName,
    pub direction: FlowDirection,
    /// Bytes within that time.
    pub bytes: u32,
    pub moment: SampleSpan,
}

/// Packets dropped because a ring was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HourLosses {
    /// The NIC of the newest loss.
    pub nic: NicName,
    /// Of all NICs in the hour.
    pub packets: Packets,
    /// The newest loss.
    pub moment: SampleSpan,
}

/// What stands out in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Extremes {
    /// Within 1 ms and within 10 ms, of NICs that are not stacked.
    pub peaks: [Option<Peak>; 2],
    pub lost: Option<HourLosses>,
}

/// What a minute came to. All NICs of all clients have [`MINUTES`] of these, so it is kept small.
#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    /// Minutes since 1970; 0: empty.
    number: u32,
    /// Length of its samples, milliseconds.
    interval_ms: u32,
    /// When its newest loss began, milliseconds since its start.
    lost_ms: u32,
    /// Highest 1 ms and 10 ms: bytes, when the sample began, milliseconds since the minute's start, and
    /// the direction.
    peaks: [(u32, u32, FlowDirection); 2],
    covered_ns: u64,
    /// Received and transmitted.
    bytes: [Bytes; 2],
    drops: Packets,
}

/// The last hour of a NIC: minute `n` is at `n % MINUTES`.
#[derive(Debug)]
struct NicHour {
    minutes: Box<[Minute; MINUTES]>,
    stacked: bool,
}

/// What a client carried in each minute; `None` where nothing was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MinuteRates {
    /// Received and transmitted, bytes per second.
    pub rates: [Option<[u64; 2]>; MINUTES],
    /// Packets dropped.
    pub drops: [Packets; MINUTES],
}

/// The last hour of a client.
#[derive(Debug, Default)]
pub(super) struct Hour {
    nics: BTreeMap<NicName, NicHour>,
    extremes: Extremes,
    /// The minute up to which the extremes are right.
    until: u32,
    /// The extremes may hold what no NIC has any more, or lack what one has. To find them takes a look at
    /// each minute of each NIC: too long for every sample, so [`Hour::tick`] does.
    stale: bool,
}

/// Start and end of the minutes that are kept at a time.
pub(super) const fn hour_until(client_now_ns: WallNs) -> (WallNs, WallNs) {
    let end_ns = client_now_ns.floor(MINUTE_NS).saturating_add(MINUTE_NS);
    (end_ns.saturating_sub(HOUR_NS), end_ns)
}

const fn minute_of(time_ns: WallNs) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "64 bits of nanoseconds are 2^29 minutes")]
    let number = (time_ns.get() / MINUTE_NS) as u32;
    number
}

/// The minute of a time, if it is one of those that are kept. What claims to come later than now belongs
/// to this minute: the client's clock runs ahead.
fn kept_minute(time_ns: WallNs, now: u32) -> Option<u32> {
    let number = minute_of(time_ns).min(now);
    (number != 0 && now - number < KEPT).then_some(number)
}

const fn milliseconds(length_ns: u64) -> u32 {
    let length = length_ns / MS_NS;
    #[allow(clippy::cast_possible_truncation, reason = "just checked")]
    if length < u32::MAX as u64 { length as u32 } else { u32::MAX }
}

impl Minute {
    const fn start_ns(&self) -> WallNs {
        WallNs(self.number as u64 * MINUTE_NS)
    }

    const fn moment(&self, begin_ms: u32) -> SampleSpan {
        let start_ns = self.start_ns().saturating_add(begin_ms as u64 * MS_NS);
        SampleSpan { start_ns, interval_ns: self.interval_ms as u64 * MS_NS }
    }

    fn add(&mut self, sample: &Sample) {
        self.interval_ms = self.interval_ms.max(milliseconds(sample.interval_ns)).max(1);
        let after_ns = sample.start_ns.saturating_since(self.start_ns());
        let begin_ms = milliseconds(after_ns.min(MINUTE_NS - MS_NS));
        if sample.drops > Packets(0) {
            self.drops = self.drops.saturating_add(sample.drops);
            self.lost_ms = self.lost_ms.max(begin_ms);
        }
        self.covered_ns = self.covered_ns.saturating_add(sample.interval_ns);
        for (sum, more) in self.bytes.iter_mut().zip([&sample.rx, &sample.tx]) {
            *sum = sum.saturating_add(more.bytes);
        }
        let Sample { rx, tx, .. } = sample;
        self.raise(
            [highest(rx, tx, |it| it.peak_1ms_bytes), highest(rx, tx, |it| it.peak_10ms_bytes)],
            begin_ms,
        );
    }

    fn raise(&mut self, peaks: [(u32, FlowDirection); 2], begin_ms: u32) {
        for (known, (bytes, direction)) in self.peaks.iter_mut().zip(peaks) {
            if bytes > known.0 {
                *known = (bytes, begin_ms, direction);
            }
        }
    }

    /// Takes the same minute of the store: the fuller one counts, and the higher of the peaks. Where
    /// both are the same, what is known here is more exact in time.
    fn merge(&mut self, stored: &Point) {
        if stored.interval_ns > self.covered_ns {
            self.covered_ns = stored.interval_ns;
            self.bytes = [stored.rx.bytes, stored.tx.bytes];
        }
        if stored.drops > self.drops {
            (self.drops, self.lost_ms) = (stored.drops, 0);
            self.interval_ms = milliseconds(MINUTE_NS);
        }
        let Point { rx, tx, .. } = stored;
        let peaks =
            [highest(rx, tx, |it| it.peak_1ms_bytes), highest(rx, tx, |it| it.peak_10ms_bytes)];
        if peaks.iter().zip(&self.peaks).any(|((bytes, _), known)| *bytes > known.0) {
            self.interval_ms = milliseconds(MINUTE_NS);
        }
        self.raise(peaks, 0);
    }
}

/// The higher direction.
fn highest<T>(rx: &T, tx: &T, of: impl Fn(&T) -> u32) -> (u32, FlowDirection) {
    let (rx, tx) = (of(rx), of(tx));
    if tx > rx { (tx, FlowDirection::Tx) } else { (rx, FlowDirection::Rx) }
}

impl NicHour {
    fn new() -> Self {
        Self { minutes: Box::new([Minute::default(); MINUTES]), stacked: false }
    }

    /// The place of a minute that is kept, emptied if an earlier one was there.
    fn minute(&mut self, number: u32) -> &mut Minute {
        let place = &mut self.minutes[number as usize % MINUTES];
        if place.number != number {
            *place = Minute { number, ..Minute::default() };
        }
        place
    }

    /// The minutes up to `now`, in any order.
    fn known(&self, now: u32) -> impl Iterator<Item = &Minute> {
        let within = move |it: &&Minute| it.number != 0 && now.wrapping_sub(it.number) < KEPT;
        self.minutes.iter().filter(within)
    }
}

impl Extremes {
    /// Takes a minute that it doesn't have yet.
    fn take(&mut self, nic: NicName, stacked: bool, minute: &Minute) {
        self.take_losses(nic, minute, minute.drops);
        if !stacked {
            self.take_peaks(nic, minute);
        }
    }

    /// Takes losses of a minute, of which it may have others.
    fn take_losses(&mut self, nic: NicName, minute: &Minute, drops: Packets) {
        if drops > Packets(0) {
            let moment = minute.moment(minute.lost_ms);
            let lost = self.lost.get_or_insert(HourLosses { nic, packets: Packets(0), moment });
            lost.packets = lost.packets.saturating_add(drops);
            if moment.start_ns > lost.moment.start_ns {
                (lost.nic, lost.moment) = (nic, moment);
            }
        }
    }

    /// Takes the peaks of a minute, of which it may have lower ones.
    fn take_peaks(&mut self, nic: NicName, minute: &Minute) {
        for (known, (bytes, begin_ms, direction)) in self.peaks.iter_mut().zip(minute.peaks) {
            if bytes > known.map_or(0, |known| known.bytes) {
                *known = Some(Peak { nic, direction, bytes, moment: minute.moment(begin_ms) });
            }
        }
    }
}

impl Hour {
    /// Takes a sample that was not counted before. True if it stands out. `gap`: it is of a gap, of which
    /// only losses count.
    pub fn add(
        &mut self,
        sample: &Sample,
        stacked: bool,
        gap: bool,
        client_now_ns: WallNs,
    ) -> bool {
        let now = minute_of(client_now_ns);
        let counted = match gap || sample.interval_ns > INTERVAL_MAX_NS {
            true if sample.drops == Packets(0) => return false,
            true => {
                Sample { rx: Counts::default(), tx: Counts::default(), interval_ns: 0, ..*sample }
            }
            false => *sample,
        };
        let Some(number) = kept_minute(sample.start_ns, now) else { return false };
        let nic = self.nics.entry(sample.nic).or_insert_with(NicHour::new);
        let restacked = std::mem::replace(&mut nic.stacked, stacked) != stacked;
        let minute = nic.minute(number);
        minute.add(&counted);
        let minute = *minute;
        self.stale |= restacked;
        let before = self.extremes;
        self.extremes.take_losses(sample.nic, &minute, counted.drops);
        if !stacked {
            self.extremes.take_peaks(sample.nic, &minute);
        }
        self.extremes != before
    }

    /// Takes stored minutes of a NIC. What stands out among them shows with the next [`Hour::tick`].
    pub fn fill(&mut self, nic: NicName, stored: &[Point], client_now_ns: WallNs) {
        let now = minute_of(client_now_ns);
        // The store's minute may be of another clock than this client's of now.
        let past = stored.iter().filter(|point| minute_of(point.start_ns) <= now);
        let mut kept =
            past.filter_map(|point| Some((kept_minute(point.start_ns, now)?, point))).peekable();
        if kept.peek().is_none() {
            return;
        }
        let hour = self.nics.entry(nic).or_insert_with(NicHour::new);
        for (number, point) in kept {
            hour.stacked = point.flags & flags::STACKED != 0;
            hour.minute(number).merge(point);
        }
        self.stale = true;
    }

    /// Lets go of what is older than an hour, and finds what stands out. True if that has changed. Call it
    /// every few seconds.
    pub fn tick(&mut self, client_now_ns: WallNs) -> bool {
        let now = minute_of(client_now_ns);
        if now == self.until && !self.stale {
            return false;
        }
        self.nics.retain(|_, nic| nic.known(now).next().is_some());
        self.find(now)
    }

    /// What stands out.
    pub const fn extremes(&self) -> &Extremes {
        &self.extremes
    }

    /// How many NICs it knows.
    pub fn nics(&self) -> usize {
        self.nics.len()
    }

    /// Whether it knows a NIC.
    pub fn knows(&self, nic: NicName) -> bool {
        self.nics.contains_key(&nic)
    }

    /// What NICs that are not stacked carried in each minute, oldest first. The last one is not over.
    pub fn rates(&self, client_now_ns: WallNs) -> MinuteRates {
        let now = minute_of(client_now_ns);
        let mut sums = MinuteRates { rates: [None; MINUTES], drops: [Packets(0); MINUTES] };
        for nic in self.nics.values() {
            for minute in nic.known(now) {
                let at = MINUTES - 1 - (now - minute.number) as usize;
                sums.drops[at] = sums.drops[at].saturating_add(minute.drops);
                if nic.stacked || minute.covered_ns == 0 {
                    continue;
                }
                let sum = sums.rates[at].get_or_insert([0; 2]);
                let rates = minute.bytes.map(|bytes| rate(bytes, minute.covered_ns));
                *sum = array::from_fn(|index| sum[index].saturating_add(rates[index]));
            }
        }
        sums
    }

    fn find(&mut self, now: u32) -> bool {
        let mut found = Extremes::default();
        for (name, nic) in &self.nics {
            nic.known(now).for_each(|minute| found.take(*name, nic.stacked, minute));
        }
        (self.until, self.stale) = (now, false);
        std::mem::replace(&mut self.extremes, found) != found
    }
}

/// A mean rate, bytes per second.
fn rate(bytes: Bytes, covered_ns: u64) -> u64 {
    let rate = u128::from(bytes.get()) * 1_000_000_000 / u128::from(covered_ns.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
