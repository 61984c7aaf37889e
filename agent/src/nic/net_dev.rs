//! `/proc/net/dev` (proc_net(5)): the kernel's counters of every NIC, by name. Reading it takes no
//! lock (`dev_seq_start`), while rtnetlink(7) waits for `rtnl_lock`, for seconds when many NICs
//! come or go.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};

use wire::advice::Advised;
use wire::frame::KernelCounts;
use wire::id::NicName;
use wire::{Bytes, Packets};

use super::link_stats::LinkStats;

/// The file, for the network namespace of the thread that opens it. A service with
/// `ProcSubset=pid` has it too, which `/proc/net/dev` isn't.
const PATH: &str = "/proc/thread-self/net/dev";

/// Why the counters can't be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read the kernel's counters in {PATH}")]
pub struct NetDevError(#[source] Advised);

impl NetDevError {
    /// The number of the system's error.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.raw_os_error()
    }
}

impl From<io::Error> for NetDevError {
    fn from(error: io::Error) -> Self {
        Self(Advised::new(error, "mount /proc"))
    }
}

/// The counters of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct NetDev {
    file: File,
    text: Vec<u8>,
}

impl NetDev {
    /// Opens the file.
    ///
    /// # Errors
    /// [`NetDevError`], most often because `/proc` is not mounted.
    pub fn open() -> Result<Self, NetDevError> {
        Ok(Self { file: File::open(PATH)?, text: Vec::new() })
    }

    /// The counters of every NIC as they are now, by its name. A line that can't be read is left
    /// out.
    ///
    /// # Errors
    /// [`NetDevError`] with what read(2) says.
    pub fn read(&mut self) -> Result<HashMap<NicName, LinkStats>, NetDevError> {
        self.text.clear();
        self.file.rewind()?;
        self.file.read_to_end(&mut self.text)?;
        Ok(counters(&self.text))
    }
}

/// The counters that a text of `/proc/net/dev` tells, by name. A line that can't be read is left
/// out.
#[must_use]
pub fn counters(text: &[u8]) -> HashMap<NicName, LinkStats> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// A NIC's line. What `dev_seq_printf_stats` (`net/core/net-procfs.c`) puts into its columns:
/// received bytes, packets, errors, dropped (of them those that the NIC had no room for), four
/// more, and the same for what was transmitted.
fn line(text: &[u8]) -> Option<(NicName, LinkStats)> {
    // A name has no colon (`dev_valid_name`), but need not be UTF-8.
    let (name, columns) = text.split_at(text.iter().position(|byte| *byte == b':')?);
    let columns = std::str::from_utf8(&columns[1..]).ok()?;
    let mut columns = columns.split_ascii_whitespace().map(|column| column.parse::<u64>().ok());
    let mut way = || {
        let figures = [columns.next()??, columns.next()??, columns.next()??, columns.next()??];
        columns.nth(3)?;
        Some(figures)
    };
    let [rx_bytes, rx_packets, rx_errors, rx_dropped] = way()?;
    let [tx_bytes, tx_packets, tx_errors, tx_dropped] = way()?;
    let counts = KernelCounts {
        rx_packets: Packets(rx_packets),
        tx_packets: Packets(tx_packets),
        rx_bytes: Bytes(rx_bytes),
        tx_bytes: Bytes(tx_bytes),
        dropped: Packets(rx_dropped.saturating_add(tx_dropped)),
        errors: Packets(rx_errors.saturating_add(tx_errors)),
    };
    Some((NicName::of_bytes(name.trim_ascii())?, LinkStats::new(counts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_by_its_columns_and_the_heading_is_none() {
        let heading = "Inter-|   Receive                                                |  Transmit\n \
                       face |bytes    packets errs drop fifo frame compressed multicast|bytes";
        assert_eq!(heading.lines().filter_map(|text| line(text.as_bytes())).count(), 0);
        let text = "  eth0: 57577937   41098    1    2    3     4          5         6 \
                    7000      80    10   20    0     0       0          0";
        let counts = KernelCounts {
            rx_packets: Packets(41_098),
            tx_packets: Packets(80),
            rx_bytes: Bytes(57_577_937),
            tx_bytes: Bytes(7000),
            dropped: Packets(22),
            errors: Packets(11),
        };
        let eth0 = NicName::new("eth0").unwrap();
        assert_eq!(line(text.as_bytes()), Some((eth0, LinkStats::new(counts))));
        assert_eq!(line(b"  eth0: 57577937 41098"), None, "cut");
        // Wide figures touch the name.
        assert!(line(b"enp0s31f6:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").is_some());
    }
}
