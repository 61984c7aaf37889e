//! SQL functions behind the views of samples.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error};
use wire::WallNs;

use crate::store::rows::packed::unpack;
use crate::store::rows::series::Point;

/// Adds the functions to a connection:
///
/// - `only_collector_sql_unpacks(columns, from, to)`: a JSON array of the packed samples that start in a
///   closed range, each an array of time, nth and the other columns of `hot_samples`.
/// - `recent_speeds(rx_bytes, tx_bytes, rx_packets, tx_packets, interval_ns)`, an aggregate: a JSON array of
///   bytes per second up and down without outliers, and the mean packet sizes up and down.
pub fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let unpacked = LastUnpacked::default();
    db.create_scalar_function("only_collector_sql_unpacks", 3, flags, move |context| {
        let range = (context.get(1)?, context.get(2)?);
        let columns = context.get_raw(0).as_blob().map_err(Error::from)?;
        unpacked.json(columns, range).ok_or_else(|| damaged(columns))
    })?;
    db.create_aggregate_function("recent_speeds", 5, flags, RecentSpeeds)
}

fn damaged(columns: &[u8]) -> Error {
    let said = format!("packed samples of {} bytes are damaged: run collector fsck", columns.len());
    Error::UserFunctionError(said.into())
}

/// The rows that were unpacked last: `bandwidth_report` asks for the neighbours of each.
#[derive(Default)]
struct LastUnpacked(Mutex<(Vec<u8>, Vec<Point>)>);

impl LastUnpacked {
    fn json(&self, columns: &[u8], (from, to): (i64, i64)) -> Option<String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != columns {
            *last = (columns.to_vec(), unpack(columns)?);
        }
        Some(json(&last.1, WallNs::of_column(from), WallNs::of_column(to)))
    }
}

fn json(rows: &[Point], from_ns: WallNs, to_ns: WallNs) -> String {
    let mut json = String::from("[");
    let (mut nth, mut before) = (0, None);
    let begin = rows.partition_point(|row| row.start_ns < from_ns);
    for row in rows.iter().skip(begin).take_while(|row| row.start_ns <= to_ns) {
        let Point { start_ns, interval_ns, rx, tx, drops, flags } = row;
        nth = if before == Some(*start_ns) { nth + 1 } else { 0 };
        if before.replace(*start_ns).is_some() {
            json.push(',');
        }
        // Writing to a text can't fail.
        let _written = write!(
            json,
            "[{start_ns},{nth},{interval_ns},{},{},{},{},{},{},{},{},{},{},{drops},{flags}]",
            rx.bytes,
            tx.bytes,
            rx.packets,
            tx.packets,
            rx.captured,
            tx.captured,
            rx.peak_1ms_bytes,
            tx.peak_1ms_bytes,
            rx.peak_10ms_bytes,
            tx.peak_10ms_bytes,
        );
    }
    json.push(']');
    json
}

struct RecentSpeeds;

/// What a sample carried.
#[derive(Clone, Copy)]
struct Carried {
    /// Up and down, as the view's columns are ordered.
    bytes: [f64; 2],
    packets: [f64; 2],
    interval_ns: f64,
}

impl Aggregate<Vec<Carried>, String> for RecentSpeeds {
    fn init(&self, _context: &mut Context<'_>) -> rusqlite::Result<Vec<Carried>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, rows: &mut Vec<Carried>) -> rusqlite::Result<()> {
        let bytes = [context.get(1)?, context.get(0)?];
        let packets = [context.get(3)?, context.get(2)?];
        rows.push(Carried { bytes, packets, interval_ns: context.get(4)? });
        Ok(())
    }

    fn finalize(
        &self,
        _context: &mut Context<'_>,
        rows: Option<Vec<Carried>>,
    ) -> rusqlite::Result<String> {
        let rows = rows.unwrap_or_default();
        let [up, down] = [0, 1].map(|way| number(speed(&rows, way)));
        let [up_size, down_size] = [0, 1].map(|way| {
            let sum =
                |of: fn(&Carried) -> [f64; 2]| rows.iter().map(|row| of(row)[way]).sum::<f64>();
            number(sum(|row| row.bytes) / sum(|row| row.packets))
        });
        Ok(format!("[{up},{down},{up_size},{down_size}]"))
    }
}

/// Bytes per second. Of 10 or more samples, the highest and lowest tenth are left out.
fn speed(rows: &[Carried], way: usize) -> f64 {
    let mut rows = rows.to_vec();
    let rate = |row: &Carried| row.bytes[way] / row.interval_ns;
    rows.sort_by(|one, other| rate(one).partial_cmp(&rate(other)).unwrap_or(Ordering::Equal));
    let outliers = rows.len() / 10;
    let kept = rows.get(outliers..rows.len() - outliers).unwrap_or_default();
    let bytes: f64 = kept.iter().map(|row| row.bytes[way]).sum();
    let time: f64 = kept.iter().map(|row| row.interval_ns).sum();
    bytes * 1e9 / time
}

/// JSON has no other numbers than finite ones.
fn number(number: f64) -> String {
    if number.is_finite() { format!("{number:?}") } else { "null".to_owned() }
}
