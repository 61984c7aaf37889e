//! Batches, and the sessions that they advance.

use collector::store::{Commit, Epoch, Point, SessionState, StoreError};
use wire::frame::{Sample, flags};
use wire::id::SessionId;
use wire::{Seq, WallNs};

use super::place::{Place, assert_sound, opened, raw};
use crate::batches::{Agent, SECOND, START, batch, client, hello, point, sample};

fn conflict<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Vec<u64> {
    match outcome {
        Err(StoreError::Conflict { sessions }) => {
            sessions.into_iter().map(SessionId::get).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub async fn what_is_committed_is_read_back_exactly(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> = (0..4).map(|n| sample("eth0", START + n * SECOND / 2, n)).collect();
    let other = Sample { flags: flags::STACKED | flags::PARTIAL, ..sample("bond0", START, 9) };
    let first = agent.frame(vec![samples[0], other, samples[1]]);
    let second = agent.frame(vec![samples[2], samples[3]]);
    let digest = wire::codec::digest(&second);
    store.commit(&batch([agent.batch(vec![first, second])])).await.unwrap();
    let expected: Vec<Point> = samples.iter().map(point).collect();
    assert_eq!(raw(&store, "web", "eth0").await, expected);
    assert_eq!(raw(&store, "web", "bond0").await, [point(&other)]);
    assert_eq!(raw(&store, "web", "eth1").await, []);
    assert_eq!(raw(&store, "db", "eth0").await, []);
    let state = SessionState {
        session: SessionId::new(1),
        seq: Seq(2),
        epoch: Epoch(1),
        digest: Some(digest),
    };
    assert_eq!(store.committed(&[1, 77].map(SessionId::new)).await.unwrap(), [state]);
    assert_sound(&store).await;
    store.ready().await.unwrap();
}

pub async fn a_batch_that_expects_another_number_is_refused_whole_and_by_name(place: &impl Place) {
    let (store, mut good) = opened(place).await;
    let sessions = [u64::MAX, 3];
    store.open_sessions(&client("db"), &hello(&sessions), WallNs(START)).await.unwrap();
    let mut ahead = Agent::new("db", u64::MAX, 1);
    ahead.frame(vec![]);
    let unknown = Agent::new("db", 4, 1);
    let parts = [&mut good, &mut ahead, &mut unknown.clone()].map(|agent| {
        let frame = agent.frame(vec![sample("eth0", START, 1)]);
        agent.batch(vec![frame])
    });
    let mut named = conflict(store.commit(&batch(parts.clone())).await);
    named.sort_unstable();
    assert_eq!(named, [4, u64::MAX]);
    assert_eq!(raw(&store, "web", "eth0").await, [], "nothing of it was committed");
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(0));
    let [first, ..] = parts;
    store.commit(&batch([first])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn an_older_opening_can_not_commit(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let late = agent.next(vec![sample("eth0", START, 1)]);
    let states = store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    assert_eq!(
        states,
        [SessionState { session: SessionId::new(1), seq: Seq(0), epoch: Epoch(2), digest: None }]
    );
    assert_eq!(conflict(store.commit(&late).await), [1]);
    let mut agent = Agent::new("web", 1, 2);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
}

pub async fn a_batch_is_never_counted_twice(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let batch = agent.next(vec![sample("eth0", START, 1)]);
    store.commit(&batch).await.unwrap();
    assert_eq!(conflict(store.commit(&batch).await), [1]);
    assert_eq!(raw(&store, "web", "eth0").await.len(), 1);
    assert_sound(&store).await;
}

pub async fn of_two_commits_of_the_same_numbers_one_wins(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    for n in 0..10 {
        let batch = agent.next(vec![sample("eth0", START + n * SECOND, n)]);
        let commits = [0; 4].map(|_| {
            let (store, batch) = (store.clone(), batch.clone());
            tokio::spawn(async move { store.commit(&batch).await })
        });
        let mut won = 0;
        for commit in commits {
            match commit.await.unwrap() {
                Ok(_) => won += 1,
                refused => assert_eq!(conflict(refused), [1]),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(raw(&store, "web", "eth0").await.len(), 10);
    assert_sound(&store).await;
}

pub async fn frames_that_leave_numbers_out_are_refused(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let first = agent.frame(vec![sample("eth0", START, 1)]);
    agent.frame(vec![]);
    let third = agent.frame(vec![sample("eth0", START + SECOND, 1)]);
    assert_eq!(conflict(store.commit(&batch([agent.batch(vec![first, third])])).await), [1]);
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(0));
}

pub async fn a_session_of_another_client_is_refused(place: &impl Place) {
    let (store, _) = opened(place).await;
    let error =
        store.open_sessions(&client("db"), &hello(&[2, 1]), WallNs(START)).await.unwrap_err();
    let StoreError::ForeignSession { session, owner, client: who } = error else {
        panic!("{error}");
    };
    assert_eq!((session.get(), owner.as_str(), who.as_str()), (1, "web", "db"));
    assert_eq!(
        store.committed(&[1, 2].map(SessionId::new)).await.unwrap().len(),
        1,
        "nothing was opened"
    );
    let mut thief = Agent::new("db", 1, 1);
    let stolen = thief.next(vec![sample("eth0", START, 1)]);
    assert_eq!(conflict(store.commit(&stolen).await), [1]);
}

pub async fn opening_again_keeps_what_is_committed(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let batch = agent.next(vec![sample("eth0", START, 1)]);
    let digest = wire::codec::digest(&batch.sessions[0].frames[0]);
    store.commit(&batch).await.unwrap();
    let states = store.open_sessions(&client("web"), &hello(&[9, 1]), WallNs(START)).await.unwrap();
    let expected = [
        SessionState { session: SessionId::new(9), seq: Seq(0), epoch: Epoch(1), digest: None },
        SessionState {
            session: SessionId::new(1),
            seq: Seq(1),
            epoch: Epoch(2),
            digest: Some(digest),
        },
    ];
    assert_eq!(states, expected, "in the order of the Hello");
}

pub async fn all_is_there_after_opening_the_store_again(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.committed(&[1].map(SessionId::new)).await.unwrap()[0].seq, Seq(1));
    store.commit(&agent.next(vec![sample("eth0", START + SECOND, 1)])).await.unwrap();
    assert_eq!(raw(&store, "web", "eth0").await.len(), 2);
    assert_sound(&store).await;
}
