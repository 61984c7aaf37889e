//! One host at a time under a client id, at all collectors of one store: the same rule as among one
//! collector's connections. Questions and answers go through the store.
//!
//! A host that switches collectors by its fallbacks is let in at once, because it is the same run of
//! the same agent. A collector that is down answers no question. Its hosts have [`SILENCE`] to reach
//! another collector before others get their places. A host that waits for a place or for the store is
//! shown and blocks nobody; its frames are not committed.
//!
//! [`SILENCE`]: crate::store::SILENCE

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::Connection;
use settings::InFull;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wire::id::ClientId;
use wire::message::Claim;

use super::claims::{ConnectedHosts, HostPlace, NEWER, Sharing, answers};
use super::second_host::{Kin, PATIENCE, SecondHost};
use super::shared::Ingest;
use crate::store::{Database, Holder, Lost, PlaceId, Question, StoreError};

/// Interval between checks for questions: one indexed statement that usually returns no row.
const LOOK: Duration = Duration::from_millis(250);

/// Interval between checks for an answer.
const LOOK_FOR_ANSWER: Duration = Duration::from_millis(50);

/// Additional time for an answer through the store.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// A check that takes longer proves nothing about the host asked.
const SLOW: Duration = Duration::from_millis(500);

/// Interval between checks for places taken by others, which happens to a collector that was cut off
/// from the store and didn't answer.
const CHECK: Duration = Duration::from_secs(10);

/// Why a host holds no place in the store.
#[derive(Debug)]
pub enum Unclaimed {
    /// Another host holds it and answers.
    SecondHost(SecondHost),
    /// The store fails.
    Store(StoreError),
    /// The connection has ended.
    Gone,
}

impl From<SecondHost> for Unclaimed {
    fn from(second: SecondHost) -> Self {
        Self::SecondHost(second)
    }
}

impl From<StoreError> for Unclaimed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes a client's place for a waiting connection, unless it has it already.
pub async fn take(
    ingest: &Ingest,
    client: &ClientId,
    claim: Claim,
    place: &mut HostPlace,
    connection: &Connection,
) -> Result<(), Unclaimed> {
    let (store, claims) = (&*ingest.store, &ingest.claims);
    let address = connection.remote_address().ip().to_canonical();
    let holder = Holder { place: place.id(), claim, address };
    let mut lost = None;
    while !place.is_shared() {
        claims.clear(client, &claim, address).await?;
        let Some(other) = store.claim(client, &holder, lost.take()).await? else {
            match place.on_shared() {
                Sharing::Shared => break,
                Sharing::Taken => continue,
                Sharing::Gone => {
                    store.release(client, place.id()).await?;
                    return Err(Unclaimed::Gone);
                }
            }
        };
        if other.place.collector == claims.collector() {
            claims.challenge(client, &claim, other.place.number, address).await?;
            lost = Some(Lost::Ended(other.place));
            continue;
        }
        let patience = Kin::of(&claim, &other.claim).patience() + STORE_PATIENCE;
        match ask(store, client, other.place, patience).await? {
            Some((true, _)) => {
                let second = claims.refuse_for(client, &claim, &other, address);
                return Err(Unclaimed::SecondHost(second));
            }
            Some((false, question)) => lost = Some(Lost::Silent(other.place, question)),
            None => {}
        }
    }
    Ok(())
}

/// Whether the host at a place stays, and the number of the question; `None` if the place is free or
/// has changed hands.
async fn ask(
    store: &dyn Database,
    client: &ClientId,
    place: PlaceId,
    patience: Duration,
) -> Result<Option<(bool, u64)>, StoreError> {
    let Some(question) = store.ask(client, place).await? else { return Ok(None) };
    let mut until = Instant::now() + patience;
    loop {
        // Checked before the last check, because this task itself may have been held up.
        let looked = Instant::now();
        let over = looked >= until;
        match store.is_answered(client, place, question).await? {
            Some(true) => return Ok(Some((true, question))),
            None => return Ok(None),
            // The store is slow, also for the host asked.
            Some(false) if looked.elapsed() > SLOW => until = Instant::now() + patience,
            Some(false) if over => return Ok(Some((false, question))),
            Some(false) => {}
        }
        sleep(LOOK_FOR_ANSWER).await;
    }
}

/// Gives back the place of an ended connection without delaying its end. If that fails, the next host
/// that wants the place challenges it.
pub fn give_back(store: &Arc<dyn Database>, client: &ClientId, place: &HostPlace) {
    if place.is_shared() {
        let (store, client, id) = (store.clone(), client.clone(), place.id());
        tokio::spawn(async move {
            if let Err(error) = store.release(&client, id).await {
                tracing::debug!(%client, error = %error.in_full(), "a place can't be given back");
            }
        });
    }
}

/// Answers the questions of other collectors, forever.
pub async fn answer(store: Arc<dyn Database>, claims: ConnectedHosts) {
    let mut due = interval(LOOK);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asking = Arc::new(Mutex::new(HashSet::new()));
    let mut checked = Instant::now();
    loop {
        due.tick().await;
        let answered = async {
            for question in store.questions(claims.collector()).await? {
                if lock(&asking).insert(question.clone()) {
                    let (store, claims, asking) = (store.clone(), claims.clone(), asking.clone());
                    tokio::spawn(async move {
                        if let Err(error) = answer_one(&*store, &claims, &question).await {
                            tracing::debug!(error = %error.in_full(), "a question can't be answered");
                        }
                        lock(&asking).remove(&question);
                    });
                }
            }
            if checked.elapsed() >= CHECK {
                check(&*store, &claims).await?;
                checked = Instant::now();
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = answered.await {
            tracing::debug!(error = %error.in_full(), "questions of other collectors can't be read");
            // Others may take this collector's places in the meantime.
            checked = Instant::now().checked_sub(CHECK).unwrap_or(checked);
        }
    }
}

fn lock(asking: &Mutex<HashSet<Question>>) -> std::sync::MutexGuard<'_, HashSet<Question>> {
    asking.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer_one(
    store: &dyn Database,
    claims: &ConnectedHosts,
    question: &Question,
) -> Result<(), StoreError> {
    let Question { client, place, .. } = question;
    if let Some(connection) = claims.connection(client, *place)
        && answers(&connection, PATIENCE).await
    {
        return store.answer(claims.collector(), question).await;
    }
    let reason = "an agent of this client asks at another collector, and this one didn't answer";
    claims.end(client, *place, reason);
    let place = PlaceId { collector: claims.collector(), number: *place };
    store.release(client, place).await
}

/// Ends the connections whose places others have taken. Claims a place again if nobody has it because
/// the store has lost it.
async fn check(store: &dyn Database, claims: &ConnectedHosts) -> Result<(), StoreError> {
    let shared = claims.shared();
    let Some(held) = store.held(claims.collector()).await? else { return Ok(()) };
    let held: HashSet<(&str, u64)> =
        held.iter().map(|(client, number)| (client.as_str(), *number)).collect();
    for (client, holder) in shared {
        let number = holder.place.number;
        if held.contains(&(client.as_str(), number)) {
            continue;
        }
        if let Some(other) = claim_again(store, claims, &client, &holder).await? {
            let address = other.address;
            tracing::info!(%client, %address, "at another collector of this store by now");
            let same = other.claim == holder.claim;
            let elsewhere = "another agent of this client is connected to another collector";
            claims.end(&client, number, if same { NEWER } else { elsewhere });
        } else if claims.connection(&client, number).is_none() {
            // It has ended in the meantime.
            store.release(&client, holder.place).await?;
        }
    }
    Ok(())
}

/// Claims a place again. Returns the host at another collector if that holds it now.
async fn claim_again(
    store: &dyn Database,
    claims: &ConnectedHosts,
    client: &ClientId,
    holder: &Holder,
) -> Result<Option<Holder>, StoreError> {
    loop {
        match store.claim_again(client, holder).await? {
            Some(other) if other.place.collector != claims.collector() => return Ok(Some(other)),
            Some(other) if claims.connection(client, other.place.number).is_none() => {
                store.release(client, other.place).await?;
            }
            // If one waits here, it will be refused or has replaced this one.
            Some(_) | None => return Ok(None),
        }
    }
}
