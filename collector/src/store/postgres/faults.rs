//! What `fsck` says of stretches that can't be relied on.

use std::fmt::Display;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Failure;
use crate::store::rows::nics::NicId;

/// Says of which client and NIC stretches are damaged.
pub(super) async fn named(
    db: &Client,
    damaged: Vec<(NicId, impl Display)>,
) -> Result<Vec<String>, Failure> {
    let of =
        "SELECT client_id, name FROM nics JOIN clients ON clients.id = client WHERE nics.id = $1";
    let mut faults = Vec::new();
    for (nic, why) in damaged {
        let names = db.query_typed_opt(of, &[(&nic, Type::INT4)]).await?;
        let names = names.map(|row| Ok::<_, Failure>((row.try_get(0)?, row.try_get(1)?)));
        let (client, name): (String, String) = names.transpose()?.unwrap_or_default();
        faults.push(format!("client {client}, NIC {name}: {why}"));
    }
    Ok(faults)
}
