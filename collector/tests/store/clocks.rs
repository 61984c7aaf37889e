//! Traces of a wrong clock, from which the store recovers by itself.

use std::sync::Arc;
use std::time::Duration;

use collector::store::clock::{CONFIRMED_BY_NOBODY, Followed, Reading, StoreClock, Witnesses};
use collector::store::{Commit, Database, Resolution, Retained, RetentionLimits, SeriesRange};
use wire::id::SessionId;
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, client, hello, sample};
use crate::suite::{Place, assert_sound, opened, raw};

const LIMITS: RetentionLimits = RetentionLimits {
    raw: Duration::from_secs(7 * 86_400),
    hot: Duration::from_secs(2 * 3600),
    rollup_1m: Duration::from_secs(30 * 86_400),
    rollup_5m: Duration::from_secs(400 * 86_400),
    quarantine: Duration::from_secs(30 * 86_400),
    alerts: Duration::from_secs(90 * 86_400),
    talkers: Duration::from_secs(7 * 86_400),
};

/// Deletes by age as the collector does, with the wall clock at `wall_ns` and this long after boot.
async fn delete(
    store: &Arc<dyn Database>,
    clock: &mut StoreClock,
    wall_ns: u64,
    boot: Duration,
) -> (Retained, Followed) {
    let seen = store.time_seen(&LIMITS).await.unwrap();
    let (now_ns, followed) = clock.read(&Reading {
        wall_ns: WallNs(wall_ns),
        boot,
        kept_ns: seen.clock_ns,
        witnesses: Witnesses::None,
        first_expiry_ns: seen.first_expiry_ns,
        shortest: LIMITS.shortest(),
    });
    store.keep_clock(clock.now_ns().unwrap()).await.unwrap();
    (store.retain(&LIMITS, now_ns).await.unwrap(), followed)
}

async fn automatic(store: &Arc<dyn Database>, from_ns: u64, to_ns: u64) -> (Resolution, usize) {
    let range = SeriesRange {
        resolution: None,
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
        ..all("web", "eth0", Resolution::Raw)
    };
    let series = store.series(&range).await.unwrap();
    (series.resolution, series.points.len())
}

async fn commit(store: &Arc<dyn Database>, agent: &mut Agent, from_ns: u64, count: u64) {
    commit_every(SECOND, store, agent, from_ns, count).await;
}

async fn commit_every(
    apart_ns: u64,
    store: &Arc<dyn Database>,
    agent: &mut Agent,
    from_ns: u64,
    count: u64,
) {
    for n in 0..count {
        let sample = sample("eth0", from_ns + n * apart_ns, n + 1);
        store.commit(&agent.next(vec![sample])).await.unwrap();
    }
}

pub async fn a_clock_two_years_ahead_deletes_nothing_and_is_kept_in_mind_over_restarts(
    place: &impl Place,
) {
    let (store, mut agent) = opened(place).await;
    commit_every(15 * MINUTE, &store, &mut agent, START, 20).await;
    let now = START + 5 * 60 * MINUTE;
    store.keep_clock(WallNs(now)).await.unwrap();
    let boot = Duration::from_secs(5000);
    let mut clock = StoreClock::default();
    // Partitions for today are deleted: the rows of this test lie in their future.
    let (done, followed) = delete(&store, &mut clock, now, boot).await;
    assert_eq!((done.rows, followed), (0, Followed::Yes));
    // Restarted, two years ahead.
    let mut clock = StoreClock::default();
    let far = now + 730 * DAY;
    for look in 0..100 {
        let passed = Duration::from_secs(look * 600);
        let far_ns = far + look * 600 * SECOND;
        let (done, followed) = delete(&store, &mut clock, far_ns, boot + passed).await;
        assert_eq!(done, Retained::default());
        assert!(matches!(followed, Followed::NotYet { .. }), "{followed:?}");
    }
    assert_eq!(
        store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq,
        Seq(20),
        "the session is known"
    );
    assert_eq!(automatic(&store, START, now).await, (Resolution::Raw, 20));
    // Even if nobody corrects the clock, not everything is deleted at once.
    let passed = CONFIRMED_BY_NOBODY + Duration::from_secs(100);
    let far_ns = far + passed.as_secs() * SECOND;
    let (done, followed) = delete(&store, &mut clock, far_ns, boot + passed).await;
    assert!(matches!(followed, Followed::CatchingUp(_)), "{followed:?}");
    assert!(done.rows <= 10 && done.partitions == 0, "{done:?}");
    assert!(raw(&store, "web", "eth0").await.len() >= 10);
    assert_sound(&store).await;
}

pub async fn rows_said_to_be_complete_from_the_future_on_are_looked_at_anew(place: &impl Place) {
    let store = place.open().await;
    for ahead in [20, 730] {
        let session = 100 + ahead;
        let id = client(&format!("web-{ahead}"));
        store.open_sessions(&id, &hello(&[session]), WallNs(START)).await.unwrap();
        let mut agent = Agent::new(&format!("web-{ahead}"), session, 1);
        // Starts long enough after the traces of the other fault.
        let start = START + ahead * DAY;
        commit(&store, &mut agent, start, 20).await;
        // An earlier collector with a fast clock did this.
        let fault = start + 21 * SECOND;
        store.retain(&LIMITS, WallNs(fault + ahead * DAY)).await.unwrap();
        store.open_sessions(&id, &hello(&[session]), WallNs(fault)).await.unwrap();
        let known = store.committed(&[session].map(SessionId::new)).await.unwrap();
        (agent.seq, agent.epoch) = (known[0].seq.get(), known[0].epoch);
        commit(&store, &mut agent, fault, 600).await;
        let now = fault + 600 * SECOND;
        store.retain(&LIMITS, WallNs(now)).await.unwrap();
        let range = |from_ns| SeriesRange {
            resolution: None,
            client: id.to_string(),
            from_ns,
            to_ns: WallNs(now),
            ..all("web", "eth0", Resolution::Raw)
        };
        let series = store.series(&range(WallNs(start + 5 * MINUTE))).await.unwrap();
        assert_eq!(series.resolution, Resolution::Raw, "{ahead} days ahead");
        assert_sound(&store).await;
        let before = store.series(&range(WallNs(start - MINUTE))).await.unwrap();
        let kept = if ahead < 400 { Resolution::Minute } else { Resolution::Raw };
        assert_eq!(before.resolution, kept, "{ahead} days ahead");
    }
}

pub async fn a_session_committed_to_under_a_clock_in_1970_is_not_forgotten(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    commit(&store, &mut agent, START, 3).await;
    // 1970 in either database.
    let first = "UPDATE sessions SET committed_at = (SELECT rollup_5m_from FROM retention)";
    place.execute(first).await;
    store.retain(&LIMITS, WallNs(START + DAY)).await.unwrap();
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(3));
    assert_sound(&store).await;
}

pub async fn a_client_once_seen_in_the_future_is_seen_today(place: &impl Place) {
    let store = place.open().await;
    let far = START + 400 * DAY;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(far)).await.unwrap();
    let seen = async || store.clients().await.unwrap()[0].last_seen_ns;
    assert_eq!(seen().await, WallNs(far));
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    assert_eq!(seen().await, WallNs(START));
}
