//! The register of clients: forgetting and re-admitting them.

use collector::identity::Revocation;
use collector::store::{Commit, Registered, Resolution, SignOut, StoreError};
use wire::message::{Inventory, Nic};
use wire::tag::TagSet;
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, SECOND, START, all, batch, client, hello, nic, sample};
use crate::suite::{Place, assert_sound};

pub async fn a_forgotten_client_is_listed_no_more_until_it_is_let_in_again(place: &impl Place) {
    let store = place.open().await;
    for id in ["web", "db"] {
        let session = if id == "web" { 1 } else { 2 };
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
    }
    let mut agent = Agent::new("web", 1, 1);
    store.commit(&agent.next(vec![sample("eth0", START, 1)])).await.unwrap();
    store.forget(&client("web"), WallNs(START + SECOND)).await.unwrap();
    let listed = store.clients().await.unwrap();
    assert_eq!(listed.iter().map(|it| it.client.as_str()).collect::<Vec<_>>(), ["db"]);
    let mut registered = store.registered().await.unwrap();
    registered.sort_by(|a, b| a.client.cmp(&b.client));
    let [db, web] = &registered[..] else { panic!("{registered:?}") };
    assert_eq!((db.client.as_str(), db.forgotten_ns, db.last_seen_ns), ("db", None, WallNs(START)));
    assert_eq!((web.client.as_str(), web.forgotten_ns), ("web", Some(WallNs(START + SECOND))));
    assert_eq!(web.alias, "the web server");
    // A connection that is still open. Its data is committed, so that nothing is lost if forgetting was
    // a mistake.
    store.commit(&agent.next(vec![sample("eth0", START + SECOND, 2)])).await.unwrap();
    for session in [1, 3] {
        match store.open_sessions(&client("web"), &hello(&[session]), WallNs(START)).await {
            Err(StoreError::Forgotten { client, at_ns }) => {
                assert_eq!((client.as_str(), at_ns), ("web", WallNs(START + SECOND)));
            }
            other => panic!("{other:?}"),
        }
    }
    store.readmit(&client("web")).await.unwrap();
    let states = store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    assert_eq!((states[0].seq, states[0].epoch.0), (Seq(2), 2), "nothing was opened meanwhile");
    assert_eq!(store.clients().await.unwrap().len(), 2);
    assert_sound(&store).await;
}

pub async fn a_client_that_never_connected_can_be_forgotten(place: &impl Place) {
    let store = place.open().await;
    store.forget(&client("new"), WallNs(START)).await.unwrap();
    let [Registered { client: id, forgotten_ns, .. }] = &store.registered().await.unwrap()[..]
    else {
        panic!("one");
    };
    assert_eq!((id.as_str(), *forgotten_ns), ("new", Some(WallNs(START))));
    assert_eq!(store.clients().await.unwrap(), []);
    store.readmit(&client("new")).await.unwrap();
    store.open_sessions(&client("new"), &hello(&[1]), WallNs(START)).await.unwrap();
    assert_eq!(store.clients().await.unwrap()[0].alias, "the web server");
}

pub async fn revocations_are_for_all_collectors_and_only_rise(place: &impl Place) {
    let store = place.open().await;
    let other = store.clone();
    let revocation = |generation, revoked_at, forgotten| Revocation {
        generation,
        revoked_at,
        forgotten,
        replaced: !forgotten,
    };
    let (first, second) = (revocation(7, 70, true), revocation(9, 90, false));
    assert_eq!(store.revocations(0).await.unwrap(), []);
    store.keep_revocation(&client("web"), &first).await.unwrap();
    other.keep_revocation(&client("db"), &second).await.unwrap();
    let known = store.revocations(0).await.unwrap();
    let names: Vec<_> = known.iter().map(|it| (it.client.as_str(), &it.revocation)).collect();
    assert_eq!(names, [("web", &first), ("db", &second)]);
    let seen = known[1].change;
    assert!(known[0].change < seen);
    assert_eq!(other.revocations(seen).await.unwrap(), []);
    // A store that was reset to an earlier state returns everything it has.
    assert_eq!(other.revocations(seen + 1).await.unwrap(), known);
    // A change that isn't newer is ignored; a newer one becomes the last change.
    for (revocation, changed) in
        [(revocation(7, 71, false), false), (revocation(6, 99, false), false), (second, true)]
    {
        other.keep_revocation(&client("web"), &revocation).await.unwrap();
        let news = store.revocations(seen).await.unwrap();
        assert_eq!(news.len(), usize::from(changed), "{news:?}");
        for told in news {
            assert_eq!((told.client.as_str(), &told.revocation), ("web", &revocation));
        }
    }
    // Clocks may be wrong by ages.
    store.keep_revocation(&client("far"), &revocation(u64::MAX, u64::MAX, true)).await.unwrap();
    let far = store.revocations(0).await.unwrap().pop().unwrap();
    assert_eq!(far.revocation.generation, u64::MAX >> 1);
}

pub async fn purging_leaves_no_row_of_a_client_and_all_of_the_others(place: &impl Place) {
    let store = place.open().await;
    let mut agents = [("web", 1), ("db", 2)].map(|(id, session)| Agent::new(id, session, 1));
    for agent in &mut agents {
        let opened =
            store.open_sessions(&agent.client, &hello(&[agent.session.get()]), WallNs(START)).await;
        opened.unwrap();
        for (later, up) in [(0, true), (1, false)] {
            let nic = Nic { name: nic("eth0"), index: 2, up, ..Nic::default() };
            let inventory = Inventory { nics: vec![nic] };
            let at = START + later * SECOND;
            store.record_inventory(&agent.client, &inventory, WallNs(at)).await.unwrap();
        }
        for n in 0..4 {
            let more = agent.next(vec![
                sample("eth0", START + n * SECOND, n),
                sample("eth1", START + n * SECOND, n),
            ]);
            store.commit(&more).await.unwrap();
        }
        let gap = agent.record(3, 1, vec![sample("eth0", START + 9 * SECOND, 5)]);
        store.commit(&batch([agent.batch(vec![gap])])).await.unwrap();
    }
    for id in ["web", "db"] {
        let tags = TagSet::new(["site=ams".parse().unwrap()]).unwrap();
        store.record_tags(&client(id), &tags, WallNs(START), WallNs(START)).await.unwrap();
    }
    let before = raw(&store, "db").await;
    let late = agents[0].next(vec![sample("eth0", START + 20 * SECOND, 1)]);
    store.keep_clock(WallNs(START + 2 * DAY)).await.unwrap();
    while store.end_days().await.unwrap() {}
    store.forget(&client("web"), WallNs(START)).await.unwrap();
    assert!(store.purge(&client("web")).await.unwrap() >= 8 + 4);
    assert_eq!(raw(&store, "web").await, []);
    assert_eq!(raw(&store, "db").await, before);
    for table in [
        "bandwidth_stats",
        "bandwidth_1m",
        "bandwidth_5m",
        "gaps",
        "sessions",
        "link_changes",
        "tag_intervals",
        "client_days",
        "nics",
    ] {
        let of = "client = (SELECT id FROM clients WHERE client_id = 'web')";
        let rows = place.numbers(&format!("SELECT count(*) FROM {table} WHERE {of}")).await;
        assert_eq!(rows, [0], "{table}");
        let others = place.numbers(&format!("SELECT count(*) FROM {table}")).await;
        assert!(others[0] > 0, "{table}");
    }
    assert_sound(&store).await;
    // A collector's pending commit finds no session any more.
    assert!(matches!(store.commit(&late).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.purge(&client("web")).await.unwrap(), 0);
    // The same numbers start again.
    store.readmit(&client("web")).await.unwrap();
    store.open_sessions(&client("web"), &hello(&[7]), WallNs(START)).await.unwrap();
    let mut again = Agent::new("web", 7, 1);
    store.commit(&again.next(vec![sample("eth0", START + 30 * SECOND, 1)])).await.unwrap();
    assert_eq!(raw(&store, "web").await.len(), 1);
    assert_sound(&store).await;
}

async fn raw(
    store: &std::sync::Arc<dyn collector::store::Database>,
    client: &str,
) -> Vec<collector::store::Point> {
    store.series(&all(client, "eth0", Resolution::Raw)).await.unwrap().points
}

pub async fn signing_out_is_for_all_collectors_until_the_session_would_have_ended(
    place: &impl Place,
) {
    let store = place.open().await;
    let out = |session: &str, ends_at| SignOut { session: session.to_owned(), ends_at };
    assert_eq!(store.sign_outs(0).await.unwrap(), (vec![], 0));
    for (session, ends_at) in [("a", 100), ("b", 200), ("a", 100)] {
        store.keep_sign_out(&out(session, ends_at), 50).await.unwrap();
    }
    let (both, last) = store.sign_outs(0).await.unwrap();
    assert_eq!(both, [out("a", 100), out("b", 200)]);
    assert_eq!(store.sign_outs(last).await.unwrap(), (vec![], last));
    // A store that was reset to an earlier state returns everything it has.
    assert_eq!(store.sign_outs(last + 1).await.unwrap(), (both, last));
    store.keep_sign_out(&out("c", 300), 150).await.unwrap();
    assert_eq!(store.sign_outs(0).await.unwrap().0, [out("b", 200), out("c", 300)]);
    let (news, later) = store.sign_outs(last).await.unwrap();
    assert_eq!(news, [out("c", 300)]);
    // All have ended. Later changes still get higher numbers.
    store.keep_sign_out(&out("d", 900), 800).await.unwrap();
    assert_eq!(store.sign_outs(later).await.unwrap().0, [out("d", 900)]);
}
