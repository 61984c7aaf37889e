//! Receivers that are down, slow, busy, in the way or no receivers at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::live::Live;
use collector::metrics::{Metrics, TagLabels};
use collector::otlp::{Exporter, OtlpAnswer, OtlpSection, probe};
use collector::time::now_ns;
use metrics_exporter_prometheus::PrometheusRecorder;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;
use rustls::ServerConfig;
use settings::{Interval, Size};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::receiver::{Receiver, Reply};
use crate::shown::{exported, observe};

const PATIENCE: Duration = Duration::from_secs(20);

/// An export from a table with one client, with its own metrics.
struct Export {
    exporter: Exporter,
    live: Live,
    metrics: Metrics,
}

impl Export {
    fn start(section: &OtlpSection) -> Self {
        let (recorder, metrics) = Metrics::with_recorder().unwrap();
        // For this thread, on which the test's whole runtime is.
        let recorder: &'static PrometheusRecorder = Box::leak(Box::new(recorder));
        std::mem::forget(metrics::set_default_local_recorder(recorder));
        let live = Live::new();
        observe(&live, "web-1", &["eth0"], 1, now_ns());
        let target = section.target().unwrap().unwrap();
        Self {
            exporter: Exporter::start(target, live.clone(), TagLabels::default()),
            live,
            metrics,
        }
    }

    fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.render(&self.live, now_ns());
        let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}")).parse().unwrap()
    }

    fn accepted(&self) -> u64 {
        self.metric("netmon_collector_otlp_points_total")
    }

    fn failures(&self) -> u64 {
        self.metric("netmon_collector_otlp_failures_total")
    }

    fn lost(&self, reason: &str) -> u64 {
        self.metric(&format!("netmon_collector_otlp_lost_points_total{{reason=\"{reason}\"}}"))
    }
}

fn quick(url: &str) -> OtlpSection {
    let (interval, timeout) = (Interval::millis(20), Interval::millis(300));
    OtlpSection { url: Some(url.to_owned()), interval, timeout, ..OtlpSection::default() }
}

async fn wait_until(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Data points of one snapshot of the client.
const POINTS: u64 = 18;

#[tokio::test]
async fn a_receiver_that_answers_gets_everything_and_the_last_state_at_the_stop() {
    let receiver = Receiver::start(vec![]).await;
    let folder = tempfile::tempdir().unwrap();
    let headers = folder.path().join("headers");
    fs::write(&headers, "Authorization: Bearer correct-horse\n").unwrap();
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600)).unwrap();
    let section = OtlpSection { headers_file: Some(headers.clone()), ..quick(&receiver.url) };
    let export = Export::start(&section);
    wait_until("requests", || receiver.taken().len() > 2).await;
    // A new token takes effect at once.
    fs::write(&headers, "Authorization: Bearer battery-staple\n").unwrap();
    let before = receiver.taken().len();
    wait_until("new headers", || receiver.taken().len() > before + 2).await;
    observe(&export.live, "late", &["eth9"], 1, now_ns());
    let Export { exporter, live, metrics } = export;
    exporter.stop().await;
    let taken = receiver.taken();
    assert!(taken[0].head.starts_with("post /v1/metrics http/1.1\r\n"), "{}", taken[0].head);
    for header in [
        "authorization: bearer correct-horse",
        "content-type: application/x-protobuf",
        "content-encoding: gzip",
        "user-agent: network-monitor-collector/",
    ] {
        assert!(taken[0].head.contains(header), "{header}: {}", taken[0].head);
    }
    let last = taken.last().unwrap();
    assert!(last.head.contains("battery-staple"), "{}", last.head);
    let series = exported([&last.request]);
    let late = series.keys().any(|(_, labels)| labels.get("client").is_some_and(|it| it == "late"));
    assert!(late, "what came right before the stop");
    let text = metrics.render(&live, now_ns());
    let sent: usize = taken.iter().map(|it| exported_points(&it.request)).sum();
    let line = format!("netmon_collector_otlp_points_total {sent}");
    assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    for reason in ["queue_full", "refused", "rejected", "stopped"] {
        let line = format!("netmon_collector_otlp_lost_points_total{{reason=\"{reason}\"}} 0");
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
}

fn exported_points(
    request: &opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest,
) -> usize {
    let metrics = request.resource_metrics.iter().flat_map(crate::shown::metrics);
    metrics.map(|metric| crate::shown::points(metric).len()).sum()
}

#[tokio::test]
async fn what_fails_on_the_way_is_sent_again_and_nothing_is_lost() {
    let replies = vec![
        Reply::new("503 Service Unavailable", "Retry-After: 1\r\n", b""),
        Reply::Close,
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off".to_vec()),
    ];
    let number = replies.len();
    let receiver = Receiver::start(replies).await;
    let export = Export::start(&quick(&receiver.url));
    wait_until("the end of the trouble", || receiver.is_through(number)).await;
    wait_until("a delivery", || export.accepted() > 0).await;
    assert_eq!(export.failures(), 3);
    let taken = receiver.taken();
    let (first, again) = (&taken[0].request, &taken[number].request);
    assert_eq!(first, again, "the oldest goes first, with its own time");
    export.exporter.stop().await;
    let times: Vec<u64> = receiver.taken()[number..].iter().map(|it| time(&it.request)).collect();
    assert!(times.is_sorted(), "{times:?}");
}

fn time(
    request: &opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest,
) -> u64 {
    let metric = crate::shown::metrics(&request.resource_metrics[0]).next().unwrap();
    crate::shown::points(metric)[0].time_unix_nano
}

#[tokio::test]
async fn what_the_receiver_will_never_take_is_lost_and_counted_and_the_next_goes_on() {
    let partial = ExportMetricsPartialSuccess {
        rejected_data_points: 7,
        error_message: "too old".to_owned(),
    };
    let partial = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let protobuf = "Content-Type: application/x-protobuf\r\n";
    let replies = vec![
        Reply::new("400 Bad Request", "", b"bad"),
        Reply::new("307 Temporary Redirect", "Location: http://127.0.0.1:9/\r\n", b""),
        Reply::new("200 OK", "Content-Type: text/html\r\n", b"<html>sign in</html>"),
        Reply::new("200 OK", protobuf, &vec![0xff; 1 << 20]),
        Reply::new("200 OK", protobuf, &partial),
    ];
    let number = replies.len();
    let receiver = Receiver::start(replies).await;
    let export = Export::start(&quick(&receiver.url));
    wait_until("the end of the trouble", || receiver.is_through(number)).await;
    wait_until("its answer", || export.accepted() > POINTS - 7).await;
    assert_eq!(export.lost("refused"), 4 * POINTS);
    assert_eq!(export.lost("rejected"), 7);
    assert_eq!((export.failures(), export.lost("queue_full")), (4, 0));
    let times: Vec<u64> = receiver.taken().iter().map(|it| time(&it.request)).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "nothing twice: {times:?}");
}

#[tokio::test]
async fn a_slow_receiver_costs_bounded_memory_and_a_bounded_stop_and_the_oldest_give_way() {
    let receiver = Receiver::start(vec![Reply::Silence; 1000]).await;
    let section = OtlpSection { max_memory: Size(2000), ..quick(&receiver.url) };
    let export = Export::start(&section);
    wait_until("losses", || export.lost("queue_full") > 0).await;
    wait_until("a failure", || export.failures() > 0).await;
    assert!(export.metric("netmon_collector_otlp_queue_bytes") <= 2000);
    let Export { exporter, live, metrics } = export;
    let start = Instant::now();
    exporter.stop().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let text = metrics.render(&live, now_ns());
    let stopped = "netmon_collector_otlp_lost_points_total{reason=\"stopped\"} ";
    let stopped = text.lines().find_map(|line| line.strip_prefix(stopped)).unwrap();
    assert!(stopped.parse::<u64>().unwrap() >= POINTS, "{text}");
    assert!(text.contains("\nnetmon_collector_otlp_points_total 0\n"), "{text}");
}

#[tokio::test]
async fn a_receiver_that_comes_later_gets_what_waited_for_it() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let export = Export::start(&quick(&format!("http://{address}")));
    wait_until("a failure", || export.failures() > 0).await;
    let receiver = Receiver::start_at(&address, vec![], None).await;
    wait_until("a delivery", || export.accepted() > 3 * POINTS).await;
    let times: Vec<u64> = receiver.taken().iter().map(|it| time(&it.request)).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!((export.lost("queue_full"), export.lost("refused")), (0, 0));
}

#[tokio::test]
async fn a_receivers_certificate_is_checked_by_the_authorities_of_the_config() {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let key = key.serialize_der().try_into().unwrap();
    let tls = tls.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let tls = Some(TlsAcceptor::from(Arc::new(tls)));
    let receiver = Receiver::start_at("127.0.0.1:0", vec![], tls).await;
    let ask = async |section: OtlpSection| probe(section.target().unwrap().unwrap()).await;
    let known = OtlpSection { ca: Some(ca), timeout: Interval::secs(10), ..quick(&receiver.url) };
    let unknown = OtlpSection { ca: None, ..known.clone() };
    assert_eq!(ask(known).await, OtlpAnswer::Accepted);
    let OtlpAnswer::Again { why, .. } = ask(unknown).await else { panic!() };
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(receiver.taken().len(), 1, "nothing is sent to somebody unknown");
}
