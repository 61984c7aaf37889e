//! The queries of the Grafana dashboard for PostgreSQL, run on the schema they are made for.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{cluster, postgres};

/// Every query of the dashboard: of its panels and of its variables, which may select the others.
fn queries() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/postgres.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter(|variable| variable["type"] == "query");
    let queries = targets.map(|target| &target["rawSql"]);
    let queries = queries.chain(variables.map(|variable| &variable["query"]));
    queries.map(|query| query.as_str().unwrap().to_owned()).collect()
}

/// Puts in what Grafana does for its macros and variables.
fn filled_in(query: &str) -> String {
    let mut query = query.replace("$client", "web").replace("$nic", "eth0").replace(
        "$__timeGroupAlias(time, $__interval)",
        "floor(extract(epoch from time) / 10) * 10 AS \"time\"",
    );
    while let Some((before, rest)) = query.split_once("$__timeFilter(") {
        let (column, after) = rest.split_once(')').unwrap();
        query = format!("{before}{column} BETWEEN now() - interval '1 hour' AND now(){after}");
    }
    query
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_runs() {
    let url = cluster::new_database().await;
    postgres::store(&url).migrate().await.unwrap();
    let client = cluster::client(&url).await;
    for query in queries() {
        let query = filled_in(&query);
        assert!(!query.contains('$'), "a macro is left: {query}");
        client.query(&query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    }
}
