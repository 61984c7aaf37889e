//! Uses of tokens, counted for all collectors of a store.

use std::sync::Arc;

use collector::identity::{TokenUse, TokenUses};
use rustls::pki_types::UnixTime;
use wire::WallNs;
use wire::id::ClientId;

use crate::batches::{START, hello};
use crate::suite::Place;

fn usage(token: &str, allowed: u32) -> TokenUse {
    let now = UnixTime::now();
    TokenUse { token: token.to_owned(), allowed, expires_at: now.as_secs() + 60, now }
}

pub async fn of_many_that_take_a_use_at_once_exactly_as_many_get_one_as_there_are(
    place: &impl Place,
) {
    let store = place.open().await;
    let takers: Vec<_> = (0..16)
        .map(|_| {
            let store: Arc<dyn TokenUses> = store.clone();
            tokio::spawn(async move { store.take(&usage("a", 5)).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += u32::from(taker.await.unwrap());
    }
    assert_eq!(taken, 5);
    assert_eq!(store.used().await.unwrap(), [("a".to_owned(), 5)]);
    assert!(store.take(&usage("b", 1)).await.unwrap(), "each token has its own");
}

pub async fn a_use_given_back_can_be_taken_again_and_a_cancelled_token_has_none(
    place: &impl Place,
) {
    let store = place.open().await;
    assert!(store.take(&usage("a", 1)).await.unwrap());
    assert!(!store.take(&usage("a", 1)).await.unwrap());
    store.give_back("a").await.unwrap();
    assert!(store.take(&usage("a", 1)).await.unwrap());
    store.give_back("unknown").await.unwrap();
    for token in ["new", "a"] {
        store.use_up(&usage(token, 50)).await.unwrap();
        assert!(!store.take(&usage(token, 50)).await.unwrap());
    }
}

pub async fn an_id_is_taken_once_until_it_is_given_back_or_its_client_forgotten(
    place: &impl Place,
) {
    let (store, now) = (place.open().await, UnixTime::now());
    let [enrolled, connected] = ["web-1", "web-2"].map(|id| ClientId::new(id).unwrap());
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let (store, id) = (store.clone(), enrolled.clone());
            tokio::spawn(async move { store.take_id(&id, now).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += u32::from(taker.await.unwrap());
    }
    assert_eq!(taken, 1);
    store.give_back_id(&enrolled).await.unwrap();
    assert!(!store.has_id(&enrolled).await.unwrap());
    assert!(store.take_id(&enrolled, now).await.unwrap());
    // A client older than the list of enrolled ids.
    store.open_sessions(&connected, &hello(&[2]), WallNs(START)).await.unwrap();
    for client in [&enrolled, &connected] {
        assert!(store.has_id(client).await.unwrap() && !store.take_id(client, now).await.unwrap());
        store.forget(client, WallNs(START)).await.unwrap();
        assert!(!store.has_id(client).await.unwrap());
        assert!(store.take_id(client, now).await.unwrap(), "{client}");
        assert!(store.has_id(client).await.unwrap(), "{client} enrolled again");
    }
}

pub async fn uses_of_a_token_long_expired_are_forgotten(place: &impl Place) {
    let store = place.open().await;
    let day = 86_400;
    let long_ago = UnixTime::now().as_secs() - 401 * day;
    let old = TokenUse { expires_at: long_ago, ..usage("old", 1) };
    let recent = TokenUse { expires_at: long_ago + 2 * day, ..usage("recent", 1) };
    for token in [&old, &recent] {
        assert!(store.take(token).await.unwrap());
    }
    assert_eq!(store.used().await.unwrap(), [("recent".to_owned(), 1)]);
}
