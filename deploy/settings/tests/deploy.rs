//! Checks the files of `deploy/` with the programs that read them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const UNITS: [(&str, &str); 2] = [
    ("network-monitor-agent.service", "netmon-agent "),
    ("network-monitor-collector.service", "netmon-collector "),
];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn unit(name: &str) -> String {
    fs::read_to_string(deploy("systemd").join(name)).unwrap()
}

/// Runs a checker, which `scripts/test` installs. Returns whether it accepts the file, and its output.
fn check(program: &str, args: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new(program).args(args).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; see scripts/test"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_units_are_exposed_less_than_two_out_of_ten() {
    for (name, _) in UNITS {
        let below = ["security", "--offline=true", "--no-pager", "--threshold=19"];
        let (content, said) = check("systemd-analyze", &below, &deploy("systemd").join(name));
        assert!(content, "{said}");
    }
}

#[test]
fn the_units_have_bounds_of_memory_and_tasks_and_say_why() {
    for (name, _) in UNITS {
        let unit = unit(name);
        let lines: Vec<&str> = unit.lines().collect();
        for key in ["MemoryMax=", "TasksMax="] {
            let at = lines.iter().position(|line| line.starts_with(key));
            let at = at.unwrap_or_else(|| panic!("{name}: no {key}"));
            assert!(lines[at - 1].starts_with('#'), "{name}: {key} has no reason");
        }
    }
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    for (name, program) in UNITS {
        // Verify requires that the program exists.
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(name);
        fs::write(&copy, unit(name).replace(program, "true ")).unwrap();
        let (content, said) = check("systemd-analyze", &["verify", "--man=no"], &copy);
        assert!(content && !said.contains(name), "{said}");
    }
}

#[test]
fn the_agent_has_the_capability_and_the_sockets_it_needs_and_no_more() {
    let lines = unit("network-monitor-agent.service");
    let has = |line: &str| lines.lines().any(|other| other == line);
    assert!(has("CapabilityBoundingSet=CAP_NET_RAW") && has("AmbientCapabilities=CAP_NET_RAW"));
    assert!(has("RestrictAddressFamilies=AF_PACKET AF_NETLINK AF_INET AF_INET6 AF_UNIX"));
}

#[test]
fn prometheus_takes_the_scrape_config() {
    let scrape = deploy("prometheus/scrape.yml");
    let (content, said) = check("promtool", &["check", "config"], &scrape);
    assert!(content, "{said}");
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_otherwise() {
    let (content, said) = check("promtool", &["check", "rules"], &deploy("prometheus/rules.yml"));
    assert!(content, "{said}");
    let cases = deploy("prometheus/rules_test.yml");
    let (content, said) = check("promtool", &["test", "rules"], &cases);
    assert!(content, "{said}");
    let (rules, cases) = (fs::read_to_string(deploy("prometheus/rules.yml")).unwrap(), cases);
    let cases = fs::read_to_string(cases).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(cases.contains(alert), "no case for {alert}");
    }
}

#[test]
fn prometheus_takes_every_expression_of_the_dashboard() {
    let dashboard = fs::read_to_string(deploy("grafana/prometheus.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (n, target) in targets.enumerate() {
        // Replace Grafana's variables.
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "1m").replace("$client", ".*");
        let expression = expression.replace("$group", "tag_site").replace("$value", ".*");
        let expression = serde_json::to_string(&expression.replace("$nic", ".*")).unwrap();
        rules += &format!("  - record: panel:target:{n}\n    expr: {expression}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules).unwrap();
    let (content, said) = check("promtool", &["check", "rules"], &file);
    assert!(content, "{said}");
}
