//! What the store knows of its days.

use rusqlite::Connection;
use wire::WallNs;

use crate::store::rows::client_days::KnownDays;

/// What is known of days.
pub(super) fn known(db: &Connection) -> rusqlite::Result<KnownDays> {
    let known = "SELECT clock, packed_to, rollup_5m_from,
                     (SELECT min((SELECT min(time) FROM bandwidth_5m five
                          WHERE five.client = nics.client AND five.nic = nics.id)) FROM nics),
                     (SELECT count(*) FROM clients) FROM retention";
    db.query_row(known, [], |row| {
        Ok(KnownDays {
            clock_ns: row.get::<_, Option<i64>>(0)?.map(WallNs::of_column),
            packed_to_ns: WallNs::of_column(row.get(1)?),
            complete_from_ns: WallNs::of_column(row.get(2)?),
            oldest_ns: row.get::<_, Option<i64>>(3)?.map(WallNs::of_column),
            clients: row.get::<_, u32>(4)? as usize,
        })
    })
}
