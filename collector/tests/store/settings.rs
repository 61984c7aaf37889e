//! PostgreSQL with unusual settings: encodings, and settings of roles and databases.

use std::sync::Arc;

use collector::store::{Commit, Database, Store, StoreError};
use settings::InFull;
use wire::WallNs;
use wire::frame::Sample;
use wire::message::Hello;

use crate::batches::{Agent, DAY, SECOND, START, client, hello, nic, sample};
use crate::cluster;
use crate::postgres::store;
use crate::suite::{assert_sound, raw};

/// Settings that operators have been seen to use.
const ODD: [&str; 9] = [
    "TimeZone = 'Asia/Shanghai'",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = 'sql_standard'",
    "standard_conforming_strings = off",
    "default_transaction_isolation = 'serializable'",
    "statement_timeout = '200ms'",
    "lock_timeout = '200ms'",
    "bytea_output = 'escape'",
    "extra_float_digits = 0",
];

/// The database name in a URL of the tests' server.
fn name(url: &str) -> &str {
    url.rsplit('=').next().unwrap()
}

/// A new database with an encoding.
async fn encoded(encoding: &str) -> String {
    let url = cluster::new_database().await;
    let other = format!("{}_{}", name(&url), encoding.to_lowercase());
    let create = format!(
        "CREATE DATABASE {other} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    cluster::execute(&url, &create).await;
    url.replace(name(&url), &other)
}

async fn ready(store: &dyn Database) -> Result<(), StoreError> {
    store.ready().await
}

fn reason(failed: Result<impl Sized, StoreError>) -> String {
    failed.err().unwrap().in_full().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_not_hold_every_name_is_refused_with_the_way_out() {
    let store = store(&encoded("LATIN1").await);
    let words = reason(ready(&store).await);
    assert!(words.contains("LATIN1") && words.contains("createdb -E UTF8"), "{words}");
    assert!(reason(store.migrate().await).contains("LATIN1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_an_encoding_holds_every_name_as_it_came() {
    let store: Arc<dyn Database> = Arc::new(store(&encoded("SQL_ASCII").await));
    let hello = Hello { alias: "主机 ü".into(), ..hello(&[1]) };
    store.open_sessions(&client("web"), &hello, WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let sample = Sample { nic: nic("网卡0"), ..sample("eth0", START, 5) };
    store.commit(&agent.next(vec![sample])).await.unwrap();
    assert_eq!(store.clients().await.unwrap()[0].alias, "主机 ü");
    assert_eq!(raw(&store, "web", "网卡0").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_role_and_database_set_changes_nothing() {
    let url = cluster::new_database().await;
    let name = name(&url).to_owned();
    // They hold for sessions that come later.
    let db = cluster::client(&url).await;
    for setting in ODD {
        db.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
    }
    for (id, url) in (1..).zip([url.clone(), cluster::pooled(&name)]) {
        let store: Arc<dyn Database> = Arc::new(store(&url));
        let web = format!("web-{id}");
        store.open_sessions(&client(&web), &hello(&[id]), WallNs(START)).await.unwrap();
        let mut agent = Agent::new(&web, id, 1);
        let today = collector::time::now_ns() / DAY * DAY;
        let samples = (0..3).map(|n| sample("eth0", today - n * DAY + SECOND, n + 1));
        store.commit(&agent.next(samples.collect())).await.unwrap();
        assert_eq!(raw(&store, &web, "eth0").await.len(), 3);
        assert_sound(&store).await;
    }
    db.batch_execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'").await.unwrap();
    let bounds = "SELECT relname::text, pg_get_expr(relpartbound, oid) FROM pg_class
                  WHERE relname LIKE 'bandwidth_stats_p%' AND relpartbound IS NOT NULL
                      AND relkind = 'r'";
    let bounds = db.query(bounds, &[]).await.unwrap();
    assert!(bounds.len() >= 5);
    for row in bounds {
        let bound: String = row.get(1);
        assert_eq!(bound.matches(" 00:00:00+00'").count(), 2, "{bound}");
    }
    let strays = db.query_one("SELECT count(*) FROM bandwidth_stats_default", &[]).await.unwrap();
    assert_eq!(strays.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_again_when_a_schema_of_the_role_is_made() {
    let url = cluster::new_database().await;
    let first = store(&url);
    first.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    cluster::execute(&url, "CREATE SCHEMA postgres").await;
    let again = store(&url);
    again.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let db = cluster::client(&url).await;
    let found = "SELECT count(*) FROM pg_class WHERE relname = 'clients'";
    assert_eq!(db.query_one(found, &[]).await.unwrap().get::<_, i64>(0), 1);
    cluster::execute(&url, &format!("ALTER DATABASE {} SET search_path = ''", name(&url))).await;
    let words =
        reason(store(&url).open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await);
    assert!(words.contains("no schema") && words.contains("search_path"), "{words}");
}
