//! Reads clients and their NICs.

use std::collections::HashMap;

use tokio_postgres::{Client as Connection, Error, Row};
use wire::id::NicName;
use wire::message::{Host, Nic};

use super::error::Failure;
use super::values::{instant, number, small};
use crate::store::rows::clients::Client;

pub(super) async fn clients(connection: &Connection) -> Result<Vec<Client>, Failure> {
    let mut nics: HashMap<i32, Vec<Nic>> = HashMap::new();
    let select = "SELECT name, if_index, mac, mtu, speed_bits, kind, up, stacked, client FROM nics
                  WHERE present ORDER BY name COLLATE \"C\"";
    for row in connection.query_typed(select, &[]).await? {
        nics.entry(row.try_get(8)?).or_default().push(nic(&row)?);
    }
    let rows = connection
        .query_typed(
            "SELECT client_id, alias, created_at, last_seen_at, agent_version, os, kernel, cpus, sample_interval_ns,
                 (SELECT clock_offset_ns FROM sessions WHERE client = clients.id
                  ORDER BY committed_at > now(), committed_at DESC LIMIT 1),
                 id
             FROM clients WHERE forgotten_at IS NULL ORDER BY client_id COLLATE \"C\"",
            &[],
        )
        .await?;
    let mut clients = Vec::with_capacity(rows.len());
    for row in rows {
        let host = Host {
            agent_version: row.try_get(4)?,
            os: row.try_get(5)?,
            kernel: row.try_get(6)?,
            cpus: small(&row, 7)?,
            sample_interval_ns: number(&row, 8)?,
        };
        clients.push(Client {
            client: row.try_get(0)?,
            alias: row.try_get(1)?,
            created_ns: instant(&row, 2)?,
            last_seen_ns: instant(&row, 3)?,
            host,
            clock_offset_ns: row.try_get(9)?,
            nics: nics.remove(&row.try_get(10)?).unwrap_or_default(),
        });
    }
    Ok(clients)
}

fn nic(row: &Row) -> Result<Nic, Error> {
    Ok(Nic {
        name: NicName::new(row.try_get(0)?).unwrap_or_default(),
        index: small(row, 1)?,
        mac: row.try_get::<_, &[u8]>(2)?.try_into().unwrap_or_default(),
        mtu: small(row, 3)?,
        speed_bits: number(row, 4)?,
        kind: row.try_get(5)?,
        up: row.try_get(6)?,
        stacked: row.try_get(7)?,
    })
}
