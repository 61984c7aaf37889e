//! Exports the metrics of clients and NICs to an OpenTelemetry receiver: OTLP over HTTP, as protobuf.

mod answer;
mod config;
mod encode;
mod headers;
mod queue;
mod report;
mod send;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use settings::InFull;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

pub use self::answer::OtlpAnswer;
pub use self::config::{OtlpSection, OtlpTarget};
pub use self::encode::{OtlpRequest, encode};
use self::queue::{LossReason, NextStep, RequestQueue};
use self::report::Report;
use self::send::Poster;
use crate::live::Live;
use crate::metrics::TagLabels;
use crate::time::{boot, now_ns};

/// How long the last requests may take at shutdown. The store's last commit runs meanwhile, for longer.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// A running export.
#[derive(Debug)]
pub struct Exporter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The queue between the part that fills it and the one that sends.
#[derive(Debug)]
struct Shared {
    queue: Mutex<RequestQueue>,
    news: Notify,
}

impl Exporter {
    /// Exports what the live table shows, every [`OtlpSection::interval`], with these tags as attributes.
    #[must_use]
    pub fn start(target: OtlpTarget, live: Live, tags: TagLabels) -> Self {
        let (stop, stopped) = watch::channel(false);
        tracing::info!(url = target.url(), "exporting metrics");
        report::begin();
        Self { stop, task: tokio::spawn(run(target, live, tags, stopped)) }
    }

    /// Exports once more, and ends within 2 s.
    pub async fn stop(self) {
        let _ended = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(error = %error.in_full(), "the export of metrics failed");
        }
    }
}

/// Asks a receiver whether it takes metrics, with a request without any.
pub async fn probe(target: OtlpTarget) -> OtlpAnswer {
    let target = OtlpTarget { gzip: false, ..target };
    Poster::new(target).post(bytes::Bytes::new()).await
}

async fn run(target: OtlpTarget, live: Live, tags: TagLabels, stopped: watch::Receiver<bool>) {
    let queue = Mutex::new(RequestQueue::new(target.max_memory));
    let shared = Arc::new(Shared { queue, news: Notify::new() });
    let sending = tokio::spawn(shared.clone().send(Poster::new(target.clone())));
    shared.fill(&target, (&live, tags), stopped).await;
    shared.queue().close();
    shared.news.notify_one();
    let aborted = sending.abort_handle();
    if timeout(LAST_EXPORT, sending).await.is_err() {
        aborted.abort();
    }
    report::lost(LossReason::Stopped, shared.queue().give_up());
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, RequestQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the metrics at each interval, and when the collector stops.
    async fn fill(
        &self,
        target: &OtlpTarget,
        (live, tags): (&Live, TagLabels),
        mut stopped: watch::Receiver<bool>,
    ) {
        let tags = Arc::new(tags);
        let mut ticks = interval_at(Instant::now() + target.interval, target.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            last = tokio::select! {
                _ = ticks.tick() => false,
                _ = stopped.wait_for(|stop| *stop) => true,
            };
            let (live, tags, gzip) = (live.clone(), tags.clone(), target.gzip);
            let requests = spawn_blocking(move || {
                let now_ns = now_ns();
                live.expire(now_ns);
                encode(&live.snapshot(), &tags, now_ns, gzip)
            });
            match requests.await {
                Ok(requests) => self.push(requests),
                Err(error) => {
                    tracing::error!(error = %error.in_full(), "can't encode metrics");
                }
            }
        }
    }

    fn push(&self, requests: Vec<OtlpRequest>) {
        let mut queue = self.queue();
        let lost = requests.into_iter().map(|request| queue.push(request)).sum();
        report::waiting(queue.bytes());
        drop(queue);
        report::lost(LossReason::QueueFull, lost);
        self.news.notify_one();
    }

    /// Sends what the queue says, until it ends.
    async fn send(self: Arc<Self>, mut poster: Poster) {
        let mut report = Report::new(poster.url());
        loop {
            let step = self.queue().step(boot());
            match step {
                NextStep::Send(request) => {
                    let answer = poster.post(request.body.clone()).await;
                    let random = getrandom::u64().unwrap_or_default();
                    let mut queue = self.queue();
                    let settled = queue.settle(request, &answer, boot(), random);
                    report::waiting(queue.bytes());
                    drop(queue);
                    report.on_answer(&answer, settled);
                }
                NextStep::Wait(time) => {
                    poster.hang_up();
                    tokio::select! {
                        () = sleep(time) => {}
                        () = self.news.notified() => {}
                    }
                }
                NextStep::Idle => {
                    poster.hang_up();
                    self.news.notified().await;
                }
                NextStep::End => break,
            }
        }
    }
}
