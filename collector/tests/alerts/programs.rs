//! The real collector: what survives its death.

use std::fs;
use std::process::Command;
use std::time::Duration;

use testbed::{Cluster, Running, Site, done, http, in_namespace, metric, wait_until};

use crate::receiver::{OK, Receiver, Reply};

/// A collector that finds its disk too full at once.
fn command(site: &Site, folder: &str, receiver: &Receiver, port: u16) -> Command {
    let config = site.dir().join(format!("{folder}.yaml"));
    let yaml = format!(
        "server: {{port: {}}}
http: {{port: {port}}}
alerts:
  rules: {{disk: {{measure: disk, below: 1000000GiB, for: 0s}}}}
  targets: {{ops: {{kind: webhook, url: \"{}\", timeout: 1s}}}}",
        port + 1000,
        receiver.url()
    );
    fs::write(&config, yaml).unwrap();
    site.collector_in(folder, &["run", "-c", config.to_str().unwrap()])
}

fn start(site: &Site, folder: &str, receiver: &Receiver, port: u16) -> Running {
    let log = site.dir().join(format!("{folder}.log"));
    let running = Running::start(command(site, folder, receiver, port), &log);
    wait_until("the collector", || http::is_ready(&format!("127.0.0.1:{port}")));
    running
}

#[test]
fn a_message_that_was_sent_but_not_acknowledged_when_the_collector_was_killed_is_sent_again() {
    if !in_namespace() {
        return;
    }
    let (site, receiver) = (Site::new(), Receiver::start(Reply::Never));
    let collector = start(&site, "c", &receiver, 8100);
    let first = receiver.wait(1)[0].clone();
    collector.kill();
    receiver.reply(OK);
    let collector = start(&site, "c", &receiver, 8100);
    let second = receiver.wait(2)[1].clone();
    assert_eq!(first.body, second.body);
    let id = second.json()["id"].as_str().unwrap().to_owned();
    assert!(id.ends_with("-firing"), "{id}");
    // Once it is acknowledged, no restart sends it again.
    let noted = || {
        let answer = http::get("127.0.0.1:8100", "/api/v1/alerts?state=firing");
        answer.is_some_and(|answer| answer.contains("\"target\":\"ops\",\"state\":\"sent\""))
    };
    wait_until("the acknowledgement", noted);
    collector.stop();
    let collector = start(&site, "c", &receiver, 8100);
    let firing = "netmon_alerts_firing{rule=\"disk\"}";
    wait_until("what fires", || metric("127.0.0.1:8100", firing) > 0.0);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(receiver.requests().len(), 2);
    collector.stop();
}

#[test]
fn when_the_collector_that_sends_is_killed_another_one_of_the_database_takes_over() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let url = cluster.new_database();
    let (site, receiver) = (Site::with_database(&url), Receiver::start(Reply::Never));
    let dying = start(&site, "a", &receiver, 8100);
    let first = receiver.wait(1)[0].clone();
    dying.kill();
    receiver.reply(OK);
    let collector = start(&site, "b", &receiver, 8200);
    let second = receiver.wait(2)[1].clone();
    assert_eq!((first.body, first.headers.len()), (second.body, second.headers.len()));
    let later = second.at - first.at;
    println!("taken over after {later:?}");
    let name = url.rsplit('=').next().unwrap();
    let open = cluster.psql(name, "SELECT count(*) FROM alerts");
    assert_eq!(open.trim(), "1", "both are on one host, so it is one incident");
    let _checked = done(site.collector_in("b", &["fsck"]).output().unwrap());
    collector.stop();
}
