//! Samples and mixes packed earlier become rows again, for Citus, where nothing is packed.

use tokio_postgres::Client;

use super::error::Failure;

/// One collector packs or unpacks at a time: "PACK".
pub(super) const LOCK: i64 = 0x5041_434b;

/// Makes rows of all that is packed, in a transaction of its caller.
pub(super) async fn unpack_all(db: &Client) -> Result<(), Failure> {
    // No collector packs meanwhile, so what is deleted is what was read.
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    for statement in [
        lock.as_str(),
        "INSERT INTO hot_samples SELECT u.* FROM packed_samples p
         CROSS JOIN LATERAL unpack_samples(p.client, p.nic, p.columns) AS u",
        "DELETE FROM packed_samples",
        "INSERT INTO hot_mixes SELECT u.* FROM packed_mixes p
         CROSS JOIN LATERAL unpack_mixes(p.client, p.nic, p.columns) AS u",
        "DELETE FROM packed_mixes",
    ] {
        db.batch_execute(statement).await?;
    }
    Ok(())
}
