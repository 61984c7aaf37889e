//! The NICs of a client, from its agent's inventory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::WallNs;
use wire::id::ClientId;
use wire::message::{Inventory, Nic};

use super::connect::BEGIN;
use super::error::Failure;
use super::group::{GroupWrite, IMPATIENT};
use super::session::{text, time, unknown_client};
use super::transaction::{begin_with, commit_with};
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

/// The NICs that a client's agent lists.
#[derive(Debug)]
pub(super) struct ListedNics {
    client: ClientId,
    nics: BTreeMap<String, BatchRows>,
    now_ns: WallNs,
}

impl ListedNics {
    pub(super) fn new(client: ClientId, inventory: &Inventory, now_ns: WallNs) -> Self {
        let named = |nic: &Nic| Some((nic.name.as_str()?.to_owned(), BatchRows::of(nic)));
        Self { client, nics: inventory.nics.iter().filter_map(named).collect(), now_ns }
    }
}

impl GroupWrite for ListedNics {
    type Key = ClientId;
    type Done = ();

    fn key(&self) -> &ClientId {
        &self.client
    }

    fn rows(&self) -> usize {
        self.nics.len()
    }

    async fn alone(&self, db: &Client) -> Result<(), Failure> {
        let known = known(db, &[self]).await?;
        let known = known.get(self.client.as_str()).ok_or_else(|| unknown_client(&self.client))?;
        if known.present == self.nics {
            return Ok(());
        }
        // One collector at a time, if two receive the same client's inventory.
        let lock = "SELECT id FROM clients WHERE id = $1 FOR NO KEY UPDATE";
        let id = [(&known.number as _, Type::INT4)];
        begin_with(db, BEGIN, db.query_typed(lock, &id)).await?;
        change(db, &[(self, known.number)]).await
    }

    async fn together(db: &Client, listed: &[Arc<Self>]) -> Result<Vec<Option<()>>, Failure> {
        let all: Vec<&Self> = listed.iter().map(|it| &**it).collect();
        let known = known(db, &all).await?;
        let known = |it: &Self| known.get(it.client.as_str());
        let differing = all.iter().filter_map(|it| {
            let known = known(it).filter(|known| known.present != it.nics)?;
            Some((*it, known.number))
        });
        let changed: Vec<(&Self, i32)> = differing.collect();
        let mut held = HashSet::new();
        if !changed.is_empty() {
            let lock = "SELECT id FROM clients WHERE id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED";
            let numbers: Vec<i32> = changed.iter().map(|(_, number)| *number).collect();
            let (begin, of) = (format!("{BEGIN}{IMPATIENT}"), [(&numbers as _, Type::INT4_ARRAY)]);
            let rows = begin_with(db, &begin, db.query_typed(lock, &of)).await?;
            let free: HashSet<i32> =
                rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            let (free, busy): (Vec<_>, Vec<_>) =
                changed.into_iter().partition(|(_, number)| free.contains(number));
            change(db, &free).await?;
            held.extend(busy.into_iter().map(|(it, _)| &it.client));
        }
        let done = |it: &&Self| (known(it).is_some() && !held.contains(&it.client)).then_some(());
        Ok(all.iter().map(done).collect())
    }
}

/// A client's number, and the NICs that it had last.
struct KnownNics {
    number: i32,
    present: BTreeMap<String, BatchRows>,
}

/// Reads what is known of clients, and notes that they were seen, as precisely as commits do. Those whose
/// rows others are changing were seen by those.
async fn known(db: &Client, listed: &[&ListedNics]) -> Result<HashMap<String, KnownNics>, Failure> {
    let names: Vec<&str> = listed.iter().map(|it| it.client.as_str()).collect();
    let times: Vec<SystemTime> = listed.iter().map(|it| time(it.now_ns)).collect();
    let select = "
        WITH unseen AS (
            SELECT id, at FROM clients JOIN unnest($1, $2) AS listed (client_id, at) USING (client_id)
            WHERE last_seen_at NOT BETWEEN at - interval '10 seconds' AND at
            FOR NO KEY UPDATE OF clients SKIP LOCKED
        ), seen AS (
            UPDATE clients SET last_seen_at = at FROM unseen WHERE clients.id = unseen.id
        )
        SELECT client_id, clients.id, name, if_index, mac, mtu, speed_bits, kind, up, stacked
        FROM clients LEFT JOIN nics ON client = clients.id AND present
        WHERE client_id = ANY ($1)";
    let of = [(&names as _, Type::TEXT_ARRAY), (&times as _, Type::TIMESTAMPTZ_ARRAY)];
    let mut known = HashMap::new();
    for row in db.query_typed(select, &of).await? {
        let number = row.try_get(1)?;
        let nics = known.entry(row.try_get(0)?);
        let nics = nics.or_insert_with(|| KnownNics { number, present: BTreeMap::new() });
        // A client without NICs has none of these columns.
        let Some(name) = row.try_get::<_, Option<String>>(2)? else { continue };
        let facts = BatchRows {
            index: row.try_get(3)?,
            mac: row.try_get(4)?,
            mtu: row.try_get(5)?,
            speed_bits: row.try_get(6)?,
            kind: row.try_get(7)?,
            up: row.try_get(8)?,
            stacked: row.try_get(9)?,
        };
        nics.present.insert(name, facts);
    }
    Ok(known)
}

/// The listed NICs of clients, column by column.
#[derive(Default)]
struct NicColumns<'a> {
    clients: Vec<i32>,
    names: Vec<&'a str>,
    times: Vec<SystemTime>,
    facts: Vec<&'a BatchRows>,
}

impl<'a> NicColumns<'a> {
    fn of(listed: &[(&'a ListedNics, i32)]) -> Self {
        let mut columns = Self::default();
        for (listed, number) in listed {
            for (name, facts) in &listed.nics {
                columns.clients.push(*number);
                columns.names.push(name);
                columns.times.push(time(listed.now_ns));
                columns.facts.push(facts);
            }
        }
        columns
    }

    fn column<T>(&self, of: impl Fn(&'a BatchRows) -> T) -> Vec<T> {
        self.facts.iter().map(|facts| of(facts)).collect()
    }
}

/// Replaces the NICs of clients with these numbers by the listed ones, and commits. The statements are sent
/// together and run in order; the first error counts, later ones only say "aborted".
async fn change(db: &Client, listed: &[(&ListedNics, i32)]) -> Result<(), Failure> {
    let numbers: Vec<i32> = listed.iter().map(|(_, number)| *number).collect();
    let times: Vec<SystemTime> = listed.iter().map(|(it, _)| time(it.now_ns)).collect();
    let nics = NicColumns::of(listed);
    let ups = nics.column(|it| it.up);
    let number = (&numbers as &(dyn ToSql + Sync), Type::INT4_ARRAY);
    let seen = [number.clone(), (&times, Type::TIMESTAMPTZ_ARRAY)];
    let client = (&nics.clients as &(dyn ToSql + Sync), Type::INT4_ARRAY);
    let name = (&nics.names as &(dyn ToSql + Sync), Type::TEXT_ARRAY);
    let up = (&ups as &(dyn ToSql + Sync), Type::BOOL_ARRAY);
    let at = (&nics.times as &(dyn ToSql + Sync), Type::TIMESTAMPTZ_ARRAY);
    let facts: [(&(dyn ToSql + Sync), Type); 9] = [
        client.clone(),
        name.clone(),
        up.clone(),
        (&nics.column(|it| it.index), Type::INT8_ARRAY),
        (&nics.column(|it| it.mac.as_slice()), Type::BYTEA_ARRAY),
        (&nics.column(|it| it.mtu), Type::INT8_ARRAY),
        (&nics.column(|it| it.speed_bits), Type::INT8_ARRAY),
        (&nics.column(|it| it.kind.as_str()), Type::TEXT_ARRAY),
        (&nics.column(|it| it.stacked), Type::BOOL_ARRAY),
    ];
    let links = [client, name, up, at];
    let (added, absent, changed, stored, gone, down) = tokio::join!(
        biased;
        add_nics(db, &nics.clients, &nics.names),
        db.execute_typed(ABSENT, std::slice::from_ref(&number)),
        db.execute_typed(LINK_CHANGED, &links),
        db.execute_typed(FACTS, &facts),
        db.execute_typed(LINK_GONE, &seen),
        commit_with(db, db.execute_typed(DOWN, std::slice::from_ref(&number))),
    );
    added?;
    for done in [absent, changed, stored, gone] {
        done?;
    }
    down?;
    Ok(())
}

/// Adds NICs of clients with these numbers, up to the limit of each; each name once.
pub(super) async fn add_nics(db: &Client, numbers: &[i32], names: &[&str]) -> Result<(), Failure> {
    let insert = "
        WITH crowded AS MATERIALIZED (
            SELECT client FROM nics WHERE client = ANY ($1) GROUP BY client HAVING count(*) >= $3
        )
        INSERT INTO nics (client, name)
        SELECT client, name FROM unnest($1, $2) AS new (client, name)
        WHERE client NOT IN (SELECT client FROM crowded)
        ORDER BY client, name COLLATE \"C\"
        ON CONFLICT (client, name) DO NOTHING";
    let values = [
        (&numbers as _, Type::INT4_ARRAY),
        (&names as _, Type::TEXT_ARRAY),
        (&NICS_MAX as _, Type::INT8),
    ];
    db.execute_typed(insert, &values).await?;
    Ok(())
}

const ABSENT: &str = "UPDATE nics SET present = false WHERE client = ANY ($1) AND present";

const FACTS: &str = "
    UPDATE nics SET if_index = new.if_index, mac = new.mac, mtu = new.mtu,
        speed_bits = CASE WHEN new.speed_bits = 0 AND NOT new.up
            THEN nics.speed_bits ELSE new.speed_bits END, kind = new.kind, up = new.up,
        stacked = new.stacked, present = true
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
        AS new (client, name, up, if_index, mac, mtu, speed_bits, kind, stacked)
    WHERE nics.client = new.client AND nics.name = new.name";

const DOWN: &str = "UPDATE nics SET up = false WHERE client = ANY ($1) AND NOT present AND up";

/// Records changed links before the newest inventory is stored: NIC by NIC, then those no longer
/// listed.
const LINK_CHANGED: &str = "
    INSERT INTO link_changes
    SELECT client, id, at, new.up
    FROM nics JOIN unnest($1, $2, $3, $4) AS new (client, name, up, at) USING (client, name)
    WHERE nics.up <> new.up AND if_index <> 0
    ON CONFLICT (client, nic, time) DO UPDATE SET up = excluded.up";
const LINK_GONE: &str = "
    INSERT INTO link_changes
    SELECT client, id, at, false FROM nics JOIN unnest($1, $2) AS new (client, at) USING (client)
    WHERE NOT present AND up
    ON CONFLICT (client, nic, time) DO UPDATE SET up = excluded.up";
