//! Tags of the real programs: an agent says its own, an operator goes before it, and the collector keeps
//! when each counted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use testbed::http::{self, HTTP};
use testbed::{Pair, Running, Site, in_namespace, wait_until};

#[test]
fn an_agents_tags_reach_the_store_and_the_operators_go_before_them() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new().with_setting("METRICS__TAGS", "site,role"));
    let file = site.dir().join("agent.yaml");
    let run = |args: &[&str]| {
        let mut command = site.agent(args);
        command.arg("-c").arg(&file);
        command
    };
    fs::write(&file, "client: {tags: [site=ams, Role=cache]}").unwrap();
    let refused = run(&["check-config", "--quiet"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("client.tags") && said.contains("a-z"), "{said}");
    fs::write(&file, "client: {tags: [site=ams, role=cache]}").unwrap();
    let mut checked = run(&["check-config"]);
    checked.env("NETMON_AGENT_CLIENT__TAGS", "site=lon,role=web");
    let shown = String::from_utf8(checked.output().unwrap().stdout).unwrap();
    assert!(
        shown.contains("tags: [\"site=lon\", \"role=web\"]  # NETMON_AGENT_CLIENT__TAGS"),
        "{shown}"
    );

    let collector = site.start_collector();
    let (prometheus, series) = scraping(&site);
    site.enroll();
    let agent = Running::start(run(&["run"]), &site.dir().join("a.log"));
    let clients =
        |query: &str| http::get(HTTP, &format!("/api/v1/clients{query}")).unwrap_or_default();
    wait_until("the agent's tags", || {
        clients("").contains(r#""tags":{"role":"cache","site":"ams"}"#)
    });
    assert!(clients("?tag=site=ams").contains(r#""total":1"#));
    wait_until("labels", || series() == [r#"{"tag_role":"cache","tag_site":"ams"}"#]);
    fs::write(&file, "client: {tags: [site=fra]}").unwrap();
    agent.signal(Signal::SIGHUP);
    wait_until("the new tags", || clients("").contains(r#""tags":{"site":"fra"}"#));
    wait_until("the series of the new tags only", || series() == [r#"{"tag_site":"fra"}"#]);
    prometheus.stop();

    // Also while no collector runs.
    collector.stop();
    let id = "host-1";
    let tag = |args: &[&str]| {
        let output = site.collector(&[&["tag", id], args].concat()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        (output.status.code(), text)
    };
    let (code, said) = tag(&["site=par", "rack=7"]);
    assert!(code == Some(0) && said.contains("rack=7 site=par; running collectors"), "{said}");
    let collector = site.start_collector();
    wait_until("the operator's tags", || {
        clients("").contains(r#""tags":{"rack":"7","site":"par"}"#)
    });
    wait_until("the audit log", || collector.log().contains("client_tagged"));
    wait_until("the agent", || clients("").contains(r#""up":true"#));
    let (code, said) = tag(&["site-", "rack-"]);
    assert!(code == Some(0) && said.contains(&format!("{id}: site=fra (agent);")), "{said}");
    let (_, listed) = tag(&[]);
    assert!(listed.contains("site=fra") && listed.contains("from (UTC)"), "{listed}");
    let (code, said) = tag(&["Site=x"]);
    assert!(code == Some(2) && said.contains("a-z"), "{said}");
    agent.stop();
    collector.stop();
    let unknown = site.collector(&["tag", "nobody", "a=b"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(site.collector(&["fsck"]).status().unwrap().success());
}

/// A Prometheus that scrapes the site's collector each second, and the labels by tags of the clients that
/// it knows now.
fn scraping(site: &Site) -> (Running, impl Fn() -> Vec<String> + use<>) {
    let file = site.dir().join("prometheus.yml");
    let config = "global: {scrape_interval: 1s}\n\
                  scrape_configs: [{job_name: netmon, static_configs: [{targets: ['127.0.0.1:8083']}]}]";
    fs::write(&file, config).unwrap();
    let address = "127.0.0.1:9090";
    let mut prometheus = Command::new("prometheus");
    prometheus.arg(format!("--web.listen-address={address}"));
    prometheus.arg("--config.file").arg(file);
    prometheus.arg("--storage.tsdb.path").arg(site.dir().join("prometheus"));
    let running = Running::start(prometheus, &site.dir().join("prometheus.log"));
    let series = move || {
        let query = "/api/v1/query?query=count%20by(tag_site,tag_role)(netmon_client_up)";
        let answer = http::get(address, query).unwrap_or_default();
        let metrics = answer.split(r#""metric":"#).skip(1);
        metrics.filter_map(|it| Some(format!("{}}}", it.split_once('}')?.0))).collect()
    };
    (running, series)
}
