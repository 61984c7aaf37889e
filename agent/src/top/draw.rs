//! The screen of `agent top`: all NICs as a table, the selected one below it in detail.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table, TableState};
use settings::terminal::{
    Detail, RX, TX, draw_head, draw_keys, figure, page, right, trend, unknown,
};
use settings::units::{bits_per_second, bytes, count};
use wire::frame::{Counts, MixCounts, SIZE_CLASS_MAX, Sample};
use wire::id::NicName;
use wire::message::link_speed;
use wire::{Bytes, Packets};

use super::state::{NicState, State};
use super::talkers::BESIDE_CHARTS;

/// Columns of a trend in the table.
const TREND: u16 = 9;

/// Lines that charts and figures need.
const CHARTS: u16 = 18;

const MS_NS: u64 = 1_000_000;

const KEYS: &str = "q quit   ↑↓ select   space pause   enter talkers";

/// Draws all of it.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let [head, table, detail, keys] = page(frame.area(), state.nics().len());
    let state_of = if state.is_paused() { "PAUSED" } else { "live" };
    let nics = match state.nics().len() {
        1 => "1 NIC".to_owned(),
        nics => format!("{nics} NICs"),
    };
    let title = format!("agent top  {nics}, samples of {:?}, {state_of}", state.interval());
    let note = "Bytes on the wire from the MAC header, without FCS and preamble".dim();
    draw_head(title, note.into(), frame, head);
    draw_table(state, frame, table);
    if let Some((name, nic)) = state.selected_nic() {
        let interval_ns = nic.history.back().map_or(1, |sample| sample.interval_ns);
        let (rx, tx) = (nic.bytes(|sample| sample.rx.bytes), nic.bytes(|sample| sample.tx.bytes));
        let (about, figures) = (about(name, nic), figures_of(nic));
        let [charts, talkers] = places(detail, state.shows_talkers_only());
        if charts.height > 0 {
            Detail { about, rx, tx, interval_ns, figures }.draw(frame, charts);
        }
        if talkers.height > 0 {
            super::talkers::draw(nic, state.counts_talkers(), frame, talkers);
        }
    }
    draw_keys(KEYS, frame, keys);
}

/// The places of charts and talkers: talkers are below charts where there is room for both.
fn places(detail: Rect, talkers_only: bool) -> [Rect; 2] {
    let beside = if detail.height >= CHARTS + BESIDE_CHARTS { BESIDE_CHARTS } else { 0 };
    let talkers = if talkers_only { detail.height } else { beside };
    Layout::vertical([Constraint::Fill(1), Constraint::Length(talkers)]).areas(detail)
}

/// The table's columns: heading, width, and the order in which they are left out if there is no
/// room. A cut column would show wrong figures.
const COLUMNS: [(&str, u16, u8); 8] = [
    ("nic", 6, 0),
    ("rx bit/s", 11, 1),
    ("", TREND, 6),
    ("tx bit/s", 11, 2),
    ("", TREND, 6),
    ("pkt/s", 7, 4),
    ("mean size", 9, 5),
    ("drops", 7, 3),
];

/// The columns that fit a width, with a space between them.
fn fitting(width: u16) -> [bool; COLUMNS.len()] {
    let needed = |rank: u8| {
        let shown = COLUMNS.iter().filter(|(_, _, it)| *it <= rank);
        shown.map(|(_, width, _)| width + 1).sum::<u16>() - 1
    };
    let most = (1..=6).rev().find(|rank| needed(*rank) <= width).unwrap_or(0);
    COLUMNS.map(|(_, _, rank)| rank <= most)
}

fn draw_table(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let fits = fitting(area.width);
    let shown = || COLUMNS.iter().zip(fits).filter(|(_, fits)| *fits).map(|(column, _)| column);
    let heading =
        shown().map(|(text, ..)| if *text == "nic" { Line::from(*text) } else { right(*text) });
    let widths = shown().map(|(heading, width, _)| match *heading {
        "nic" => Constraint::Min(*width),
        _ => Constraint::Length(*width),
    });
    let table = Table::new(state.nics().map(|(name, nic)| row(name, nic, fits)), widths)
        .header(Row::new(heading).style(Style::new().add_modifier(Modifier::DIM)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut selected = TableState::default().with_selected(state.selected());
    frame.render_stateful_widget(table, area, &mut selected);
}

fn row<'a>(name: &NicName, nic: &NicState, fits: [bool; COLUMNS.len()]) -> Row<'a> {
    let now = |of: &dyn Fn(&Sample) -> String| right(nic.history.back().map_or_else(unknown, of));
    let rate = |bytes: fn(&Sample) -> Bytes| {
        now(&|sample| bits_per_second(bytes(sample).get(), sample.interval_ns))
    };
    let drops = nic.total.map_or_else(unknown, |total| total.drops.to_string());
    let marked = if nic.has_lost() { Style::new().fg(Color::Red) } else { Style::new() };
    let cells: [Line<'a>; COLUMNS.len()] = [
        name.to_string().into(),
        rate(|sample| sample.rx.bytes),
        trend(&nic.bytes(|sample| sample.rx.bytes), TREND.into()).fg(RX).into(),
        rate(|sample| sample.tx.bytes),
        trend(&nic.bytes(|sample| sample.tx.bytes), TREND.into()).fg(TX).into(),
        now(&|it| count((it.rx.packets + it.tx.packets).get(), it.interval_ns)),
        now(&|it| mean_size(it.rx.bytes + it.tx.bytes, it.rx.packets + it.tx.packets)),
        right(drops).style(marked),
    ];
    let row = Row::new(cells.into_iter().zip(fits).filter_map(|(cell, fits)| fits.then_some(cell)));
    if nic.link.as_ref().is_some_and(|link| link.up) { row } else { row.dim() }
}

/// Heading with facts about the NIC.
fn about(name: &NicName, nic: &NicState) -> String {
    let Some(link) = &nic.link else { return format!(" {name}: gone ") };
    let up = if link.up { "up" } else { "down" };
    let stacked = if link.stacked { ", stacked: its bytes pass another NIC too" } else { "" };
    let speed = match link_speed(&link.kind, link.speed_bits) {
        0 => String::new(),
        bits => format!(", {}", bits_per_second(bits / 8, 1_000_000_000)),
    };
    format!(" {name}: {}{speed}, MTU {}, {up}{stacked} ", link.kind, link.mtu)
}

/// The figures beside the charts: now, since the view was opened, and what the traffic is.
fn figures_of<'a>(nic: &NicState) -> Vec<Line<'a>> {
    let (now, total) = (nic.history.back(), nic.total.as_ref());
    let interval = now.map_or(1, |sample| sample.interval_ns);
    let mean = |counts: &Counts| mean_size(counts.bytes, counts.packets);
    let peak = |counts: &Counts| bits_per_second(counts.peak_1ms_bytes.into(), MS_NS);
    let mut lines = vec![
        figure("", "rx", "tx").dim(),
        both("rate", now, |it| bits_per_second(it.bytes.get(), interval)),
        both("peak 1 ms", now, peak),
        both("packets/s", now, |it| count(it.packets.get(), interval)),
        both("mean size", now, mean),
        figure("since the start", "", "").dim(),
        both("bytes", total, |it| bytes(it.bytes.get())),
        both("packets", total, |it| it.packets.to_string()),
        both("captured", total, |it| it.captured.to_string()),
        both("peak 1 ms", total, peak),
    ];
    if let Some(Sample { drops, late, inexact, kernel, .. }) = total {
        let [rx, tx] = [kernel.rx_packets, kernel.tx_packets].map(|it| it.to_string());
        lines.push(figure("kernel", &rx, &tx));
        let ledger = format!("ring drops {drops}, late {late}, inexact {inexact}");
        lines.push(if nic.has_lost() { ledger.red().into() } else { ledger.into() });
    }
    if let Some(mix) = &nic.mix {
        let mut sum = mix.rx;
        sum.merge(&mix.tx);
        lines.extend([protocols(&sum).into(), sizes(&sum).into()]);
    }
    lines
}

/// A figure of both directions of a sample, if there is one.
fn both<'a>(what: &str, sample: Option<&Sample>, of: impl Fn(&Counts) -> String) -> Line<'a> {
    let of = |counts: Option<&Counts>| counts.map_or_else(unknown, &of);
    figure(what, &of(sample.map(|it| &it.rx)), &of(sample.map(|it| &it.tx)))
}

fn mean_size(bytes: Bytes, packets: Packets) -> String {
    bytes.get().checked_div(packets.get()).map_or_else(unknown, |mean| format!("{mean} B"))
}

/// Shares of the bytes by protocol, largest first.
fn protocols(mix: &MixCounts) -> String {
    let all = mix.ipv4_bytes + mix.ipv6_bytes + mix.arp_bytes + mix.other_bytes;
    let mut shares = [
        ("TCP", mix.tcp_bytes),
        ("UDP", mix.udp_bytes),
        ("ICMP", mix.icmp_bytes),
        ("other IP", mix.other_transport_bytes),
        ("ARP", mix.arp_bytes),
        ("other", mix.other_bytes),
    ];
    shares.sort_by_key(|share| std::cmp::Reverse(share.1));
    list(&shares.map(|(name, bytes)| (name.to_owned(), bytes.get())), all.get())
}

/// Shares of the packets by size class, largest first.
fn sizes(mix: &MixCounts) -> String {
    let all: Packets = mix.size_packets.into_iter().sum();
    let name = |class: usize| match SIZE_CLASS_MAX.get(class) {
        Some(max) => format!("≤{max} B"),
        None => "larger".to_owned(),
    };
    let mut shares: Vec<(String, u64)> = mix
        .size_packets
        .iter()
        .enumerate()
        .map(|(class, packets)| (name(class), packets.get()))
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.1));
    list(&shares, all.get())
}

/// The largest three shares of a whole, percent.
fn list(shares: &[(String, u64)], all: u64) -> String {
    let percent = |part: u64| (u128::from(part) * 100).checked_div(all.into()).unwrap_or(0);
    let shown = shares.iter().take(3).filter(|share| share.1 > 0);
    let texts: Vec<String> =
        shown.map(|(name, part)| format!("{name} {} %", percent(*part))).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use settings::terminal::Input;
    use wire::frame::Mix;
    use wire::message::{Inventory, Nic};
    use wire::talkers::{
        Talker, TalkerKey, TalkerList, TalkerOwner, Talkers, TalkersKind, address_bytes,
    };

    use super::*;
    use crate::sampler::IntervalReport;
    use crate::talkers::TalkersReport;

    fn eth0() -> Nic {
        let (name, kind) = (NicName::new("eth0").unwrap(), "physical".to_owned());
        let link = Nic { name, kind, mtu: 1500, up: true, ..Nic::default() };
        Nic { speed_bits: 10_000_000_000, ..link }
    }

    fn state(drops: u64) -> State {
        let nic = NicName::new("eth0").unwrap();
        let mut sample =
            Sample { nic, interval_ns: 500_000_000, drops: Packets(drops), ..Sample::default() };
        sample.rx =
            Counts { bytes: Bytes(62_500_000), packets: Packets(50_000), ..Counts::default() };
        sample.rx.peak_1ms_bytes = 1_250_000;
        let mut mix = Mix { nic, ..Mix::default() };
        mix.rx.ipv4_bytes = Bytes(100);
        mix.rx.tcp_bytes = Bytes(90);
        mix.rx.udp_bytes = Bytes(10);
        mix.rx.size_packets[5] = Packets(4);
        let mut state = State::new(Duration::from_millis(500), true);
        state.set_nics(&Inventory { nics: vec![eth0()] });
        state.add(&IntervalReport {
            samples: vec![sample],
            mixes: vec![mix],
            ..IntervalReport::default()
        });
        state
    }

    /// The screen as text.
    fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(state, frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_nic_is_shown_with_rates_units_peak_sizes_and_protocols() {
        let screen = screen(&state(0), 120, 30);
        for figure in [
            "1.00 Gbit/s",
            "10.0 Gbit/s, MTU 1500, up",
            "1250 B",
            "100 k",
            "TCP 90 %, UDP 10 %",
            "≤1518 B 100 %",
            "ring drops 0",
            "without FCS and preamble",
        ] {
            assert!(screen.contains(figure), "{figure} is not in\n{screen}");
        }
    }

    #[test]
    fn what_the_driver_of_a_veth_says_is_no_speed() {
        let mut state = state(0);
        let mut link = state.selected_nic().unwrap().1.link.clone().unwrap();
        link.kind = "veth".to_owned();
        state.set_nics(&Inventory { nics: vec![link] });
        let screen = screen(&state, 120, 30);
        assert!(screen.contains("eth0: veth, MTU 1500, up"), "{screen}");
    }

    #[test]
    fn a_loss_is_shown_in_the_table_and_in_the_ledger() {
        let screen = screen(&state(7), 120, 30);
        assert!(screen.contains("ring drops 7"), "{screen}");
    }

    fn with_talkers(mut state: State) -> State {
        let talker = |n: u8, bytes, owner| Talker {
            key: TalkerKey {
                protocol: 6,
                port: 443,
                address: address_bytes([198, 51, 100, n].into()),
                ..TalkerKey::default()
            },
            bytes: Bytes(bytes),
            owner,
            ..Talker::default()
        };
        let record = |kind: TalkersKind, interval_ns, talkers: Vec<Talker>| Talkers {
            nic: NicName::new("eth0").unwrap(),
            kind: kind as u8,
            interval_ns,
            rx: TalkerList {
                total_bytes: Bytes(62_500_000),
                error_bytes: Bytes(1200),
                distinct: 7,
                talkers,
                ..TalkerList::default()
            },
            owners: vec![TalkerOwner {
                name: "evil\u{1b}[2J.service".into(),
                ..TalkerOwner::default()
            }],
            ..Talkers::default()
        };
        let half = [talker(7, 31_250_000, 1), talker(8, 12_500_000, 0)];
        let moment = record(TalkersKind::Moment, 500_000_000, half.into());
        let minute = record(TalkersKind::Minute, 60_000_000_000, vec![talker(9, 60_000_000, 0)]);
        let talkers = [moment, minute]
            .map(|record| TalkersReport { record, ..TalkersReport::default() })
            .into();
        state.add_talkers(&IntervalReport { talkers, ..IntervalReport::default() });
        state
    }

    #[test]
    fn talkers_are_shown_with_rates_shares_owners_error_and_rest() {
        let mut state = with_talkers(state(0));
        let tall = screen(&state, 120, 50);
        state.input(Input::Open);
        for screen in [tall, screen(&state, 120, 24)] {
            for figure in [
                "rx talkers: each up to 1.20 kB more; 7 talkers",
                "198.51.100.7",
                "443/tcp https",
                r"evil\u001b[2J.service",
                "500 Mbit/s",
                "50 %",
                "8.00 Mbit/s",
                "rest",
                "300 Mbit/s",
                "30 %",
            ] {
                assert!(screen.contains(figure), "{figure} is not in\n{screen}");
            }
        }
        let narrow = screen(&state, 60, 24);
        assert!(narrow.contains("198.51.100.7") && narrow.contains("500 Mbit/s"), "{narrow}");
    }

    #[test]
    fn talkers_that_are_not_known_yet_are_no_zero() {
        let mut state = state(0);
        assert!(!screen(&state, 120, 24).contains("talkers: "));
        state.input(Input::Open);
        assert!(screen(&state, 120, 24).contains("rx talkers: none yet"));
        let mut state = State::new(Duration::from_millis(500), false);
        state.set_nics(&Inventory { nics: vec![eth0()] });
        state.input(Input::Open);
        assert!(screen(&state, 120, 24).contains("rx talkers: off (monitor.talkers.enabled)"));
    }

    #[test]
    fn a_talker_of_the_minute_only_has_no_rate_now() {
        let mut state = with_talkers(state(0));
        state.input(Input::Open);
        let screen = screen(&state, 120, 24);
        let row = screen.lines().find(|line| line.contains("198.51.100.9")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert!(words.join(" ").contains("https - - - 8.00 Mbit/s│"), "{row}");
    }

    #[test]
    fn before_the_first_sample_no_figure_is_zero() {
        let mut state = State::new(Duration::from_millis(500), true);
        state.set_nics(&Inventory { nics: vec![eth0()] });
        let screen = screen(&state, 120, 30);
        let row = screen.lines().find(|line| line.contains("eth0 ")).unwrap();
        assert!(!row.contains('0') || row.replace("eth0", "").contains('-'), "{row}");
        assert!(!row.contains("0.00") && !screen.contains("ring drops 0"), "{screen}");
        let rate = screen.lines().find(|line| line.contains("packets/s")).unwrap();
        assert_eq!(rate.matches(" -").count(), 2, "{rate}");
    }

    #[test]
    fn a_narrow_terminal_shows_fewer_columns_and_no_figure_in_part() {
        for width in 18..90 {
            let screen = screen(&state(1_234_567), width, 8);
            let row = screen.lines().find(|line| line.contains("eth0")).unwrap();
            let row = row.trim_matches('"').trim_end();
            let known = ["eth0", "1.00", "Gbit/s", "0.00", "0", "bit/s", "100", "k", "1250", "B"];
            let whole = |word: &str| {
                let trend = word.chars().all(|c| !c.is_ascii());
                known.contains(&word) || word == "1234567" || trend
            };
            assert!(row.split_whitespace().all(whole), "{width}: {row}");
            assert!(row.contains("1.00 Gbit/s"), "{width}: {row}");
        }
    }

    #[test]
    fn any_size_of_terminal_is_drawn() {
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
            let drawn = screen(&state(0), width, height);
            assert_eq!(drawn.lines().count(), usize::from(height));
        }
    }

    #[test]
    fn nothing_captured_yet_is_drawn_too() {
        let empty = State::new(Duration::from_millis(10), true);
        assert!(screen(&empty, 80, 24).contains("0 NICs, samples of 10ms"));
    }
}
