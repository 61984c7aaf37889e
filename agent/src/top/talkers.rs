//! The pane of talkers in `agent top`: who had the traffic of the last sample and of the last minute.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};
use settings::terminal::{right, unknown};
use settings::units::bits_per_second;
use wire::Bytes;
use wire::talkers::{TalkerKey, TalkerList, Talkers};

use super::state::NicState;
use crate::talkers::shown::{exactness, owner, owner_of, percent, service, who};

/// Lines of the pane beside charts: a border, a heading, four talkers and the rest, twice.
pub(super) const BESIDE_CHARTS: u16 = 16;

/// Width from which owners are shown, columns.
const WITH_OWNERS: u16 = 90;

/// The list of a direction.
type ListOf = fn(&Talkers) -> &TalkerList;

/// One talker of the last sample, the last minute, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ShownTalker {
    who: String,
    service: String,
    owner: String,
    /// Bytes of the sample and of the minute; `None` where it isn't listed.
    bytes: [Option<Bytes>; 2],
}

/// Draws the talkers of a NIC, received above transmitted. `is_on`: they are counted.
pub(super) fn draw(nic: &NicState, is_on: bool, frame: &mut Frame<'_>, area: Rect) {
    let halves: [Rect; 2] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
    let lists: [(&str, ListOf); 2] = [("rx", |it| &it.rx), ("tx", |it| &it.tx)];
    for ((direction, list), area) in lists.into_iter().zip(halves) {
        draw_direction((direction, list), nic, is_on, frame, area);
    }
}

fn draw_direction(
    (direction, list): (&str, ListOf),
    nic: &NicState,
    is_on: bool,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let records = [nic.moment.as_ref(), nic.minute.as_ref()];
    let title = match records[0].or(records[1]) {
        Some(record) => format!(" {direction} talkers: {} ", exactness(list(record))),
        None if is_on => format!(" {direction} talkers: none yet "),
        None => format!(" {direction} talkers: off (monitor.talkers.enabled) "),
    };
    let block = Block::bordered().title(title);
    // Heading and rest.
    let most = usize::from(block.inner(area).height.saturating_sub(2));
    let with_owners = area.width >= WITH_OWNERS;
    let intervals = records.map(|record| record.map_or(1, |it| it.interval_ns));
    let total = records[0].map_or(Bytes(0), |it| list(it).total_bytes);
    let row = |shown: ShownTalker| {
        let rate = |which: usize| {
            let bytes: Option<Bytes> = shown.bytes[which];
            bytes.map_or_else(unknown, |it| bits_per_second(it.get(), intervals[which]))
        };
        let (now, minute) = (right(rate(0)), right(rate(1)));
        let share = |bytes| format!("{} %", percent(bytes, total));
        let share = right(shown.bytes[0].map_or_else(unknown, share));
        let texts = [shown.who, shown.service].map(Line::from);
        let owner = with_owners.then(|| Line::from(shown.owner));
        Row::new(texts.into_iter().chain(owner).chain([now, share, minute]))
    };
    let texts = ["talker", "service"].map(Line::from);
    let owner = with_owners.then(|| Line::from("owner"));
    let figures = ["bit/s now", "share", "last minute"].map(right);
    let heading = Row::new(texts.into_iter().chain(owner).chain(figures));
    let owner = with_owners.then_some(Constraint::Fill(2));
    let texts = [Constraint::Fill(3), Constraint::Fill(2)];
    let figures = [Constraint::Length(11), Constraint::Length(5), Constraint::Length(11)];
    let widths = texts.into_iter().chain(owner).chain(figures);
    let table = Table::new(shown(records, list, most).into_iter().map(row), widths)
        .header(heading.style(Style::new().add_modifier(Modifier::DIM)))
        .block(block);
    frame.render_widget(table, area);
}

/// The largest talkers, by the sample and then by the minute, and the rest.
fn shown(records: [Option<&Talkers>; 2], list: ListOf, most: usize) -> Vec<ShownTalker> {
    let mut by_key: BTreeMap<TalkerKey, ShownTalker> = BTreeMap::new();
    let mut rest = ShownTalker { who: "rest".to_owned(), ..ShownTalker::default() };
    for (which, record) in records.into_iter().enumerate() {
        let Some(record) = record else { continue };
        rest.bytes[which] = Some(list(record).total_bytes);
        for talker in &list(record).talkers {
            let shown = by_key.entry(talker.key).or_insert_with(|| ShownTalker {
                who: who(&talker.key),
                service: service(&talker.key),
                owner: owner_of(talker, &record.owners).map_or_else(unknown, owner),
                ..ShownTalker::default()
            });
            shown.bytes[which] = Some(talker.bytes);
        }
    }
    let mut talkers: Vec<ShownTalker> = by_key.into_values().collect();
    talkers.sort_by_key(|it| std::cmp::Reverse(it.bytes));
    talkers.truncate(most);
    for talker in &talkers {
        for (rest, bytes) in rest.bytes.iter_mut().zip(talker.bytes) {
            *rest = rest.map(|rest| rest.saturating_sub(bytes.unwrap_or_default()));
        }
    }
    if records.iter().any(Option::is_some) {
        talkers.push(rest);
    }
    talkers
}
