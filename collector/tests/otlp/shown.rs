//! What a collector shows of its clients, and the same as the receiver sees it.

use std::collections::BTreeMap;

use collector::live::Live;
use collector::metrics::Metrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, metric::Data, number_data_point,
};
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic, Session};
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

pub const SECOND: u64 = 1_000_000_000;

/// The session of every client starts here, by its clock.
pub const STARTED: WallNs = WallNs(1_700_000_000 * SECOND);

pub fn id(client: &str) -> ClientId {
    ClientId::new(client).unwrap()
}

/// A client's sample number `seq` of half a second, which ends at `now_ns`.
pub fn frame(nic: &str, seq: u64, now_ns: WallNs) -> Frame {
    let counts = |bytes: u64| Counts {
        bytes: Bytes(bytes),
        packets: Packets(bytes / 100),
        total_bytes: Bytes(bytes * seq),
        total_packets: Packets(bytes / 100 * seq),
        peak_1ms_bytes: 64,
        ..Counts::default()
    };
    let sample = Sample {
        nic: NicName::new(nic).unwrap(),
        start_ns: now_ns - SECOND / 2,
        interval_ns: SECOND / 2,
        rx: counts(5000),
        tx: counts(300),
        drops: Packets(9),
        late: 4,
        inexact: 2,
        ..Sample::default()
    };
    let (samples, mixes) = (vec![sample], vec![]);
    Frame {
        session: SessionId::new(1),
        first_seq: Seq(seq),
        last_seq: Seq(seq),
        gap: 0,
        samples,
        mixes,
        talkers: vec![],
    }
}

/// Shows a client with these NICs, whose samples are number `seq`.
pub fn observe(live: &Live, client: &str, nics: &[&str], seq: u64, now_ns: WallNs) {
    let client = id(client);
    live.on_connected(&client, "an alias, \"quoted\" 网\0", &Host::default(), now_ns);
    live.on_sessions(&client, &[Session { session: SessionId::new(1), started_ns: STARTED }]);
    let listed = |nic: &&str| Nic {
        name: NicName::new(nic).unwrap(),
        speed_bits: 8_000_000,
        kind: "physical".into(),
        up: true,
        ..Nic::default()
    };
    live.on_inventory(&client, &Inventory { nics: nics.iter().map(listed).collect() });
    for nic in nics {
        live.observe(&client, &frame(nic, seq, now_ns), now_ns);
    }
}

/// Attributes by name. All of ours are texts.
pub fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), text(it))).collect()
}

pub fn points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    }
}

pub fn metrics(resource: &ResourceMetrics) -> impl Iterator<Item = &Metric> {
    resource.scope_metrics.iter().flat_map(|scope| &scope.metrics)
}

/// Every series by name and labels, as Prometheus writes it, with its value.
pub type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

#[allow(clippy::cast_precision_loss, reason = "small figures")]
pub fn exported<'a>(requests: impl IntoIterator<Item = &'a ExportMetricsServiceRequest>) -> Series {
    let mut series = Series::new();
    for resource in requests.into_iter().flat_map(|request| &request.resource_metrics) {
        for metric in metrics(resource) {
            for point in points(metric) {
                let value = match point.value.unwrap() {
                    number_data_point::Value::AsInt(value) => value as f64,
                    number_data_point::Value::AsDouble(value) => value,
                };
                let known = series.insert((metric.name.clone(), labels(&point.attributes)), value);
                let conventional = metric.name.starts_with("system.");
                assert!(known.is_none() || conventional, "twice: {} {point:?}", metric.name);
            }
        }
    }
    series
}

/// The series of clients and NICs in Prometheus' text.
pub fn scraped(text: &str) -> Series {
    let mut series = Series::new();
    for line in text.lines() {
        let of_clients = ["netmon_client_", "netmon_nic_"].iter().any(|it| line.starts_with(it));
        let Some((name, rest)) = line.split_once('{').filter(|_| of_clients) else { continue };
        let (set, value) = rest.rsplit_once("} ").unwrap();
        let mut labels = BTreeMap::new();
        let mut rest = set;
        while let Some((name, after)) = rest.split_once("=\"") {
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (end, '"') => break end,
                    (_, other) => value.push(other),
                }
            };
            labels.insert(name.trim_start_matches(',').to_owned(), value);
            rest = &after[end + 1..];
        }
        series.insert((name.to_owned(), labels), value.parse().unwrap());
    }
    series
}

pub fn render(live: &Live, now_ns: WallNs) -> String {
    Metrics::with_recorder().unwrap().1.render(live, now_ns)
}
