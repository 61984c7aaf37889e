//! `collector export`: a client's rows as CSV or JSON, one a line, for other programs.

mod lines;
mod talkers;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use settings::Output;
use tokio::sync::mpsc;
use wire::advice::Advised;
use wire::frame::{Gap, flags};
use wire::{Bytes, Packets, Seq, WallNs};

use self::lines::Lines;
pub use self::lines::{ExportFormat, Exported};
use crate::spreadsheet::guarded;
use crate::store::{ExportRange, ExportRow, Point, PointCounts, Reader, StoreError, gap_name};
use crate::time::Time;

/// Chunks of rows that may wait to be written.
const WAITING: usize = 4;

/// What to export, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRequest {
    /// The client.
    pub client: String,
    /// The NIC; `None`: all.
    pub nic: Option<String>,
    /// First start of an interval, nanoseconds since 1970 (UTC).
    pub from_ns: WallNs,
    /// Intervals that start here or later are left out.
    pub to_ns: WallNs,
    /// Talkers instead of samples.
    pub talkers: bool,
    /// Format of lines.
    pub format: ExportFormat,
    /// Write texts into CSV unchanged, even those that a spreadsheet would run.
    pub raw: bool,
}

/// Why rows could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file or pipe fails.
    #[error("{place}")]
    Io {
        /// The target.
        place: String,
        /// The error of the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// The store is unreadable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such client.
    #[error("the store knows no client {0}; `collector clients` lists them")]
    NoSuchClient(String),
    /// No such NIC.
    #[error("client {client} never had a NIC {nic}; it had: {known}")]
    NoSuchNic {
        /// The client.
        client: String,
        /// The requested NIC.
        nic: String,
        /// The known ones.
        known: String,
    },
}

/// One line. A gap has `kind` gap and exact sums over all of it, but no samples.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: Option<Time>,
    client: &'a str,
    nic: Option<&'a str>,
    kind: &'static str,
    interval_ns: Option<u64>,
    rx_bytes: Option<Bytes>,
    rx_packets: Option<Packets>,
    rx_captured: Option<Packets>,
    rx_peak_1ms_bytes: Option<u32>,
    rx_peak_10ms_bytes: Option<u32>,
    tx_bytes: Option<Bytes>,
    tx_packets: Option<Packets>,
    tx_captured: Option<Packets>,
    tx_peak_1ms_bytes: Option<u32>,
    tx_peak_10ms_bytes: Option<u32>,
    drops: Option<Packets>,
    flags: String,
    gap_reason: Option<&'static str>,
    session: Option<String>,
    first_seq: Option<Seq>,
    last_seq: Option<Seq>,
}

/// The columns of CSV.
const COLUMNS: [&str; 21] = [
    "time",
    "client",
    "nic",
    "kind",
    "interval_ns",
    "rx_bytes",
    "rx_packets",
    "rx_captured",
    "rx_peak_1ms_bytes",
    "rx_peak_10ms_bytes",
    "tx_bytes",
    "tx_packets",
    "tx_captured",
    "tx_peak_1ms_bytes",
    "tx_peak_10ms_bytes",
    "drops",
    "flags",
    "gap_reason",
    "session",
    "first_seq",
    "last_seq",
];

impl<'a> Line<'a> {
    fn of(client: &'a str, row: &'a ExportRow) -> Self {
        let ExportRow { nic, point, gap } = row;
        // A gap without NIC or of `unmeasured` has no counts: leave the cells empty, because zero
        // would be a figure.
        let dated = nic.is_some();
        let known = dated && gap.is_none_or(|gap| gap.reason != Gap::Unmeasured as u8);
        let Point { start_ns, interval_ns, rx, tx, drops, flags: set } = *point;
        let counts = |PointCounts { bytes, packets, captured, .. }: PointCounts| {
            let [packets, captured] = [packets, captured].map(|figure| known.then_some(figure));
            (known.then_some(bytes), packets, captured)
        };
        let peaks = |PointCounts { peak_1ms_bytes, peak_10ms_bytes, .. }: PointCounts| {
            [peak_1ms_bytes, peak_10ms_bytes].map(|figure| known.then_some(figure))
        };
        let (rx_bytes, rx_packets, rx_captured) = counts(rx);
        let (tx_bytes, tx_packets, tx_captured) = counts(tx);
        let [rx_peak_1ms_bytes, rx_peak_10ms_bytes] = peaks(rx);
        let [tx_peak_1ms_bytes, tx_peak_10ms_bytes] = peaks(tx);
        Self {
            time: dated.then_some(Time(start_ns)),
            client,
            nic: nic.as_deref(),
            kind: if gap.is_some() { "gap" } else { "sample" },
            interval_ns: dated.then_some(interval_ns),
            rx_bytes,
            rx_packets,
            rx_captured,
            rx_peak_1ms_bytes,
            rx_peak_10ms_bytes,
            tx_bytes,
            tx_packets,
            tx_captured,
            tx_peak_1ms_bytes,
            tx_peak_10ms_bytes,
            drops: known.then_some(drops),
            flags: flags::names(set).join(" "),
            gap_reason: gap.map(|gap| gap_name(gap.reason)),
            session: gap.map(|gap| gap.session.to_string()),
            first_seq: gap.map(|gap| gap.first_seq),
            last_seq: gap.map(|gap| gap.last_seq),
        }
    }
}

/// Writes the requested rows to a file, which appears complete or not at all, or to `out`.
///
/// # Errors
/// [`ExportError`] names what is missing or can't be written.
pub async fn export(
    store: &dyn Reader,
    request: &ExportRequest,
    file: Option<&Path>,
    out: &mut Output,
) -> Result<Exported, ExportError> {
    let range = range(store, request).await?;
    let place = file.map_or_else(|| "standard output".into(), Path::to_string_lossy);
    let failed = |error: io::Error| ExportError::Io {
        place: place.clone().into_owned(),
        error: Advised::new(error, "free space, or name another file with --output"),
    };
    let Some(file) = file else {
        let written = match request.raw {
            true => write(store, &range, request, out.raw()).await?,
            false => write(store, &range, request, out).await?,
        };
        return written.map_err(failed);
    };
    // A device or pipe can't be replaced by renaming; write to it directly.
    let special = fs::metadata(file).is_ok_and(|metadata| !metadata.is_file());
    if special {
        let out = File::options().write(true).open(file).map_err(failed)?;
        return write(store, &range, request, out).await?.map_err(failed);
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    // Create a new file: never write through an existing file or link.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let out = File::create_new(&part).map_err(failed)?;
    let written = write(store, &range, request, &out).await.map_err(ExportError::from);
    let moved = || out.sync_all().and_then(|()| fs::rename(&part, file));
    let done = written
        .and_then(|written| written.and_then(|count| moved().map(|()| count)).map_err(failed));
    if done.is_err() {
        // The first error matters more than a failed removal.
        let _left = fs::remove_file(&part);
    }
    done
}

async fn range(store: &dyn Reader, request: &ExportRequest) -> Result<ExportRange, ExportError> {
    let ExportRequest { client, nic, from_ns, to_ns, .. } = request.clone();
    let known = store.nic_names(&client).await?;
    let known = known.ok_or_else(|| ExportError::NoSuchClient(client.clone()))?;
    let nics = match nic {
        None => known,
        Some(nic) if known.contains(&nic) => vec![nic],
        Some(nic) => {
            return Err(ExportError::NoSuchNic { client, nic, known: known.join(" ") });
        }
    };
    Ok(ExportRange { client, nics, from_ns, to_ns })
}

/// Reading and writing run at the same time.
async fn write(
    store: &dyn Reader,
    range: &ExportRange,
    request: &ExportRequest,
    out: impl Write,
) -> Result<io::Result<Exported>, StoreError> {
    let lines = Lines::of(request.format, BufWriter::with_capacity(1 << 16, out));
    let guards = request.format == ExportFormat::Csv && !request.raw;
    let (read, written) = if request.talkers {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writing = talkers::write(&range.client, guards, lines, receiver);
        tokio::join!(store.export_talkers(range, sender), writing)
    } else {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writing = write_samples(&range.client, guards, lines, receiver);
        tokio::join!(store.export(range, sender), writing)
    };
    read.map(|()| written)
}

async fn write_samples(
    client: &str,
    guards: bool,
    mut lines: Lines<impl Write>,
    mut receiver: mpsc::Receiver<Vec<ExportRow>>,
) -> io::Result<Exported> {
    let mut exported = Exported::default();
    while let Some(rows) = receiver.recv().await {
        for row in &rows {
            let mut line = Line::of(client, row);
            let nic = line.nic.filter(|_| guards).map(guarded);
            line.nic = nic.as_deref().or(line.nic);
            lines.write(&line)?;
            exported.rows += 1;
        }
    }
    lines.finish(exported.rows, COLUMNS)?;
    Ok(exported)
}

#[cfg(test)]
mod tests {
    use wire::id::SessionId;

    use super::*;

    fn exported(gap: Option<Gap>) -> Vec<String> {
        let gap = gap.map(|gap| {
            let reason = gap as u8;
            crate::store::ExportGap {
                reason,
                session: SessionId::new(1),
                first_seq: Seq(2),
                last_seq: Seq(3),
            }
        });
        let row = ExportRow { nic: Some("eth0".into()), point: Point::default(), gap };
        let mut csv = Lines::Csv(Box::new(csv::Writer::from_writer(Vec::new())));
        csv.write(&Line::of("web", &row)).unwrap();
        let Lines::Csv(csv) = csv else { unreachable!() };
        let text = String::from_utf8(csv.into_inner().unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_was_not_measured_has_empty_cells_and_a_name() {
        let names = exported(None).swap_remove(0);
        assert_eq!(names, COLUMNS.join(","), "an export of nothing has the same head");
        assert!(exported(Some(Gap::SpoolFull))[1].contains(",gap,0,0,0,"));
        let unmeasured = exported(Some(Gap::Unmeasured)).swap_remove(1);
        let cells = ",eth0,gap,0,,,,,,,,,,,,,unmeasured,0000000000000001,2,3";
        assert!(unmeasured.ends_with(cells), "{unmeasured}");
    }
}
