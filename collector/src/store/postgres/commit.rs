//! Commits: adds the rows of a batch to all tables in one transaction, or nothing.

use std::collections::HashSet;

use tokio_postgres::{Client, Error};
use wire::id::SessionId;

use super::citus;
use super::connect::PostgresConfig;
use super::database::Postgres;
use super::error::Failure;
use super::partition::{self, Partition};
use super::session;
use super::tables::nics::{Ids, KnownNumbers};
use super::tables::talkers::KnownOwners;
use super::tables::{
    client_days, cursors, gaps, ledgers, mixes, quarantine, rollups, samples, talkers,
};
use crate::store::port::excess;
use crate::store::port::write::{SessionState, TransactionEnd};
use crate::store::rows::batch::Batch;
use crate::store::rows::epoch::Epoch;
use crate::store::rows::facts::BatchRows;
use crate::store::rows::rollups::Rollups;
use crate::time::now_ns;

/// How often a commit is retried at once after a lost race.
const RACES_MAX: u32 = 3;

/// Most openings kept, 2 MB.
const OPENED_MAX: usize = 100_000;

/// The committing connection and what it has learnt.
#[derive(Debug)]
pub(super) struct Committer {
    client: Client,
    /// The statements that begin a transaction.
    begin: String,
    known: KnownNumbers,
    owners: KnownOwners,
    /// Openings of sessions since which the numbers are known.
    opened: HashSet<(SessionId, Epoch)>,
}

/// The outcome of a transaction.
#[derive(Debug)]
enum Outcome {
    Done,
    /// The server didn't report whether it has committed.
    Unknown(Error),
}

/// Adds all of a batch over the `kept` connection, as long as that works.
pub(super) async fn add(
    database: &Postgres,
    kept: &mut Option<Committer>,
    batch: &Batch,
    end: TransactionEnd,
) -> Result<(), Failure> {
    database.make_partitions(partition::needed(batch, now_ns())).await?;
    let known = |partition: &Partition| database.partitions().contains(partition);
    let mut partition = partition::of_all_samples(batch).filter(known);
    let mut races = 0;
    loop {
        let mut committer = match kept.take().filter(|it| !it.client.is_closed()) {
            Some(committer) => committer,
            None => Committer::connect(database).await?,
        };
        match committer.add(batch, partition, end).await {
            Ok(Outcome::Done) => {
                *kept = Some(committer);
                return Ok(());
            }
            Ok(Outcome::Unknown(error)) => {
                drop(committer);
                return find_out(database, batch, error).await;
            }
            Err(Failure::Raced(_)) if races < RACES_MAX => {
                races += 1;
                // Another collector may have dropped it by age.
                partition = None;
                database.partitions().clear();
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Finds out over another connection whether an unreported commit happened.
async fn find_out(database: &Postgres, batch: &Batch, error: Error) -> Result<(), Failure> {
    let sessions: Vec<SessionId> = batch.sessions.iter().map(|session| session.session).collect();
    let states = database.lease(async |client| session::states(client, &sessions).await).await?;
    let committed = batch.sessions.iter().all(|session| {
        let (epoch, digest) = (session.epoch, Some(session.digest));
        let (session, seq) = (session.session, session.last_seq());
        states.contains(&SessionState { session, seq, epoch, digest })
    });
    if committed { Ok(()) } else { Err(error.into()) }
}

impl Committer {
    /// Opens the connection, provided that the server's acknowledgements are safe.
    async fn connect(database: &Postgres) -> Result<Self, Failure> {
        database.prepare().await?;
        let config = database.config();
        let (client, _) = config.connect().await?;
        must_be_safe(&client, config).await?;
        let is_spread = citus::is_there(&client).await?;
        database.found_spread(is_spread);
        let mut begin = format!("{}; {}", config.begin(), client_days::share());
        if is_spread {
            begin = format!("{begin}; {}", citus::KEEP_CONNECTIONS);
        }
        Ok(Self {
            client,
            begin,
            known: KnownNumbers::default(),
            owners: KnownOwners::default(),
            opened: HashSet::new(),
        })
    }

    /// Forgets the numbers of clients with new openings of sessions: before, all of their rows may have been
    /// deleted.
    fn forget_reopened(&mut self, batch: &Batch) {
        if self.opened.len() > OPENED_MAX {
            self.opened.clear();
        }
        let opened = &mut self.opened;
        let reopened = batch.sessions.iter().filter(|it| opened.insert((it.session, it.epoch)));
        let numbers = self.known.forget(reopened.map(|it| &it.client));
        self.owners.forget(&numbers);
    }

    /// Adds all of a batch in one transaction. `partition` is the single partition of all samples, if
    /// known.
    async fn add(
        &mut self,
        batch: &Batch,
        partition: Option<Partition>,
        end: TransactionEnd,
    ) -> Result<Outcome, Failure> {
        self.forget_reopened(batch);
        let Self { client, begin, known, owners, .. } = self;
        let mut facts = BatchRows::of(batch);
        let excess = known.learn(client, &facts, batch).await?;
        if !excess.is_empty() {
            excess::warn(&excess);
            facts = BatchRows::without(batch, excess);
        }
        let ids = known.ids(&facts, batch)?;
        owners.learn(client, &facts.talkers, &ids.nics, now_ns()).await?;
        client.batch_execute(begin).await?;
        add_rows(client, batch, &facts, &ids, partition).await?;
        match end {
            TransactionEnd::Rollback => client.batch_execute("ROLLBACK").await?,
            TransactionEnd::Commit => match client.batch_execute("COMMIT").await {
                Err(error) if error.as_db_error().is_none() => return Ok(Outcome::Unknown(error)),
                committed => committed?,
            },
        }
        Ok(Outcome::Done)
    }
}

/// Adds the rows to all tables. The statements are sent together and run in order: the server never
/// waits between them, and this end encodes rows meanwhile. Report the first error; later ones only say
/// "aborted".
async fn add_rows(
    client: &Client,
    batch: &Batch,
    facts: &BatchRows<'_>,
    ids: &Ids,
    partition: Option<Partition>,
) -> Result<(), Failure> {
    let copy = async {
        samples::add(client, &facts.samples, &ids.nics, partition).await?;
        mixes::add(client, &facts.mixes, &ids.nics).await?;
        talkers::add(client, &facts.talkers, &ids.nics).await?;
        gaps::add(client, &facts.gaps, ids).await?;
        quarantine::add(client, &facts.quarantine).await
    };
    // Sums are computed while the server runs the first statements.
    let roll_up = async {
        let sums = Rollups::of(&facts.samples);
        let (added, noted) = tokio::join!(
            rollups::add(client, &sums, &ids.nics),
            client_days::note(client, &sums, &ids.nics)
        );
        added.and(noted)
    };
    let (advanced, seen, counted, rolled_up, copied) = tokio::join!(
        cursors::advance(client, batch, &facts.cursors, ids),
        cursors::note_seen(client, ids),
        ledgers::add(client, &facts.ledgers, &ids.nics),
        roll_up,
        copy,
    );
    advanced.and(seen).and(counted).and(rolled_up).and(copied)
}

/// Fails if a crash of the server would lose acknowledged data, unless that is allowed.
pub(super) async fn must_be_safe(client: &Client, config: &PostgresConfig) -> Result<(), Failure> {
    let fsync: String = client.query_typed_one("SHOW fsync", &[]).await?.try_get(0)?;
    let mut at_risk = Vec::from_iter((fsync == "off").then(|| "the server".to_owned()));
    if citus::is_there(client).await? {
        let nodes = citus::unsafe_nodes(client).await?;
        at_risk.extend(nodes.into_iter().map(|node| format!("the node {node}")));
    }
    if at_risk.is_empty() || config.allows_unsafe() {
        return Ok(());
    }
    let runs = if at_risk.len() == 1 { "runs" } else { "run" };
    Err(Failure::failed(format!(
        "{} {runs} with fsync = off, so a crash would lose acknowledged data; set fsync = on, or \
         database.allow_unsafe: true to accept that",
        at_risk.join(", ")
    )))
}
