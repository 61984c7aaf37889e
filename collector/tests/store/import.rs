//! `collector import` moves an embedded store into PostgreSQL without loss.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use collector::accounts::AccountBook;
use collector::store::sqlite::{SqliteStore, add_functions};
use collector::store::{
    AccountEntry, Check, Commit, CycleRecords, Direction, EntryKind, KeepCycles, Query, Resolution,
    Retain, RetentionLimits, Store, Tagged, Tagging, TalkersBy, TalkersRange, TalkersReader,
};
use collector::time::now_ns;
use testbed::until;
use wire::Bytes;
use wire::WallNs;
use wire::frame::{Gap, Mix, MixCounts};
use wire::id::SessionId;
use wire::message::{Inventory, Nic};
use wire::tag::{Tag, TagSet};

use crate::batches::{Agent, DAY, MINUTE, SECOND, all, batch, client, hello, nic, sample};
use crate::cluster;
use crate::postgres::{Postgres, fresh};
use crate::suite::{Place, account, minute};

fn midnight() -> u64 {
    now_ns() / DAY * DAY
}

/// A store with every kind of row: two clients, days of samples, mixes, gaps of all kinds, quarantined
/// frames, finished sessions, and rows deleted by age.
async fn fill(path: &Path) -> SqliteStore {
    let store = Arc::new(SqliteStore::open(path).unwrap());
    let start = midnight() - 12 * DAY;
    for (id, sessions) in [("web", [1, u64::MAX]), ("db-1", [3, 4])] {
        store.open_sessions(&client(id), &hello(&sessions), WallNs(start)).await.unwrap();
        let eth0 = Nic { name: nic("eth0"), mac: [1, 2, 3, 4, 5, 6], ..Nic::default() };
        let inventory = Inventory { nics: vec![Nic { up: true, mtu: 9000, ..eth0 }] };
        store.record_inventory(&client(id), &inventory, WallNs(start)).await.unwrap();
        store.record_clock_offset(SessionId::new(sessions[1]), -77).await.unwrap();
        for site in ["ams", "fra"] {
            let tags = TagSet::new([Tag::new("site", site).unwrap()]).unwrap();
            let at = if site == "ams" { start } else { start + 8 * DAY };
            store.record_tags(&client(id), &tags, WallNs(at), WallNs(at)).await.unwrap();
        }
        for session in sessions {
            let mut agent = Agent::new(id, session, 1);
            for day in 0..12 {
                let at = |n| start + day * DAY + n * 97 * SECOND + session % 7;
                let samples = (0..60).map(|n| sample("eth0", at(n), n));
                let mut frame = agent.frame(samples.chain([sample("eth1", at(0), 9)]).collect());
                let rx = MixCounts { tcp_bytes: Bytes(5 + day), ..MixCounts::default() };
                let mix = Mix { nic: nic("eth0"), rx, ..Mix::default() };
                frame.mixes = vec![Mix { start_ns: WallNs(at(1)), interval_ns: SECOND, ..mix }; 2];
                frame.talkers = vec![minute(at(0), day), minute(at(5), day)];
                let gap = agent.record(10, Gap::SpoolFull as u8, vec![sample("eth0", at(2), day)]);
                let forgotten = agent.record(3, Gap::Forgotten as u8, vec![]);
                let mut frames = vec![frame, gap, forgotten];
                if day == 11 {
                    let mut refused = agent.frame(vec![sample("eth0", at(3), 1)]);
                    // More than a column's sum can hold.
                    refused.samples[0].rx.bytes = Bytes(i64::MAX.cast_unsigned() - 5);
                    frames.push(refused);
                }
                store.commit(&batch([agent.batch(frames)])).await.unwrap();
            }
        }
    }
    fill_accounts(&store).await;
    let store = Arc::into_inner(store).unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let limits = RetentionLimits {
        raw: days(3),
        rollup_1m: days(6),
        rollup_5m: days(9),
        ..RetentionLimits::default()
    };
    store.retain(&limits, WallNs(midnight())).await.unwrap();
    // Samples in both forms.
    assert!(store.pack(WallNs(midnight() - DAY)).await.unwrap() > 0);
    store
}

/// Adds a frozen and a running cycle of an account, an entry and a warning.
async fn fill_accounts(store: &Arc<SqliteStore>) {
    let keys = r#""members": ["web"], "quota": "1kB", "freeze_after": "1d""#;
    let book = AccountBook::new(store.clone(), vec![account(keys)]);
    let current = book.accounts()[0].schedule.cycle_at(WallNs(midnight()));
    let entry = AccountEntry {
        account: "transit".into(),
        cycle: current.name.to_string(),
        kind: EntryKind::Opening,
        bytes: Bytes(5),
        reason: "moved".into(),
        operator: "ann".into(),
        at_s: 7,
    };
    store.add_account_entry(&entry).await.unwrap();
    book.renew(WallNs(midnight())).await.unwrap();
    book.renew(current.to_ns + DAY).await.unwrap();
}

fn import(place: &Postgres, file: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    command.env_clear().env("NETMON_COLLECTOR_DATABASE__URL", &place.url);
    let output = command.arg("import").arg(file).output().unwrap();
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (text.concat(), output.status.code())
}

/// Both stores give the same answers.
async fn assert_same(file: &Path, place: &Postgres) {
    let (here, there) = (SqliteStore::open(file).unwrap(), place.open().await);
    let (clients, moved) = (here.clients().await.unwrap(), there.clients().await.unwrap());
    assert_eq!(clients.len(), 2);
    let known = |clients: &[collector::store::Client]| {
        clients.iter().map(|it| (it.client.clone(), it.nics.clone(), it.clock_offset_ns)).collect()
    };
    let (before, after): (Vec<_>, Vec<_>) = (known(&clients), known(&moved));
    assert_eq!(before, after);
    for sessions in [[1, u64::MAX], [3, 4]] {
        let committed = here.committed(&sessions.map(SessionId::new)).await.unwrap();
        assert_eq!(committed, there.committed(&sessions.map(SessionId::new)).await.unwrap());
    }
    for client in ["web", "db-1"] {
        for nic in ["eth0", "eth1"] {
            for resolution in [Resolution::Raw, Resolution::Minute, Resolution::FiveMinutes] {
                let range = all(client, nic, resolution);
                let mut points = here.series(&range).await.unwrap().points;
                // PostgreSQL stores times to the microsecond.
                points.iter_mut().for_each(|point| point.start_ns -= point.start_ns % 1000);
                let moved = there.series(&range).await.unwrap().points;
                assert!(!points.is_empty() || nic == "eth1");
                assert_eq!(points, moved, "{client} {nic} {resolution:?}");
            }
        }
    }
    for id in ["web", "db-1"] {
        let intervals = here.tag_intervals(&client(id)).await.unwrap();
        assert_eq!(
            (intervals.len(), &intervals),
            (2, &there.tag_intervals(&client(id)).await.unwrap())
        );
    }
    assert_eq!(here.tagged().await.unwrap(), there.tagged().await.unwrap());
    let (cycles, moved) = (
        here.account_cycles("transit").await.unwrap(),
        there.account_cycles("transit").await.unwrap(),
    );
    assert_eq!(cycles, moved);
    assert_eq!(cycles.iter().filter(|it| it.frozen_ns.is_some()).count(), 1);
    let (cycle, of) = (&cycles[0].cycle, "transit");
    let evidence = here.account_evidence(of, cycle).await.unwrap();
    assert_eq!(evidence, there.account_evidence(of, cycle).await.unwrap());
    let given = here.account_warnings(of, cycle).await.unwrap();
    assert_eq!(given, there.account_warnings(of, cycle).await.unwrap());
    let entries = here.account_entries(of).await.unwrap();
    assert_eq!(entries, there.account_entries(of).await.unwrap());
    assert!(!given.is_empty() && entries.len() == 1 && evidence.is_some());
    let (proof, moved) = (here.check().await.unwrap(), there.check().await.unwrap());
    assert_eq!(proof.findings, moved.findings);
    assert_eq!((proof.sessions, &proof.nics), (moved.sessions, &moved.nics));
    for client in ["web", "db-1"] {
        for by in [TalkersBy::Key, TalkersBy::Host, TalkersBy::Service, TalkersBy::Owner] {
            let range = TalkersRange {
                client: client.into(),
                nic: "eth0".into(),
                direction: Direction::Rx,
                from_ns: WallNs(midnight() - 12 * DAY),
                to_ns: WallNs(midnight()),
                by,
                limit: 100,
                buckets: 0,
            };
            let talkers = here.talkers(&range).await.unwrap();
            let moved = there.talkers(&range).await.unwrap();
            assert_eq!((talkers.records, talkers.total), (moved.records, moved.total));
            assert_eq!((&talkers.talkers, talkers.rest), (&moved.talkers, moved.rest));
            assert!(talkers.records > 0 && !talkers.talkers.is_empty());
        }
    }
    for table in ["bandwidth_stats", "traffic_mix", "talkers", "gaps", "quarantine", "session_nics"]
    {
        let count = format!("SELECT count(*) FROM {table}");
        let db = connection(file);
        let rows: i64 = db.query_row(&count, [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "{table}");
        assert_eq!(place.numbers(&count).await, [rows], "{table}");
    }
    let sum = "SELECT CAST(sum(rx_tcp_bytes) AS bigint) FROM traffic_mix";
    let db = connection(file);
    let bytes: i64 = db.query_row(sum, [], |row| row.get(0)).unwrap();
    assert_eq!(place.numbers(sum).await, [bytes]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_moved_once_and_proven() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netmon.sqlite");
    let (store, place) = (fill(&file).await, fresh().await);
    let (text, code) = import(&place, &file);
    assert!(text.contains("another collector has the database") && code == Some(1), "{text}");
    drop(store);
    let (text, code) = import(&place, &file);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("the same number and sums in both"), "{text}");
    assert_same(&file, &place).await;
    let default = "SELECT count(*) FROM bandwidth_5m_default";
    assert_eq!(place.numbers(default).await, [0], "rows are in their partitions");
    let (text, code) = import(&place, &file);
    assert!(text.contains("web: was moved before") && code == Some(0), "{text}");
    assert_same(&file, &place).await;
    // An agent continues where it was, and importing the file again changes nothing.
    let store = place.open().await;
    let states =
        store.open_sessions(&client("web"), &hello(&[1, 9]), WallNs(midnight())).await.unwrap();
    let mut agent = Agent::new("web", 1, states[0].epoch.0);
    agent.seq = states[0].seq.get();
    store.commit(&agent.next(vec![])).await.unwrap();
    let mut agent = Agent::new("web", 9, 1);
    store.commit(&agent.next(vec![sample("eth1", midnight(), 1)])).await.unwrap();
    let (text, code) = import(&place, &file);
    assert!(text.contains("more since of 1 clients") && code == Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_broken_off_again_and_again_ends_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netmon.sqlite");
    drop(fill(&file).await);
    let place = fresh().await;
    let name = place.url.rsplit('=').next().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    for delay_ms in [20, 60, 120, 200, 300] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
        command.env_clear().env("NETMON_COLLECTOR_DATABASE__URL", &place.url);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.arg("import").arg(&file).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // The transaction exists until the server notices the broken connection.
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND application_name = 'netmon-collector'";
        until("the server to notice", async || place.numbers(others).await == [0]).await;
        let client = cluster::client(&place.url).await;
        if let Ok(row) = client.query_one("SELECT count(*) FROM clients", &[]).await {
            seen.insert(row.get::<_, i64>(0));
        }
    }
    let (text, code) = import(&place, &file);
    assert_eq!(code, Some(0), "{name}, after {seen:?} clients: {text}");
    assert_same(&file, &place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_agents_have_reached_already_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netmon.sqlite");
    drop(fill(&file).await);
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(midnight())).await.unwrap();
    let (text, code) = import(&place, &file);
    assert!(text.contains("client web, session 0000000000000001: an agent has begun it"), "{text}");
    assert!(text.contains("no agent has reached") && code == Some(1), "{text}");
    let moved = place.numbers("SELECT count(*) FROM bandwidth_stats").await;
    assert_eq!(moved, [rows(&file)], "nothing of the client that is refused");
}

fn connection(file: &Path) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(file).unwrap();
    add_functions(&db).unwrap();
    db
}

/// Rows of the client before the refused one.
fn rows(file: &Path) -> i64 {
    let db = connection(file);
    let count = "SELECT count(*) FROM bandwidth_stats s JOIN clients c ON c.id = s.client
                 WHERE c.client_id = 'db-1'";
    db.query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_of_an_interval_that_both_have_are_added_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("netmon.sqlite");
    let store = SqliteStore::open(&file).unwrap();
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(midnight())).await.unwrap();
    let mut old = Agent::new("web", 1, 1);
    store.commit(&old.next(vec![sample("eth0", midnight(), 3)])).await.unwrap();
    drop(store);
    let place = fresh().await;
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[2]), WallNs(midnight())).await.unwrap();
    let mut new = Agent::new("web", 2, 1);
    store.commit(&new.next(vec![sample("eth0", midnight() + MINUTE, 4)])).await.unwrap();
    let (text, code) = import(&place, &file);
    assert_eq!(code, Some(0), "{text}");
    let report = store.check().await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let five = store.series(&all("web", "eth0", Resolution::FiveMinutes)).await.unwrap().points;
    assert_eq!((five.len(), five[0].rx.bytes), (1, Bytes(3001 + 4001)));
    assert_eq!(five[0].rx.peak_1ms_bytes, 404);
}
