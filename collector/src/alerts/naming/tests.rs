//! What waits for talkers, for whom, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wire::frame::{Counts, Sample};
use wire::id::{NicName, SessionId};
use wire::talkers::{Talker, TalkerList, Talkers, TalkersKind};
use wire::{Bytes, Seq, WallNs};

use super::super::config::AlertsSection;
use super::super::emitted::What;
use super::super::rule::AlertRules;
use super::super::seen_talkers::WAIT;
use super::*;
use crate::store::AlertSubject;
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

/// A record of a moment, of which one talker had half.
fn moment(seq: u64, start_ns: WallNs) -> Frame {
    let list = TalkerList {
        total_bytes: Bytes(62_000_000),
        talkers: vec![Talker { bytes: Bytes(31_000_000), ..Default::default() }],
        ..Default::default()
    };
    let record = Talkers {
        nic: NicName::new("eth0").unwrap(),
        start_ns,
        interval_ns: 500_000_000,
        kind: TalkersKind::Moment as u8,
        rx: list,
        ..Default::default()
    };
    Frame {
        session: SessionId::new(1),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples: vec![],
        mixes: vec![],
        talkers: vec![record],
    }
}

#[tokio::test]
async fn an_end_does_not_overtake_its_beginning_and_others_wait_for_nobody() {
    let (changes, emitted) = mpsc::channel(16);
    let (named, mut receiver) = mpsc::channel(16);
    let task = tokio::spawn(run(Arc::default(), || true, emitted, named));
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
    let _task = tokio::spawn(run(seen.clone(), || true, emitted, named));
    let fire = full("web-1");
    let What::Fire { firing, .. } = fire.what else { panic!("{fire:?}") };
    changes.send(fire.clone()).await.unwrap();
    let client = ClientId::new("web-1").unwrap();
    seen.take(&client, &moment(1, firing.worst_ns.saturating_sub(9_000_000_000)), boot());
    seen.take(&client, &moment(2, firing.worst_ns), boot());
    let got = receiver.recv().await.unwrap();
    let talkers = got.talkers.unwrap();
    assert_eq!((talkers.from.0, talkers.top[0].percent), (firing.worst_ns, 50.0));
}

#[tokio::test]
async fn messages_that_name_no_talkers_wait_for_none() {
    let (changes, emitted) = mpsc::channel(16);
    let (named, mut receiver) = mpsc::channel(16);
    let seen = Arc::new(SeenTalkers::default());
    let fire = full("web-1");
    let What::Fire { firing, .. } = fire.what else { panic!("{fire:?}") };
    seen.take(&ClientId::new("web-1").unwrap(), &moment(1, firing.worst_ns), boot());
    let mut waiting = HeldChanges::default();
    let mut none: Chooser<'_> = Box::new(|_, _, _| TalkersChoice::Take(None));
    let ready = waiting.take(fire.clone(), Instant::now(), &mut none);
    assert!(ready.len() == 1 && ready[0].talkers.is_none() && waiting.len() == 0);
    let _task = tokio::spawn(run(seen, || false, emitted, named));
    changes.send(fire).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap().talkers, None);
}

#[test]
fn thousands_of_incidents_at_once_look_at_records_a_few_times_each() {
    let fire = full("web-1");
    let of = |n: usize| Emitted {
        subject: AlertSubject { client: format!("web-{n}"), ..fire.subject.clone() },
        ..fire.clone()
    };
    let place =
        |n: usize| (ClientId::new(&format!("web-{n}")).unwrap(), NicName::new("eth0").unwrap());
    let looks = AtomicUsize::new(0);
    let mut choose: Chooser<'_> = Box::new(|_, _, waited| {
        looks.fetch_add(1, Ordering::Relaxed);
        if waited < WAIT { TalkersChoice::Wait } else { TalkersChoice::Take(None) }
    });
    let (mut waiting, mut ready, now) = (HeldChanges::default(), 0, Instant::now());
    for n in 0..HELD_MAX {
        ready += waiting.take(of(n), now, &mut choose).len();
    }
    assert_eq!((ready, waiting.len()), (0, HELD_MAX));
    // Records of other samples come, half of the incidents end, and the others have waited for long enough.
    for n in 0..HELD_MAX {
        ready += waiting.on_news(&place(n), now, &mut choose).len();
    }
    for n in 0..HELD_MAX / 2 {
        ready += waiting.take(over(&of(n)), now, &mut choose).len();
    }
    ready += waiting.on_time(now + WAIT, &mut choose).len();
    assert_eq!((ready, waiting.len(), waiting.due()), (HELD_MAX + HELD_MAX / 2, 0, None));
    drop(choose);
    assert_eq!(looks.into_inner(), 3 * HELD_MAX);
}
