//! What the store knows of its days.

use std::ops::Range;

use tokio_postgres::Client;
use wire::WallNs;

use super::error::Failure;
use super::partition::Table;
use super::retention::oldest;
use super::session::time_ns;
use crate::store::rows::client_days::KnownDays;

/// What is known of days. `oldest_ns`: the start of the first row, or earlier.
pub(super) async fn known(
    client: &Client,
    oldest_ns: Option<WallNs>,
) -> Result<KnownDays, Failure> {
    let known = "SELECT clock, packed_to, rollup_5m_from, (SELECT count(*) FROM clients)
                 FROM retention";
    let row = client.query_typed_one(known, &[]).await?;
    Ok(KnownDays {
        clock_ns: row.try_get::<_, Option<_>>(0)?.map(time_ns),
        packed_to_ns: time_ns(row.try_get(1)?),
        complete_from_ns: time_ns(row.try_get(2)?),
        oldest_ns,
        clients: usize::try_from(row.try_get::<_, i64>(3)?).unwrap_or_default(),
    })
}

/// The time whose days have yet to be noted as to be packed.
pub(super) async fn open(client: &Client) -> Result<Range<WallNs>, Failure> {
    let noted = known(client, None).await?;
    if noted.packed_to_ns > WallNs(0) {
        return Ok(noted.open());
    }
    let oldest_ns = oldest(client, Table::FiveMinutes).await?;
    Ok(KnownDays { oldest_ns, ..noted }.open())
}
