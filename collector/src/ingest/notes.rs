//! Stores what an agent says about itself, one note after the other, without holding up frames.

use std::sync::Arc;
use std::time::Instant;

use settings::{InFull, SharedFailures, words};
use tokio::sync::mpsc;
use wire::id::{ClientId, SessionId};
use wire::message::Inventory;

use crate::store::Store;
use crate::time::now_ns;
use crate::writer::WriterHandle;

/// Notes that may wait for a slow store. An agent sends its NICs again with its next connection.
const WAITING: usize = 8;

/// A fact about an agent to store.
#[derive(Debug)]
pub enum Note {
    /// Its NICs.
    Inventory(Inventory),
    /// How far its clock is ahead in a session, nanoseconds.
    ClockOffset { session: SessionId, offset_ns: i64 },
}

/// Stores the notes of one agent while its connection lasts.
#[derive(Debug)]
pub struct Notes {
    client: ClientId,
    sender: mpsc::Sender<Note>,
}

impl Notes {
    /// Stores notes of a client in `store` whenever `writer` may write.
    pub fn new(store: Arc<dyn Store>, mut writer: WriterHandle, client: ClientId) -> Self {
        let (sender, mut notes) = mpsc::channel(WAITING);
        let of = client.clone();
        tokio::spawn(async move {
            while let Some(note) = notes.recv().await {
                writer.not_held().await;
                let kept = match &note {
                    Note::Inventory(nics) => store.record_inventory(&of, nics, now_ns()).await,
                    Note::ClockOffset { session, offset_ns } => {
                        store.record_clock_offset(*session, *offset_ns).await
                    }
                };
                match kept {
                    Ok(()) => drop(UNKEPT.succeeded_for(|_| true)),
                    Err(error) => not_kept(&of, &error.in_full().to_string()),
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

/// Why notes were not stored. Rate-limits the log, because all agents send some all the time.
static UNKEPT: SharedFailures<String> = SharedFailures::new();

fn not_kept(client: &ClientId, why: &str) {
    if let Some(tell) = UNKEPT.failed(words(why), Instant::now()) {
        tracing::warn!(%client, why, "can't store what an agent says about its NICs and \
                                      clock{tell}");
    }
}
