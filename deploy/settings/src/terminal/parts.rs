//! Parts of full screens: head, table, the selected row in detail, and keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, RenderDirection, Sparkline};

use crate::units::bits_per_second;

/// Colour of received traffic.
pub const RX: Color = Color::Cyan;

/// Colour of transmitted traffic.
pub const TX: Color = Color::Magenta;

/// Heights of a trend's columns, from nothing up.
const COLUMNS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Lines of the head.
const HEAD: u16 = 2;

/// Lines that the detail needs for all its figures.
const DETAIL: u16 = 16;

/// Least width for the figures beside the charts, columns.
const FIGURES_FROM: u16 = 76;

/// Width of the figures beside the charts, columns.
const FIGURES: u16 = 38;

/// Places of head, table, detail and keys. `rows`: number of rows of the table.
#[must_use]
pub fn page(area: Rect, rows: usize) -> [Rect; 4] {
    let most = (area.height / 2).max(area.height.saturating_sub(HEAD + DETAIL + 1));
    let table = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(1).min(most);
    let heights = [
        Constraint::Length(HEAD),
        Constraint::Length(table),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    Layout::vertical(heights).areas(area)
}

/// Draws the title and state, and a note below.
pub fn draw_head(title: String, note: Line<'_>, frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Paragraph::new(vec![title.bold().into(), note]), area);
}

/// Draws the list of keys.
pub fn draw_keys(keys: &str, frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(keys.dim(), area);
}

/// A cell with figures, aligned right.
#[must_use]
pub fn right<'a>(text: impl Into<Line<'a>>) -> Line<'a> {
    text.into().right_aligned()
}

/// What stands for a figure that isn't known.
#[must_use]
pub fn unknown() -> String {
    "-".to_owned()
}

/// Figures as columns, the newest on the right, scaled to the highest.
#[must_use]
pub fn trend(figures: &[u64], width: usize) -> String {
    let shown = &figures[figures.len().saturating_sub(width)..];
    let highest = shown.iter().copied().max().unwrap_or(0).max(1);
    let steps = COLUMNS.len() - 1;
    let column = |figure: &u64| {
        let share = u128::from(*figure) * steps as u128;
        // Never show a small figure as zero.
        let height = usize::try_from(share.div_ceil(u128::from(highest))).unwrap_or(steps);
        COLUMNS[height.min(steps)]
    };
    let columns: String = shown.iter().map(column).collect();
    format!("{columns:>width$}")
}

/// A line of figures in the detail.
#[must_use]
pub fn figure<'a>(what: &str, rx: &str, tx: &str) -> Line<'a> {
    format!("{what:<13}{rx:>12} {tx:>12}").into()
}

/// The selected row in detail: charts, with figures beside them if there is room.
#[derive(Debug)]
pub struct Detail<'a> {
    /// Its heading.
    pub about: String,
    /// Bytes received in the last intervals, oldest first.
    pub rx: Vec<u64>,
    /// Bytes transmitted in the last intervals, oldest first.
    pub tx: Vec<u64>,
    /// Length of these intervals, nanoseconds.
    pub interval_ns: u64,
    /// Lines of figures.
    pub figures: Vec<Line<'a>>,
}

impl Detail<'_> {
    /// Draws it within a border.
    pub fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(self.about);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let beside = if inner.width >= FIGURES_FROM { FIGURES } else { 0 };
        let [charts, figures] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(beside)])
                .spacing(1)
                .areas(inner);
        let [rx, tx] = Layout::vertical([Constraint::Fill(1); 2]).areas(charts);
        draw_chart("rx", RX, self.rx, self.interval_ns, frame, rx);
        draw_chart("tx", TX, self.tx, self.interval_ns, frame, tx);
        frame.render_widget(Paragraph::new(self.figures), figures);
    }
}

fn draw_chart(
    title: &str,
    color: Color,
    mut shown: Vec<u64>,
    interval_ns: u64,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    shown.drain(..shown.len().saturating_sub(usize::from(area.width)));
    let highest = shown.iter().copied().max().unwrap_or(0);
    let heading = format!("{title}, highest {}", bits_per_second(highest, interval_ns));
    let chart = Sparkline::default()
        .block(Block::new().title(heading.dim()))
        .direction(RenderDirection::RightToLeft)
        .data(shown.into_iter().rev())
        .style(Style::new().fg(color));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_as_high_as_its_highest_and_something_is_never_nothing() {
        assert_eq!(trend(&[0, 1, 50, 100], 6), "   ▁▄█");
        assert_eq!(trend(&[7, 0, 0, 9, 9], 2), "██");
        assert_eq!(trend(&[u64::MAX, 0], 2), "█ ");
        assert_eq!(trend(&[], 3), "   ");
    }

    #[test]
    fn a_long_table_leaves_half_of_a_small_screen_and_what_the_detail_needs_of_a_large_one() {
        let heights = |height, rows| page(Rect::new(0, 0, 80, height), rows).map(|it| it.height);
        assert_eq!(heights(24, 1000), [2, 12, 9, 1]);
        assert_eq!(heights(60, 1000), [2, 41, 16, 1]);
        assert_eq!(heights(60, 3), [2, 4, 53, 1]);
    }
}
