//! Mixes, packed.

use wire::WallNs;

use super::rows::{Columnar, ROWS_MAX, packed};
use crate::store::rows::columns::{MIX, MIX_FIGURES};

/// A row of `traffic_mix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixRow {
    /// Start of the mix interval, nanoseconds since 1970 (UTC).
    pub start_ns: WallNs,
    /// Its length, nanoseconds.
    pub interval_ns: u64,
    /// The figures of [`crate::store::rows::columns::mix_columns`].
    pub figures: [u64; MIX_FIGURES],
}

/// Mixes of one NIC, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedMixes {
    /// The columns.
    pub columns: Vec<u8>,
    /// Number of mixes.
    pub mixes: u64,
    /// Start of the first one.
    pub first_ns: WallNs,
    /// Start of the last one.
    pub last_ns: WallNs,
}

impl PackedMixes {
    /// Packs mixes in any order, in as few pieces as hold them. What is packed is compared with the mixes before it
    /// is given, so that they may be deleted: `None` if it differs.
    #[must_use]
    pub fn of(mut rows: Vec<MixRow>) -> Option<Vec<Self>> {
        rows.sort_by_key(|row| row.start_ns);
        let piece = |rows: &[MixRow]| {
            let (mixes, [first_ns, last_ns]) = span(rows)?;
            Some(Self { columns: packed(rows)?, mixes, first_ns, last_ns })
        };
        rows.chunks(ROWS_MAX).map(piece).collect()
    }
}

/// Number of mixes by start, and starts of the first and the last one. `None` if there are none.
#[must_use]
pub fn span(rows: &[MixRow]) -> Option<(u64, [WallNs; 2])> {
    Some((rows.len() as u64, [rows.first()?.start_ns, rows.last()?.start_ns]))
}

/// Place of the first figure; the start and the length come before it.
const FIGURES: usize = 2;

/// Place of a direction's figure.
const fn of_direction(direction: usize, figure: usize) -> usize {
    FIGURES + direction * MIX.len() + figure
}

/// Places of figures of a direction, and of the kernel's first one.
const IPV4_BYTES: usize = 11;
const TCP_PACKETS: usize = 15;
const TCP_BYTES: usize = 16;
const KERNEL: usize = 2 * MIX.len();

impl Columnar for MixRow {
    const FORMAT: u8 = 2;

    const LIKE: &'static [Option<usize>] = &{
        let mut like = [None; FIGURES + MIX_FIGURES];
        let mut direction = 0;
        while direction < 2 {
            let (ipv4, tcp) =
                (of_direction(direction, IPV4_BYTES), of_direction(direction, TCP_PACKETS));
            like[of_direction(direction, TCP_BYTES)] = Some(ipv4);
            like[FIGURES + KERNEL + direction] = Some(tcp);
            like[FIGURES + KERNEL + 2 + direction] = Some(ipv4);
            direction += 1;
        }
        like
    };

    fn figures(&self) -> impl AsRef<[u64]> {
        let mut all = [0; FIGURES + MIX_FIGURES];
        (all[0], all[1]) = (self.start_ns.get(), self.interval_ns);
        all[FIGURES..].copy_from_slice(&self.figures);
        all
    }

    fn of_figures(figure: impl Fn(usize) -> u64) -> Option<Self> {
        let figures = std::array::from_fn(|at| figure(FIGURES + at));
        Some(Self { start_ns: WallNs(figure(0)), interval_ns: figure(1), figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::columns::mix_columns;

    #[test]
    fn columns_are_written_like_those_that_they_are_near_to() {
        let names: Vec<String> = mix_columns().collect();
        let near: Vec<[&str; 2]> = (0..)
            .zip(MixRow::LIKE)
            .filter_map(|(at, like)| Some([at, (*like)?].map(|it| names[it - FIGURES].as_str())))
            .collect();
        assert_eq!(
            near,
            [
                ["rx_tcp_bytes", "rx_ipv4_bytes"],
                ["tx_tcp_bytes", "tx_ipv4_bytes"],
                ["kernel_rx_packets", "rx_tcp_packets"],
                ["kernel_tx_packets", "tx_tcp_packets"],
                ["kernel_rx_bytes", "rx_ipv4_bytes"],
                ["kernel_tx_bytes", "tx_ipv4_bytes"],
            ]
        );
    }
}
