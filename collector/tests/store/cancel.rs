//! Reads whose client no longer waits.

use std::time::Duration;

use collector::store::{Commit, ExportRange, PercentileRange, Resolution};
use futures_util::future::join_all;
use testbed::in_time;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::WallNs;
use wire::frame::Sample;

use crate::batches::{Agent, DAY, SECOND, START, all, batch, client, hello, sample};
use crate::suite::Place;

/// Makes reads of a bandwidth table take hours.
async fn make_endless(place: &impl Place, table: &str, columns: &str) {
    let counts = ["bytes", "packets", "captured", "peak_1ms_bytes", "peak_10ms_bytes"];
    let counts = ["rx", "tx"].map(|direction| counts.map(|it| format!("a.{direction}_{it}")));
    let counts = counts.as_flattened().join(", ");
    place.execute(&format!("ALTER TABLE {table} RENAME TO kept_{table}")).await;
    let rows = "(SELECT rx_bytes FROM bandwidth_stats)";
    place
        .execute(&format!(
            "CREATE VIEW {table} AS
             SELECT a.client, a.nic, a.time, a.drops, a.flags, {counts}, {columns}
             FROM bandwidth_stats a, {rows} b, {rows} c, {rows} d, {rows} e
             WHERE a.rx_bytes + b.rx_bytes + c.rx_bytes + d.rx_bytes + e.rx_bytes < 0"
        ))
        .await;
}

pub async fn what_is_read_for_nobody_ends_and_leaves_its_place(place: &impl Place) {
    let store = place.open().await;
    store.open_sessions(&client("web"), &hello(&[1]), WallNs(START)).await.unwrap();
    let mut agent = Agent::new("web", 1, 1);
    let samples: Vec<Sample> = (0..300).map(|n| sample("eth0", START + n * SECOND, n)).collect();
    let frames = samples.chunks(100).map(|chunk| agent.frame(chunk.to_vec())).collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    make_endless(place, "bandwidth_5m", "a.interval_ns AS covered_ns").await;
    let gap = "a.interval_ns, 1 AS reason, 1 AS session, 1 AS first_seq, 1 AS last_seq";
    make_endless(place, "gaps", gap).await;

    // More readers than there are places. All of them leave.
    let (from_ns, to_ns) = (START - DAY, START + DAY);
    let range = PercentileRange {
        client: "web".into(),
        nic: None,
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
    };
    let asked = (0..20).map(|_| timeout(Duration::from_millis(300), store.percentile(&range)));
    assert!(join_all(asked).await.iter().all(Result::is_err), "they read for hours");
    let (sender, receiver) = mpsc::channel(1);
    let range = ExportRange {
        client: "web".into(),
        nics: vec!["eth0".into()],
        from_ns: WallNs(from_ns),
        to_ns: WallNs(to_ns),
    };
    let mut export = std::pin::pin!(store.export(&range, sender));
    let early = timeout(Duration::from_millis(300), &mut export).await;
    assert!(early.is_err(), "it reads for hours: {early:?}");
    drop(receiver);
    in_time("the end of an export of which nobody takes a row", export).await.unwrap();

    // Others get answers, and no read is running any more.
    let range = all("web", "eth0", Resolution::Raw);
    let series = in_time("a place", store.series(&range)).await.unwrap();
    assert_eq!(series.points.len(), 300);
    place.wait_until_nothing_is_read().await;
}
