//! No client can harm others through the writer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::store::commit::Misdated;
use collector::store::dates::Dates;
use collector::store::rows::near::Near;
use collector::store::{
    Batch, Commit, Database, EventKind, NicRange, Resolution, RetentionLimits, SeriesRange,
};
use collector::writer::{
    BatchLimits, ClientShare, Heed, OpenSession, Progress, Surroundings, Writer, WriterHandle,
};
use testbed::{PATIENCE, in_time};
use tokio::sync::watch;
use wire::Bytes;
use wire::frame::{Frame, Mix};
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, nic, sample};
use crate::suite::{Place, minute};

const LIMITS: BatchLimits =
    BatchLimits { max_delay: Duration::from_millis(20), ..BatchLimits::DEFAULT };

/// A client with a session, and its connection's view of the writer.
struct Connected {
    agent: Agent,
    writer: WriterHandle,
    progress: watch::Receiver<Progress>,
}

impl Connected {
    async fn open(
        store: &Arc<dyn Database>,
        writer: &WriterHandle,
        id: &str,
        session: u64,
    ) -> Self {
        let opened =
            store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        let (epoch, committed) = (opened[0].epoch, opened[0].seq);
        let open =
            OpenSession { client: client(id), session: SessionId::new(session), epoch, committed };
        let mut agent = Agent::new(id, session, epoch.0);
        agent.seq = committed.get();
        Self { agent, writer: writer.clone(), progress: writer.open(open, Heed::all()) }
    }

    async fn submit(&mut self, frame: Frame) {
        let reservation = self.writer.reserve(&frame, &ClientShare::new(1 << 30)).await.unwrap();
        self.writer.submit(self.agent.epoch, frame, reservation);
    }

    /// Delivers a frame. Returns the time until it is committed.
    async fn deliver(&mut self, n: u64) -> Duration {
        let begun = Instant::now();
        let frame = self.agent.frame(vec![sample("eth0", START + n * SECOND, 1)]);
        self.submit(frame).await;
        self.committed().await;
        begun.elapsed()
    }

    async fn committed(&mut self) -> Progress {
        let seq = self.agent.seq;
        let committed = self.progress.wait_for(|progress| progress.committed == Seq(seq));
        let committed = tokio::time::timeout(5 * PATIENCE, committed).await;
        committed.expect("not committed in time").unwrap().clone()
    }
}

/// Delivers honestly until stopped. Returns the longest time of a commit.
async fn honest(mut web: Connected, mut stop: watch::Receiver<bool>) -> (Connected, Duration) {
    let (mut longest, mut n) = (Duration::ZERO, 0);
    while !*stop.borrow_and_update() {
        longest = longest.max(web.deliver(n).await);
        n += 1;
    }
    (web, longest)
}

/// Delivers `frames` as a hostile client beside an honest one. Returns the honest client's longest
/// commit times, alone and beside the attack, and what the hostile client was told.
async fn beside(
    place: &impl Place,
    frames: u64,
    hostile: impl Fn(u64, &mut Frame),
) -> (Arc<dyn Database>, [Duration; 2], Progress) {
    let store = place.open().await;
    let writer = Writer::start(store.clone(), LIMITS, 64 << 20, Surroundings::default());
    let handle = writer.handle();
    let web = Connected::open(&store, &handle, "web", 1).await;
    let mut flood = Connected::open(&store, &handle, "flood", 2).await;
    let (stop, stopped) = watch::channel(false);
    let alone = tokio::spawn(honest(web, stopped.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.send_replace(true);
    let (web, alone) = alone.await.unwrap();
    stop.send_replace(false);
    let beside = tokio::spawn(honest(web, stopped));
    for n in 0..frames {
        let mut frame = flood.agent.frame(vec![sample("eth0", START + n % 60 * SECOND, 1)]);
        hostile(n, &mut frame);
        flood.submit(frame).await;
    }
    let told = flood.committed().await;
    stop.send_replace(true);
    let (_, beside) = beside.await.unwrap();
    writer.stop(PATIENCE).await;
    (store, [alone, beside], told)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_has_no_room_nothing_is_written_and_the_reason_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netmon.sqlite");
    let store: Arc<dyn Database> =
        Arc::new(collector::store::sqlite::SqliteStore::open(&path).unwrap());
    let why = Some("too little room".to_owned());
    let (disk, held) = watch::channel(why.clone());
    let surroundings = Surroundings { held: Some(held), ..Surroundings::default() };
    let writer = Writer::start(store.clone(), LIMITS, 1 << 20, surroundings);
    let handle = writer.handle();
    let mut state = handle.changes();
    let mut web = Connected::open(&store, &handle, "web", 1).await;
    let frame = web.agent.frame(vec![sample("eth0", START, 1)]);
    web.submit(frame).await;
    in_time("the reason", state.wait_for(|it| *it == why)).await.unwrap();
    tokio::time::sleep(LIMITS.max_delay * 5).await;
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(0));
    disk.send_replace(None);
    web.committed().await;
    assert_eq!(*state.borrow_and_update(), None);
    // Full again: frames that wait when the collector stops stay with the agents.
    disk.send_replace(why);
    let frame = web.agent.frame(vec![sample("eth0", START + SECOND, 1)]);
    web.submit(frame).await;
    writer.stop(PATIENCE).await;
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_before_the_stores_clock_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netmon.sqlite");
    let store: Arc<dyn Database> =
        Arc::new(collector::store::sqlite::SqliteStore::open(&path).unwrap());
    let dates = Dates::awaited();
    let surroundings = Surroundings { dates: dates.clone(), held: None };
    let writer = Writer::start(store.clone(), LIMITS, 1 << 20, surroundings);
    let mut web = Connected::open(&store, &writer.handle(), "web", 1).await;
    let far = 9_000_000_000 * SECOND;
    let frame = web.agent.frame(vec![sample("eth0", START, 1), sample("eth0", far, 1)]);
    web.submit(frame).await;
    tokio::time::sleep(LIMITS.max_delay * 5).await;
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(0));
    dates.set(WallNs(START), collector::time::boot(), RetentionLimits::default().longest());
    web.committed().await;
    let kept = store.series(&all("web", "eth0", Resolution::Raw)).await.unwrap().points;
    assert!(kept.iter().all(|it| it.start_ns == WallNs(START)), "{kept:?}");
    writer.stop(PATIENCE).await;
}

pub async fn figures_beyond_any_link_delay_nobody(place: &impl Place) {
    let (store, [alone, beside], told) = beside(place, 20_000, |n, frame| {
        if n % 2 == 0 {
            frame.samples[0].rx.bytes = Bytes(i64::MAX.cast_unsigned());
        }
    })
    .await;
    // A second on an idle machine; hours before batches were split.
    eprintln!("20,000 frames of 2^63-1: honest commits {alone:?} alone, {beside:?} beside");
    assert!(beside < PATIENCE, "{beside:?}; {alone:?} alone");
    let told = told.quarantined.expect("it is told");
    assert!(told.contains("more than any link carries"), "{told}");
    assert_eq!(place.numbers("SELECT count(*) FROM quarantine").await, [10_000]);
    assert_eq!(store.committed(&[2].map(SessionId::new)).await.unwrap()[0].seq, Seq(20_000));
}

pub async fn sums_that_no_column_holds_delay_nobody_and_are_quarantined_whole(place: &impl Place) {
    // Each is possible by itself, but a few hundred in one minute are not.
    let (store, [alone, beside], told) = beside(place, 5000, |_, frame| {
        frame.samples[0].rx.bytes = Bytes(wire::bounds::FIGURE_MAX);
    })
    .await;
    eprintln!("5000 frames of 2^56: honest commits {alone:?} alone, {beside:?} beside");
    assert!(beside < PATIENCE, "{beside:?}; {alone:?} alone");
    assert!(told.quarantined.is_some(), "it is told");
    assert_eq!(store.committed(&[2].map(SessionId::new)).await.unwrap()[0].seq, Seq(5000));
    let kept = place.numbers("SELECT count(*) FROM bandwidth_stats WHERE client = 2").await[0];
    let refused = place.numbers("SELECT count(*) FROM quarantine").await[0];
    assert_eq!(kept + refused, 5000);
    let findings = store.check().await.unwrap().findings;
    assert!(findings.iter().all(|it| it.contains("flood")), "{findings:?}");
    // The minute is full, the next one is not.
    let mut agent = Agent::new("flood", 2, 1);
    agent.seq = 5000;
    store.commit(&agent.next(vec![sample("eth0", START + 9 * MINUTE, 1)])).await.unwrap();
    let refused_now = place.numbers("SELECT count(*) FROM quarantine").await[0];
    assert_eq!(refused, refused_now);
}

pub async fn sums_beyond_64_bits_break_neither_proof_nor_views_nor_retention(place: &impl Place) {
    let store = place.open().await;
    let figure = wire::bounds::FIGURE_MAX;
    // Two sessions of one NIC, each near the limit of 64 bits, in the shortest samples.
    for session in [7, 8] {
        let opened = store.open_sessions(&client("flood"), &hello(&[session]), WallNs(START)).await;
        let mut agent = Agent::new("flood", session, opened.unwrap()[0].epoch.0);
        let start_ns = START + session * 10 * MINUTE;
        let frames = (0..100).map(|n| {
            let mut sample = sample("eth0", start_ns + n, 1);
            (sample.interval_ns, sample.rx.bytes) = (1, Bytes(figure));
            let mut frame = agent.frame(vec![sample]);
            let mut mix = Mix {
                nic: nic("eth0"),
                start_ns: WallNs(start_ns),
                interval_ns: 1,
                ..Mix::default()
            };
            mix.rx.tcp_bytes = Bytes(figure);
            frame.mixes.push(mix);
            frame
        });
        let frames = frames.collect();
        let taken = store.commit(&batch([agent.batch(frames)])).await.unwrap();
        assert_eq!(taken.quarantined, []);
    }
    let (mut web, _) = (Agent::new("web", 1, 1), opened_web(&store).await);
    store.commit(&web.next(vec![sample("eth0", START, 1)])).await.unwrap();
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let sums: Vec<i128> = report.nics.iter().map(|it| it.counted.rx_bytes).collect();
    assert_eq!(sums, [200 * i128::from(figure), 1001]);
    let views = [
        ("bandwidth_report WHERE download_speed > 0 AND avg_download_packet_size > 0", 201),
        ("bandwidth_rates_5m WHERE rx_bits_per_second > 0", 3),
        ("bandwidth_samples", 201),
    ];
    for (view, rows) in views {
        let count = format!("SELECT count(*) FROM {view}");
        assert_eq!(place.numbers(&count).await, [rows], "{view}");
    }
    let range = NicRange {
        client: "flood".into(),
        nic: "eth0".into(),
        from_ns: WallNs(0),
        to_ns: WallNs(START + DAY),
    };
    assert_eq!(store.mix(&range).await.unwrap().rx.tcp_bytes, Bytes(200 * figure));
    let coarse = SeriesRange { limit: 1, ..all("flood", "eth0", Resolution::Raw) };
    let points = store.series(&coarse).await.unwrap().points;
    assert_eq!((points.len(), points[0].rx.bytes), (1, Bytes(200 * figure)));
    // Everything is deleted by age, including the sessions.
    store.retain(&RetentionLimits::default(), WallNs(START + 10_000 * DAY)).await.unwrap();
    assert_eq!(place.numbers("SELECT count(*) FROM bandwidth_5m").await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM sessions").await, [0]);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}

async fn opened_web(store: &Arc<dyn Database>) {
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
}

pub async fn samples_dated_far_off_are_kept_with_their_counts_for_a_month(place: &impl Place) {
    let store = place.open().await;
    opened_web(&store).await;
    let mut agent = Agent::new("web", 1, 1);
    let now = START;
    let dates =
        [5 * SECOND, now - 1000 * DAY, now, now + DAY, now + 730 * DAY, 9_000_000_000 * SECOND];
    let mut frames =
        dates.map(|at| agent.frame(vec![sample("eth0", at, 1), sample("eth1", at, 2)]));
    for (at, frame) in dates.into_iter().zip(&mut frames).skip(1).take(4) {
        frame.mixes.push(Mix { nic: nic("eth0"), start_ns: WallNs(at), ..Mix::default() });
        frame.talkers.push(minute(at, 1));
    }
    let mut delivered = Batch::clone(&batch([agent.batch(frames.to_vec())]));
    delivered.near = Near::of([WallNs(now)], RetentionLimits::default().longest());
    let taken = store.commit(&Arc::new(delivered)).await.unwrap();
    let Misdated { samples, mixes, talkers, .. } = taken.misdated[0];
    assert_eq!((samples, mixes, talkers), (8, 2, 2));
    let count = async |rows: &str| place.numbers(&format!("SELECT count(*) FROM {rows}")).await[0];
    assert_eq!(count("bandwidth_stats").await, 4);
    assert_eq!(count("talkers").await, 4);
    assert_eq!(count("gaps WHERE reason = 6 AND time IS NOT NULL AND rx_bytes > 0").await, 8);
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.nics[0].counted, report.nics[0].totals);
    let range = NicRange {
        client: "web".into(),
        nic: "eth0".into(),
        from_ns: WallNs(0),
        to_ns: WallNs(u64::MAX >> 1),
    };
    let events = store.events(&range, 100).await.unwrap();
    let far = events.iter().filter(|it| matches!(it.kind, EventKind::Gap { reason: 6, .. }));
    assert_eq!(
        far.map(|it| it.time_ns.get()).collect::<Vec<_>>(),
        [dates[0], dates[1], dates[4], dates[5]]
    );
    // By this machine's clock, they arrived now.
    let wall = collector::time::now_ns();
    let kept = RetentionLimits::default();
    store.retain(&kept, wall + 29 * DAY).await.unwrap();
    assert_eq!(count("gaps").await, 8);
    let done = store.retain(&kept, wall + 31 * DAY).await.unwrap();
    assert_eq!((count("gaps").await, done.rows >= 8), (0, true), "{done:?}");
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.nics[0].counted, report.nics[0].totals, "their sums stay known");
}

pub async fn a_session_that_began_in_the_future_is_forgotten_too(place: &impl Place) {
    let store = place.open().await;
    let mut far = hello(&[1]);
    far.sessions[0].started_ns = WallNs(i64::MAX.cast_unsigned());
    store.open_sessions(&client("web"), &far, WallNs(START)).await.unwrap();
    store.retain(&RetentionLimits::default(), WallNs(START + 10_000 * DAY)).await.unwrap();
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap(), []);
}
