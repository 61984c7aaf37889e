//! Many agents that introduce themselves at once, as after an outage: they share transactions in PostgreSQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use collector::store::{Database, Holder, PlaceId, SessionState, StoreError};
use futures_util::future::join_all;
use tokio::time::timeout;
use wire::WallNs;
use wire::id::{ClientId, SessionId};
use wire::message::{Claim, HostKey, Inventory, Nic};

use crate::batches::{SECOND, START, client, hello, nic};
use crate::cluster;
use crate::postgres::{Postgres, fresh};
use crate::suite::{Place, tags};

/// Enough for several groups of each kind.
const AGENTS: u64 = 300;

const HOUR: u64 = 3600 * SECOND;

fn name(agent: u64) -> ClientId {
    client(&format!("host-{agent:03}"))
}

fn nics(up: bool) -> Inventory {
    let nic = |name: &str| Nic {
        name: nic(name),
        index: 2,
        mac: [2, 0, 0, 0, 0, 7],
        mtu: 1500,
        speed_bits: 1_000_000_000,
        kind: "physical".into(),
        up,
        stacked: false,
    };
    Inventory { nics: vec![nic("eth0"), nic("eth1")] }
}

fn holder(agent: u64, collector: u64) -> Holder {
    let host = HostKey { machine: [1; 16], boot: [2; 16] };
    let claim = Claim { host, session: SessionId::new(agent) };
    let place = PlaceId { collector, number: agent };
    Holder { place, claim, address: "192.0.2.1".parse().unwrap() }
}

async fn opened(
    store: &Arc<dyn Database>,
    agent: u64,
    at_ns: u64,
) -> Result<Vec<SessionState>, StoreError> {
    store.open_sessions(&name(agent), &hello(&[agent]), WallNs(at_ns)).await
}

/// All that an agent says when it connects. Returns the number of openings of its session.
async fn introduced(store: &Arc<dyn Database>, agent: u64, up: bool, at_ns: u64) -> u64 {
    let (of, at_ns) = (name(agent), WallNs(at_ns));
    assert_eq!(store.claim(&of, &holder(agent, 1), None).await.unwrap(), None);
    let states = opened(store, agent, at_ns.get()).await.unwrap();
    let (nics, tags, offset_ns) = (nics(up), tags("site=fra"), i64::try_from(agent).unwrap());
    let told = tokio::join!(
        store.record_inventory(&of, &nics, at_ns),
        store.record_tags(&of, &tags, at_ns, at_ns),
        store.record_clock_offset(SessionId::new(agent), offset_ns),
    );
    told.0.and(told.1).and(told.2).unwrap();
    assert_eq!(states.len(), 1);
    states[0].epoch.0
}

/// All agents at once. Returns the numbers of openings that they were told.
async fn all_introduced(store: &Arc<dyn Database>, up: bool, at_ns: u64) -> BTreeSet<u64> {
    let agents = (1..=AGENTS).map(|agent| {
        let store = store.clone();
        tokio::spawn(async move { introduced(&store, agent, up, at_ns).await })
    });
    join_all(agents).await.into_iter().map(Result::unwrap).collect()
}

/// What the server's log says of the collectors of a database.
fn logged(place: &Postgres) -> Vec<String> {
    let database = place.url.rsplit('=').next().unwrap();
    let ours = format!("|{database}|netmon-collector|");
    let log = std::fs::read(cluster::log()).unwrap();
    let log = String::from_utf8_lossy(&log);
    log.lines().filter_map(|line| Some(line.split_once(&ours)?.1.to_owned())).collect()
}

/// Number of statements that they have run.
fn statements(place: &Postgres) -> usize {
    let said = ["LOG:  statement: ", "LOG:  execute "];
    let is_statement = |line: &&String| said.iter().any(|said| line.starts_with(said));
    logged(place).iter().filter(is_statement).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_come_at_once_share_statements_and_nothing_of_theirs_is_lost() {
    if testbed::citus::running().is_some() {
        return;
    }
    let place = fresh().await;
    let store = place.open().await;
    store.ready().await.unwrap();
    let before = statements(&place);
    assert_eq!(all_introduced(&store, true, START).await, BTreeSet::from([1]));
    // Tags that are new are each client's own.
    let first = statements(&place) - before;
    assert_eq!(all_introduced(&store, true, START + 2 * HOUR).await, BTreeSet::from([2]));
    let again = statements(&place) - before - first;
    let most = usize::try_from(AGENTS).unwrap();
    assert!(again < most, "{again} statements, {first} the first time");
    // Links that went down.
    all_introduced(&store, false, START + 3 * HOUR).await;
    let whole = |table: &str, of: &str| format!("SELECT count(*) FROM {table} WHERE {of}");
    for (table, of, rows) in [
        ("clients", "last_seen_at >= '2027-01-15 03:00+00' AND alias = 'the web server'", AGENTS),
        ("clients", "tags_heard_at = '2027-01-15 02:00+00'", AGENTS),
        ("nics", "present AND NOT up AND if_index = 2 AND mtu = 1500", 2 * AGENTS),
        ("link_changes", "NOT up AND time = '2027-01-15 03:00+00'", 2 * AGENTS),
        ("sessions", "epoch = 3 AND clock_offset_ns = session", AGENTS),
        ("client_tags", "key = 'site' AND value = 'fra' AND source = 'agent'", AGENTS),
        ("tag_intervals", "valid_from = '2027-01-15' AND valid_to IS NULL", AGENTS),
        ("claims", "collector = 1 AND place = session", AGENTS),
    ] {
        let rows = i64::try_from(rows).unwrap();
        assert_eq!(place.numbers(&whole(table, of)).await, [rows], "{table} {of}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_come_one_by_one_take_what_one_takes() {
    if testbed::citus::running().is_some() {
        return;
    }
    let place = fresh().await;
    let store = place.open().await;
    store.ready().await.unwrap();
    let before = statements(&place);
    for agent in 0..20 {
        opened(&store, agent, START).await.unwrap();
    }
    // BEGIN, the client, its sessions, COMMIT.
    assert_eq!(statements(&place) - before, 20 * 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_are_refused_or_must_wait_hold_up_no_other() {
    let place = fresh().await;
    let store = place.open().await;
    let [forgotten, thief, held, owner] = [3, 5, 7, AGENTS + 1];
    for agent in [forgotten, held, owner] {
        opened(&store, agent, START).await.unwrap();
    }
    store.forget(&name(forgotten), WallNs(START + SECOND)).await.unwrap();
    // As a commit in progress does.
    let db = cluster::client(&place.url).await;
    db.batch_execute("BEGIN; UPDATE sessions SET committed_at = now() WHERE session = 7")
        .await
        .unwrap();
    let open = |agent| {
        let store = store.clone();
        let sessions = if agent == thief { vec![agent, owner] } else { vec![agent] };
        let opened = async move {
            store.open_sessions(&name(agent), &hello(&sessions), WallNs(START)).await
        };
        tokio::spawn(opened)
    };
    let mut opened: Vec<_> = (1..=AGENTS).map(open).collect();
    let [wait, steal, forget] =
        [held, thief, forgotten].map(|it| opened.remove(usize::try_from(it).unwrap() - 1));
    for other in join_all(opened).await {
        assert_eq!(other.unwrap().unwrap()[0].epoch.0, 1);
    }
    let unregistered = store.record_inventory(&client("nobody"), &nics(true), WallNs(START)).await;
    assert!(matches!(unregistered, Err(StoreError::Refused { .. })), "{unregistered:?}");
    let stolen = steal.await.unwrap();
    assert!(matches!(stolen, Err(StoreError::ForeignSession { .. })), "{stolen:?}");
    let forgotten = forget.await.unwrap();
    assert!(matches!(forgotten, Err(StoreError::Forgotten { .. })), "{forgotten:?}");
    assert!(!wait.is_finished(), "while the commit lasts");
    db.batch_execute("COMMIT").await.unwrap();
    assert_eq!(wait.await.unwrap().unwrap()[0].epoch.0, 2);
    let thief = "SELECT count(*) FROM clients WHERE client_id = 'host-005'";
    assert_eq!(place.numbers(thief).await, [0], "nothing of it was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_to_which_the_same_agents_come_do_not_lock_each_other_out() {
    const ROUNDS: u64 = 4;
    let place = fresh().await;
    let stores = [place.open().await, place.open().await];
    stores[0].ready().await.unwrap();
    for round in 0..ROUNDS {
        let comes = |(at, agent): (usize, u64)| {
            // In opposite orders.
            let agent = if at == 0 { agent } else { AGENTS + 1 - agent };
            let store = stores[at].clone();
            tokio::spawn(async move {
                let (of, at_ns) = (name(agent), WallNs(START + round * SECOND));
                let claimed = store.claim(&of, &holder(agent, at as u64), None).await;
                assert_eq!(claimed.unwrap(), None, "the same run of the same agent");
                let (opened, told) = tokio::join!(
                    opened(&store, agent, at_ns.get()),
                    store.record_clock_offset(SessionId::new(agent), 1),
                );
                opened.unwrap();
                told.unwrap();
                // Links go up and down.
                store.record_inventory(&of, &nics(round % 2 == 0), at_ns).await.unwrap();
            })
        };
        let agents = (1..=AGENTS).flat_map(|agent| [(0, agent), (1, agent)]);
        let done = timeout(testbed::PATIENCE, join_all(agents.map(comes))).await.unwrap();
        done.into_iter().for_each(Result::unwrap);
    }
    let opened = format!("SELECT count(*) FROM sessions WHERE epoch = {}", 2 * ROUNDS);
    assert_eq!(
        place.numbers(&opened).await,
        [i64::try_from(AGENTS).unwrap()],
        "none counted twice"
    );
    let nics = "SELECT count(*) FROM nics WHERE present";
    assert_eq!(place.numbers(nics).await, [2 * i64::try_from(AGENTS).unwrap()]);
    if testbed::citus::running().is_none() {
        let dead: Vec<String> =
            logged(&place).into_iter().filter(|line| line.contains("deadlock")).collect();
        assert!(dead.is_empty(), "{dead:?}");
    }
}
