//! The columns of the table. On a narrow screen the less important ones are left out.

use ratatui::text::Line;
use settings::terminal::right;

use super::order::{Sort, SortKey};

/// Columns of a trend.
pub(super) const TREND: usize = 9;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Client,
    Rx,
    RxTrend,
    Tx,
    TxTrend,
    Utilisation,
    Packets,
    MeanSize,
    Peak,
    PeakHour,
    LostHour,
    Drops,
    State,
}

/// All of them, in their order.
const ALL: [Column; 13] = [
    Column::Client,
    Column::Rx,
    Column::RxTrend,
    Column::Tx,
    Column::TxTrend,
    Column::Utilisation,
    Column::Packets,
    Column::MeanSize,
    Column::Peak,
    Column::PeakHour,
    Column::LostHour,
    Column::Drops,
    Column::State,
];

/// The columns left out on narrow screens, in this order.
const SPARE: [Column; 10] = [
    Column::MeanSize,
    Column::Packets,
    Column::Drops,
    Column::TxTrend,
    Column::RxTrend,
    Column::PeakHour,
    Column::LostHour,
    Column::Utilisation,
    Column::Peak,
    Column::State,
];

/// The columns for a screen of this width.
pub(super) fn columns(width: u16) -> Vec<Column> {
    let mut columns = ALL.to_vec();
    let mut spare = SPARE.iter();
    // A blank between each two.
    while columns.iter().map(|column| column.width() + 1).sum::<u16>() > width.saturating_add(1) {
        let Some(next) = spare.next() else { break };
        columns.retain(|column| column != next);
    }
    columns
}

impl Column {
    /// Width; for the first column the minimum.
    pub(super) const fn width(self) -> u16 {
        match self {
            Self::Client => 18,
            Self::Rx | Self::Tx | Self::Peak | Self::PeakHour => 11,
            Self::RxTrend | Self::TxTrend => 9,
            Self::MeanSize => 9,
            Self::Utilisation => 8,
            Self::Packets | Self::Drops | Self::LostHour => 7,
            Self::State => 13,
        }
    }

    /// Its heading, with a mark if rows are sorted by it. `rows`: what they are.
    pub(super) fn heading<'a>(self, rows: &str, sort: Sort) -> Line<'a> {
        let (text, key) = match self {
            Self::Client => (rows, Some(SortKey::Client)),
            Self::Rx => ("rx bit/s", Some(SortKey::Rx)),
            Self::Tx => ("tx bit/s", Some(SortKey::Tx)),
            Self::RxTrend | Self::TxTrend => ("", None),
            Self::Utilisation => ("util", Some(SortKey::Utilisation)),
            Self::PeakHour => ("peak 1h", Some(SortKey::PeakHour)),
            Self::LostHour => ("lost 1h", Some(SortKey::LostHour)),
            Self::Packets => ("pkt/s", Some(SortKey::Packets)),
            Self::MeanSize => ("mean size", None),
            Self::Peak => ("peak 1ms", Some(SortKey::Peak)),
            Self::Drops => ("drops", Some(SortKey::Drops)),
            Self::State => ("state", None),
        };
        // Names ascend unless reversed, figures descend.
        let up = sort.reversed != (sort.key == SortKey::Client);
        let mark = if up { "▴" } else { "▾" };
        let text = if key == Some(sort.key) { format!("{text} {mark}") } else { text.to_owned() };
        if matches!(self, Self::Client | Self::State) { text.into() } else { right(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_screen_leaves_out_what_is_needed_least() {
        assert_eq!(columns(200), ALL);
        assert_eq!(columns(143), ALL);
        assert!(!columns(142).contains(&Column::MeanSize));
        let usual = columns(80);
        let needed = [
            Column::Client,
            Column::Rx,
            Column::Tx,
            Column::Utilisation,
            Column::Peak,
            Column::State,
        ];
        assert!(needed.iter().all(|column| usual.contains(column)), "{usual:?}");
        assert_eq!(columns(1), [Column::Client, Column::Rx, Column::Tx]);
    }

    #[test]
    fn the_column_that_is_sorted_by_is_marked_with_its_direction() {
        let heading = |column: Column, sort| column.heading("client", sort).to_string();
        let sort = Sort::default();
        assert_eq!(heading(Column::Rx, sort), "rx bit/s ▾");
        assert_eq!(heading(Column::Rx, sort.reversed()), "rx bit/s ▴");
        assert_eq!(heading(Column::Tx, sort), "tx bit/s");
        let by_client = Sort { key: SortKey::Client, reversed: false };
        assert_eq!(heading(Column::Client, by_client), "client ▴");
    }
}
