//! Samples and mixes packed earlier become rows again, for Citus, where nothing is packed.

use tokio_postgres::Client;
use wire::WallNs;

use super::error::Failure;
use super::partition::{DAY_NS, Partition, Table, make_within};
use super::values::number;
use crate::time::now_ns;

/// One collector packs or unpacks at a time: "PACK".
pub(super) const LOCK: i64 = 0x5041_434b;

/// Makes rows of all that is packed, in a transaction of its caller.
pub(super) async fn unpack_all(db: &Client) -> Result<(), Failure> {
    // No collector packs meanwhile, so what is deleted is what was read.
    db.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    for (rows, stretches, unpack) in [
        (Table::Stats, Table::Packed, "unpack_samples"),
        (Table::Mix, Table::PackedMixes, "unpack_mixes"),
    ] {
        make_days(db, rows, stretches).await?;
        let (rows, stretches) = (rows.name(), stretches.name());
        db.batch_execute(&format!(
            "INSERT INTO {rows} SELECT u.* FROM {stretches} p
             CROSS JOIN LATERAL {unpack}(p.client, p.nic, p.columns) AS u"
        ))
        .await?;
        db.batch_execute(&format!("DELETE FROM {stretches}")).await?;
    }
    Ok(())
}

/// Makes the partitions that went when their rows were packed: in the default one, days of rows would delay each new
/// partition, and would be deleted row by row.
async fn make_days(db: &Client, rows: Table, stretches: Table) -> Result<(), Failure> {
    let days = format!(
        "SELECT DISTINCT floor(extract(epoch FROM time) / 86400)::bigint FROM {}",
        stretches.name()
    );
    for row in db.query_typed(&days, &[]).await? {
        let partition = Partition::of(rows, WallNs(number(&row, 0)?.saturating_mul(DAY_NS)));
        if partition.is_worth_making(now_ns()) {
            make_within(db, partition).await?;
        }
    }
    Ok(())
}
