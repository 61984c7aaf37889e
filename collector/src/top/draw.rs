//! The screen of `collector top`: all clients as a table, the selected row below it in detail.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState, Wrap};
use settings::Names;
use settings::terminal::{Detail, RX, TX, draw_head, draw_keys, figure, page, right, trend};
use settings::units::{bit_rate, bytes, rate, span};
use wire::{Packets, WallNs};

use super::client::{Condition, Flow, History, NicRow, Opened, TopClient, Traffic};
use super::columns::{Column, TREND, columns};
use super::state::{self, CollectorLink, State};
use crate::live::{ClientView, HourView, LostView, PeakView, SummaryView, UtilisationView};
use crate::time::Time;

const KEYS: &str = "q quit   ↑↓ select   enter NICs   s sort   r reverse   / search   space pause";

/// A group has no NICs to show.
const KEYS_OF_GROUPS: &str = "q quit   ↑↓ select   s sort   r reverse   / search   space pause";

const NOTE: &str = "Bytes on the wire from the MAC header, without FCS and preamble";

const SECOND_NS: u64 = 1_000_000_000;

/// Draws the screen. `collector` is its address.
pub(super) fn draw(state: &State, collector: &str, frame: &mut Frame<'_>) {
    let rows = state.rows();
    let [head, table, detail, keys] = page(frame.area(), rows.len());
    draw_head(title(state), note(state, collector), frame, head);
    if rows.is_empty() {
        let nothing = Paragraph::new(nothing(state)).wrap(Wrap { trim: true });
        frame.render_widget(nothing, detail);
    } else {
        draw_table(state, &rows, frame, table);
    }
    if let Some(detail_of) = rows.get(state.place()).and_then(|row| detail_of(state, row)) {
        detail_of.draw(frame, detail);
    }
    let of_groups = state.chosen().by.is_some();
    draw_keys(if of_groups { KEYS_OF_GROUPS } else { KEYS }, frame, keys);
}

fn title(state: &State) -> String {
    let how = match (state.is_paused(), state.link()) {
        (true, _) => "PAUSED",
        (_, CollectorLink::Live) => "live",
        (_, CollectorLink::Connecting) => "connecting",
        (_, CollectorLink::Lost(_)) => "LOST",
    };
    let (clients, up, Traffic { rx, tx }) = state.sum();
    let [rx, tx] = [rx, tx].map(|flow| bit_rate(flow.bytes));
    format!("collector top  {up} of {clients} clients connected, rx {rx}, tx {tx}, {how}")
}

fn note<'a>(state: &'a State, collector: &str) -> Line<'a> {
    match (state.search(), state.link()) {
        ((search, true), _) => format!("search: {search}_").bold().into(),
        (_, CollectorLink::Lost(why)) => format!("Trying {collector} again: {why}").red().into(),
        (("", _), _) => match state.chosen().tags() {
            Some(tags) => format!("only clients with {tags}").into(),
            None => state.accounts().line().unwrap_or_else(|| NOTE.dim().into()),
        },
        ((search, _), _) => match state.chosen().tags() {
            Some(tags) => {
                format!("only clients with {tags} and {search:?}; / and escape end the search")
            }
            None => format!("only clients with {search:?}; / and escape show all"),
        }
        .into(),
    }
}

/// The text shown if there is no row.
fn nothing(state: &State) -> String {
    let text = match state.link() {
        CollectorLink::Connecting => String::new(),
        CollectorLink::Lost(why) => format!(
            "{why}\n\n`collector top --url http://HOST:8083` looks at the collector of another host."
        ),
        CollectorLink::Live if state.chosen().tags().is_some() => format!(
            "No client has {}. `collector clients` lists them; `collector tag CLIENT key=value` tags one.",
            state.chosen().tags().unwrap_or_default()
        ),
        CollectorLink::Live => {
            "No client to show. To add one: `collector token` on the collector's host, then \
             `agent enroll TOKEN` and `agent run` on the other."
                .to_owned()
        }
    };
    Names::here().in_text(&text).into_owned()
}

fn draw_table(state: &State, rows: &[state::Row<'_>], frame: &mut Frame<'_>, area: Rect) {
    let columns = columns(area.width);
    let by = state.chosen().by.as_ref().map_or("client", |key| key.as_str());
    let heading = columns.iter().map(|column| column.heading(by, state.sort()));
    // Build only the visible rows, with the selected one in the middle if possible.
    let height = usize::from(area.height.saturating_sub(1));
    let first = state.place().saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let shown = rows.iter().skip(first).take(height);
    let table = Table::new(
        shown.map(|row| table_row(state, row, &columns)),
        columns.iter().map(|column| match column {
            Column::Client => Constraint::Min(column.width()),
            _ => Constraint::Length(column.width()),
        }),
    )
    .header(Row::new(heading).style(Style::new().add_modifier(Modifier::DIM)))
    .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut selected = TableState::default().with_selected(state.place() - first);
    frame.render_stateful_widget(table, area, &mut selected);
}

/// Content of a row.
struct Shown<'a> {
    name: String,
    traffic: Traffic,
    history: &'a History,
    drops: Packets,
    lost: Packets,
    condition: Condition,
    /// The fullest link; `None` where none has a speed, and for NICs.
    utilisation: Option<UtilisationView>,
    /// What stands out in the last hour; nothing for NICs.
    hour: HourView,
    /// How long a link has been full.
    full: Option<Duration>,
}

fn table_row<'a>(state: &State, row: &state::Row<'_>, columns: &[Column]) -> Row<'a> {
    let shown = match row.nic {
        None => state.client(row.client).map(|client| of_client(client, state.now_ns())),
        Some(nic) => {
            let opened = state.opened(row.client);
            opened.and_then(|opened| opened.nic(nic, state.now_ns())).as_ref().map(of_nic)
        }
    };
    let Some(shown) = shown else { return Row::default() };
    let row = Row::new(columns.iter().map(|column| cell(&shown, *column)));
    if shown.condition == Condition::Live { row } else { row.dim() }
}

fn of_client(client: &TopClient, now_ns: WallNs) -> Shown<'_> {
    Shown {
        name: name(client.summary()),
        traffic: client.traffic(),
        history: client.history(),
        drops: client.summary().drops_total,
        lost: client.lost(),
        condition: client.condition(now_ns),
        utilisation: client.summary().utilisation.clone(),
        hour: client.hour(),
        full: client.full(now_ns),
    }
}

fn of_nic<'a>(nic: &NicRow<'a>) -> Shown<'a> {
    let stacked = if nic.view.stacked { " (stacked)" } else { "" };
    Shown {
        name: format!("  {}{stacked}", nic.view.nic),
        traffic: nic.traffic(),
        history: nic.history,
        drops: nic.view.drops_total,
        lost: nic.lost,
        condition: nic.condition,
        utilisation: None,
        hour: HourView::default(),
        full: None,
    }
}

fn name(SummaryView { client, alias, .. }: &SummaryView) -> String {
    match alias.as_str() {
        "" => client.clone(),
        alias if alias == client => client.clone(),
        alias => format!("{client} {alias}"),
    }
}

fn cell<'a>(shown: &Shown<'_>, column: Column) -> Line<'a> {
    // Its newest traffic may be outdated.
    let now = |text: String| if shown.condition == Condition::Live { text } else { "-".to_owned() };
    let Traffic { rx, tx } = shown.traffic;
    let both = shown.traffic.both();
    match column {
        Column::Client => shown.name.clone().into(),
        Column::Rx => right(now(bit_rate(rx.bytes))),
        Column::RxTrend => trend(&shown.history.rx(), TREND).fg(RX).into(),
        Column::Tx => right(now(bit_rate(tx.bytes))),
        Column::TxTrend => trend(&shown.history.tx(), TREND).fg(TX).into(),
        Column::Packets => right(now(rate(both.packets))),
        Column::MeanSize => right(now(mean_size(&both))),
        Column::Peak => right(now(peak(&both))),
        Column::Utilisation => right(now(utilisation(shown.utilisation.as_ref()))),
        Column::PeakHour => right(shown.hour.peak_1ms.as_ref().map_or_else(String::new, hour_peak)),
        Column::LostHour => match &shown.hour.lost {
            Some(lost) => right(lost.packets.to_string().red()),
            None => right(""),
        },
        Column::Drops if shown.lost > Packets(0) => right(shown.drops.to_string().red()),
        Column::Drops => right(shown.drops.to_string()),
        Column::State => match condition(shown.condition) {
            _ if shown.condition == Condition::Live && shown.full.is_some() => {
                format!("full {}", span(shown.full.unwrap_or_default())).red().into()
            }
            text if shown.condition == Condition::Live => text.fg(Color::Green).into(),
            text => text.fg(Color::Yellow).into(),
        },
    }
}

fn condition(condition: Condition) -> String {
    match condition {
        Condition::Live => "live".to_owned(),
        Condition::Waiting => "no sample yet".to_owned(),
        Condition::Stale(silent) => format!("stale {}", span(silent)),
        Condition::Away(gone) => format!("down {}", span(gone)),
        Condition::Elsewhere => "elsewhere".to_owned(),
        Condition::Down => "link down".to_owned(),
    }
}

/// The fullest link in short: `98 % tx`.
fn utilisation(fullest: Option<&UtilisationView>) -> String {
    fullest
        .map_or_else(|| "-".to_owned(), |it| format!("{:.0} % {}", it.share * 100.0, it.direction))
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn hour_peak(peak: &PeakView) -> String {
    bit_rate(peak.bytes_per_second as f64)
}

/// The fullest link with its speed, or with how long it has been full; and what stands out in the last
/// hour with how long ago it was.
fn hour_lines<'a>(client: &TopClient, now_ns: WallNs) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    if let Some(fullest) = &client.summary().utilisation {
        let UtilisationView { nic, direction, share, speed_bits_per_second, .. } = fullest;
        let (link, share) = (format!("{nic} {direction}"), format!("{:.0} %", share * 100.0));
        #[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
        let speed = || bit_rate(*speed_bits_per_second as f64 / 8.0);
        lines.push(match client.full(now_ns) {
            Some(full) => figure(&link, &share, &format!("full {}", span(full))).red(),
            None => figure(&link, &share, &speed()),
        });
    }
    let HourView { peak_1ms, peak_10ms, lost } = client.hour();
    let ago = |moment: Time| format!("{} ago", span(client.ago(moment, now_ns)));
    let head = figure("last hour", "", "").dim();
    let peaks = [("peak 1 ms", peak_1ms), ("peak 10 ms", peak_10ms)].into_iter();
    let peaks = peaks.filter_map(|(name, peak)| Some((name, peak?)));
    let peaks = peaks.map(|(name, peak)| figure(name, &hour_peak(&peak), &ago(peak.time)));
    let lost = lost.map(|LostView { packets, time, .. }| {
        figure("lost", &packets.to_string(), &ago(time)).red()
    });
    let hour: Vec<Line<'a>> = peaks.chain(lost).collect();
    if !hour.is_empty() {
        lines.push(head);
        lines.extend(hour);
    }
    lines
}

fn mean_size(flow: &Flow) -> String {
    flow.mean_size().map_or_else(|| "-".to_owned(), |mean| format!("{mean:.0} B"))
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn peak(flow: &Flow) -> String {
    bit_rate(flow.peak as f64)
}

fn detail_of<'a>(state: &State, row: &state::Row<'_>) -> Option<Detail<'a>> {
    let client = state.client(row.client)?;
    let opened = state.opened(row.client);
    let (about, figures, history) = match row.nic {
        None => {
            let view = opened.and_then(Opened::view);
            let mut figures = client_figures(client, state.now_ns());
            let refused = opened.and_then(Opened::refused);
            figures.extend(refused.map(|why| Line::from(format!("no NICs: {why}").red())));
            (about_client(client, view, state.now_ns()), figures, client.history())
        }
        Some(nic) => {
            let nic = opened?.nic(nic, state.now_ns())?;
            (about_nic(row.client, &nic), nic_figures(&nic), nic.history)
        }
    };
    let (rx, tx) = (history.rx(), history.tx());
    Some(Detail { about, rx, tx, interval_ns: SECOND_NS, figures })
}

/// Heading with facts about a client.
fn about_client(client: &TopClient, view: Option<&ClientView>, now_ns: WallNs) -> String {
    let host = view.map(|view| &view.host);
    let host = host.map_or_else(String::new, |host| {
        format!(", {} {}, {} CPUs, agent {}", host.os, host.kernel, host.cpus, host.agent_version)
    });
    let how = condition(client.condition(now_ns));
    format!(" {}{host}: {how} ", name(client.summary()))
}

/// Heading with facts about a NIC.
fn about_nic(client: &str, nic: &NicRow<'_>) -> String {
    let view = nic.view;
    let up = if view.up { "up" } else { "down" };
    let stacked = if view.stacked { ", stacked: its bytes pass another NIC too" } else { "" };
    let speed = match view.speed_bits_per_second {
        0 => String::new(),
        #[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
        bits => format!(", {}", bit_rate(bits as f64 / 8.0)),
    };
    let (name, kind) = (&view.nic, &view.kind);
    format!(" {client} {name}: {kind}{speed}, {up}{stacked} ")
}

fn rates<'a>(traffic: &Traffic) -> Vec<Line<'a>> {
    let both =
        |what: &str, of: fn(&Flow) -> String| figure(what, &of(&traffic.rx), &of(&traffic.tx));
    vec![
        figure("", "rx", "tx").dim(),
        both("rate", |flow| bit_rate(flow.bytes)),
        both("peak 1 ms", peak),
        both("packets/s", |flow| rate(flow.packets)),
        both("mean size", mean_size),
    ]
}

fn client_figures<'a>(client: &TopClient, now_ns: WallNs) -> Vec<Line<'a>> {
    let SummaryView { clock_offset_ns, sample_interval_ns, links_down, second_host, .. } =
        client.summary();
    let SummaryView { drops_total, late_total, inexact_total, .. } = client.summary();
    let mut lines = rates(&client.traffic());
    lines.extend(hour_lines(client, now_ns));
    lines.push(ledger(client.lost(), *drops_total, *late_total, *inexact_total));
    let interval = Duration::from_nanos(*sample_interval_ns);
    lines.push(format!("samples of {interval:?}").into());
    if let Some(offset_ns) = clock_offset_ns {
        #[allow(clippy::cast_precision_loss, reason = "shown with three decimals")]
        let offset = format!("clock {:+.3} ms", *offset_ns as f64 / 1e6);
        let off = offset_ns.unsigned_abs() > *sample_interval_ns;
        lines.push(if off { offset.yellow().into() } else { offset.into() });
    }
    if let Some(second) = second_host {
        let text = format!("second host {} refused", second.refused);
        lines.push(text.yellow().into());
    }
    if !links_down.is_empty() {
        lines.push(format!("link down: {}", links_down.join(", ")).yellow().into());
    }
    lines
}

/// Losses and misplaced packets; `lost` counts since the view opened.
fn ledger<'a>(lost: Packets, drops: Packets, late: Packets, inexact: Packets) -> Line<'a> {
    let ledger = format!("ring drops {drops}, late {late}, inexact {inexact}");
    if lost > Packets(0) { ledger.red().into() } else { ledger.into() }
}

fn nic_figures<'a>(nic: &NicRow<'_>) -> Vec<Line<'a>> {
    let view = nic.view;
    let (rx, tx) = (view.total.rx, view.total.tx);
    let mut lines = rates(&nic.traffic());
    lines.extend([
        figure("in all", "", "").dim(),
        figure("bytes", &bytes(rx.bytes.get()), &bytes(tx.bytes.get())),
        figure("packets", &rx.packets.to_string(), &tx.packets.to_string()),
    ]);
    lines.push(ledger(nic.lost, view.drops_total, view.late_total, view.inexact_total));
    let flags = view.sample.iter().flat_map(|sample| &sample.flags);
    let flags: Vec<String> = flags.map(|flag| flag.replace('_', " ")).collect();
    if !flags.is_empty() {
        lines.push(flags.join(", ").yellow().into());
    }
    lines
}
