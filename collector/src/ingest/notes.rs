//! Stores what an agent says about itself, one note after the other, without holding up frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::{InFull, SharedFailures, words};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::Inventory;
use wire::tag::TagSet;

use crate::live::Live;
use crate::store::{Database, StoreError};
use crate::time::now_ns;
use crate::writer::WriterHandle;

/// Notes that may wait for a slow store. An agent sends its NICs again with its next connection.
const WAITING: usize = 8;

/// Wait before a store that failed gets tags again.
const AGAIN: Duration = Duration::from_secs(5);

/// Who waits for the store's answer about tags.
type Taken = oneshot::Sender<Result<TagSet, String>>;

/// A fact about an agent to store.
#[derive(Debug)]
pub enum Note {
    /// Its NICs.
    Inventory(Inventory),
    /// How far its clock is ahead in a session, nanoseconds.
    ClockOffset { session: SessionId, offset_ns: i64 },
    /// Its tags, which it has had since this time, nanoseconds since 1970 (UTC). `taken` gets those that
    /// count once the store has taken them, or why it refuses them.
    Tags { tags: TagSet, since_ns: WallNs, taken: Option<Taken> },
}

/// Stores the notes of one agent while its connection lasts.
#[derive(Debug, Clone)]
pub struct Notes {
    client: ClientId,
    sender: mpsc::Sender<Note>,
}

impl Notes {
    /// Stores notes of a client in `store` whenever `writer` may write, and shows in `live` the tags that
    /// it has taken.
    pub fn new(
        store: Arc<dyn Database>,
        mut writer: WriterHandle,
        live: Live,
        client: ClientId,
    ) -> Self {
        let (sender, mut notes) = mpsc::channel(WAITING);
        let of = client.clone();
        tokio::spawn(async move {
            while let Some(mut note) = notes.recv().await {
                writer.not_held().await;
                while let Err(error) = keep(&*store, &live, &of, &mut note).await {
                    let why = error.in_full().to_string();
                    not_kept(&of, &why);
                    // It says its tags only once a connection, and nothing else later implies them.
                    let again =
                        matches!((&note, error), (Note::Tags { .. }, StoreError::Failed { .. }));
                    if !again && let Note::Tags { taken, .. } = &mut note {
                        // Nobody waits any more if the agent has left.
                        let _gone = taken.take().map(|taken| taken.send(Err(why)));
                    }
                    if !again || notes.is_closed() {
                        break;
                    }
                    sleep(AGAIN).await;
                    writer.not_held().await;
                }
            }
        });
        Self { client, sender }
    }

    /// Hands a note over.
    pub fn take(&self, note: Note) {
        if self.sender.try_send(note).is_err() {
            not_kept(&self.client, "the store is too slow");
        }
    }
}

async fn keep(
    store: &dyn Database,
    live: &Live,
    of: &ClientId,
    note: &mut Note,
) -> Result<(), StoreError> {
    match note {
        Note::Inventory(nics) => store.record_inventory(of, nics, now_ns()).await?,
        Note::ClockOffset { session, offset_ns } => {
            store.record_clock_offset(*session, *offset_ns).await?;
        }
        Note::Tags { tags, since_ns, taken } => {
            store.record_tags(of, tags, *since_ns, now_ns()).await?;
            let counting = live.on_agent_tags(of, tags);
            // Nobody waits any more if the store was slow.
            let _gone = taken.take().map(|taken| taken.send(Ok(counting)));
        }
    }
    UNKEPT.succeeded_for(|_| true);
    Ok(())
}

/// Why notes were not stored. Rate-limits the log, because all agents send some all the time.
static UNKEPT: SharedFailures<String> = SharedFailures::new();

fn not_kept(client: &ClientId, why: &str) {
    if let Some(tell) = UNKEPT.failed(words(why), Instant::now()) {
        tracing::warn!(%client, why, "can't store what an agent says about its NICs, \
                                      clock and tags{tell}");
    }
}
