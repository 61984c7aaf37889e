//! What rules measure of a sample.

use wire::frame::{Counts, flags};

use super::config::AlertDirection;
use super::measure::Measure;
use super::rule::AlertRule;
use crate::live::TappedSample;

/// The values of a sample that a rule is about, by direction.
pub(super) fn values(
    rule: &AlertRule,
    tapped: &TappedSample,
) -> [Option<(Option<AlertDirection>, f64)>; 2] {
    let sample = &tapped.sample;
    // A shortened interval says little about a rate.
    let whole = tapped.newest && sample.flags & flags::PARTIAL == 0;
    let of = |direction: AlertDirection, value: &dyn Fn(&Counts) -> f64| {
        let asked = rule.direction.is_none_or(|only| only == direction);
        let counts = match direction {
            AlertDirection::Rx => &sample.rx,
            AlertDirection::Tx => &sample.tx,
        };
        asked.then(|| (Some(direction), value(counts)))
    };
    let both = |value: &dyn Fn(&Counts) -> f64| AlertDirection::ALL.map(|it| of(it, value));
    let rate =
        |counts: &Counts| figure(counts.bytes.get()) * 8e9 / figure(sample.interval_ns.max(1));
    match rule.measure {
        Measure::Loss if tapped.fresh => [Some((None, figure(sample.drops.get()))), None],
        Measure::Rate if whole => both(&rate),
        Measure::Peak1ms if tapped.newest => both(&|it| f64::from(it.peak_1ms_bytes) * 8e3),
        Measure::Utilisation if whole && tapped.speed_bits > 0 => {
            both(&|it| rate(it) * 100.0 / figure(tapped.speed_bits))
        }
        _ => [None, None],
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
const fn figure(figure: u64) -> f64 {
    figure as f64
}
