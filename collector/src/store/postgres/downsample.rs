//! A series of many rows, merged by the database in the same way as [`Points`], but without sending
//! every row.
//!
//! [`Points`]: crate::store::rows::points::Points

use tokio_postgres::Client as Connection;

use super::error::Failure;
use super::key::RowKey;
use super::values::{point, sum};
use crate::store::rows::series::{Point, SeriesRange};

/// Merges neighbours that start in the same one of `limit` equal parts of the range.
pub(super) async fn downsample(
    connection: &Connection,
    key: &RowKey,
    range: &SeriesRange,
    table: &str,
) -> Result<Vec<Point>, Failure> {
    // Times are stored to the microsecond.
    let length_us = range.to_ns.saturating_since(range.from_ns).div_ceil(1000);
    let part_us = length_us.div_ceil(range.limit.max(1) as u64).max(1);
    let sums = |direction: &str| {
        let counts = ["bytes", "packets", "captured"];
        let counts = counts.map(|name| sum(&format!("{direction}_{name}"))).join(", ");
        format!("{counts}, max({direction}_peak_1ms_bytes), max({direction}_peak_10ms_bytes)")
    };
    // OFFSET hides the definition of `part` from the planner. Otherwise it would compute `part` for
    // every use and not let several processes merge rows in parallel. OFFSET needs a bigint constant:
    // '0' becomes one, while 0 would count as an offset that matters.
    let select = format!(
        "SELECT min(time), {}, {}, {}, {}, bit_or(flags)
         FROM (SELECT *, date_bin(interval '{part_us} microseconds', time, $3) AS part FROM {table}
               WHERE client = $1 AND nic = $2 AND time >= $3 AND time < $4 OFFSET '0') AS rows
         GROUP BY part ORDER BY 1",
        sum("covered_ns"),
        sums("rx"),
        sums("tx"),
        sum("drops"),
    );
    let rows = connection.query_typed(&select, &key.params()).await?;
    Ok(rows.iter().map(point).collect::<Result<_, _>>()?)
}
