//! Databases of earlier schemas, as a collector of that time has left them: today's migrates them with
//! all that they hold, and goes on where it ended. `BLESS=1 cargo test -p collector --test store upgrade`
//! adds today's schema; do that before each release that has a new one.

use std::path::{Path, PathBuf};
use std::process::Command;

use collector::store::sqlite::SqliteStore;
use collector::store::{
    Commit, Database, Direction, NicRange, Resolution, Retain, TalkersBy, TalkersRange,
};
use rusqlite::Connection;
use testbed::dump::{dump, dumps};
use wire::Bytes;
use wire::frame::{Frame, Gap, Mix, MixCounts};
use wire::id::SessionId;
use wire::message::{Inventory, Nic};
use wire::{Seq, WallNs};

use crate::batches::{Agent, DAY, MINUTE, SECOND, START, all, batch, client, hello, nic, sample};
use crate::suite::minute;
use crate::{cluster, postgres};

const SESSION: SessionId = SessionId::new(u64::MAX - 7);

fn folder(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/schemas").join(engine)
}

/// What a session has delivered: samples of two NICs, mixes, gaps with and without counts.
fn history() -> (Agent, Vec<Frame>) {
    let mut agent = Agent::new("web", SESSION.get(), 1);
    let mut frames: Vec<Frame> = (0..4)
        .map(|n| {
            let at = START + n * MINUTE;
            let mut frame = agent.frame(vec![sample("eth0", at, n), sample("eth1", at, n + 1)]);
            let rx = MixCounts { tcp_bytes: Bytes(5 + n), ..MixCounts::default() };
            let mix = Mix { nic: nic("eth0"), rx, start_ns: WallNs(at), ..Mix::default() };
            frame.mixes = vec![Mix { interval_ns: 10 * SECOND, ..mix }];
            frame
        })
        .collect();
    let at = START + 5 * MINUTE;
    frames.push(agent.record(10, Gap::SpoolFull as u8, vec![sample("eth0", at, 3)]));
    frames.push(agent.record(3, Gap::Forgotten as u8, vec![]));
    (agent, frames)
}

async fn fill(store: &dyn Database) {
    let (agent, frames) = history();
    store.open_sessions(&client("web"), &hello(&[SESSION.get()]), WallNs(START)).await.unwrap();
    let eth0 = Nic { name: nic("eth0"), mac: [2, 0, 0, 0, 0, 7], mtu: 9000, ..Nic::default() };
    let inventory = Inventory { nics: vec![Nic { up: true, kind: "physical".into(), ..eth0 }] };
    store.record_inventory(&client("web"), &inventory, WallNs(START)).await.unwrap();
    store.record_clock_offset(SESSION, -77).await.unwrap();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
}

/// Both stores give the same answers, and are proven sound.
async fn assert_same(one: &dyn Database, other: &dyn Database) {
    for name in ["eth0", "eth1"] {
        for resolution in [Resolution::Raw, Resolution::Minute, Resolution::FiveMinutes] {
            let range = all("web", name, resolution);
            let points = one.series(&range).await.unwrap().points;
            assert!(!points.is_empty(), "{name} {resolution:?}");
            assert_eq!(points, other.series(&range).await.unwrap().points, "{name} {resolution:?}");
        }
        let range = NicRange {
            client: "web".into(),
            nic: name.into(),
            from_ns: WallNs(0),
            to_ns: WallNs(START + DAY),
        };
        let (mix, same) = (one.mix(&range).await.unwrap(), other.mix(&range).await.unwrap());
        assert_eq!((mix.rx, mix.interval_ns), (same.rx, same.interval_ns));
        let events = one.events(&range, 100).await.unwrap();
        assert_eq!(events, other.events(&range, 100).await.unwrap());
    }
    let known = |clients: Vec<collector::store::Client>| -> Vec<_> {
        clients.into_iter().map(|it| (it.client, it.alias, it.nics, it.clock_offset_ns)).collect()
    };
    assert_eq!(known(one.clients().await.unwrap()), known(other.clients().await.unwrap()));
    let (proof, same) = (one.check().await.unwrap(), other.check().await.unwrap());
    assert_eq!(proof.findings, Vec::<String>::new());
    assert_eq!((proof.sessions, &proof.nics), (same.sessions, &same.nics));
}

/// A store that was migrated has what one that was filled today has, and takes what comes next.
async fn assert_goes_on(migrated: &dyn Database, filled: &dyn Database) {
    assert_same(migrated, filled).await;
    for store in [migrated, filled] {
        let (mut agent, _) = history();
        let state = store
            .open_sessions(&client("web"), &hello(&[SESSION.get()]), WallNs(START))
            .await
            .unwrap();
        assert_eq!((state[0].seq, state[0].digest.is_some()), (Seq(17), true));
        agent.epoch = state[0].epoch;
        let mut next = agent.frame(vec![sample("eth0", START + 6 * MINUTE, 5)]);
        next.talkers = vec![minute(START + 6 * MINUTE, 5)];
        store.commit(&batch([agent.batch(vec![next])])).await.unwrap();
    }
    assert_same(migrated, filled).await;
    let range = TalkersRange {
        client: "web".into(),
        nic: "eth0".into(),
        direction: Direction::Rx,
        from_ns: WallNs(START),
        to_ns: WallNs(START + DAY),
        by: TalkersBy::Owner,
        limit: 9,
        buckets: 9,
    };
    let talkers = migrated.talkers(&range).await.unwrap();
    assert_eq!((talkers.records, talkers.talkers.len()), (1, 2));
    assert_eq!(talkers, filled.talkers(&range).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_earlier_schemas_are_migrated_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let filled = SqliteStore::open(&path("filled")).unwrap();
    fill(&filled).await;
    let db = Connection::open(path("filled")).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let today = format!("{version:02}.sql");
    for (file, sql) in dumps(&folder("sqlite"), &today, || dump(&db)) {
        let name = file.file_name().unwrap().to_str().unwrap();
        Connection::open(path(name)).unwrap().execute_batch(&sql).unwrap();
        let of = SqliteStore::migrate(&path(name), true).unwrap();
        assert!(name.starts_with(&format!("{:02}", of.from)) && of.to == version, "{of:?}");
        let migrated = SqliteStore::open(&path(name)).unwrap();
        let fresh = SqliteStore::open(&path(&format!("beside-{name}"))).unwrap();
        fill(&fresh).await;
        assert_goes_on(&migrated, &fresh).await;
    }
}

/// The database as SQL, with its rows.
fn pg_dump(url: &str) -> String {
    let mut command = Command::new(testbed::postgres::programs().join("pg_dump"));
    command.args(["--inserts", "--no-owner", "--no-privileges", url]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Without what is for psql or for people, and without settings that older servers don't know.
    let wanted = |line: &&str| !line.starts_with(['\\', '-']) && !line.is_empty();
    let lines = text.lines().filter(wanted).filter(|line| !line.starts_with("SET "));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// Spreads the fact tables over the nodes, as a collector before packing has left them. Nothing without Citus.
const SPREAD: &str = "DO $$
    DECLARE
        fact regclass;
        first regclass;
    BEGIN
        IF to_regclass('pg_dist_partition') IS NULL OR to_regclass('packed_samples') IS NOT NULL THEN
            RETURN;
        END IF;
        FOR fact IN SELECT oid FROM pg_class WHERE relkind = 'p' ORDER BY relname LOOP
            PERFORM create_distributed_table(fact, 'client', colocate_with => coalesce(first::text, 'none'));
            first = coalesce(first, fact);
        END LOOP;
    END $$";

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_earlier_schemas_are_migrated_and_go_on() {
    if testbed::citus::running().is_some() {
        return;
    }
    let filled = cluster::new_database().await;
    fill(&postgres::store(&filled)).await;
    let client = cluster::client(&filled).await;
    let newest = client.query_one("SELECT max(version)::int8 FROM netmon_schema", &[]).await;
    let version: i64 = newest.unwrap().get(0);
    let make = || pg_dump(&filled);
    for (file, sql) in dumps(&folder("postgres"), &format!("{version:02}.sql"), make) {
        let (migrated, fresh) = (cluster::new_database().await, cluster::new_database().await);
        cluster::execute(&migrated, &sql).await;
        cluster::execute(&migrated, SPREAD).await;
        let store = postgres::store(&migrated);
        let of = store.migrate().await.unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{:02}", of.from)) && of.to == version, "{of:?}");
        let fresh = postgres::store(&fresh);
        fill(&fresh).await;
        assert_goes_on(&store, &fresh).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_and_views_on_the_tables_of_samples_and_mixes_hold_once_they_are_views() {
    if testbed::citus::running().is_some() {
        return;
    }
    let url = cluster::new_database().await;
    let old = std::fs::read_to_string(folder("postgres").join("17.sql")).unwrap();
    cluster::execute(&url, &old).await;
    cluster::execute(&url, SPREAD).await;
    cluster::execute(
        &url,
        "CREATE ROLE read_before LOGIN; CREATE ROLE wrote_before; CREATE ROLE others_before;
         GRANT SELECT ON bandwidth_stats, bandwidth_report TO read_before;
         GRANT SELECT ON traffic_mix TO read_before;
         GRANT SELECT, INSERT, DELETE ON bandwidth_stats, traffic_mix TO wrote_before WITH GRANT OPTION;
         CREATE VIEW mine WITH (security_barrier = true) AS
             SELECT client, sum(rx_bytes) AS bytes FROM bandwidth_stats GROUP BY client;
         CREATE VIEW mixed AS SELECT sum(t.rx_tcp_packets) AS packets FROM traffic_mix t;
         CREATE VIEW mixed_again AS SELECT max(rx_tcp_packets) AS packets FROM traffic_mix;
         GRANT SELECT ON mine, mixed, mixed_again TO read_before;
         CREATE MATERIALIZED VIEW theirs AS SELECT count(*) FROM bandwidth_stats",
    )
    .await;
    let db = cluster::client(&url).await;
    let asked = [
        "SELECT count(*) FROM bandwidth_stats",
        "SELECT count(*) FROM bandwidth_report",
        "SELECT bytes::bigint FROM mine",
        "SELECT count(*) FROM traffic_mix",
        "SELECT packets::bigint FROM mixed",
        "SELECT packets FROM mixed_again",
    ];
    let ask = async |sql: &str| db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    db.batch_execute("SET ROLE read_before").await.unwrap();
    let mut before = Vec::new();
    for sql in asked {
        before.push(ask(sql).await);
    }
    let store = postgres::store(&url);
    store.migrate().await.unwrap();
    // On Citus nothing is.
    let is_packed = std::env::var_os(testbed::citus::CITUS).is_none();
    assert_eq!(store.pack(WallNs::MAX).await.unwrap() > 0, is_packed);
    for (sql, before) in asked.into_iter().zip(before) {
        assert_eq!(ask(sql).await, before, "{sql}");
    }
    let between = "SELECT count(*) FROM samples_between(1, 1, '-infinity', 'infinity')";
    assert!(ask(between).await > 0);
    for hot in ["hot_samples", "hot_mixes"] {
        assert_eq!(ask(&format!("SELECT count(*) FROM {hot}")).await == 0, is_packed, "{hot}");
    }
    for packed in ["packed_samples", "packed_mixes"] {
        let rights = format!(
            "SELECT count(*) FROM unnest('{{SELECT,INSERT,DELETE}}'::text[]) AS kind
             WHERE has_table_privilege('wrote_before', '{packed}', kind || ' WITH GRANT OPTION')
               AND has_sequence_privilege('wrote_before', '{packed}_id', 'USAGE')
               AND NOT has_table_privilege('others_before', '{packed}', kind)"
        );
        assert_eq!(ask(&rights).await, 3, "{packed}");
    }
    let barrier = "SELECT count(*) FROM pg_class WHERE relname = 'mine' AND reloptions IS NOT NULL";
    assert_eq!(ask(barrier).await, 1);
}
