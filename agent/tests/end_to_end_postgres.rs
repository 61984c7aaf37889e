//! The real programs with a real PostgreSQL: the database holds what the wire carried, even if the
//! database fails meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use testbed::http::HTTP;
use testbed::{Cluster, Pair, Running, Site, done, get, in_namespace, metric, sh, wait_until};

/// Starts the collector without waiting.
fn start_collector(site: &Site) -> Running {
    Running::start(site.collector(&["run"]), &site.dir().join("c.log"))
}

fn wait_for_frames(more_than: f64) {
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > more_than);
}

fn frames() -> f64 {
    metric(HTTP, "netmon_collector_frames_total")
}

/// The answer of `/readyz` if it isn't ready.
fn not_ready() -> Option<String> {
    get(HTTP, "/readyz").filter(|answer| answer.contains(" 503 "))
}

fn is_ready() -> bool {
    testbed::http::is_ready(HTTP)
}

/// Current received bytes of the NIC, from the API.
fn live_bytes() -> f64 {
    metric(HTTP, r#"netmon_nic_bytes_total{client="host-1",nic="here",direction="rx"}"#)
}

fn cluster() -> (Cluster, String) {
    let cluster = Cluster::start();
    let url = cluster.new_database();
    (cluster, url)
}

#[test]
fn a_database_that_restarts_misses_and_doubles_nothing() {
    if !in_namespace() {
        return;
    }
    let (cluster, url) = cluster();
    let (pair, site) = (Pair::new(), Site::with_database(&url));
    let migrated = done(site.collector(&["migrate"]).output().unwrap());
    assert!(migrated.contains("brought from nothing to schema"), "{migrated}");
    let collector = start_collector(&site);
    wait_until("a collector that is ready", is_ready);
    site.enroll();
    let agent = site.start_agent();
    wait_for_frames(2.0);
    pair.bulk(30_000_000);
    cluster.stop("QUIT");
    wait_until("a collector that says so", || not_ready().is_some());
    let reason = not_ready().unwrap();
    assert!(reason.contains("postgresql://postgres@"), "{reason}");
    wait_until("the metric", || metric(HTTP, "netmon_collector_store_up") == 0.0);
    let (shown, seen) = (live_bytes(), frames());
    pair.bulk(30_000_000);
    wait_for_frames(seen + 3.0);
    wait_until("live rates go on", || live_bytes() > shown + 29_000_000.0);
    cluster.start_again();
    wait_until("a collector that is ready", is_ready);
    wait_until("the metric", || metric(HTTP, "netmon_collector_store_up") == 1.0);
    pair.bulk(30_000_000);
    pair.wait_for_silence();
    agent.stop();
    let log = collector.log();
    assert!(log.contains("the store can't commit") && log.contains("works again"));
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "in the database, and on the wire");
    let name = url.rsplit('=').next().unwrap();
    let sum = "SELECT sum(rx_bytes) FROM bandwidth_stats s JOIN nics n ON n.id = s.nic
               WHERE n.name = 'here'";
    assert_eq!(cluster.psql(name, sum).trim(), pair.sent_there().0.to_string());
    let clients = done(site.collector(&["clients"]).output().unwrap());
    assert!(clients.contains("host-1") && clients.contains("here"), "{clients}");
}

#[test]
fn a_collector_that_starts_before_its_database_waits_for_it_and_says_so() {
    if !in_namespace() {
        return;
    }
    let (cluster, url) = cluster();
    let (pair, site) = (Pair::new(), Site::with_database(&url));
    // Hosts can only enrol with a database, which counts the uses of tokens.
    let collector = start_collector(&site);
    wait_until("a collector that is ready", is_ready);
    site.enroll();
    collector.stop();
    cluster.stop("INT");
    let collector = start_collector(&site);
    wait_until("a collector that says so", || not_ready().is_some());
    assert!(get(HTTP, "/healthz").unwrap().contains(" 200 "), "it runs");
    wait_until("the log", || collector.log().contains("the store can't commit"));
    let agent = site.start_agent();
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(20_000_000);
    cluster.start_again();
    wait_until("a collector that is ready", is_ready);
    wait_for_frames(2.0);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "in the database, and on the wire");
}

#[test]
fn an_agent_that_comes_while_the_database_is_down_is_shown_at_once_and_stored_later() {
    if !in_namespace() {
        return;
    }
    let (cluster, url) = cluster();
    let (pair, site) = (Pair::new(), Site::with_database(&url));
    let collector = start_collector(&site);
    wait_until("a collector that is ready", is_ready);
    site.enroll();
    cluster.stop("INT");
    wait_until("a collector that says so", || not_ready().is_some());
    let agent = site.start_agent();
    let up = || metric(HTTP, r#"netmon_client_up{client="host-1"}"#);
    wait_until("the agent is shown", || up() == 1.0);
    pair.bulk(20_000_000);
    wait_until("live rates", || live_bytes() > 19_000_000.0);
    let shown = get(HTTP, "/metrics").unwrap_or_default();
    assert!(shown.contains(r#"netmon_nic_up{client="host-1",nic="here"} 1"#), "{shown}");
    assert!(!agent.log().contains("connected"), "it is not welcomed yet: {}", agent.log());
    // Disconnects and returns, as after a reboot.
    agent.stop();
    wait_until("the agent is gone", || up() == 0.0);
    let agent = site.start_agent();
    wait_until("the agent is shown again", || up() == 1.0);
    cluster.start_again();
    wait_until("a collector that is ready", is_ready);
    wait_for_frames(2.0);
    pair.bulk(20_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "in the database, and on the wire");
    let clients = done(site.collector(&["clients"]).output().unwrap());
    assert!(clients.contains("here"), "its NICs are known: {clients}");
}

/// The second collector of a site: the same database and CA, its own ports and directory.
const SECOND: &str = "127.0.0.1:9083";

fn start_second(site: &Site) -> Running {
    let (first, second) = (site.dir().join("collector"), site.dir().join("collector-2"));
    // An operator copies the identity, or gives both the files of a PKI.
    sh(&format!(
        "mkdir -p {second} && cp -a {first}/identity {second}/",
        first = first.display(),
        second = second.display()
    ));
    let mut command = site.collector(&["run"]);
    command.env("NETMON_COLLECTOR_SERVER__PORT", "9082");
    command.env("NETMON_COLLECTOR_HTTP__PORT", "9083");
    // This flag overrides the one from the site.
    let mut args: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let place = args.iter().position(|arg| arg == "--data-dir").unwrap() + 1;
    args[place] = second.into_os_string();
    let mut again = std::process::Command::new(command.get_program());
    again.args(args).envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    Running::start(again, &site.dir().join("c2.log"))
}

#[test]
fn an_agent_that_changes_between_collectors_of_one_database_misses_and_doubles_nothing() {
    if !in_namespace() {
        return;
    }
    let (_cluster, url) = cluster();
    let (pair, site) = (Pair::new(), Site::with_database(&url));
    let first = start_collector(&site);
    wait_until("a collector that is ready", is_ready);
    site.enroll();
    let second = start_second(&site);
    wait_until("a second collector", || testbed::http::is_ready(SECOND));
    let mut command = site.agent(&["run"]);
    command.env("NETMON_AGENT_SERVER__FALLBACKS", "127.0.0.1:9082");
    command.env("NETMON_AGENT_SERVER__MAX_RETRY", "1");
    let agent = Running::start(command, &site.dir().join("a.log"));
    wait_for_frames(2.0);
    pair.bulk(20_000_000);
    first.stop();
    pair.bulk(20_000_000);
    let of_second = || metric(SECOND, "netmon_collector_frames_total");
    wait_until("the second collector's turn", || of_second() > 3.0);
    pair.bulk(20_000_000);
    let first = start_collector(&site);
    wait_until("a collector that is ready", is_ready);
    second.stop();
    wait_for_frames(2.0);
    pair.bulk(20_000_000);
    pair.wait_for_silence();
    agent.stop();
    first.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "in the database, and on the wire");
}
