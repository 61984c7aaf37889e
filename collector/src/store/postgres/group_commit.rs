//! Group commit: small writes of many clients that come at about the same time share a transaction and its
//! statements. After an outage, thousands of agents introduce themselves at once.
//!
//! A group does only what goes well. The rest is done alone by its callers, as if there were no group: so no
//! agent waits for another one's locks, and none fails with another.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use settings::InFull;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::database::Postgres;
use super::group::{GroupWrite, WRITES_MAX, split};

/// How long writes gather while others are under way. A group costs the database about as much as ten writes
/// more in it; at 20 groups a second that is little, and nobody sees so short a wait.
const GATHER: Duration = Duration::from_millis(50);

/// The writes of one kind that wait, at most [`WRITES_MAX`]; further callers wait for a place.
pub(super) struct CommitGroup<W: GroupWrite> {
    waiting: OnceLock<mpsc::Sender<Waiting<W>>>,
}

/// A write that waits, and who is told.
struct Waiting<W: GroupWrite> {
    write: Arc<W>,
    told: oneshot::Sender<Result<W::Done, Alone>>,
}

/// The write must be done alone. Dropped once that has ended, if anybody waits for it.
#[derive(Debug, Default)]
pub(super) struct Alone {
    _until_done: Option<oneshot::Sender<()>>,
}

impl<W: GroupWrite> Default for CommitGroup<W> {
    fn default() -> Self {
        Self { waiting: OnceLock::new() }
    }
}

impl<W: GroupWrite> fmt::Debug for CommitGroup<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitGroup").finish_non_exhaustive()
    }
}

impl<W: GroupWrite> CommitGroup<W> {
    /// Does a write with others, unless it must be done alone.
    pub async fn add(&self, database: &Arc<Postgres>, write: Arc<W>) -> Result<W::Done, Alone> {
        let waiting = self.waiting.get_or_init(|| {
            let (waiting, writes) = mpsc::channel(WRITES_MAX);
            tokio::spawn(work(database.clone(), writes));
            waiting
        });
        let (told, outcome) = oneshot::channel();
        // Both fail only if the runtime ends.
        let _ended = waiting.send(Waiting { write, told }).await;
        outcome.await.unwrap_or_else(|_| Err(Alone::default()))
    }
}

/// Does the writes that come, until the store is closed.
async fn work<W: GroupWrite>(database: Arc<Postgres>, mut waiting: mpsc::Receiver<Waiting<W>>) {
    let mut writes = Vec::with_capacity(WRITES_MAX);
    while waiting.recv_many(&mut writes, WRITES_MAX).await > 0 {
        let gathered = Instant::now() + GATHER;
        // Whoever has gone waits for nothing.
        let writes = writes.drain(..).filter(|it| !it.told.is_closed()).collect();
        let (together, alone) = split(writes, |it: &Waiting<W>| &it.write);
        for Waiting { told, .. } in alone {
            let _gone = told.send(Err(Alone::default()));
        }
        match <[Waiting<W>; 1]>::try_from(together) {
            Ok([one]) => {
                // It waits for nobody. Those that come meanwhile wait for it, for a moment.
                let (until_done, done) = oneshot::channel();
                let _gone = one.told.send(Err(Alone { _until_done: Some(until_done) }));
                let _late = timeout_at(gathered, done).await;
            }
            Err(together) => {
                write(&database, together).await;
                if waiting.len() < WRITES_MAX {
                    sleep_until(gathered).await;
                }
            }
        }
    }
}

/// Does writes in one transaction, and tells each caller.
async fn write<W: GroupWrite>(database: &Postgres, group: Vec<Waiting<W>>) {
    let (writes, told): (Vec<_>, Vec<_>) = group.into_iter().map(|it| (it.write, it.told)).unzip();
    let mut done = match database.lease(async |db| W::together(db, &writes).await).await {
        Ok(done) => done.into_iter(),
        Err(failure) => {
            let (writes, why) = (writes.len(), failure.into_cause());
            tracing::debug!(writes, why = %why.in_full(), "a group of writes failed: each is done alone");
            Vec::new().into_iter()
        }
    };
    for told in told {
        // The caller may have stopped waiting.
        let _gone = told.send(done.next().flatten().ok_or_else(Alone::default));
    }
}
