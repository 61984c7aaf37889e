//! Seeds of packed samples and mixes, small ones of each way in which a column is written.

use collector::store::Point;
use collector::store::rows::packed::{MixRow, Packed, PackedMixes};
use wire::{Bytes, Packets, WallNs};

use super::inputs::Seeds;

pub(super) fn all() -> Vec<(&'static str, Seeds)> {
    vec![("stretch", stretches())]
}

fn stretches() -> Seeds {
    let samples = |rows: &[Point]| Packed::of(rows).unwrap().columns;
    let mixes = |rows: Vec<MixRow>| PackedMixes::of(rows).unwrap().remove(0).columns;
    let busy: Vec<Point> = (0..140).map(sample).collect();
    let mut unsummed = samples(&busy);
    // Earlier versions packed without the checksum of all bytes.
    unsummed.truncate(unsummed.len() - size_of::<u32>());
    vec![
        ("one", samples(&busy[..1])),
        ("equal", samples(&vec![busy[0].clone(); 9])),
        ("busy", samples(&busy)),
        ("unsummed", unsummed),
        ("mix", mixes(vec![mix(7)])),
        ("mixes", mixes((0..131).map(mix).collect())),
    ]
}

const START_NS: u64 = 1_800_000_000_000_000_000;

fn sample(n: u64) -> Point {
    let mut point = Point {
        start_ns: WallNs(START_NS + n * 500_000_000 + n % 2),
        interval_ns: 500_000_000,
        drops: Packets(n / 100),
        ..Point::default()
    };
    point.rx.bytes = Bytes(1_000_000 * n + n % 3);
    point.rx.packets = Packets(n * n % 97 + 7);
    point.rx.captured = Packets(n * n % 97 + n % 2);
    point.tx.bytes = Bytes(u64::MAX - n);
    point.tx.peak_1ms_bytes = u32::MAX;
    point
}

fn mix(n: u64) -> MixRow {
    let mut figures = [0; _];
    (figures[11], figures[16], figures[30]) = (n * n % 97, n * n % 97 + n % 2, n * 1_000_000);
    MixRow { start_ns: WallNs(START_NS + n * 10_000_000_000), interval_ns: 10_000_000_000, figures }
}
