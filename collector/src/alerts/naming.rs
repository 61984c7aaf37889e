//! Between the engine and the recorder: what is about a NIC waits, for a bounded time, until the talkers of
//! its sample are known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until};
use wire::id::{ClientId, NicName};
use wire::talkers::Talkers;

use super::emitted::{Emitted, What};
use super::engine::Engine;
use super::measure::MeasureSource;
use super::message_talkers::AlertTalkers;
use super::seen_talkers::{AskedMoment, SeenTalkers, TalkersChoice, WAIT};
use crate::live::{SampleTap, TappedSample};
use crate::time::boot;

/// Changes that wait at the same time. While there are as many, the engine keeps the next.
const HELD_MAX: usize = 4096;

/// Changes that the recorder takes at once: what happens at once is told and written at once.
const AT_ONCE: usize = 256;

/// Interval in which silent clients are forgotten.
const TIDY: Duration = Duration::from_secs(60);

/// A change that waits.
struct Held {
    emitted: Emitted,
    since: Instant,
}

/// Adds talkers to what the engine emits, in a task that ends with the receiver that this gives. The tap
/// takes samples for the engine, and talkers.
#[must_use]
pub fn with_talkers(
    engine: Arc<Engine>,
    emitted: mpsc::Receiver<Emitted>,
) -> (Arc<AlertTap>, mpsc::Receiver<Emitted>) {
    let talkers = Arc::new(SeenTalkers::default());
    let (named, receiver) = mpsc::channel(AT_ONCE);
    tokio::spawn(run(talkers.clone(), emitted, named));
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
        self.engine.on_samples(client, samples);
    }

    fn on_talkers(&self, client: &ClientId, records: &[Talkers]) {
        self.talkers.take(client, records);
    }
}

async fn run(
    talkers: Arc<SeenTalkers>,
    mut emitted: mpsc::Receiver<Emitted>,
    named: mpsc::Sender<Emitted>,
) {
    let (mut held, mut tidy): (Vec<Held>, _) = (Vec::new(), interval(TIDY));
    loop {
        let room = held.len() < HELD_MAX;
        let due = held.first().map_or_else(|| Instant::now() + TIDY, |it| it.since + WAIT);
        let mut ready = Vec::new();
        tokio::select! {
            it = emitted.recv(), if room => match it {
                Some(new) => {
                    // Changes of one subject stay in their order.
                    let same = |it: &Held| is_same(&it.emitted, &new);
                    ready.extend(held.extract_if(.., |it| same(it)).map(|it| name(&talkers, it, WAIT)));
                    held.push(Held { emitted: new, since: Instant::now() });
                }
                None => return,
            },
            () = talkers.news() => {}
            () = sleep_until(due) => {}
            _ = tidy.tick() => talkers.forget_silent(boot()),
            () = named.closed() => return,
        }
        let now = Instant::now();
        let mut index = 0;
        while let Some(it) = held.get(index) {
            match talkers_of(&talkers, &it.emitted, now.duration_since(it.since)) {
                TalkersChoice::Wait => index += 1,
                TalkersChoice::Take(_) => {
                    let it = held.remove(index);
                    ready.push(name(&talkers, it, WAIT));
                }
            }
        }
        for it in ready {
            if named.send(it).await.is_err() {
                return;
            }
        }
    }
}

fn is_same(a: &Emitted, b: &Emitted) -> bool {
    a.rule.name == b.rule.name && a.subject == b.subject
}

/// The record for a change that has waited for so long.
fn talkers_of(talkers: &SeenTalkers, emitted: &Emitted, waited: Duration) -> TalkersChoice {
    let firing = match &emitted.what {
        What::Fire { firing, .. } | What::Announce(firing) => firing,
        What::Resolve(..) => return TalkersChoice::Take(None),
    };
    let subject = &emitted.subject;
    let of_sample = emitted.rule.source() == MeasureSource::Sample;
    let nic = NicName::new(&subject.nic).filter(|_| of_sample);
    let (Ok(client), Some(nic)) = (ClientId::new(&subject.client), nic) else {
        return TalkersChoice::Take(None);
    };
    let asked = AskedMoment { at_ns: firing.worst_ns, since_ns: firing.since_ns };
    talkers.choose(&client, nic, asked, waited)
}

/// The change with the talkers that are known after such a wait.
fn name(talkers: &SeenTalkers, held: Held, waited: Duration) -> Emitted {
    let TalkersChoice::Take(Some(record)) = talkers_of(talkers, &held.emitted, waited) else {
        return held.emitted;
    };
    let direction = held.emitted.subject.direction.as_str();
    let talkers = AlertTalkers::new(&record, direction);
    Emitted { talkers, ..held.emitted }
}

#[cfg(test)]
mod tests {
    use wire::frame::{Counts, Sample};
    use wire::{Bytes, WallNs};

    use super::*;
    use crate::alerts::config::AlertsSection;
    use crate::alerts::rule::AlertRules;
    use crate::time::now_ns;

    /// That a client's NIC is full, as the engine emits it.
    fn full(client: &str) -> Emitted {
        let section = r#"{"rules": {"a": {"measure": "utilisation", "for": "0s"}}}"#;
        let section: AlertsSection = serde_json::from_str(section).unwrap();
        let (engine, mut emitted) = Engine::new(AlertRules::of(&section).unwrap());
        let sample = Sample {
            nic: NicName::new("eth0").unwrap(),
            start_ns: now_ns(),
            interval_ns: 500_000_000,
            rx: Counts { bytes: Bytes(62_000_000), ..Counts::default() },
            ..Sample::default()
        };
        let tapped = TappedSample { sample, speed_bits: 1_000_000_000, newest: true, fresh: true };
        engine.on_samples(&ClientId::new(client).unwrap(), &[tapped]);
        emitted.try_recv().unwrap()
    }

    fn over(fire: &Emitted) -> Emitted {
        let What::Fire { firing, .. } = fire.what else { panic!("{fire:?}") };
        Emitted { what: What::Resolve(firing, "calm"), ..fire.clone() }
    }

    fn told(emitted: &Emitted) -> (String, bool) {
        (emitted.subject.client.clone(), matches!(emitted.what, What::Fire { .. }))
    }

    #[tokio::test]
    async fn an_end_does_not_overtake_its_beginning_and_others_wait_for_nobody() {
        let (changes, emitted) = mpsc::channel(16);
        let (named, mut receiver) = mpsc::channel(16);
        let task = tokio::spawn(run(Arc::default(), emitted, named));
        let (slow, quick) = (full("slow"), full("quick"));
        let began = Instant::now();
        for change in [slow.clone(), quick.clone(), over(&quick)] {
            changes.send(change).await.unwrap();
        }
        let mut got = Vec::new();
        for _ in 0..2 {
            got.push(told(&receiver.recv().await.unwrap()));
        }
        // Of an incident that is over, nothing is waited for.
        assert_eq!(got, [("quick".to_owned(), true), ("quick".to_owned(), false)]);
        assert_eq!(told(&receiver.recv().await.unwrap()), ("slow".to_owned(), true));
        assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
        drop(receiver);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_record_that_comes_ends_the_wait() {
        let (changes, emitted) = mpsc::channel(16);
        let (named, mut receiver) = mpsc::channel(16);
        let seen = Arc::new(SeenTalkers::default());
        let _task = tokio::spawn(run(seen.clone(), emitted, named));
        let fire = full("web-1");
        let What::Fire { firing, .. } = fire.what else { panic!("{fire:?}") };
        changes.send(fire.clone()).await.unwrap();
        let list = wire::talkers::TalkerList {
            total_bytes: Bytes(62_000_000),
            talkers: vec![wire::talkers::Talker { bytes: Bytes(31_000_000), ..Default::default() }],
            ..Default::default()
        };
        let record = |start_ns: WallNs| Talkers {
            nic: NicName::new("eth0").unwrap(),
            start_ns,
            interval_ns: 500_000_000,
            kind: wire::talkers::TalkersKind::Moment as u8,
            rx: list.clone(),
            ..Default::default()
        };
        let client = ClientId::new("web-1").unwrap();
        seen.take(&client, &[record(firing.worst_ns.saturating_sub(9_000_000_000))]);
        seen.take(&client, &[record(firing.worst_ns)]);
        let got = receiver.recv().await.unwrap();
        let talkers = got.talkers.unwrap();
        assert_eq!((talkers.from.0, talkers.top[0].percent), (firing.worst_ns, 50.0));
    }
}
