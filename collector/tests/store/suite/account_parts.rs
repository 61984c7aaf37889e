//! Running cycles are read in parts, and say the same as the whole.

use std::sync::Arc;

use collector::accounts::{AccountBook, Statement, bill};
use collector::store::{Commit, Database};
use wire::frame::Sample;
use wire::message::{Inventory, Nic};
use wire::tag::TagSet;
use wire::{Bytes, WallNs};

use super::accounts::account;
use super::place::Place;
use super::views::rate;
use crate::batches::{Agent, MINUTE, START, client, hello, nic};

/// A round at a minute of the cycle, and what reading it whole says.
async fn renewed(
    store: &Arc<dyn Database>,
    book: &AccountBook,
    minute: u64,
) -> (Statement, Statement) {
    let now = WallNs(START + minute * MINUTE);
    book.renew(now).await.unwrap();
    let whole = bill(&**store, &book.accounts()[0], None, now).await.unwrap();
    (book.latest()[0].clone(), whole)
}

/// Minutes of traffic of a NIC.
fn minutes(name: &str, range: std::ops::Range<u64>, bytes: u64) -> Vec<Sample> {
    let sample = |n| rate(START + n * MINUTE, MINUTE, (bytes + n, 1), (n, 1));
    range.map(sample).map(|sample| Sample { nic: nic(name), ..sample }).collect()
}

pub async fn a_running_cycle_read_in_parts_is_what_the_whole_says(place: &impl Place) {
    let store = place.open().await;
    let mut agents = Vec::new();
    let tags = |text: &str| TagSet::new([text.parse().unwrap()]).unwrap();
    for (session, id) in [(1, "web"), (2, "db")] {
        store.open_sessions(&client(id), &hello(&[session]), WallNs(START)).await.unwrap();
        store
            .record_tags(&client(id), &tags("site=ams"), WallNs(START), WallNs(START))
            .await
            .unwrap();
        agents.push(Agent::new(id, session, 1));
    }
    let of = |keys: &str| vec![account(&format!(r#""members": ["site=ams"], {keys}"#))];
    // Whole cycles are never read again because of their age.
    let book = AccountBook::with_share(store.clone(), of(r#""rule": "sum""#), u32::MAX);
    let mut commit = async |which: usize, samples: Vec<Sample>| {
        for some in samples.chunks(500) {
            store.commit(&agents[which].next(some.to_vec())).await.unwrap();
        }
    };
    commit(0, minutes("eth0", 0..360, 1000)).await;
    commit(1, minutes("eth0", 0..360, 5000)).await;
    let (part, whole) = renewed(&store, &book, 362).await;
    assert_eq!(part, whole);
    assert!(part.used_bytes > Bytes(0) && part.metered.p95.bits_per_second.is_some());
    // What is new, and a NIC that is.
    commit(0, minutes("eth0", 360..373, 1000)).await;
    commit(1, minutes("eth1", 365..373, 70)).await;
    let (part, whole) = renewed(&store, &book, 374).await;
    assert_eq!(part, whole);
    assert_eq!(part.metered.nics.len(), 3);
    // A host that leaves the site.
    let at = WallNs(START + 375 * MINUTE);
    store.record_tags(&client("db"), &tags("site=fra"), at, at).await.unwrap();
    let (part, whole) = renewed(&store, &book, 376).await;
    assert_eq!(part, whole);
    let stays = part.metered.nics[0].stays.as_ref().unwrap();
    assert_eq!(stays[0].to.0, at, "a mark");
    // Of what comes later than an hour, the statement knows nothing until the cycle is read whole: it lies in its
    // range. Other terms read it whole.
    commit(0, minutes("eth2", 60..61, 9_000_000)).await;
    commit(0, minutes("eth0", 395..396, 1)).await;
    let (part, whole) = renewed(&store, &book, 397).await;
    assert_eq!(part, whole, "a NIC that is new is read whole");
    commit(0, minutes("eth2", 63..64, 9_000_000)).await;
    let (part, whole) = renewed(&store, &book, 398).await;
    assert_eq!(part, whole, "and stays so until its cycle is");
    let used = part.used_bytes;
    book.set(of(r#""rule": "rx""#));
    let (part, whole) = renewed(&store, &book, 399).await;
    assert_eq!(part, whole);
    commit(0, minutes("eth2", 66..67, 9_000_000)).await;
    let (part, whole) = renewed(&store, &book, 400).await;
    assert!(part.used_bytes < whole.used_bytes && whole.used_bytes > used);
    // No link speed is known, so there is no upper bound either.
    assert_eq!(part.used_max_bytes, None);
    // Another speed or kind of a link, which a host may say as often as it likes, doesn't read it whole.
    let used = part.used_bytes;
    for (speed_bits, kind) in [(1, "physical"), (10, "physical"), (10, "veth")] {
        let link = Nic { name: nic("eth0"), speed_bits, kind: kind.into(), ..Nic::default() };
        let inventory = Inventory { nics: vec![link] };
        store.record_inventory(&client("web"), &inventory, WallNs(START)).await.unwrap();
        let (part, _) = renewed(&store, &book, 400).await;
        assert_eq!(part.used_bytes, used);
    }
    let always = AccountBook::with_share(store.clone(), of(r#""rule": "rx""#), 0);
    for minute in [401, 402] {
        commit(0, minutes("eth2", minute - 300..minute - 299, 500)).await;
        let (again, whole) = renewed(&store, &always, minute).await;
        assert_eq!(again, whole);
    }
}
