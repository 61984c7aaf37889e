//! The commits of a connection's sessions, as the writer tells them.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use wire::Seq;
use wire::delivery::AckPace;
use wire::id::{ClientId, SessionId};

use crate::store::SessionState;
use crate::writer::{Heed, OpenSession, Progress, WriterHandle};

/// The writer's progress of a session; `None` if it was opened elsewhere.
pub type News = (SessionId, Option<Progress>);

/// Follows the commits of sessions until it is dropped.
pub struct Commits {
    news: mpsc::Receiver<News>,
    _followers: JoinSet<()>,
    /// The running session, if its acknowledgements are joined: its commits are read when one is sent.
    running: Option<Running>,
}

struct Running {
    session: SessionId,
    progress: watch::Receiver<Progress>,
    heed: Heed,
}

impl Commits {
    /// Opens sessions at the writer: the oldest first, the running one last.
    pub fn open(
        writer: &WriterHandle,
        client: &ClientId,
        opened: &[SessionState],
        pace: AckPace,
    ) -> Self {
        let (sender, news) = mpsc::channel(16);
        let (mut followers, mut running) = (JoinSet::new(), None);
        for (nth, state) in (1..).zip(opened) {
            // Only the running session sends live frames.
            let joined = pace == AckPace::Joined && nth == opened.len();
            let heed = if joined { Heed::none() } else { Heed::all() };
            let open = OpenSession {
                client: client.clone(),
                session: state.session,
                epoch: state.epoch,
                committed: state.seq,
            };
            let (session, sender) = (state.session, sender.clone());
            let mut progress = writer.open(open, heed.clone());
            if joined {
                running = Some(Running { session, progress: progress.clone(), heed });
            }
            followers.spawn(async move {
                loop {
                    let news = progress.changed().await;
                    let news = news.is_ok().then(|| progress.borrow_and_update().clone());
                    let last = news.is_none();
                    if sender.send((session, news)).await.is_err() || last {
                        return;
                    }
                }
            });
        }
        Self { news, _followers: followers, running }
    }

    /// The next news. `None` once all sessions were opened elsewhere.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// From now on, the commits of a session up to `seq` are told at once.
    pub fn heed(&self, session: SessionId, seq: Seq) {
        if let Some(running) = self.running.as_ref().filter(|it| it.session == session) {
            running.heed.up_to(seq);
        }
    }

    /// The running session and what of it is committed, if that isn't told at once.
    pub fn untold(&self) -> Option<(SessionId, Seq)> {
        let running = self.running.as_ref()?;
        Some((running.session, running.progress.borrow().committed))
    }
}
