//! Byte planes: of each column its least number, and of the excess of each number over it the lowest bytes of
//! all rows, then the next.

use collector::store::Point;

/// The planes of rows.
pub fn of(rows: &[Point]) -> Vec<u8> {
    let figures: [fn(&Point) -> u64; 14] = [
        |it| it.start_ns.get(),
        |it| it.interval_ns,
        |it| it.rx.bytes.get(),
        |it| it.tx.bytes.get(),
        |it| it.rx.packets.get(),
        |it| it.tx.packets.get(),
        |it| it.rx.captured.get(),
        |it| it.tx.captured.get(),
        |it| it.rx.peak_1ms_bytes.into(),
        |it| it.tx.peak_1ms_bytes.into(),
        |it| it.rx.peak_10ms_bytes.into(),
        |it| it.tx.peak_10ms_bytes.into(),
        |it| it.drops.get(),
        |it| it.flags.into(),
    ];
    let mut planes = Vec::new();
    for figure in figures {
        let least = rows.iter().map(figure).min().unwrap_or_default();
        let most = rows.iter().map(figure).max().unwrap_or_default();
        let width = 8 - (most - least).leading_zeros() as usize / 8;
        planes.extend(least.to_le_bytes());
        for plane in 0..width {
            planes.extend(rows.iter().map(|row| (figure(row) - least).to_le_bytes()[plane]));
        }
    }
    planes
}
