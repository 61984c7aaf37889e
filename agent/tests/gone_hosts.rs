//! Hosts that are gone stay listed, on both stores, across restarts and at every collector, until an
//! operator forgets them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;

use testbed::http::HTTP;
use testbed::{Cluster, Pair, Running, Site, done, get, in_namespace, wait_until};

/// Address of the other collector of the same database.
const OTHER: &str = "127.0.0.1:9083";

/// The client's state in `/metrics`; `None` without such a series.
fn up(address: &str) -> Option<bool> {
    series(address, "netmon_client_up").map(|value| value == "1")
}

fn series(address: &str, name: &str) -> Option<String> {
    let text = get(address, "/metrics").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}{{client=\"host-1\"")))?;
    line.rsplit(' ').next().map(str::to_owned)
}

fn listed(site: &Site) -> String {
    done(site.collector(&["clients"]).output().unwrap())
}

fn forget(site: &Site, args: &[&str]) -> (String, Option<i32>) {
    let output = site.collector(&[&["forget", "host-1"], args].concat()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

/// An agent has delivered and left. Its collector is killed and restarted, with its saved state beside
/// the store and without.
fn gone(site: &Site, pair: &Pair) -> Running {
    let collector = site.start_collector();
    site.enroll();
    let agent = site.start_agent();
    wait_until("the client", || up(HTTP) == Some(true));
    pair.bulk(10_000_000);
    pair.wait_for_silence();
    wait_until("figures", || {
        series(HTTP, "netmon_nic_bytes_total").is_some_and(|bytes| bytes != "0")
    });
    agent.stop();
    wait_until("the client to be down", || up(HTTP) == Some(false));
    let seen = || series(HTTP, "netmon_client_last_seen_timestamp_seconds").unwrap();
    let (before, bytes) = (seen(), series(HTTP, "netmon_nic_bytes_total"));
    collector.stop();
    let collector = site.start_collector();
    assert_eq!((up(HTTP), seen()), (Some(false), before), "right after a restart");
    assert_eq!(series(HTTP, "netmon_nic_bytes_total"), bytes);
    let live = get(HTTP, "/api/v1/clients").unwrap();
    assert!(live.contains("host-1") && live.contains("\"up\":false"), "{live}");
    assert!(listed(site).contains("host-1"));
    collector.kill();
    fs::remove_file(site.dir().join("collector/counters.json")).unwrap();
    let collector = site.start_collector();
    wait_until("the client, from the store", || up(HTTP) == Some(false));
    collector
}

/// Forgets the client while its agent runs, then enrols it again.
fn forgotten(site: &Site) {
    let agent = site.start_agent();
    wait_until("the client", || up(HTTP) == Some(true));
    let (said, code) = forget(site, &[]);
    assert!(said.contains("give --yes") && code == Some(1), "{said}");
    assert_eq!(up(HTTP), Some(true));
    let (said, code) = forget(site, &["--yes"]);
    assert!(said.contains("host-1 is forgotten") && code == Some(0), "{said}");
    wait_until("no series of it", || up(HTTP).is_none());
    assert!(!listed(site).contains("host-1"));
    assert!(!get(HTTP, "/api/v1/clients").unwrap().contains("host-1"));
    wait_until("an agent that knows", || agent.log().contains("revoked"));
    let (said, code) = forget(site, &["--yes"]);
    assert!(said.contains("no client host-1") && code == Some(1), "{said}");
    let kept = done(site.collector(&["fsck"]).output().unwrap());
    assert!(kept.contains("host-1 here: "), "{kept}");
    agent.stop();
    let (said, code) = forget(site, &["--yes", "--rows"]);
    assert!(said.contains("rows are deleted") && code == Some(0), "{said}");
    let kept = done(site.collector(&["fsck"]).output().unwrap());
    assert!(kept.starts_with("0 sessions") && !kept.contains("here: 1"), "{kept}");
    assert_eq!(up(HTTP), None);
    fs::remove_dir_all(site.dir().join("agent")).unwrap();
    let token = done(site.collector(&["token", "--client", "host-1"]).output().unwrap());
    let _report = done(site.agent(&["enroll", token.trim()]).output().unwrap());
    let agent = site.start_agent();
    wait_until("the client again", || up(HTTP) == Some(true));
    assert!(listed(site).contains("host-1"));
    agent.stop();
}

#[test]
fn a_host_that_is_gone_stays_until_it_is_forgotten() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = gone(&site, &pair);
    forgotten(&site);
    collector.stop();
    let sound = done(site.collector(&["fsck"]).output().unwrap());
    assert!(sound.contains("host-1"), "{sound}");
}

#[test]
fn a_host_that_is_gone_stays_at_all_collectors_of_a_database_until_it_is_forgotten_at_one() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let (pair, site) = (Pair::new(), Site::with_database(&cluster.new_database()));
    let collector = gone(&site, &pair);
    let other = |args: &[&str]| -> Command {
        let mut command = site.collector_in("other", args);
        command.env("NETMON_COLLECTOR_SERVER__PORT", "9082");
        command.env("NETMON_COLLECTOR_HTTP__PORT", "9083");
        command
    };
    let second = Running::start(other(&["run"]), &site.dir().join("other.log"));
    wait_until("the client at the other collector", || up(OTHER) == Some(false));
    // A client that enrolled at the first collector and never connected.
    let token = done(site.collector(&["token", "--client", "host-2"]).output().unwrap());
    let _report =
        done(site.agent_in("host-2", "host-2", &["enroll", token.trim()]).output().unwrap());
    let said = done(other(&["forget", "host-2", "--yes"]).output().unwrap());
    assert!(said.contains("host-2 is forgotten"), "{said}");
    let agent = site.start_agent();
    wait_until("the client at its own collector", || up(HTTP) == Some(true));
    wait_until("the client at the other collector", || up(OTHER) == Some(true));
    assert_eq!(series(OTHER, "netmon_nic_bytes_total"), None, "only its collector has its figures");
    agent.stop();
    // Forgotten at the other collector, which never saw it.
    let output = other(&["forget", "host-1", "--yes"]).output().unwrap();
    let said = done(output);
    assert!(said.contains("host-1 is forgotten"), "{said}");
    wait_until("no series of it", || up(HTTP).is_none() && up(OTHER).is_none());
    let agent = site.start_agent();
    wait_until("a certificate that is refused here too", || agent.log().contains("revoked"));
    assert_eq!(up(HTTP), None);
    agent.stop();
    second.stop();
    collector.stop();
}
