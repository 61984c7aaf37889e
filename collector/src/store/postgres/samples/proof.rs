//! The proof of packed samples for `fsck`.

use std::collections::HashMap;
use std::pin::pin;
use std::time::SystemTime;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::stretch::{COLUMNS, PackedRow};
use crate::store::postgres::error::Failure;
use crate::store::postgres::faults::named;
use crate::store::postgres::session::time_ns;
use crate::store::rows::nics::NicId;
use crate::store::rows::packed::stretches::sums_of;
use crate::store::rows::proof::Sums;

/// Unpacks all packed samples from a time on, and adds them up by NIC. And says which stretches can't be relied
/// on.
pub async fn proof(
    db: &Client,
    from: SystemTime,
) -> Result<(HashMap<NicId, Sums>, Vec<String>), Failure> {
    let select = format!("SELECT {COLUMNS}, nic FROM packed_samples WHERE time >= $1");
    let (mut sums, mut damaged) = (HashMap::<NicId, Sums>::new(), Vec::new());
    let params = [(&from, Type::TIMESTAMPTZ)];
    let mut stretches = pin!(db.query_typed_raw(&select, params).await?);
    let from_ns = time_ns(from);
    while let Some(row) = stretches.try_next().await? {
        let nic: NicId = row.try_get(18)?;
        match PackedRow::read(&row)?.rows() {
            Ok(mut rows) => {
                rows.retain(|row| row.start_ns >= from_ns);
                let sums = sums.entry(nic).or_default();
                *sums = sums.plus(sums_of(&rows).1);
            }
            Err(why) => damaged.push((nic, why)),
        }
    }
    Ok((sums, named(db, damaged).await?))
}
