//! What Prometheus reads: names, labels, and that its own checker has nothing to say.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::process::{Command, Stdio};

use collector::live::{GONE_NS, Live};
use collector::metrics::Metrics;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName};
use wire::message::Host;

const NOW: u64 = 1_700_000_000_250_000_000;

fn observe(live: &Live, client: &str, nic: &str) {
    let client = ClientId::new(client).unwrap();
    live.on_connected(&client, "an alias with \"quotes\"", &Host::default(), NOW);
    let counts = |total_bytes| Counts {
        total_bytes,
        total_packets: total_bytes / 100,
        peak_1ms_bytes: 64,
        ..Counts::default()
    };
    let sample = Sample {
        nic: NicName::new(nic).unwrap(),
        start_ns: NOW,
        interval_ns: 500_000_000,
        rx: counts(5000),
        tx: counts(300),
        drops: 9,
        ..Sample::default()
    };
    let (samples, mixes) = (vec![sample], vec![]);
    live.observe(
        &client,
        &Frame { session: 1, first_seq: 1, last_seq: 1, gap: 0, samples, mixes },
        NOW,
    );
}

fn metrics() -> Metrics {
    Metrics::with_recorder().unwrap().1
}

#[test]
fn every_figure_of_a_client_and_its_nics_is_there() {
    let live = Live::new();
    observe(&live, "web-1", "eth0");
    live.on_clock_offset(&ClientId::new("web-1").unwrap(), -1_500_000);
    let text = metrics().render(&live, NOW);
    for line in [
        "netmon_client_up{client=\"web-1\"} 1",
        "netmon_client_last_seen_timestamp_seconds{client=\"web-1\"} 1700000000.250000000",
        "netmon_client_clock_offset_seconds{client=\"web-1\"} -0.001500000",
        "netmon_nic_up{client=\"web-1\",nic=\"eth0\"} 1",
        "netmon_nic_stacked{client=\"web-1\",nic=\"eth0\"} 0",
        "netmon_nic_bytes_total{client=\"web-1\",nic=\"eth0\",direction=\"rx\"} 5000",
        "netmon_nic_bytes_total{client=\"web-1\",nic=\"eth0\",direction=\"tx\"} 300",
        "netmon_nic_packets_total{client=\"web-1\",nic=\"eth0\",direction=\"rx\"} 50",
        "netmon_nic_peak_bytes_per_second{client=\"web-1\",nic=\"eth0\",direction=\"tx\"} 64000",
        "netmon_nic_ring_drops_total{client=\"web-1\",nic=\"eth0\"} 9",
        "# TYPE netmon_nic_bytes_total counter",
        "# TYPE netmon_nic_peak_bytes_per_second gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_client_that_left_is_down_and_disappears_after_five_minutes() {
    let live = Live::new();
    observe(&live, "web-1", "eth0");
    live.on_disconnected(&ClientId::new("web-1").unwrap(), NOW);
    let text = metrics().render(&live, NOW + GONE_NS);
    assert!(text.contains("netmon_client_up{client=\"web-1\"} 0"));
    assert!(text.contains("netmon_nic_bytes_total{client=\"web-1\""));
    assert!(!text.contains("netmon_nic_peak_bytes_per_second{"), "no peak of now");
    assert!(!metrics().render(&live, NOW + GONE_NS + 1).contains("web-1"));
}

#[test]
fn the_collectors_own_metrics_start_at_zero_and_count() {
    let (recorder, own) = Metrics::with_recorder().unwrap();
    let before = own.render(&Live::new(), NOW);
    for name in ["frames", "bytes", "duplicates", "gaps", "commit_errors", "enrolments"] {
        assert!(before.contains(&format!("\nnetmon_collector_{name}_total 0\n")), "{name}");
    }
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("netmon_collector_frames_total").increment(3);
        metrics::counter!("netmon_collector_rejects_total", "reason" => "rate").increment(1);
        metrics::gauge!("netmon_collector_queue_rows").set(7.0);
        metrics::histogram!("netmon_collector_commit_seconds").record(0.03);
    });
    let after = own.render(&Live::new(), NOW);
    for line in [
        "netmon_collector_frames_total 3",
        "netmon_collector_rejects_total{reason=\"rate\"} 1",
        "netmon_collector_queue_rows 7",
        "netmon_collector_commit_seconds_bucket{le=\"0.025\"} 0",
        "netmon_collector_commit_seconds_bucket{le=\"0.05\"} 1",
        "netmon_collector_batch_rows_count 0",
    ] {
        assert!(after.lines().any(|found| found == line), "{line} is not in\n{after}");
    }
}

#[test]
fn promtool_has_nothing_to_say_even_about_odd_names() {
    let live = Live::new();
    for nic in ["eth0", "a\"b", "back\\slash", "new\nline", "{le=\"1\"}", "<b>ü</b>", "\\n"] {
        observe(&live, "web-1", nic);
        observe(&live, "db_2.example", nic);
    }
    live.on_clock_offset(&ClientId::new("web-1").unwrap(), i64::MIN);
    let (recorder, own) = Metrics::with_recorder().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("netmon_collector_rejects_total", "reason" => "bad frame").increment(1);
        metrics::histogram!("netmon_collector_commit_seconds").record(0.03);
        metrics::histogram!("netmon_collector_batch_rows").record(300.0);
    });
    assert_promtool_is_silent(&own.render(&live, NOW));
    assert_promtool_is_silent(&own.render(&Live::new(), NOW));
}

fn assert_promtool_is_silent(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian: prometheus)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
