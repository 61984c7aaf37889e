//! `collector top`: a live view of all clients on the full screen, through the HTTP API.

mod accounts;
mod client;
mod columns;
mod draw;
mod groups;
mod order;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};
use settings::InFull;
use settings::terminal::{Screen, ScreenError, events};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

pub use self::groups::Chosen;
use self::state::{State, StreamItem, Subscription};
pub use self::stream::{Source, SourceError};
use crate::time::now_ns;

/// Interval between redraws without news.
const TICK: Duration = Duration::from_millis(500);

/// Wait before reconnecting to a collector whose stream ended.
const RETRY: Duration = Duration::from_secs(2);

/// News waiting to be processed. While the queue is full, nothing is read from the collector.
const WAITING: usize = 64;

/// Why the view can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// No screen to draw on, or to listen to.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// The system provides no runtime.
    #[error("can't start")]
    System(#[source] io::Error),
}

type News = (Subscription, StreamItem);

/// Shows a collector's chosen clients until `q`, or until `interrupted` closes.
///
/// # Errors
/// [`TopError`] if there is no terminal. An unreachable collector is no error; the screen shows it, and
/// `top` retries.
pub fn top(
    source: Source,
    chosen: Chosen,
    interrupted: &Receiver<Infallible>,
) -> Result<(), TopError> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().map_err(TopError::System)?;
    let mut screen = Screen::open("GET /api/v1/live tells programs the same")?;
    let events = events()?;
    let (sender, news) = bounded::<News>(WAITING);
    let mut followers =
        Followers { source: Arc::new(source), sender, runtime: &runtime, tasks: BTreeMap::new() };
    let ticks = tick(TICK);
    let mut state = State::new(chosen);
    loop {
        followers.follow(&state);
        screen.draw(|frame| draw::draw(&state, followers.source.url(), frame))?;
        select! {
            recv(news) -> told => {
                // Process all news before drawing.
                for (followed, told) in told.into_iter().chain(news.try_iter()) {
                    state.told(&followed, told, now_ns());
                }
            }
            recv(events) -> event => match event {
                Ok(event) if state.input(&event) => {}
                _ => break,
            },
            recv(ticks) -> _ => state.tick(now_ns()),
            recv(interrupted) -> _ => break,
        }
    }
    drop(screen);
    // Senders see that the receiver is gone.
    drop(news);
    runtime.shutdown_background();
    Ok(())
}

/// The tasks that read from the collector.
struct Followers<'a> {
    source: Arc<Source>,
    sender: Sender<News>,
    runtime: &'a Runtime,
    tasks: BTreeMap<Subscription, AbortHandle>,
}

impl Followers<'_> {
    /// Reads the streams that the view needs, and no others.
    fn follow(&mut self, state: &State) {
        let mut before = std::mem::take(&mut self.tasks);
        for followed in state.followed() {
            let task = before.remove(&followed).unwrap_or_else(|| {
                let (source, sender) = (self.source.clone(), self.sender.clone());
                self.runtime.spawn(listen(source, followed.clone(), sender)).abort_handle()
            });
            self.tasks.insert(followed, task);
        }
        before.values().for_each(AbortHandle::abort);
    }
}

/// Passes on the collector's events, and reconnects forever when its stream ends. A waiting send blocks
/// the runtime, which has nothing else to do.
async fn listen(source: Arc<Source>, followed: Subscription, sender: Sender<News>) {
    loop {
        let tell = |told| sender.send((followed.clone(), told)).is_ok();
        let Err(error) = source.follow(&followed, tell).await else { return };
        if sender.send((followed.clone(), StreamItem::Lost(error.in_full().to_string()))).is_err() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}
