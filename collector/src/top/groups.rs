//! Which clients are shown, and the rows of groups in place of clients.

use std::collections::{BTreeMap, HashMap};

use wire::tag::{Tag, TagKey};
use wire::{Packets, WallNs};

use super::client::TopClient;
use crate::live::{HourView, LostView, PeakView, SumView, SummaryView, UtilisationView};
use crate::time::Time;

/// Which clients are shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Only clients with all of these tags.
    pub having: Vec<Tag>,
    /// One row for each value of this tag, in place of clients.
    pub by: Option<TagKey>,
}

impl Chosen {
    /// True if a client is shown or counted.
    pub(super) fn has(&self, client: &TopClient) -> bool {
        client.summary().tags.has_all(&self.having)
    }

    /// The chosen tags as a text; `None`: all clients are shown.
    pub(super) fn tags(&self) -> Option<String> {
        let tags: Vec<String> = self.having.iter().map(ToString::to_string).collect();
        (!tags.is_empty()).then(|| tags.join(" "))
    }
}

/// The rows of groups, by name.
#[derive(Debug, Default)]
pub(super) struct GroupRows {
    rows: HashMap<String, TopClient>,
}

impl GroupRows {
    /// Sums the clients anew.
    pub(super) fn update<'a>(
        &mut self,
        by: &TagKey,
        clients: impl Iterator<Item = &'a TopClient>,
        now_ns: WallNs,
    ) {
        let mut members: BTreeMap<String, Vec<&TopClient>> = BTreeMap::new();
        for client in clients {
            let value = client.summary().tags.get(by);
            // No value has a blank.
            let name = value.map_or_else(|| format!("no {by}"), str::to_owned);
            members.entry(name).or_default().push(client);
        }
        self.rows.retain(|name, _| members.contains_key(name));
        for (name, clients) in members {
            let sum = sum(&name, &clients, now_ns);
            let lost = clients.iter().map(|client| client.lost());
            let lost = lost.fold(Packets(0), Packets::saturating_add);
            let row = self.rows.entry(name).or_insert_with(|| TopClient::new(sum.clone()));
            row.update_sum(sum, lost);
        }
    }

    /// A group's row.
    pub(super) fn get(&self, name: &str) -> Option<&TopClient> {
        self.rows.get(name)
    }

    /// All rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &TopClient> {
        self.rows.values()
    }
}

/// A group's row: sums over its clients, rates over those whose traffic is current.
fn sum(name: &str, clients: &[&TopClient], now_ns: WallNs) -> SummaryView {
    let summaries = || clients.iter().map(|client| client.summary());
    let live = || clients.iter().filter(|it| it.is_live(now_ns)).map(|it| it.summary());
    let flow = |of: fn(&SummaryView) -> &SumView| {
        live().map(of).fold(SumView::default(), |sum, more| SumView {
            bytes_per_second: sum.bytes_per_second + more.bytes_per_second,
            packets_per_second: sum.packets_per_second + more.packets_per_second,
            peak_1ms_bytes_per_second: sum
                .peak_1ms_bytes_per_second
                .max(more.peak_1ms_bytes_per_second),
        })
    };
    let total = |of: fn(&SummaryView) -> Packets| {
        summaries().map(of).fold(Packets(0), Packets::saturating_add)
    };
    let up = summaries().filter(|it| it.up).count();
    let links = |it: &SummaryView| {
        it.links_down.iter().map(|nic| format!("{} {nic}", it.client)).collect::<Vec<_>>()
    };
    SummaryView {
        client: name.to_owned(),
        alias: format!("({up} of {} up)", clients.len()),
        up: up > 0,
        elsewhere: live().next().is_none() && summaries().any(|it| it.elsewhere),
        last_seen: summaries().map(|it| it.last_seen).max().unwrap_or_default(),
        observed: live().filter_map(|it| it.observed).max(),
        clock_offset_ns: None,
        second_host: None,
        tags: wire::tag::TagSet::default(),
        sample_interval_ns: summaries().map(|it| it.sample_interval_ns).max().unwrap_or(0),
        links_down: summaries().flat_map(links).collect(),
        since: None,
        utilisation: fullest(live()),
        hour: Some(Box::new(hour(clients))),
        rx: flow(|it| &it.rx),
        tx: flow(|it| &it.tx),
        drops_total: total(|it| it.drops_total),
        late_total: total(|it| it.late_total),
        inexact_total: total(|it| it.inexact_total),
    }
}

/// The fullest link of all.
fn fullest<'a>(clients: impl Iterator<Item = &'a SummaryView>) -> Option<UtilisationView> {
    let links = clients.filter_map(|it| Some((it, it.utilisation.as_ref()?)));
    let (client, link) = links.max_by(|(_, a), (_, b)| a.share.total_cmp(&b.share))?;
    Some(UtilisationView { nic: format!("{} {}", client.client, link.nic), ..link.clone() })
}

/// What stands out in the last hour of all, in the collector's time.
fn hour(clients: &[&TopClient]) -> HourView {
    let mut hour = HourView::default();
    let highest = |sum: &mut Option<PeakView>, more: Option<PeakView>| {
        let higher = |it: &PeakView| {
            sum.as_ref().is_none_or(|sum| it.bytes_per_second > sum.bytes_per_second)
        };
        if let Some(more) = more.filter(higher) {
            *sum = Some(more);
        }
    };
    for client in clients {
        let offset_ns = client.summary().clock_offset_ns.unwrap_or(0).saturating_neg();
        let here = |Time(at)| Time(at.saturating_add_signed(offset_ns));
        let peak = |it: PeakView| PeakView { time: here(it.time), ..it };
        let HourView { peak_1ms, peak_10ms, lost } = client.hour();
        highest(&mut hour.peak_1ms, peak_1ms.map(peak));
        highest(&mut hour.peak_10ms, peak_10ms.map(peak));
        let Some(more) = lost.map(|it| LostView { time: here(it.time), ..it }) else { continue };
        hour.lost = Some(match hour.lost.take() {
            None => more,
            Some(sum) => {
                let packets = sum.packets.saturating_add(more.packets);
                LostView { packets, ..if more.time > sum.time { more } else { sum } }
            }
        });
    }
    hour
}
