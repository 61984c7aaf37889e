//! Certificates, tokens and admission.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testbed::{Cluster, Running, SLACK, Site, done, http, in_namespace, siege, wait_until};

use crate::{CUT_OFF_MS, besieged};

/// Remaining lifetime of a certificate.
const LEFT: Duration = Duration::from_secs(10);

#[test]
fn renewals_guesses_and_connections_without_end_keep_nobody_out() {
    if !in_namespace() {
        return;
    }
    let (said, _) = besieged(
        Site::new(),
        &[
            ("renewals_without_end", 2.0, 1.0),
            ("guessed_tokens", 2.0, 0.2),
            ("connections_of_one_client", 2.0, 0.2),
            ("handshakes_that_are_never_finished", 3.0, 1.0),
            ("connections_that_say_nothing", 2.0, 0.5),
            ("revoked_while_connected", 10.0, 1.0),
            ("a_certificate_that_ends_while_connected", 15.0, 1.0),
        ],
    );
    let [renewals, guesses, crowd, handshakes, silent, revoked, ended] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(renewals["given"], 0, "renewed before it was due: {renewals}");
    assert_eq!(guesses["given"], 0, "{guesses}");
    assert!(
        crowd["still_open"].as_u64().unwrap() <= 1,
        "only the newest connection of a client stays: {crowd}"
    );
    assert_eq!(handshakes["refused"], 0, "an honest agent is admitted meanwhile: {handshakes}");
    assert!(
        silent["entry_ms"].as_f64().is_some(),
        "an honest agent is admitted meanwhile: {silent}"
    );
    assert!(silent["still_open"].as_u64().unwrap() <= 32, "connections of one address: {silent}");
    assert_eq!(revoked["exit_code"], 0, "{revoked}");
    assert!(revoked["ended_after_ms"].as_f64().unwrap() < CUT_OFF_MS, "{revoked}");
    assert!(revoked["again"].as_str().unwrap().contains("revoked"), "{revoked}");
    let stayed = ended["stayed"].as_f64().unwrap_or(f64::INFINITY);
    let latest = 10.0 + SLACK.as_secs_f64();
    assert!((7.0..latest).contains(&stayed), "ends with its certificate: {ended}");
}

#[test]
fn a_revoked_client_is_cut_within_a_second_at_both_collectors_of_a_database() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let site = Site::with_database(&cluster.new_database());
    let _first = site.start_collector();
    let _second = second(&site);
    // Revoked in the other collector's identity.
    let revoked = siege::attack(&site, "revoked_at_another_collector", 20.0, 1.0);
    assert_eq!(revoked["exit_code"], 0, "{revoked}");
    assert!(revoked["ended_after_ms"].as_f64().unwrap() < CUT_OFF_MS, "{revoked}");
    let twice = siege::attack(&site, "one_token_at_two_collectors", 20.0, 1.0);
    assert_eq!(twice["given"], 1, "{twice}");
}

#[test]
fn an_id_enrolled_at_one_collector_of_a_database_is_had_by_no_other_host_of_another() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let site = Site::with_database(&cluster.new_database());
    let _first = site.start_collector();
    let _second = beside(&site);
    // The host hasn't connected yet.
    site.enroll();
    let at_second = |folder: &str, args: &[&str]| {
        let token = done(site.collector_in("second", args).output().unwrap());
        let mut enroll = site.agent_in(folder, "host-1", &["enroll", token.trim()]);
        enroll.env("NETMON_AGENT_SERVER__PORT", "8083").output().unwrap()
    };
    let refused = at_second("other", &["token"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("host-1 is there already"), "{said}");
    let early = site.collector_in("second", &["token", "--client", "host-1"]).output().unwrap();
    assert!(String::from_utf8(early.stderr).unwrap().contains("--replace"));
    // As after a loss of the first collector and its files.
    let _report = done(at_second("other", &["token", "--client", "host-1", "--replace"]));
}

#[test]
fn who_signs_out_at_one_collector_of_a_database_is_out_at_the_other() {
    if !in_namespace() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "atokenthatnobodyguesses0\n").unwrap();
    let cluster = Cluster::start();
    let site = Site::with_database(&cluster.new_database())
        .with_setting("HTTP__TOKEN_FILE", &file.path().display().to_string());
    let _first = site.start_collector();
    let _second = beside(&site);
    let token = r#"{"token":"atokenthatnobodyguesses0"}"#;
    let signed_in = ask("127.0.0.1:8083", "POST", "", token);
    let cookie = signed_in.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let is_in = |at| ask(at, "GET", &cookie, "").contains(r#""signed_in":true"#);
    let collectors = ["127.0.0.1:8083", "127.0.0.1:8093"];
    assert!(collectors.iter().all(|at| is_in(at)), "one session for both: {signed_in}");
    let out = ask(collectors[0], "DELETE", &cookie, "");
    assert!(out.contains(" 204 ") && !is_in(collectors[0]), "{out}");
    wait_until("the other collector", || !is_in(collectors[1]));
}

/// Sends a request about a browser session and returns the answer.
fn ask(collector: &str, method: &str, more: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(collector).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Another collector with the same database and identity, on the next port.
fn second(site: &Site) -> Running {
    let folder = site.dir().join("second");
    std::fs::create_dir_all(&folder).unwrap();
    let copy = format!("cp -a {} {}", site.identity().display(), folder.display());
    testbed::sh(&copy);
    beside(site)
}

/// Another collector with the same database, on the next port.
fn beside(site: &Site) -> Running {
    let mut command = site.collector_in("second", &["run"]);
    command.env("NETMON_COLLECTOR_SERVER__PORT", "8083").env("NETMON_COLLECTOR_HTTP__PORT", "8093");
    let second = Running::start(command, &site.dir().join("second.log"));
    wait_until("the second collector", || http::is_ready("127.0.0.1:8093"));
    second
}

#[test]
fn an_agent_whose_certificate_is_about_to_end_renews_it_and_loses_nothing() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (testbed::Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    // The same key in a certificate that is about to expire.
    let identity = site.dir().join("agent/identity");
    let mut shorten = siege::python("shorten.py");
    let _said = done(
        shorten
            .arg(site.identity())
            .arg(&identity)
            .args(["host-1", &LEFT.as_secs().to_string()])
            .output()
            .unwrap(),
    );
    let begun = Instant::now();
    let certificate = || std::fs::read(identity.join("cert.pem")).unwrap();
    let before = certificate();
    let agent = site.start_agent();
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(1_000_000);
    wait_until("the next certificate", || certificate() != before);
    // Longer than the lifetime of the first certificate.
    wait_until("its end", || begun.elapsed() > LEFT + Duration::from_secs(2));
    pair.bulk(1_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there());
}
