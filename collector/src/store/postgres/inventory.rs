//! The NICs of a client, from its agent's inventory.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;
use wire::id::ClientId;
use wire::message::{Inventory, Nic};

use super::connect::BEGIN;
use super::error::Failure;
use super::session::{text, time, unknown_client};
use crate::store::rows::nics::NICS_MAX;

/// The stored facts of a NIC, except its name.
#[derive(Debug, PartialEq, Eq)]
struct BatchRows {
    index: i64,
    mac: Vec<u8>,
    mtu: i64,
    speed_bits: i64,
    kind: String,
    up: bool,
    stacked: bool,
}

impl BatchRows {
    fn of(nic: &Nic) -> Self {
        Self {
            index: nic.index.into(),
            mac: nic.mac.to_vec(),
            mtu: nic.mtu.into(),
            speed_bits: nic.speed_bits.min(i64::MAX as u64).cast_signed(),
            kind: text(&nic.kind),
            up: nic.up,
            stacked: nic.stacked,
        }
    }
}

/// Stores a client's NICs. Usually nothing has changed.
pub(super) async fn record(
    client: &Client,
    id: &ClientId,
    inventory: &Inventory,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let named = |nic: &Nic| Some((nic.name.as_str()?.to_owned(), BatchRows::of(nic)));
    let listed: BTreeMap<String, BatchRows> = inventory.nics.iter().filter_map(named).collect();
    let rows = client
        .query_typed(
            "WITH seen AS (
                 UPDATE clients SET last_seen_at = $2 WHERE client_id = $1
                 RETURNING id
             )
             SELECT seen.id, name, if_index, mac, mtu, speed_bits, kind, up, stacked
             FROM seen LEFT JOIN nics ON client = seen.id AND present",
            &[(&id.as_str(), Type::TEXT), (&time(now_ns), Type::TIMESTAMPTZ)],
        )
        .await?;
    let number: i32 = rows.first().ok_or_else(|| unknown_client(id))?.try_get(0)?;
    let mut present = BTreeMap::new();
    for row in rows {
        // A client without NICs has none of these columns.
        let Some(name) = row.try_get::<_, Option<String>>(1)? else { continue };
        let facts = BatchRows {
            index: row.try_get(2)?,
            mac: row.try_get(3)?,
            mtu: row.try_get(4)?,
            speed_bits: row.try_get(5)?,
            kind: row.try_get(6)?,
            up: row.try_get(7)?,
            stacked: row.try_get(8)?,
        };
        present.insert(name, facts);
    }
    if present == listed { Ok(()) } else { change(client, number, &listed, now_ns).await }
}

/// Replaces the NICs of a client by the listed ones.
async fn change(
    client: &Client,
    number: i32,
    listed: &BTreeMap<String, BatchRows>,
    now_ns: WallNs,
) -> Result<(), Failure> {
    let names: Vec<&str> = listed.keys().map(String::as_str).collect();
    client.batch_execute(BEGIN).await?;
    // One collector at a time, if two receive the same client's inventory.
    let lock = "SELECT 1 FROM clients WHERE id = $1 FOR UPDATE";
    client.query_typed(lock, &[(&number, Type::INT4)]).await?;
    add_nics(client, number, &names).await?;
    let (now, facts) = (time(now_ns), || listed.values());
    let ups: Vec<bool> = facts().map(|it| it.up).collect();
    let number = (&number as &(dyn ToSql + Sync), Type::INT4);
    let now = (&now as &(dyn ToSql + Sync), Type::TIMESTAMPTZ);
    let names = (&names as &(dyn ToSql + Sync), Type::TEXT_ARRAY);
    let ups = (&ups as &(dyn ToSql + Sync), Type::BOOL_ARRAY);
    let absent = "UPDATE nics SET present = false WHERE client = $1 AND present";
    client.execute_typed(absent, std::slice::from_ref(&number)).await?;
    let changed = [number.clone(), names.clone(), ups.clone(), now.clone()];
    client.execute_typed(LINK_CHANGED, &changed).await?;
    client
        .execute_typed(
            "UPDATE nics SET if_index = new.if_index, mac = new.mac, mtu = new.mtu,
                 speed_bits = CASE WHEN new.speed_bits = 0 AND NOT new.up
                     THEN nics.speed_bits ELSE new.speed_bits END, kind = new.kind, up = new.up, stacked = new.stacked,
                 present = true
             FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
                 AS new (name, up, if_index, mac, mtu, speed_bits, kind, stacked)
             WHERE nics.client = $1 AND nics.name = new.name",
            &[
                number.clone(),
                names,
                ups,
                (&facts().map(|it| it.index).collect::<Vec<_>>(), Type::INT8_ARRAY),
                (&facts().map(|it| it.mac.as_slice()).collect::<Vec<_>>(), Type::BYTEA_ARRAY),
                (&facts().map(|it| it.mtu).collect::<Vec<_>>(), Type::INT8_ARRAY),
                (&facts().map(|it| it.speed_bits).collect::<Vec<_>>(), Type::INT8_ARRAY),
                (&facts().map(|it| it.kind.as_str()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
                (&facts().map(|it| it.stacked).collect::<Vec<_>>(), Type::BOOL_ARRAY),
            ],
        )
        .await?;
    client.execute_typed(LINK_GONE, &[number.clone(), now]).await?;
    let down = "UPDATE nics SET up = false WHERE client = $1 AND NOT present AND up";
    client.execute_typed(down, &[number]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Adds NICs of a client, up to the limit; each name once.
pub(super) async fn add_nics(client: &Client, number: i32, names: &[&str]) -> Result<(), Failure> {
    client
        .execute_typed(
            "INSERT INTO nics (client, name) SELECT $1, name FROM unnest($2) AS new (name)
             WHERE (SELECT count(*) FROM nics WHERE client = $1) < $3
             ON CONFLICT (client, name) DO NOTHING",
            &[(&number, Type::INT4), (&names, Type::TEXT_ARRAY), (&NICS_MAX, Type::INT8)],
        )
        .await?;
    Ok(())
}

/// Records changed links before the newest inventory is stored: NIC by NIC, then those no longer
/// listed.
const LINK_CHANGED: &str = "
    INSERT INTO link_changes
    SELECT client, id, $4, new.up FROM nics JOIN unnest($2, $3) AS new (name, up) USING (name)
    WHERE client = $1 AND nics.up <> new.up AND if_index <> 0
    ON CONFLICT (client, nic, time) DO UPDATE SET up = excluded.up";
const LINK_GONE: &str = "
    INSERT INTO link_changes
    SELECT client, id, $2, false FROM nics WHERE client = $1 AND NOT present AND up
    ON CONFLICT (client, nic, time) DO UPDATE SET up = excluded.up";
