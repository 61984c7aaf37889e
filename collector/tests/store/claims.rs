//! Claims of clients' places, shared by the collectors of one database.

use std::sync::Arc;

use collector::store::{Database, Holder, Lost, PlaceId, Question};
use wire::WallNs;
use wire::id::SessionId;
use wire::message::{Claim, HostKey};

use crate::batches::{START, client, hello};
use crate::cluster;
use crate::postgres;

/// A separate host at each collector.
fn holder(collector: u64) -> Holder {
    let host = HostKey { machine: [1; 16], boot: [2; 16] };
    let claim = Claim { host, session: SessionId::new(collector) };
    Holder { place: PlaceId { collector, number: 1 }, claim, address: "192.0.2.1".parse().unwrap() }
}

async fn store() -> (String, Arc<dyn Database>) {
    let url = cluster::new_database().await;
    let store: Arc<dyn Database> = Arc::new(postgres::store(&url));
    store.open_sessions(&client("other"), &hello(&[9]), WallNs(START)).await.unwrap();
    (url, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_collector_keeps_a_place_until_its_host_had_the_time_to_come() {
    let ((url, store), web) = (store().await, client("web"));
    let [first, second] = [holder(1), holder(2)];
    assert_eq!(store.claim(&web, &first, None).await.unwrap(), None);
    let later = "UPDATE claims SET asked_since = asked_since - interval '35 seconds'";
    // An old question that was answered doesn't count.
    let question = store.ask(&web, first.place).await.unwrap().unwrap();
    let answered = |number| Question { client: web.clone(), place: 1, number };
    store.answer(1, &answered(question)).await.unwrap();
    cluster::execute(&url, later).await;
    let question = store.ask(&web, first.place).await.unwrap().unwrap();
    let lost = Some(Lost::Silent(first.place, question));
    assert_eq!(store.claim(&web, &second, lost).await.unwrap(), Some(first), "too early");
    // An answer arrives before the claim.
    cluster::execute(&url, later).await;
    store.answer(1, &answered(question)).await.unwrap();
    assert_eq!(store.claim(&web, &second, lost).await.unwrap(), Some(first), "answered");
    // No answer arrives, although the question is repeated.
    let question = store.ask(&web, first.place).await.unwrap().unwrap();
    cluster::execute(&url, later).await;
    store.ask(&web, first.place).await.unwrap();
    let lost = Some(Lost::Silent(first.place, question));
    assert_eq!(store.claim(&web, &second, lost).await.unwrap(), None);
    // The same run of the same agent waits for nothing.
    let moved = Holder { place: PlaceId { collector: 3, number: 7 }, ..second };
    assert_eq!(store.claim(&web, &moved, None).await.unwrap(), None);
    // A place whose connection to the same collector has ended is free at once.
    let next = Holder { place: PlaceId { collector: 3, number: 8 }, ..first };
    assert_eq!(store.claim(&web, &next, None).await.unwrap(), Some(moved));
    let lost = Some(Lost::Ended(moved.place));
    assert_eq!(store.claim(&web, &next, lost).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_the_database_has_lost_is_claimed_again_unless_another_has_it() {
    let ((url, store), web) = (store().await, client("web"));
    let [first, second] = [holder(1), holder(2)];
    assert_eq!(store.claim(&web, &first, None).await.unwrap(), None);
    cluster::execute(&url, "DELETE FROM claims").await;
    assert_eq!(store.claim_again(&web, &first).await.unwrap(), None);
    assert_eq!(store.held(1).await.unwrap(), Some(vec![("web".to_owned(), 1)]));
    assert_eq!(store.claim_again(&web, &first).await.unwrap(), None, "its own");
    cluster::execute(&url, "DELETE FROM claims").await;
    assert_eq!(store.claim(&web, &second, None).await.unwrap(), None);
    assert_eq!(store.claim_again(&web, &first).await.unwrap(), Some(second));
    // Once the run has moved, its old connection claims nothing back.
    let moved = Holder { place: PlaceId { collector: 3, number: 7 }, ..second };
    assert_eq!(store.claim(&web, &moved, None).await.unwrap(), None);
    assert_eq!(store.claim_again(&web, &second).await.unwrap(), Some(moved));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_forgotten_has_no_place() {
    let ((_, store), web) = (store().await, client("web"));
    assert_eq!(store.claim(&web, &holder(1), None).await.unwrap(), None);
    store.forget(&web, WallNs(START)).await.unwrap();
    assert_eq!(store.held(1).await.unwrap(), Some(vec![]));
}
