//! A client in short, as the overview shows it.

use wire::WallNs;
use wire::frame::Counts;
use wire::id::ClientId;

use super::client::ClientState;
use super::counter::Losses;
use super::hour::{Extremes, FlowDirection, HourLosses, Peak};
use super::load::share;
use super::nic::LiveNic;
use super::view::{
    HourView, LostView, PeakView, SampleView, SumView, SummaryView, UtilisationView,
};
use crate::time::Time;

/// A client in short. `hour`: with what stands out in its last hour, and since when it is up or down.
pub(super) fn summary(id: &ClientId, client: &ClientState, hour: bool) -> SummaryView {
    let newest_ns = client.shown().filter_map(|(_, nic)| nic.newest.as_ref());
    let newest_ns = newest_ns.map(|it| it.observed_ns).max();
    let [mut rx, mut tx] = [SumView::default(); 2];
    let mut losses = Losses::default();
    for (_, nic) in client.shown() {
        losses.add(nic.losses);
        if let Some(newest) = nic.current(newest_ns).filter(|_| !nic.stacked()) {
            let view = SampleView::new(&newest.sample, newest.observed_ns);
            rx.add(&view.rx);
            tx.add(&view.tx);
        }
    }
    let down = client.shown().filter(|(_, nic)| nic.listed && !nic.facts.up);
    SummaryView {
        client: id.to_string(),
        alias: client.alias.clone(),
        up: client.presence.up(),
        elsewhere: client.presence.elsewhere(),
        last_seen: client.presence.last_seen(),
        observed: newest_ns.map(Time),
        clock_offset_ns: client.clock_offset_ns,
        second_host: client.second_host.clone(),
        tags: client.tags.counting(),
        sample_interval_ns: client.host.sample_interval_ns,
        links_down: down.map(|(name, _)| name.to_string()).collect(),
        since: hour.then(|| client.presence.since()).flatten(),
        utilisation: utilisation(client, newest_ns),
        hour: hour.then(|| Box::new(hour_view(client))),
        rx: rx.rounded(),
        tx: tx.rounded(),
        drops_total: losses.drops,
        late_total: losses.late,
        inexact_total: losses.inexact,
    }
}

/// The fullest link: first by whether it is full, then by how full it is this moment.
fn utilisation(client: &ClientState, newest_ns: Option<WallNs>) -> Option<UtilisationView> {
    let links = client.shown().filter_map(|(name, nic)| {
        let speed_bits = nic.speed_bits();
        let newest = nic.current(newest_ns).filter(|_| speed_bits > 0 && !nic.stacked())?;
        let of = |counts: &Counts| share(counts, newest.sample.interval_ns, speed_bits);
        let (rx, tx) = (of(&newest.sample.rx), of(&newest.sample.tx));
        let (share, direction) =
            if tx > rx { (tx, FlowDirection::Tx) } else { (rx, FlowDirection::Rx) };
        Some((nic.load.full_since_ns(), share, direction, name, speed_bits))
    });
    let (full_since_ns, share, direction, nic, speed_bits_per_second) =
        links.max_by(|a, b| a.0.is_some().cmp(&b.0.is_some()).then(a.1.total_cmp(&b.1)))?;
    Some(UtilisationView {
        nic: nic.to_string(),
        direction,
        share: (share * 1e4).round() / 1e4,
        speed_bits_per_second,
        full_since: full_since_ns.map(Time),
    })
}

fn hour_view(client: &ClientState) -> HourView {
    let Extremes { peaks: [peak_1ms, peak_10ms], lost } = client.hour.extremes();
    HourView {
        peak_1ms: peak_1ms.map(|peak| peak_view(client, &peak, 1000)),
        peak_10ms: peak_10ms.map(|peak| peak_view(client, &peak, 100)),
        lost: lost.map(|HourLosses { nic, packets, moment }| LostView {
            packets,
            nic: nic.to_string(),
            time: Time(moment.start_ns),
            interval_ns: moment.interval_ns,
        }),
    }
}

/// `per_second`: how many of its windows are in a second.
#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn peak_view(client: &ClientState, peak: &Peak, per_second: u64) -> PeakView {
    let Peak { nic, direction, bytes, moment } = *peak;
    let bytes_per_second = u64::from(bytes) * per_second;
    let speed_bits = client.nic_named(nic).map_or(0, LiveNic::speed_bits);
    let share = bytes_per_second as f64 * 8.0 / speed_bits as f64;
    PeakView {
        nic: nic.to_string(),
        direction,
        bytes_per_second,
        share: (speed_bits > 0).then_some((share * 1e4).round() / 1e4),
        time: Time(moment.start_ns),
        interval_ns: moment.interval_ns,
    }
}
