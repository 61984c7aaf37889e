//! What is in a request.

use std::collections::BTreeSet;
use std::io::Read;

use collector::live::Live;
use collector::metrics::{Metrics, TagLabels};
use collector::otlp::encode;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric::Data};
use prost::Message;
use wire::WallNs;
use wire::tag::TagSet;

use crate::shown::{
    SECOND, STARTED, Series, exported, frame, id, labels, metrics, observe, points, render, scraped,
};

const NOW: WallNs = WallNs(STARTED.0 + 100 * SECOND);

fn requests(live: &Live, now_ns: WallNs) -> Vec<ExportMetricsServiceRequest> {
    let requests = encode(&live.snapshot(), &TagLabels::default(), now_ns, false);
    requests.iter().map(|it| ExportMetricsServiceRequest::decode(&*it.body).unwrap()).collect()
}

/// The metrics under our own names.
fn own(mut series: Series) -> Series {
    series.retain(|(name, _), _| name.starts_with("netmon_"));
    series
}

#[test]
fn the_receiver_gets_the_series_that_prometheus_scrapes_with_equal_values() {
    let live = Live::new();
    let odd = ["eth0", "a\"b", "back\\slash", "new\nline", "{le=\"1\"}", "<b>ü</b>", "網"];
    observe(&live, "web-1", &odd, 1, NOW);
    observe(&live, "db_2.example", &["eth0", "eth1"], 3, NOW);
    // Times whose nearest floating-point number is found from their digits only.
    live.on_clock_offset(&id("web-1"), -1_500_000);
    live.on_clock_offset(&id("db_2.example"), 1_795_689_229_961_717_010);
    observe(&live, "gone", &["eth0"], 1, NOW);
    live.on_disconnected(&id("gone"), NOW);
    let prometheus = scraped(&render(&live, NOW));
    assert!(prometheus.len() > 100, "{prometheus:?}");
    assert_eq!(own(exported(&requests(&live, NOW))), prometheus);
}

#[test]
fn the_semantic_conventions_have_the_same_bytes_and_packets() {
    let live = Live::new();
    observe(&live, "web-1", &["eth0"], 2, NOW);
    let series = exported(&requests(&live, NOW));
    let value = |name: &str, pairs: &[(&str, &str)]| {
        let labels = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        series[&(name.to_owned(), labels)]
    };
    for (direction, rx) in [("receive", 10_000.0), ("transmit", 600.0)] {
        let way = ("network.io.direction", direction);
        let nic = ("network.interface.name", "eth0");
        assert_eq!(value("system.network.io", &[nic, way]), rx);
        let nic = ("system.device", "eth0");
        assert_eq!(value("system.network.packet.count", &[nic, way]), rx / 100.0);
    }
}

#[test]
fn chosen_tags_are_attributes_of_each_point_as_they_are_labels_in_prometheus() {
    let live = Live::new();
    observe(&live, "web-1", &["eth0"], 2, NOW);
    observe(&live, "db-1", &["eth0"], 2, NOW);
    let tags = ["site=ams", "role=cache", "rack=7"].map(|it| it.parse().unwrap());
    live.on_agent_tags(&id("web-1"), &TagSet::new(tags).unwrap());
    let chosen = TagLabels::new(&["site", "rack"].map(|it| it.parse().unwrap())).unwrap();
    let requests = encode(&live.snapshot(), &chosen, NOW, false);
    let requests =
        requests.iter().map(|it| ExportMetricsServiceRequest::decode(&*it.body).unwrap());
    let requests: Vec<_> = requests.collect();
    let text = Metrics::with_recorder().unwrap().1.with_tags(chosen).render(&live, NOW);
    assert_eq!(own(exported(&requests)), scraped(&text));
    let of = |request: &ExportMetricsServiceRequest| {
        let points = request.resource_metrics.iter().flat_map(metrics).flat_map(points);
        points.map(|it| labels(&it.attributes)).collect::<Vec<_>>()
    };
    let found: BTreeSet<_> = requests
        .iter()
        .flat_map(of)
        .map(|it| ["tag_site", "tag_rack", "tag_role"].map(|name| it.get(name).cloned()))
        .collect();
    let tagged = [Some("ams".to_owned()), Some("7".to_owned()), None];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [[None, None, None], tagged]);
}

#[test]
fn each_host_is_a_resource_with_its_id_and_alias() {
    let live = Live::new();
    observe(&live, "web-1", &["eth0"], 1, NOW);
    observe(&live, "web-2", &["eth0"], 1, NOW);
    let request = requests(&live, NOW).swap_remove(0);
    let resources: Vec<_> =
        request.resource_metrics.iter().map(|it| it.resource.as_ref().unwrap()).collect();
    for (resource, client) in resources.iter().zip(["web-1", "web-2"]) {
        let labels = labels(&resource.attributes);
        for name in ["host.name", "service.instance.id", "netmon.client.id"] {
            assert_eq!(labels[name], client);
        }
        assert_eq!(labels["service.name"], "network-monitor-agent");
        assert_eq!(labels["netmon.client.alias"], "an alias, \"quoted\" 网\0");
    }
    assert_eq!(resources.len(), 2);
    let scope = &request.resource_metrics[0].scope_metrics[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "network-monitor");
}

#[test]
fn counters_are_cumulative_since_they_began_at_zero_also_over_a_restart() {
    let live = Live::new();
    // The first sample of eth0's own, and one of eth1 that others preceded.
    observe(&live, "web-1", &["eth0"], 1, NOW);
    observe(&live, "web-1", &["eth0", "eth1"], 7, NOW + 3 * SECOND);
    let restarted = Live::new();
    restarted.restore(&live.save().unwrap(), NOW + 4 * SECOND).unwrap();
    restarted.observe(&id("web-1"), &frame("eth0", 8, NOW + 5 * SECOND), NOW + 5 * SECOND);
    for live in [&live, &restarted] {
        let now = NOW + 6 * SECOND;
        for request in requests(live, now) {
            for metric in request.resource_metrics.iter().flat_map(metrics) {
                let counter = metric.name.ends_with("_total") || metric.name.starts_with("system.");
                if let Some(Data::Sum(sum)) = &metric.data {
                    assert!(counter && sum.is_monotonic, "{}", metric.name);
                    let cumulative = AggregationTemporality::Cumulative;
                    assert_eq!(sum.aggregation_temporality(), cumulative);
                }
                for point in points(metric) {
                    let labels = labels(&point.attributes);
                    let eth0 = labels.values().any(|it| it == "eth0");
                    let since = match (counter, eth0) {
                        (false, _) => WallNs(0),
                        (true, true) => NOW - SECOND / 2,
                        (true, false) => STARTED,
                    };
                    assert_eq!(
                        point.start_time_unix_nano,
                        since.get(),
                        "{} {labels:?}",
                        metric.name
                    );
                    assert_eq!(point.time_unix_nano, now.get());
                }
            }
        }
        // The clock is behind: a start in the future would be nonsense.
        let request = requests(live, STARTED - SECOND).swap_remove(0);
        let metrics = request.resource_metrics.iter().flat_map(metrics);
        assert!(metrics.flat_map(points).all(|point| point.start_time_unix_nano == 0));
    }
}

#[test]
fn many_nics_and_clients_are_spread_over_requests_that_receivers_take() {
    let live = Live::new();
    let nics: Vec<String> = (0..1200).map(|nic| format!("veth{nic:07}")).collect();
    let nics: Vec<&str> = nics.iter().map(String::as_str).collect();
    observe(&live, "web-1", &nics, 1, NOW);
    for client in 0..200 {
        observe(&live, &format!("client-{client}"), &["eth0", "eth1"], 1, NOW);
    }
    let encoded = |gzip| encode(&live.snapshot(), &TagLabels::default(), NOW, gzip);
    let (plain, zipped) = (encoded(false), encoded(true));
    assert!(plain.len() > 1 && plain.len() == zipped.len());
    assert!(plain.iter().all(|request| request.body.len() <= 2 << 20));
    for (plain, zipped) in plain.iter().zip(&zipped) {
        let mut body = Vec::new();
        GzDecoder::new(&*zipped.body).read_to_end(&mut body).unwrap();
        assert_eq!(body, plain.body);
        assert_eq!(plain.points, zipped.points);
        let request = ExportMetricsServiceRequest::decode(&*plain.body).unwrap();
        let metrics = request.resource_metrics.iter().flat_map(metrics);
        assert_eq!(metrics.map(|metric| points(metric).len() as u64).sum::<u64>(), plain.points);
    }
    let series = own(exported(&requests(&live, NOW)));
    assert_eq!(series, scraped(&render(&live, NOW)));
    assert!(encode(&[], &TagLabels::default(), NOW, true).is_empty(), "nothing to say");
}
