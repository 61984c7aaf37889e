//! Between the engine and the recorder: what is about a NIC waits, for a bounded time, until the talkers of
//! its sample are known.

mod held_changes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};
use wire::frame::Frame;
use wire::id::ClientId;

use self::held_changes::{Chooser, HeldChanges};
use super::emitted::Emitted;
use super::engine::Engine;
use super::seen_talkers::{SeenTalkers, TalkersChoice};
use crate::live::{SampleTap, TappedSample};
use crate::time::boot;

/// Changes that wait at the same time. While there are as many, the engine keeps the next.
const HELD_MAX: usize = 4096;

/// Changes that the recorder takes at once: what happens at once is told and written at once.
const AT_ONCE: usize = 256;

/// Interval in which silent clients are forgotten.
const TIDY: Duration = Duration::from_secs(60);

/// Adds talkers to what the engine emits, in a task that ends with the receiver that this gives. The tap
/// takes samples for the engine, and talkers.
#[must_use]
pub fn with_talkers(
    engine: Arc<Engine>,
    emitted: mpsc::Receiver<Emitted>,
) -> (Arc<AlertTap>, mpsc::Receiver<Emitted>) {
    let talkers = Arc::new(SeenTalkers::default());
    let (named, receiver) = mpsc::channel(AT_ONCE);
    let asked = engine.clone();
    tokio::spawn(run(talkers.clone(), move || asked.names_talkers(), emitted, named));
    (Arc::new(AlertTap { engine, talkers }), receiver)
}

/// Gives samples to the engine, and keeps talkers for its messages.
#[derive(Debug)]
pub struct AlertTap {
    engine: Arc<Engine>,
    talkers: Arc<SeenTalkers>,
}

impl SampleTap for AlertTap {
    fn wants_samples(&self) -> bool {
        self.engine.wants_samples()
    }

    fn on_samples(&self, client: &ClientId, samples: &[TappedSample]) {
        if self.engine.names_talkers() {
            self.talkers.hear(client, boot());
        }
        self.engine.on_samples(client, samples);
    }

    fn on_talkers(&self, client: &ClientId, frame: &Frame) {
        if self.engine.names_talkers() {
            self.talkers.take(client, frame, boot());
        }
    }
}

/// `wanted`: whether messages name talkers, as the config has it now.
async fn run(
    talkers: Arc<SeenTalkers>,
    wanted: impl Fn() -> bool + Send + Sync,
    mut emitted: mpsc::Receiver<Emitted>,
    named: mpsc::Sender<Emitted>,
) {
    let mut choose: Chooser<'_> = Box::new(|place, asked, waited| match wanted() {
        true => talkers.choose(place, asked, waited),
        false => TalkersChoice::Take(None),
    });
    let (mut waiting, mut tidy) = (HeldChanges::default(), interval(TIDY));
    loop {
        let due = waiting.due().unwrap_or_else(|| Instant::now() + TIDY);
        let ready = tokio::select! {
            it = emitted.recv(), if waiting.len() < HELD_MAX => match it {
                Some(new) => waiting.take(new, Instant::now(), &mut choose),
                None => return,
            },
            places = talkers.news() => {
                let now = Instant::now();
                let ready = places.iter().map(|it| waiting.on_news(it, now, &mut choose));
                ready.flatten().collect()
            }
            () = sleep_until(due) => waiting.on_time(Instant::now(), &mut choose),
            _ = tidy.tick() => {
                talkers.forget_silent(boot());
                Vec::new()
            }
            () = named.closed() => return,
        };
        for it in ready {
            if named.send(it).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
