//! Metrics of clients as OTLP requests.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use wire::WallNs;

use crate::live::{ClientView, NicView};
use crate::metrics::{
    CLIENT_METRICS, ClientMetric, MetricKind, MetricPoint, MetricValue, NIC_BYTES, NIC_PACKETS,
    TagLabels, TrafficDirection,
};

/// Most bytes of a request before compression: half of what receivers behind gRPC take by default
/// (4 MiB).
const REQUEST_MAX: usize = 2 << 20;

/// Most NICs of a resource: about 1 MB, so that a resource fits into a request.
const NICS_MAX: usize = 500;

/// The semantic conventions that the names below are from.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.42.0";

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpRequest {
    /// Its body.
    pub body: Bytes,
    /// Number of data points in it.
    pub points: u64,
}

/// A metric of the semantic conventions: its name, the attribute that names the NIC, and our metric
/// with the same figures.
struct Convention {
    name: &'static str,
    nic: &'static str,
    metric: ClientMetric,
}

/// `system.network.errors` and `system.network.packet.dropped` are left out: they are the kernel's, and a
/// full ring loses only our own copy of a packet.
const CONVENTIONS: [Convention; 2] = [
    Convention { name: "system.network.io", nic: "network.interface.name", metric: NIC_BYTES },
    Convention { name: "system.network.packet.count", nic: "system.device", metric: NIC_PACKETS },
];

/// Every metric of the clients at `now_ns`, as one or more requests. Chosen tags are attributes of each
/// point, as they are labels in Prometheus.
pub fn encode(
    clients: &[ClientView],
    tags: &TagLabels,
    now_ns: WallNs,
    gzip: bool,
) -> Vec<OtlpRequest> {
    let (mut requests, mut open) = (Vec::new(), Filling::default());
    let mut bytes = Vec::new();
    for client in clients {
        for resource_metrics in resources(client, tags, now_ns) {
            let points = points(&resource_metrics);
            // Encoded requests that follow one another are one request (protobuf merges them).
            let request = ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] };
            bytes.clear();
            // A vector grows as needed.
            let _always = request.encode(&mut bytes);
            if !open.body.is_empty() && open.body.len() + bytes.len() > REQUEST_MAX {
                requests.push(std::mem::take(&mut open).close(gzip));
            }
            open.body.extend_from_slice(&bytes);
            open.points += points;
        }
    }
    if !open.body.is_empty() {
        requests.push(open.close(gzip));
    }
    requests
}

/// A request that is being filled.
#[derive(Default)]
struct Filling {
    body: Vec<u8>,
    points: u64,
}

impl Filling {
    fn close(self, gzip: bool) -> OtlpRequest {
        let body = if gzip { compress(&self.body) } else { self.body };
        OtlpRequest { body: body.into(), points: self.points }
    }
}

/// Fast: metrics compress well anyhow.
fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector can't fail.
    let _always = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A client as resources: one, or several if it has very many NICs.
fn resources(
    client: &ClientView,
    tags: &TagLabels,
    now_ns: WallNs,
) -> impl Iterator<Item = ResourceMetrics> {
    let tags: Vec<KeyValue> =
        tags.of(&client.tags).map(|(name, value)| attribute(name, value)).collect();
    let nics = client.shown_nics();
    let rest = nics.chunks(NICS_MAX).skip(1).map(|nics| (nics, false));
    let first = (&nics[..nics.len().min(NICS_MAX)], true);
    std::iter::once(first).chain(rest).map(move |(nics, first)| {
        let own = CLIENT_METRICS.iter().filter(|metric| first || metric.is_of_nics());
        let own = own.map(|metric| {
            let name = |point: &MetricPoint<'_>| [own_labels(client, point), tags.clone()].concat();
            to_metric(metric.name, metric, (client, nics), now_ns, name)
        });
        let conventions = CONVENTIONS.iter().map(|it| {
            let name = |point: &MetricPoint<'_>| {
                [conventional_labels(it.nic, point), tags.clone()].concat()
            };
            to_metric(it.name, &it.metric, (client, nics), now_ns, name)
        });
        let metrics = own.chain(conventions).filter(|metric| metric.data.is_some()).collect();
        ResourceMetrics {
            resource: Some(resource(client)),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: SCHEMA.into(),
            }],
            schema_url: SCHEMA.into(),
        }
    })
}

/// The host. What changes while it stays the same, as its agent's version, is not in it: receivers take
/// another resource for another series.
fn resource(client: &ClientView) -> Resource {
    let id = client.client.as_str();
    let mut attributes = vec![
        attribute("service.name", "network-monitor-agent"),
        attribute("service.instance.id", id),
        attribute("host.name", id),
        attribute("netmon.client.id", id),
        attribute("os.type", "linux"),
    ];
    if !client.alias.is_empty() {
        attributes.push(attribute("netmon.client.alias", &client.alias));
    }
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "network-monitor".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// A metric with its points; without data if it has none.
fn to_metric(
    name: &str,
    metric: &ClientMetric,
    (client, nics): (&ClientView, &[NicView]),
    now_ns: WallNs,
    labels: impl Fn(&MetricPoint<'_>) -> Vec<KeyValue>,
) -> Metric {
    let mut data_points = Vec::new();
    metric.each_point(client, nics, |point| {
        // A counter that began after now was restored by a clock that is behind: unknown (0).
        let since = point.nic.and_then(|nic| nic.counted_since).map_or(WallNs(0), |since| since.0);
        let counts = metric.kind == MetricKind::Counter && since <= now_ns;
        data_points.push(NumberDataPoint {
            attributes: labels(&point),
            start_time_unix_nano: if counts { since.get() } else { 0 },
            time_unix_nano: now_ns.get(),
            value: Some(number(point.value)),
            ..NumberDataPoint::default()
        });
    });
    let data = (!data_points.is_empty()).then(|| match metric.kind {
        MetricKind::Counter => Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        MetricKind::Gauge => Data::Gauge(Gauge { data_points }),
    });
    let (name, description, unit) = (name.into(), metric.help.into(), metric.unit.into());
    Metric { name, description, unit, data, ..Metric::default() }
}

fn number(value: MetricValue) -> Number {
    match value {
        // 9 EB: no counter gets there.
        MetricValue::Whole(value) => Number::AsInt(i64::try_from(value).unwrap_or(i64::MAX)),
        // Read from its digits, as Prometheus does, so that both have the same number.
        MetricValue::Nanoseconds(_) => {
            Number::AsDouble(value.to_string().parse().unwrap_or_default())
        }
    }
}

/// The labels of Prometheus.
fn own_labels(client: &ClientView, point: &MetricPoint<'_>) -> Vec<KeyValue> {
    let mut labels = vec![attribute("client", &client.client)];
    labels.extend(point.nic.map(|nic| attribute("nic", &nic.nic)));
    labels.extend(point.direction.map(|direction| attribute("direction", direction.name())));
    labels
}

/// The attributes of the semantic conventions.
fn conventional_labels(nic_key: &'static str, point: &MetricPoint<'_>) -> Vec<KeyValue> {
    let way = |direction| match direction {
        TrafficDirection::Rx => "receive",
        TrafficDirection::Tx => "transmit",
    };
    let nic = point.nic.map(|nic| attribute(nic_key, &nic.nic));
    let direction = point.direction.map(|it| attribute("network.io.direction", way(it)));
    nic.into_iter().chain(direction).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn points(metrics: &ResourceMetrics) -> u64 {
    let metrics = metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let points = metrics.map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        _ => 0,
    });
    points.sum::<usize>() as u64
}
