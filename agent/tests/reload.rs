//! Reload of the real programs: changeable keys take effect, all others are named, and a refused config
//! changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::Signal;
use testbed::http::{self, HTTP};
use testbed::{Pair, Running, Site, in_namespace, wait_until};

/// Without the variables that would override the file.
fn agent(site: &Site, args: &[&str]) -> Command {
    let mut command = site.agent(args);
    for variable in ["SERVER__HOST", "SERVER__RETRY_INTERVAL"] {
        command.env_remove(format!("NETMON_AGENT_{variable}"));
    }
    command.arg("-c").arg(site.dir().join("agent.yaml"));
    command
}

#[test]
fn the_agent_goes_to_another_collector_without_a_restart() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let write = |text: &str| fs::write(site.dir().join("agent.yaml"), text).unwrap();
    let checked = || agent(&site, &["check-config", "--quiet"]).output().unwrap();
    let collector = site.start_collector();
    site.enroll();
    // Nobody listens there, and the next try is in an hour.
    write("server: {host: 127.0.0.1, port: 9, max_retry: 0, retry_interval: 1h}");
    let agent = Running::start(agent(&site, &["run"]), &site.dir().join("a.log"));
    wait_until("a first try", || agent.log().contains("not connected"));

    write("server: {host: 127.0.0.1, prot: 8082}");
    let refused = checked();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("prot"));
    agent.signal(Signal::SIGHUP);
    wait_until("a config that is refused", || {
        agent.log().contains("the present config stays in use")
    });

    write("server: {host: 127.0.0.1}\nclient: {alias: Reloaded}\nmonitor: {rings_per_nic: 2}");
    let sound = checked();
    assert!(sound.status.success() && sound.stdout.is_empty(), "{sound:?}");
    agent.signal(Signal::SIGHUP);
    wait_until("what is in force", || {
        agent.log().contains(
            "applied: client.alias, server.max_retry, server.port, \
             server.retry_interval; need a restart: monitor.rings_per_nic",
        )
    });
    let clients = || http::get(HTTP, "/api/v1/clients").unwrap_or_default();
    wait_until("the collector", || clients().contains("\"alias\":\"Reloaded\",\"up\":true"));
    // The agent hears a moment later that it is welcome.
    let connected = || agent.log().matches("\"connected\"").count();
    wait_until("the agent to be connected", || connected() == 1);
    // Open connections give way too, and the log level drops.
    write("server: {host: 127.0.0.1}\nclient: {alias: Again}\nlog: {level: error}");
    agent.signal(Signal::SIGHUP);
    wait_until("the other alias", || clients().contains("\"alias\":\"Again\",\"up\":true"));
    assert_eq!(connected(), 1, "{}", agent.log());
    agent.stop();
    collector.stop();
    assert!(site.collector(&["fsck"]).status().unwrap().success());
}

#[test]
fn the_collector_takes_a_token_and_retention_without_a_restart() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let (file, token) = (site.dir().join("collector.yaml"), site.dir().join("token"));
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("log: {level: info}");
    let run = |args: &[&str]| {
        let mut command = site.collector(args);
        command.arg("-c").arg(&file);
        command
    };
    let collector = Running::start(run(&["run"]), &site.dir().join("c.log"));
    wait_until("the collector", || http::is_ready(HTTP));
    let open = || http::get(HTTP, "/api/v1/clients").unwrap().contains(" 200 ");
    assert!(open());

    // The token file is missing: `check-config` reports it too.
    write(&format!("http: {{token_file: {}}}", token.display()));
    assert_eq!(run(&["check-config", "--quiet"]).output().unwrap().status.code(), Some(2));
    collector.signal(Signal::SIGHUP);
    wait_until("a config that is refused", || {
        collector.log().contains("present config stays in use")
    });
    assert!(open());

    fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    write(&format!(
        "http: {{token_file: {}, port: 9000}}\nretention: {{raw: 2h}}",
        token.display()
    ));
    assert!(run(&["check-config", "--quiet"]).status().unwrap().success());
    collector.signal(Signal::SIGHUP);
    wait_until("what is in force", || {
        let taken = "applied: http.token_file, retention.raw; need a restart: http.port";
        collector.log().contains(taken)
    });
    assert!(http::get(HTTP, "/api/v1/clients").unwrap().contains(" 401 "));
    write("{}");
    collector.signal(Signal::SIGHUP);
    wait_until("an open page", open);
    collector.stop();
}
