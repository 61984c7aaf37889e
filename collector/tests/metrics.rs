//! The metrics for Prometheus: names, labels, and a clean result of its checker.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::process::{Command, Stdio};

use collector::live::{GONE_NS, Live};
use collector::metrics::{Metrics, TagLabels};
use collector::store::Registered;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::Host;
use wire::tag::TagSet;
use wire::{Bytes, Packets};
use wire::{Seq, WallNs};

const NOW: u64 = 1_700_000_000_250_000_000;

fn observe(live: &Live, client: &str, nic: &str) {
    let client = ClientId::new(client).unwrap();
    live.on_connected(&client, "an alias with \"quotes\"", &Host::default(), WallNs(NOW));
    let counts = |total_bytes: u64| Counts {
        total_bytes: Bytes(total_bytes),
        total_packets: Packets(total_bytes / 100),
        peak_1ms_bytes: 64,
        ..Counts::default()
    };
    let sample = Sample {
        nic: NicName::new(nic).unwrap(),
        start_ns: WallNs(NOW),
        interval_ns: 500_000_000,
        rx: counts(Bytes(5000).get()),
        tx: counts(Bytes(300).get()),
        drops: Packets(9),
        late: 4,
        inexact: 2,
        ..Sample::default()
    };
    let (samples, mixes) = (vec![sample], vec![]);
    live.observe(
        &client,
        &Frame {
            session: SessionId::new(1),
            first_seq: Seq(1),
            last_seq: Seq(1),
            gap: 0,
            samples,
            mixes,
            talkers: vec![],
        },
        WallNs(NOW),
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
    let text = metrics().render(&live, WallNs(NOW));
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
        "netmon_nic_late_packets_total{client=\"web-1\",nic=\"eth0\"} 4",
        "netmon_nic_inexact_packets_total{client=\"web-1\",nic=\"eth0\"} 2",
        "# TYPE netmon_nic_bytes_total counter",
        "# TYPE netmon_nic_peak_bytes_per_second gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_client_that_left_is_down_until_it_is_forgotten_also_after_a_restart() {
    let live = Live::new();
    let web1 = ClientId::new("web-1").unwrap();
    observe(&live, "web-1", "eth0");
    live.on_disconnected(&web1, WallNs(NOW));
    let restarted = Live::new();
    restarted.restore(&live.save().unwrap(), WallNs(NOW)).unwrap();
    // This collector knows only the store's contents.
    let from_store = Live::new();
    let registered = |forgotten_ns| Registered {
        client: "web-1".into(),
        alias: String::new(),
        last_seen_ns: WallNs(NOW),
        forgotten_ns,
    };
    from_store.on_registered(&[registered(None)], WallNs(NOW));
    for (live, nics) in [(&live, true), (&restarted, true), (&from_store, false)] {
        let text = metrics().render(live, WallNs(NOW + 1_000_000 * GONE_NS));
        assert!(text.contains("netmon_client_up{client=\"web-1\"} 0"), "{text}");
        let seen = "netmon_client_last_seen_timestamp_seconds{client=\"web-1\"} 1700000000.25";
        assert!(text.contains(seen), "{text}");
        assert_eq!(text.contains("netmon_nic_bytes_total{client=\"web-1\""), nics, "{text}");
        assert!(!text.contains("netmon_nic_peak_bytes_per_second{"), "no current peak");
        assert_promtool_is_silent(&text);
        live.on_registered(&[registered(Some(WallNs(NOW)))], WallNs(NOW));
        assert!(!metrics().render(live, WallNs(NOW)).contains("web-1"));
    }
}

#[test]
fn of_two_collectors_of_a_store_only_the_one_that_heard_of_a_client_last_shows_its_nics() {
    let live = Live::new();
    observe(&live, "web-1", "eth0");
    live.on_clock_offset(&ClientId::new("web-1").unwrap(), 5);
    live.on_disconnected(&ClientId::new("web-1").unwrap(), WallNs(NOW));
    let second = 1_000_000_000;
    for last_seen_ns in [NOW, NOW + 30 * second] {
        let (client, alias) = ("web-1".into(), String::new());
        let registered =
            Registered { client, alias, last_seen_ns: WallNs(last_seen_ns), forgotten_ns: None };
        live.on_registered(&[registered], WallNs(NOW + 40 * second));
    }
    let text = metrics().render(&live, WallNs(NOW + 40 * second));
    assert!(text.contains("netmon_client_up{client=\"web-1\"} 1"), "{text}");
    assert!(!text.contains("nic=\"eth0\"") && !text.contains("clock_offset_seconds{"), "{text}");
}

#[test]
fn chosen_tags_are_labels_and_another_value_ends_the_series_of_the_last_one() {
    let live = Live::new();
    observe(&live, "web-1", "eth0");
    observe(&live, "db-1", "eth0");
    let web = ClientId::new("web-1").unwrap();
    let say = |text: &str| {
        let tags = text.split_whitespace().map(|it| it.parse().unwrap());
        live.on_agent_tags(&web, &TagSet::new(tags).unwrap());
    };
    let keys = ["site", "os.name"].map(|it| it.parse().unwrap());
    let metrics = metrics().with_tags(TagLabels::new(&keys).unwrap());
    say("site=東京 role=cache os.name=debian/12");
    let text = metrics.render(&live, WallNs(NOW));
    for line in [
        "netmon_client_up{client=\"web-1\",tag_site=\"東京\",tag_os_name=\"debian/12\"} 1",
        "netmon_nic_bytes_total{client=\"web-1\",tag_site=\"東京\",tag_os_name=\"debian/12\",\
         nic=\"eth0\",direction=\"rx\"} 5000",
        "netmon_client_up{client=\"db-1\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("role") && !text.contains("cache"), "only chosen keys: {text}");
    assert_promtool_is_silent(&text);
    let series = |text: &str| text.lines().filter(|line| line.contains("client=\"web-1\"")).count();
    let before = series(&text);
    say("site=fra");
    let text = metrics.render(&live, WallNs(NOW));
    assert!(text.contains("{client=\"web-1\",tag_site=\"fra\",nic=\"eth0\"}"), "{text}");
    assert!(!text.contains("東京") && series(&text) == before, "{text}");
}

#[test]
fn the_collectors_own_metrics_start_at_zero_and_count() {
    let (recorder, own) = Metrics::with_recorder().unwrap();
    let before = own.render(&Live::new(), WallNs(NOW));
    for name in ["frames", "bytes", "duplicates", "gaps", "commit_errors", "enrolments"] {
        assert!(before.contains(&format!("\nnetmon_collector_{name}_total 0\n")), "{name}");
    }
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("netmon_collector_frames_total").increment(3);
        metrics::counter!("netmon_collector_rejects_total", "reason" => "rate").increment(1);
        metrics::gauge!("netmon_collector_queue_rows").set(7.0);
        metrics::histogram!("netmon_collector_commit_seconds").record(0.03);
    });
    let after = own.render(&Live::new(), WallNs(NOW));
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
    assert_promtool_is_silent(&own.render(&live, WallNs(NOW)));
    assert_promtool_is_silent(&own.render(&Live::new(), WallNs(NOW)));
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
