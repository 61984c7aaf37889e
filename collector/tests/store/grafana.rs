//! Runs the queries of the Grafana dashboard for PostgreSQL on the schema.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use collector::store::{Commit, Store, Tagging};
use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;
use wire::WallNs;
use wire::frame::Frame;
use wire::tag::TagSet;

use crate::batches::{Agent, SECOND, START, batch, client as named, hello, sample};
use crate::suite::minute;
use crate::{cluster, postgres};

/// The queries of the dashboard's variables, by name and in order, and those of its panels.
pub fn queries() -> (Vec<(String, String)>, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/postgres.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter(|variable| variable["type"] == "query");
    let variables = variables.map(|variable| (text(&variable["name"]), text(&variable["query"])));
    (variables.collect(), targets.map(|target| text(&target["rawSql"])).collect())
}

/// Replaces macros and variables as Grafana does.
fn filled_in(query: &str, values: &[(String, String)]) -> String {
    let mut query = query.replace(
        "$__timeGroupAlias(time, $__interval)",
        "floor(extract(epoch from time) / 10) * 10 AS \"time\"",
    );
    query = query.replace("$__timeFrom()", "now() - interval '1 hour'");
    query = query.replace("$__timeTo()", "now()");
    // The longest name first: Grafana replaces whole words.
    for (name, value) in values.iter().rev() {
        query = query.replace(&format!("${name}"), value);
    }
    while let Some((before, rest)) = query.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        query = format!("{before}{column} BETWEEN now() - interval '1 hour' AND now(){after}");
    }
    query
}

/// The values of each variable, in order, where the first value of those before is chosen, except of `tag`.
async fn values(url: &str, tag: Option<&str>) -> Vec<(String, Vec<String>)> {
    let client = cluster::client(url).await;
    let (mut found, mut chosen) = (Vec::new(), Vec::new());
    for (name, query) in queries().0 {
        let rows = client.simple_query(&filled_in(&query, &chosen)).await.unwrap().into_iter();
        let values = rows.filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        let values: Vec<String> = values.collect();
        let first = values.first().cloned().unwrap_or_default();
        let tag = tag.filter(|_| name == "tag").map(str::to_owned);
        chosen.push((name.clone(), tag.unwrap_or(first)));
        found.push((name, values));
    }
    found
}

/// The queries of the panels as Grafana sends them, with the first value of each variable.
pub async fn panels(url: &str) -> Vec<String> {
    let values = values(url, None).await.into_iter();
    let first = values.map(|(name, values)| (name, values.into_iter().next().unwrap_or_default()));
    let (values, panels): (Vec<_>, _) = (first.collect(), queries().1);
    panels.iter().map(|query| filled_in(query, &values)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_runs() {
    let url = cluster::new_database().await;
    let store = postgres::store(&url);
    store.migrate().await.unwrap();
    let client = cluster::client(&url).await;
    for with_rows in [false, true] {
        if with_rows {
            store.open_sessions(&named("web"), &hello(&[1]), WallNs(START)).await.unwrap();
            let now = collector::time::now_ns() / SECOND * SECOND;
            let mut agent = Agent::new("web", 1, 1);
            let samples = agent.frame(vec![sample("eth0", now - SECOND, 1)]);
            let talkers = vec![minute(now - 120 * SECOND, 1)];
            let talkers = Frame { talkers, ..agent.frame(vec![]) };
            store.commit(&batch([agent.batch(vec![samples, talkers])])).await.unwrap();
            let site = TagSet::new(["site=ams".parse().unwrap()]).unwrap();
            store.record_tags(&named("web"), &site, WallNs(START), WallNs(now)).await.unwrap();
        }
        let mut rows = 0;
        for query in panels(&url).await {
            assert!(!query.contains('$'), "a macro is left: {query}");
            let found = client.query(&query, &[]).await;
            rows += found.unwrap_or_else(|error| panic!("{query}: {error:?}")).len();
        }
        // Four queries return one row in any case. Talkers are 4 and 2 by host, and as many by owner.
        assert_eq!(rows, if with_rows { 23 } else { 4 });
    }
    for (tag, clients) in [("all", vec!["web"]), ("site=ams", vec!["web"]), ("site=fra", vec![])] {
        let found: BTreeMap<_, _> = values(&url, Some(tag)).await.into_iter().collect();
        assert_eq!(found["tag"], ["all", "site=ams"]);
        assert_eq!(found["group"], ["site"]);
        assert_eq!(found["client"], clients, "{tag}");
    }
    // Talkers add up to what the NIC carried.
    let talkers = panels(&url).await.into_iter().filter(|query| query.contains("FROM talkers_by_"));
    let mut sums = Vec::new();
    for query in talkers {
        let name = if query.contains(" AS \"rx\"") { "rx" } else { "tx" };
        let sum = format!("SELECT (sum({name}) * 60 / 8)::bigint FROM ({query}) AS q");
        sums.push(client.query_one(&sum, &[]).await.unwrap().get::<_, i64>(0));
        let names = format!("SELECT array_agg(metric ORDER BY {name} DESC) FROM ({query}) AS q");
        let names: Vec<String> = client.query_one(&names, &[]).await.unwrap().get(0);
        assert!(names.contains(&"rest".to_owned()), "{names:?}");
        if name == "rx" {
            let first = ["10.1.2.3", "unit nginx.service (worker)"];
            assert!(first.contains(&names[0].as_str()), "{names:?}");
        }
    }
    let (rx, tx) = (9001 + 5001 + 701 + 60 + 100, 77);
    assert_eq!(sums, [rx, tx, rx, tx]);
    let groups = panels(&url).await.into_iter().find(|query| query.contains("no site")).unwrap();
    let row = client.query_one(&groups, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>("metric"), "ams");
}
