//! Chooses the table to read for a range.

use std::time::SystemTime;

use tokio_postgres::Client;

use super::error::Failure;
use super::key::{RowKey, count};
use super::samples;
use crate::store::rows::points::RESOLUTIONS;
use crate::store::rows::series::Resolution;

/// The table of a rollup. `None` of the samples themselves, which [`samples`] reads.
pub(super) const fn rollup(resolution: Resolution) -> Option<&'static str> {
    match resolution {
        Resolution::Raw => None,
        Resolution::Minute => Some("bandwidth_1m"),
        Resolution::FiveMinutes => Some("bandwidth_5m"),
    }
}

/// The finest resolution that covers the whole range with few enough rows.
pub(super) async fn choose(
    db: &Client,
    key: &RowKey,
    rows_max: usize,
) -> Result<Resolution, Failure> {
    let select = "SELECT raw_from, rollup_1m_from, rollup_5m_from FROM retention";
    let kept_from = db.query_typed_one(select, &[]).await?;
    for (at, resolution) in RESOLUTIONS.into_iter().enumerate() {
        if kept_from.try_get::<_, SystemTime>(at)? > key.from {
            continue;
        }
        let few = match rollup(resolution) {
            None => samples::are_few(db, key, rows_max).await?,
            Some(table) => count(db, key, table, rows_max).await?.is_some(),
        };
        if few {
            return Ok(resolution);
        }
    }
    Ok(Resolution::FiveMinutes)
}
