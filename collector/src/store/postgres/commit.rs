//! Commits: rows, rollups, ledgers and cursors in one transaction, or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};
use wire::id::{ClientId, NicName};

use super::connect::PostgresConfig;
use super::error::Failure;
use super::figures::Figures;
use super::inventory::add_nics;
use super::partition::Partition;
use super::tables::{self, NicIds};
use crate::store::columns::{
    COUNTS, KERNEL, LOSSES, PEAKS, count_figures, kernel_figures, loss_figures, peak_figures,
};
use crate::store::facts::{Cursor, Facts, Ledger, untiled};
use crate::store::nics::{self, Excess};
use crate::store::rollups::{Rollup, Rollups};
use crate::store::{Batch, End, StoreError};

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;

/// NICs whose numbers are remembered at most.
const KNOWN_MAX: usize = 100_000;

/// The connection that commits, and what was learnt over it.
#[derive(Debug)]
pub(super) struct Committer {
    pub client: Client,
    /// Begins a transaction.
    begin: String,
    /// Numbers of clients, and of their NICs.
    clients: HashMap<ClientId, i32>,
    nics: HashMap<(i32, NicName), i32>,
}

/// What came of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    /// The server didn't say whether it has committed.
    Unknown(Error),
}

impl Committer {
    /// Opens the connection, if what the server acknowledges is safe.
    pub(super) async fn connect(config: &PostgresConfig) -> Result<Self, Failure> {
        let (client, _) = config.connect().await?;
        must_be_safe(&client, config).await?;
        let begin = config.begin().to_owned();
        Ok(Self { client, begin, clients: HashMap::new(), nics: HashMap::new() })
    }

    /// Adds all of a batch in one transaction. `partition` is the one that all samples lie in, where
    /// that is known.
    pub(super) async fn add(
        &mut self,
        batch: &Batch,
        partition: Option<Partition>,
        end: End,
    ) -> Result<Outcome, Failure> {
        let mut facts = Facts::of(batch);
        let excess = self.learn(&facts, batch).await?;
        if !excess.is_empty() {
            nics::tell(&excess);
            facts = Facts::without(batch, excess);
        }
        let ids = self.ids(&facts, batch)?;
        let client = &self.client;
        client.batch_execute(&self.begin).await?;
        let copy = async {
            tables::copy_samples(client, &facts, &ids.nics, partition).await?;
            tables::copy_mixes(client, &facts, &ids.nics).await?;
            tables::copy_gaps(client, &facts, &ids).await?;
            tables::copy_quarantine(client, &facts).await
        };
        // Added up while the server does the first of it.
        let roll_up = async {
            let Rollups { minutes, five_minutes } = Rollups::of(&facts.samples);
            let (minutes, five_minutes) = tokio::join!(
                roll_up(client, "bandwidth_1m", &minutes, &ids.nics),
                roll_up(client, "bandwidth_5m", &five_minutes, &ids.nics),
            );
            minutes.and(five_minutes)
        };
        // Sent together and done one after the other: the server waits for nothing in between, and
        // this end encodes rows meanwhile. Of errors the first one tells why: what comes after it
        // only finds the transaction aborted.
        let (moved, seen, settled, rolled_up, copied) = tokio::join!(
            move_cursors(client, batch, &facts.cursors, &ids),
            note_seen(client, &ids),
            settle(client, &facts.ledgers, &ids.nics),
            roll_up,
            copy,
        );
        moved.and(seen).and(settled).and(rolled_up).and(copied)?;
        match end {
            End::Rollback => client.batch_execute("ROLLBACK").await?,
            End::Commit => match client.batch_execute("COMMIT").await {
                Err(error) if error.as_db_error().is_none() => return Ok(Outcome::Unknown(error)),
                committed => committed?,
            },
        }
        Ok(Outcome::Done)
    }

    /// Learns the numbers of all clients and NICs of a batch; gives NICs too many. New ones are made
    /// known by statements of their own, so that what is remembered stays true whatever becomes of the
    /// batch.
    async fn learn<'a>(&mut self, facts: &Facts<'a>, batch: &Batch) -> Result<Excess<'a>, Failure> {
        if self.nics.len().max(self.clients.len()) > KNOWN_MAX {
            self.nics.clear();
            self.clients.clear();
        }
        self.resolve_clients(batch).await?;
        let unknown = self.unknown_nics(facts);
        if !unknown.is_empty() {
            self.read_nics(&unknown).await?;
            // Most often an inventory has made them known before.
            let new = self.unknown_nics(facts);
            for (number, names) in &new {
                let names: Vec<&str> = names.iter().filter_map(NicName::as_str).collect();
                add_nics(&self.client, *number, &names).await?;
            }
            if !new.is_empty() {
                self.read_nics(&new).await?;
            }
        }
        let excess = facts.nics.iter().filter(|(client, name)| {
            let number = self.clients.get(*client);
            number.is_some_and(|number| !self.nics.contains_key(&(*number, *name)))
        });
        Ok(excess.copied().collect())
    }

    /// The numbers of all clients and NICs of a batch, as they were learnt.
    fn ids(&self, facts: &Facts<'_>, batch: &Batch) -> Result<Ids, Failure> {
        let known = |&(client, name): &(&ClientId, NicName)| -> Result<NicIds, Failure> {
            let Some(number) = self.clients.get(client) else { return Ok([0, 0]) };
            let many = || Failure::Refused(format!("client {client} has too many NICs"));
            let nic = self.nics.get(&(*number, name)).ok_or_else(many)?;
            Ok([*number, *nic])
        };
        let nics = facts.nics.iter().map(known).collect::<Result<_, _>>()?;
        let sessions = batch.sessions.iter().filter_map(|session| {
            self.clients.get(&session.client).map(|number| (session.session, *number))
        });
        Ok(Ids { nics, sessions: sessions.collect() })
    }

    /// NICs whose numbers are not known, by the numbers of their clients. A client that isn't there
    /// has none, and no session either: the cursors tell.
    fn unknown_nics(&self, facts: &Facts<'_>) -> BTreeMap<i32, Vec<NicName>> {
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

    /// Learns the numbers of NICs, by the numbers of their clients.
    async fn read_nics(&mut self, nics: &BTreeMap<i32, Vec<NicName>>) -> Result<(), Failure> {
        let named =
            nics.iter().flat_map(|(client, names)| names.iter().map(|name| (*client, name)));
        let (clients, names): (Vec<i32>, Vec<&str>) =
            named.filter_map(|(client, name)| Some((client, name.as_str()?))).unzip();
        let select = "SELECT client, name, id FROM nics
                      JOIN unnest($1, $2) AS wanted (client, name) USING (client, name)";
        let wanted =
            [(&clients as &(dyn ToSql + Sync), Type::INT4_ARRAY), (&names, Type::TEXT_ARRAY)];
        let rows = self.client.query_typed(select, &wanted).await?;
        for row in rows {
            if let Some(name) = NicName::new(row.try_get(1)?) {
                self.nics.insert((row.try_get(0)?, name), row.try_get(2)?);
            }
        }
        Ok(())
    }

    async fn resolve_clients(&mut self, batch: &Batch) -> Result<(), Failure> {
        let clients = batch.sessions.iter().map(|session| &session.client);
        let unknown = clients.filter(|client| !self.clients.contains_key(*client));
        let names: Vec<&str> =
            unknown.map(ClientId::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        if names.is_empty() {
            return Ok(());
        }
        let select = "SELECT id, client_id FROM clients WHERE client_id = ANY ($1)";
        let rows = self.client.query_typed(select, &[(&names, Type::TEXT_ARRAY)]).await?;
        for row in rows {
            if let Ok(client) = ClientId::new(row.try_get(1)?) {
                self.clients.insert(client, row.try_get(0)?);
            }
        }
        Ok(())
    }
}

/// Fails if a crash of the server would lose what it acknowledges, unless that is allowed.
pub(super) async fn must_be_safe(client: &Client, config: &PostgresConfig) -> Result<(), Failure> {
    let fsync: String = client.query_typed_one("SHOW fsync", &[]).await?.try_get(0)?;
    if fsync == "off" && !config.allows_unsafe() {
        return Err(Failure::Failed(
            "the server runs with fsync = off, so a crash of its host would lose what is \
             acknowledged; set fsync = on, or database.allow_unsafe: true to accept that"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Numbers of the clients and NICs of a batch.
#[derive(Debug)]
pub(super) struct Ids {
    pub nics: Vec<NicIds>,
    /// Of the client of each session.
    pub sessions: HashMap<u64, i32>,
}

/// Moves every session on from where the batch expects it, or names those that are not there.
async fn move_cursors(
    client: &Client,
    batch: &Batch,
    cursors: &[Cursor<'_>],
    ids: &Ids,
) -> Result<(), Failure> {
    let row = |cursor: &Cursor<'_>| {
        let Cursor { session: it, covered, gaps, quarantined } = cursor;
        let [session, expected, epoch, last, covered, gaps, quarantined] =
            [it.session, it.expected, it.epoch, it.last_seq(), *covered, *gaps, *quarantined]
                .map(u64::cast_signed);
        let digest = it.digest.cast_signed();
        // A client that isn't there has no session either.
        let client = ids.sessions.get(&it.session).map_or(-1, |client| i64::from(*client));
        [session, expected, epoch, client, last, covered, gaps, quarantined, digest]
    };
    let names = [
        "session",
        "expected",
        "epoch",
        "client",
        "last",
        "covered",
        "gaps",
        "quarantined",
        "digest",
    ];
    let figures = Figures::new(names, cursors.iter().map(row).collect());
    let rows = client
        .query_typed(
            &format!(
                "UPDATE sessions SET committed_seq = batch.last,
                     covered_seqs = covered_seqs + batch.covered,
                     gap_seqs = gap_seqs + batch.gaps,
                     quarantine_seqs = quarantine_seqs + batch.quarantined, committed_at = now(),
                     committed_digest = batch.digest, digest_seq = batch.last
                 FROM ({}) AS batch
                 WHERE sessions.session = batch.session AND committed_seq = batch.expected
                     AND sessions.epoch = batch.epoch AND sessions.client = batch.client
                 RETURNING sessions.session",
                figures.select()
            ),
            &figures.params(),
        )
        .await?;
    let mut moved = HashSet::new();
    for row in rows {
        moved.insert(row.try_get::<_, i64>(0)?.cast_unsigned());
    }
    let mut conflicts = untiled(batch);
    for session in batch.sessions.iter().map(|session| session.session) {
        if !moved.contains(&session) && !conflicts.contains(&session) {
            conflicts.push(session);
        }
    }
    if !conflicts.is_empty() {
        return Err(StoreError::Conflict { sessions: conflicts }.into());
    }
    Ok(())
}

/// Notes when clients were last heard of.
async fn note_seen(client: &Client, ids: &Ids) -> Result<(), Failure> {
    let clients: Vec<i32> = ids.sessions.values().copied().collect();
    client
        .execute_typed(
            "UPDATE clients SET last_seen_at = now()
             WHERE id = ANY ($1)
                 AND last_seen_at NOT BETWEEN now() - interval '10 seconds' AND now()",
            &[(&clients, Type::INT4_ARRAY)],
        )
        .await?;
    Ok(())
}

/// What a row of a rollup holds beside its key: sums, peaks, flags.
const ROLLED_UP: usize = 2 + COUNTS.len() + LOSSES.len() + KERNEL.len() + PEAKS.len() + 1;

/// Adds to a rollup.
async fn roll_up(
    client: &Client,
    table: &str,
    rollups: &[Rollup],
    nics: &[NicIds],
) -> Result<(), Failure> {
    if rollups.is_empty() {
        return Ok(());
    }
    let row = |rollup: &Rollup| {
        let sum = &rollup.sum;
        let mut row = tables::ids(nics, rollup.nic)?.map(i64::from).to_vec();
        row.extend(tables::ints([rollup.time_ns / SECOND_NS, rollup.samples, rollup.covered_ns])?);
        row.extend(tables::ints(count_figures(sum))?);
        row.extend(tables::ints(loss_figures(sum))?);
        row.extend(tables::ints(kernel_figures(sum.kernel))?);
        row.extend(peak_figures(sum).map(i64::from));
        row.push(sum.flags.into());
        array(row)
    };
    let rows = rollups.iter().map(row).collect::<Result<_, _>>()?;
    let names: Vec<&str> = summed().chain(PEAKS).chain(["flags"]).collect();
    let columns = ["client", "nic", "second"].into_iter().chain(names.iter().copied());
    let figures = Figures::new(array::<_, { 3 + ROLLED_UP }>(columns.collect())?, rows);
    let rows = format!(
        "SELECT to_timestamp(second), client, nic, {} FROM ({}) AS new",
        names.join(", "),
        figures.select()
    );
    client.execute_typed(&add_rollups(table, &names, &rows), &figures.params()).await?;
    Ok(())
}

/// A row, as long as its columns are many.
fn array<T, const WIDTH: usize>(row: Vec<T>) -> Result<[T; WIDTH], Failure> {
    let wrong = |row: Vec<T>| Failure::Failed(format!("{} of {WIDTH} columns", row.len()));
    row.try_into().map_err(wrong)
}

/// The columns of rollups that are added up.
fn summed() -> impl Iterator<Item = &'static str> {
    ["samples", "covered_ns"].into_iter().chain(COUNTS).chain(LOSSES).chain(KERNEL)
}

/// Adds rows to a rollup: `rows` gives time, client, NIC, and the columns `names`.
pub(super) fn add_rollups(table: &str, names: &[&str], rows: &str) -> String {
    let updates: Vec<String> = summed()
        .map(|name| format!("{name} = {table}.{name} + excluded.{name}"))
        .chain(PEAKS.map(|name| format!("{name} = greatest({table}.{name}, excluded.{name})")))
        .collect();
    format!(
        "INSERT INTO {table} (time, client, nic, {}) {rows}
         ON CONFLICT (client, nic, time) DO UPDATE SET {}, flags = {table}.flags | excluded.flags",
        names.join(", "),
        updates.join(", ")
    )
}

/// The columns of `session_nics`.
const LEDGER: [&str; 14] = [
    "session",
    "nic",
    "first_rx_bytes",
    "first_tx_bytes",
    "first_rx_packets",
    "first_tx_packets",
    "last_rx_bytes",
    "last_tx_bytes",
    "last_rx_packets",
    "last_tx_packets",
    "counted_rx_bytes",
    "counted_tx_bytes",
    "counted_rx_packets",
    "counted_tx_packets",
];

async fn settle(client: &Client, ledgers: &[Ledger], nics: &[NicIds]) -> Result<(), Failure> {
    if ledgers.is_empty() {
        return Ok(());
    }
    let row = |ledger: &Ledger| {
        let [_, nic] = tables::ids(nics, ledger.nic)?;
        let mut row = vec![ledger.session.cast_signed(), nic.into()];
        for figures in [ledger.first, ledger.last, ledger.counted] {
            row.extend(tables::ints(figures.to_array())?);
        }
        array(row)
    };
    let rows = ledgers.iter().map(row).collect::<Result<_, _>>()?;
    let figures = Figures::new(LEDGER, rows);
    client
        .execute_typed(
            &format!(
                "INSERT INTO session_nics AS old ({}) {}
             ON CONFLICT (session, nic) DO UPDATE SET
                 last_rx_bytes = excluded.last_rx_bytes,
                 last_tx_bytes = excluded.last_tx_bytes,
                 last_rx_packets = excluded.last_rx_packets,
                 last_tx_packets = excluded.last_tx_packets,
                 counted_rx_bytes = old.counted_rx_bytes + excluded.counted_rx_bytes,
                 counted_tx_bytes = old.counted_tx_bytes + excluded.counted_tx_bytes,
                 counted_rx_packets = old.counted_rx_packets + excluded.counted_rx_packets,
                 counted_tx_packets = old.counted_tx_packets + excluded.counted_tx_packets",
                LEDGER.join(", "),
                figures.select()
            ),
            &figures.params(),
        )
        .await?;
    Ok(())
}
