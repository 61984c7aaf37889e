//! `clients` and `nics`: the numbers that rows refer to, cached across batches.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use wire::id::{ClientId, NicName, SessionId};

use crate::store::postgres::error::Failure;
use crate::store::postgres::inventory::add_nics;
use crate::store::rows::batch::Batch;
use crate::store::rows::facts::{BatchRows, NicIndex};
use crate::store::rows::nics::{Excess, NicId};

/// Most cached NIC numbers.
const KNOWN_MAX: usize = 100_000;

/// Numbers of a client and one of its NICs.
#[derive(Debug, Clone, Copy)]
pub struct NicIds {
    /// Of `clients`.
    pub client: i32,
    /// Of `nics`.
    pub nic: NicId,
}

/// The numbers of the NIC with this index in [`BatchRows::nics`].
pub fn ids(nics: &[NicIds], nic: NicIndex) -> Result<NicIds, Failure> {
    nics.get(nic).copied().ok_or_else(|| Failure::refused(format!("no NIC with index {nic}")))
}

/// Numbers of the clients and NICs of a batch.
#[derive(Debug)]
pub struct Ids {
    pub nics: Vec<NicIds>,
    /// The client's number, by session.
    pub sessions: HashMap<SessionId, i32>,
}

/// Cached numbers of clients and their NICs.
#[derive(Debug, Default)]
pub struct KnownNumbers {
    clients: HashMap<ClientId, i32>,
    nics: HashMap<(i32, NicName), NicId>,
}

impl KnownNumbers {
    /// Forgets the numbers of clients and their NICs; returns the clients'.
    pub fn forget<'a>(&mut self, clients: impl Iterator<Item = &'a ClientId>) -> HashSet<i32> {
        let numbers: HashSet<i32> = clients.filter_map(|it| self.clients.remove(it)).collect();
        if !numbers.is_empty() {
            self.nics.retain(|(client, _), _| !numbers.contains(client));
        }
        numbers
    }

    /// Learns the numbers of all clients and NICs of a batch; returns NICs beyond the limit. New ones
    /// are added by separate statements, so that the cache stays true whatever happens to the batch.
    pub async fn learn<'a>(
        &mut self,
        client: &Client,
        facts: &BatchRows<'a>,
        batch: &Batch,
    ) -> Result<Excess<'a>, Failure> {
        if self.nics.len().max(self.clients.len()) > KNOWN_MAX {
            self.nics.clear();
            self.clients.clear();
        }
        self.read_clients(client, batch).await?;
        let unknown = self.unknown_nics(facts);
        if !unknown.is_empty() {
            self.read_nics(client, &unknown).await?;
            // Usually an inventory has already added them.
            let new = self.unknown_nics(facts);
            if !new.is_empty() {
                let (numbers, names) = by_row(&new);
                add_nics(client, &numbers, &names).await?;
                self.read_nics(client, &new).await?;
            }
        }
        let excess = facts.nics.iter().filter(|(client, name)| {
            let number = self.clients.get(*client);
            number.is_some_and(|number| !self.nics.contains_key(&(*number, *name)))
        });
        Ok(excess.copied().collect())
    }

    /// The learnt numbers of all clients and NICs of a batch.
    pub fn ids(&self, facts: &BatchRows<'_>, batch: &Batch) -> Result<Ids, Failure> {
        let known = |&(client, name): &(&ClientId, NicName)| -> Result<NicIds, Failure> {
            let Some(number) = self.clients.get(client) else {
                return Ok(NicIds { client: 0, nic: NicId::default() });
            };
            let many = || Failure::refused(format!("client {client} has too many NICs"));
            let nic = self.nics.get(&(*number, name)).ok_or_else(many)?;
            Ok(NicIds { client: *number, nic: *nic })
        };
        let nics = facts.nics.iter().map(known).collect::<Result<_, _>>()?;
        let sessions = batch.sessions.iter().filter_map(|session| {
            self.clients.get(&session.client).map(|number| (session.session, *number))
        });
        Ok(Ids { nics, sessions: sessions.collect() })
    }

    /// NICs with unknown numbers, by their client's number. A missing client has none, and no session
    /// either: the cursors report that.
    fn unknown_nics(&self, facts: &BatchRows<'_>) -> BTreeMap<i32, Vec<NicName>> {
        let mut unknown: BTreeMap<i32, Vec<NicName>> = BTreeMap::new();
        for &(client, name) in &facts.nics {
            if let Some(number) = self.clients.get(client)
                && !self.nics.contains_key(&(*number, name))
            {
                unknown.entry(*number).or_default().push(name);
            }
        }
        unknown
    }

    /// Reads the numbers of NICs, by their client's number.
    async fn read_nics(
        &mut self,
        client: &Client,
        nics: &BTreeMap<i32, Vec<NicName>>,
    ) -> Result<(), Failure> {
        let (clients, names) = by_row(nics);
        let select = "SELECT client, name, id FROM nics
                      JOIN unnest($1, $2) AS wanted (client, name) USING (client, name)";
        let wanted =
            [(&clients as &(dyn ToSql + Sync), Type::INT4_ARRAY), (&names, Type::TEXT_ARRAY)];
        let rows = client.query_typed(select, &wanted).await?;
        for row in rows {
            if let Some(name) = NicName::new(row.try_get(1)?) {
                self.nics.insert((row.try_get(0)?, name), row.try_get(2)?);
            }
        }
        Ok(())
    }

    async fn read_clients(&mut self, client: &Client, batch: &Batch) -> Result<(), Failure> {
        let clients = batch.sessions.iter().map(|session| &session.client);
        let unknown = clients.filter(|client| !self.clients.contains_key(*client));
        let names: Vec<&str> =
            unknown.map(ClientId::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        if names.is_empty() {
            return Ok(());
        }
        let select = "SELECT id, client_id FROM clients WHERE client_id = ANY ($1)";
        let rows = client.query_typed(select, &[(&names, Type::TEXT_ARRAY)]).await?;
        for row in rows {
            if let Ok(client) = ClientId::new(row.try_get(1)?) {
                self.clients.insert(client, row.try_get(0)?);
            }
        }
        Ok(())
    }
}

/// The client's number and the name of each NIC.
fn by_row(nics: &BTreeMap<i32, Vec<NicName>>) -> (Vec<i32>, Vec<&str>) {
    let named = nics.iter().flat_map(|(client, names)| names.iter().map(|name| (*client, name)));
    named.filter_map(|(client, name)| Some((client, name.as_str()?))).unzip()
}
