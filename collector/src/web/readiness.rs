//! Whether the store is ready. One check at a time answers all callers.

use std::time::{Duration, Instant};

use settings::InFull;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::store::StoreError;
use crate::writer::StoreState;

/// How long an answer is reused.
const FRESH: Duration = Duration::from_millis(200);

/// Time limit for the store's answer.
const READY_TIME: Duration = Duration::from_secs(2);

/// The store's last answer, and the running question. The question continues even if nobody waits for
/// it any more: aborting it would cost the store a connection for a while, and anybody may ask and hang
/// up repeatedly.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    answer: Option<(Instant, StoreState)>,
    question: Option<JoinHandle<(Instant, StoreState)>>,
}

impl Readiness {
    /// Why the store isn't ready; `None` if it is.
    pub async fn state<A, F>(&self, ask: A) -> StoreState
    where
        A: Fn() -> F,
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        timeout(READY_TIME, self.asked(ask)).await.unwrap_or_else(|_| late())
    }

    async fn asked<A, F>(&self, ask: A) -> StoreState
    where
        A: Fn() -> F,
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let mut asked = self.0.lock().await;
        loop {
            match &asked.answer {
                Some((at, state)) if at.elapsed() < FRESH => return state.clone(),
                _ => {}
            }
            let question = asked.question.get_or_insert_with(|| {
                let answer = ask();
                tokio::spawn(async move {
                    let state = match timeout(READY_TIME, answer).await {
                        Ok(answer) => answer.err().map(|error| error.in_full().to_string()),
                        Err(_) => late(),
                    };
                    (Instant::now(), state)
                })
            });
            let answered = question.await;
            asked.question = None;
            asked.answer = Some(
                answered.unwrap_or_else(|it| (Instant::now(), Some(it.in_full().to_string()))),
            );
        }
    }
}

fn late() -> StoreState {
    Some(format!("the store gave no answer within {READY_TIME:?}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_and_hang_up_cost_one_question() {
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (readiness, held) = (Readiness::default(), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (begun, ended, held) = (begun.clone(), ended.clone(), held.clone());
            async move {
                begun.fetch_add(1, Relaxed);
                held.acquire().await.unwrap().forget();
                ended.fetch_add(1, Relaxed);
                Ok(())
            }
        };
        for _ in 0..50 {
            assert!(timeout(Duration::from_millis(1), readiness.state(ask)).await.is_err());
        }
        assert_eq!((begun.load(Relaxed), ended.load(Relaxed)), (1, 0));
        held.add_permits(1);
        assert_eq!(readiness.state(ask).await, None);
        assert_eq!((begun.load(Relaxed), ended.load(Relaxed)), (1, 1));
    }
}
