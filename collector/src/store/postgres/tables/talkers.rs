//! `talkers`: one row per list, and `talker_owners`: the owners that the lists refer to.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;
use wire::talkers::Talkers;

use super::nics::{NicIds, ids};
use crate::store::postgres::copy::copy;
use crate::store::postgres::error::Failure;
use crate::store::postgres::number::int8;
use crate::store::postgres::session::time;
use crate::store::rows::facts::NicIndex;
use crate::store::rows::talker_entries::ENTRIES;
use crate::store::rows::talkers::{LIST, OwnerId, SEEN_NS, StoredList, owners_of};

/// Most cached owners.
const KNOWN_MAX: usize = 100_000;

/// Adds the rows, whose owners are learnt.
pub async fn add(
    client: &Client,
    talkers: &[(NicIndex, &Talkers)],
    nics: &[NicIds],
) -> Result<(), Failure> {
    if talkers.is_empty() {
        return Ok(());
    }
    let columns = [&LIST[..], &ENTRIES[..]].concat();
    let sql = format!(
        "COPY talkers (time, interval_ns, client, nic, kind, direction, {}) FROM STDIN BINARY",
        columns.join(", ")
    );
    let width = i16::try_from(columns.len() + 6).unwrap_or(i16::MAX);
    let mut rows = Vec::with_capacity(2 * talkers.len());
    for (nic, record) in talkers {
        rows.extend(StoredList::both(record).map(|stored| (*nic, stored)));
    }
    copy(client, &sql, width, rows, |(nic, stored), row| {
        row.time(stored.start_ns);
        row.int8(int8(stored.interval_ns)?);
        let NicIds { client, nic } = ids(nics, nic)?;
        row.int4(client);
        row.nic(nic)?;
        row.int2(stored.kind.into());
        row.int2(i16::from(stored.direction as u8));
        for figure in stored.figures() {
            row.int8(int8(figure)?);
        }
        for column in stored.entries() {
            match column {
                Some(entries) => row.bytes(&entries)?,
                None => row.null(),
            }
        }
        Ok(())
    })
    .await
}

/// Owners that the database has, each with the day until which it says that the owner was seen.
#[derive(Debug, Default)]
pub struct KnownOwners {
    seen: HashMap<(i32, OwnerId), WallNs>,
}

impl KnownOwners {
    /// Forgets those of the clients with these numbers.
    pub fn forget(&mut self, clients: &HashSet<i32>) {
        if !clients.is_empty() {
            self.seen.retain(|(client, _), _| !clients.contains(client));
        }
    }

    /// Adds the owners of records, and the day of those that were last seen earlier. A statement of its own,
    /// so that the cache stays true whatever happens to the batch. An owner that no row refers to is
    /// forgotten by age.
    pub async fn learn(
        &mut self,
        client: &Client,
        talkers: &[(NicIndex, &Talkers)],
        nics: &[NicIds],
        now_ns: WallNs,
    ) -> Result<(), Failure> {
        if talkers.is_empty() {
            return Ok(());
        }
        let today = now_ns.floor(SEEN_NS);
        if self.seen.len() > KNOWN_MAX {
            self.seen.clear();
        }
        // In the order of the key, so that collectors never wait for each other in a circle.
        let mut new = BTreeMap::new();
        for (nic, record) in talkers {
            let NicIds { client, .. } = ids(nics, *nic)?;
            for (owner, seen_ns, who) in owners_of(record) {
                let seen_ns = seen_ns.max(today);
                if self.seen.get(&(client, owner)).is_none_or(|known| *known < seen_ns) {
                    let entry = new.entry((client, owner)).or_insert((seen_ns, who));
                    entry.0 = entry.0.max(seen_ns);
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let (clients, owners): (Vec<i32>, Vec<i64>) =
            new.keys().map(|(client, owner)| (*client, owner.0)).unzip();
        let seen: Vec<_> = new.values().map(|(seen_ns, _)| time(*seen_ns)).collect();
        let kinds: Vec<i16> = new.values().map(|(_, who)| who.kind.into()).collect();
        let names: Vec<&str> = new.values().map(|(_, who)| who.name.as_str()).collect();
        let processes: Vec<&str> = new.values().map(|(_, who)| who.process.as_str()).collect();
        let rows: [(&(dyn ToSql + Sync), Type); 6] = [
            (&clients, Type::INT4_ARRAY),
            (&owners, Type::INT8_ARRAY),
            (&seen, Type::TIMESTAMPTZ_ARRAY),
            (&kinds, Type::INT2_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&processes, Type::TEXT_ARRAY),
        ];
        let note = "INSERT INTO talker_owners (client, owner, seen, kind, name, process)
                    SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
                    ON CONFLICT (client, owner) DO UPDATE SET seen = excluded.seen
                    WHERE talker_owners.seen < excluded.seen";
        client.execute_typed(note, &rows).await?;
        self.seen.extend(new.into_iter().map(|(key, (seen_ns, _))| (key, seen_ns)));
        Ok(())
    }
}
