//! Tokens between real programs: ways to pass a token to a host, the audit log, and that no log
//! contains a secret, a forged line or a peer's long text.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use agent::connection::{Server, connect};
use agent::identity::Credentials;
use rustls::pki_types::UnixTime;
use serde_json::Value;
use testbed::{Running, Site, done, in_namespace, wait_until};
use wire::WallNs;
use wire::codec;
use wire::id::SessionId;
use wire::message::{EnrollRequest, Hello, Message, Refused, Session};

/// Runs a program with this standard input.
fn with_input(mut command: Command, input: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn token(site: &Site, args: &[&str]) -> String {
    let args = [&["token"], args].concat();
    let token = done(site.collector(&args).output().unwrap()).trim().to_owned();
    assert!(token.starts_with("nmt1_") && !token.contains('\n'), "{token}");
    token
}

/// The collector's audit log entries of an event.
fn audit(collector: &Running, event: &str) -> Vec<Value> {
    let log = collector.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|it| it["target"] == "audit" && it["event"] == event).collect()
}

/// Waits for the next entry of an event and returns the last one.
fn audited(collector: &Running, event: &str) -> Value {
    wait_until(event, || !audit(collector, event).is_empty());
    audit(collector, event).pop().unwrap()
}

fn secret_file(path: &Path, text: &str) {
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    writeln!(file, "{text}").unwrap();
}

#[test]
fn what_operators_and_hosts_do_is_in_the_audit_log_and_no_secret_is_in_any() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let collector = site.start_collector();

    // From a pipe.
    let first = token(&site, &[]);
    let made = audited(&collector, "token_made");
    let id = made["token"].as_str().unwrap().to_owned();
    assert!(id.len() == 12 && made["by"].is_string() && made["at"].is_string(), "{made}");
    let _report = done(with_input(site.agent(&["enroll", "-"]), &format!("{first}\n")));
    let enrolled = audited(&collector, "enrolled");
    assert_eq!(
        (&enrolled["client"], &enrolled["address"], &enrolled["token"], &enrolled["uses"]),
        (&"host-1".into(), &"127.0.0.1".into(), &id.clone().into(), &0.into())
    );

    // From a file; the token is used up.
    let file = site.dir().join("token");
    secret_file(&file, &first);
    let again = site.agent_in("other", "host-2", &["enroll", "--token-file"]).arg(&file).output();
    let again = again.unwrap();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let refused = audited(&collector, "enrolment_refused");
    assert_eq!(
        (&refused["client"], &refused["token"], &refused["reason"], &refused["level"]),
        (&"host-2".into(), &id.into(), &"bad_token".into(), &"WARN".into())
    );

    // A token for an id sets it.
    let bound = token(&site, &["--client", "db-1"]);
    let mut unnamed = site.agent_in("db", "", &["enroll", "-"]);
    unnamed.env_remove("NETMON_AGENT_CLIENT__ID");
    let report = done(with_input(unnamed, &bound));
    assert!(report.contains("enrolled as db-1"), "{report}");

    // Another host takes a client's place.
    let replacing = token(&site, &["--client", "db-1", "--replace"]);
    let _report = done(with_input(site.agent_in("db-new", "db-1", &["enroll", "-"]), &replacing));
    assert_eq!(audited(&collector, "client_replaced")["client"], "db-1");

    // A token for a fleet: listed, then cancelled.
    let fleet = token(&site, &["--uses", "50", "--match", "web-*"]);
    let list = done(site.collector(&["tokens"]).output().unwrap());
    let line = list.lines().find(|line| line.contains("web-*")).unwrap();
    assert!(line.contains("50 of 50") && !list.contains(&fleet[5..30]), "{list}");
    let open = line.split(' ').next().unwrap();
    let _report = done(site.collector(&["token", "--cancel", open]).output().unwrap());
    assert_eq!(audited(&collector, "token_cancelled")["token"], open);
    assert!(!done(site.collector(&["tokens"]).output().unwrap()).contains("web-*"));
    let web = with_input(site.agent_in("web", "web-1", &["enroll", "-"]), &fleet);
    assert!(String::from_utf8_lossy(&web.stderr).contains("cancelled"), "{web:?}");

    // A token in the wrong place.
    let misplaced = site.agent(&["enroll", "--id", &first, "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&misplaced.stderr).into_owned();
    assert!(misplaced.status.code() == Some(2) && said.contains("nmt1_***"), "{said}");
    let wrong = with_input(site.agent(&["enroll", "-"]), "nonsense\n");
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");

    let _report = done(site.collector(&["revoke", "host-1"]).output().unwrap());
    assert_eq!(audited(&collector, "client_revoked")["client"], "host-1");
    let said = format!("{said}{}", collector.log());
    for token in [first, bound, replacing, fleet] {
        assert!(!said.contains(&token[5..30]), "{said}");
    }
    collector.stop();
}

/// Sends Hello with a client's certificate, then another message.
async fn say(site: &Site, message: &Message) {
    let directory = site.dir().join("agent/identity");
    let credentials = Credentials::load(&directory, None, UnixTime::now()).unwrap();
    let server = Server { host: "127.0.0.1".into(), port: 8082 };
    let name = credentials.server_name(&server.host).to_owned();
    let (_endpoint, connection) =
        connect(&server, &name, &credentials.client_config()).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    let sessions = vec![Session { session: SessionId::new(7), started_ns: WallNs(1) }];
    let hello = Message::Hello(Hello { sessions, ..Hello::default() });
    for message in [&hello, message] {
        send.write_all(&codec::encode_message(message).unwrap()).await.unwrap();
    }
    connection.closed().await;
}

#[test]
fn what_an_agent_says_in_the_wrong_place_makes_a_short_line_without_its_secret() {
    if !in_namespace() {
        return;
    }
    let site = Site::new().with_setting("LOG__LEVEL", "collector=debug");
    let collector = site.start_collector();
    site.enroll();
    let secret = vec![7; 32];
    let enroll = EnrollRequest { secret, client_id: "x".into(), csr_der: vec![] };
    let reason = "\n<4>forged \u{1b}[2J".repeat(12);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = |kind: &str| {
        wait_until(kind, || collector.log().lines().any(|line| line.contains(kind)));
    };
    runtime.block_on(say(&site, &Message::EnrollRequest(enroll)));
    told("EnrollRequest");
    runtime.block_on(say(&site, &Message::Refused(Refused { reason })));
    told("Refused");
    let log = collector.log();
    assert!(!log.contains("7, 7, 7"), "{log}");
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < 20_000, "{longest}");
    assert!(log.chars().all(|c| c == '\n' || !c.is_control()), "{log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    collector.stop();
}

#[test]
fn a_script_that_runs_again_enrols_a_host_once() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let _collector = site.start_collector();
    // As Kubernetes mounts a secret: links in a directory that everybody may write, but not change.
    let (mount, kept) = (site.dir().join("secret"), site.dir().join("secret/..2026_11_26"));
    fs::create_dir_all(&kept).unwrap();
    fs::set_permissions(&mount, Permissions::from_mode(0o1777)).unwrap();
    secret_file(&kept.join("token"), &token(&site, &["--uses", "2"]));
    symlink("..2026_11_26", mount.join("..data")).unwrap();
    symlink("..data/token", mount.join("token")).unwrap();
    let enroll = || {
        let mut command = site.agent(&["enroll", "--unless-enrolled", "--token-file"]);
        done(command.arg(mount.join("token")).output().unwrap())
    };
    assert!(enroll().contains("enrolled as host-1 at"));
    let key = site.dir().join("agent/identity/key.pem");
    let before = fs::read(&key).unwrap();
    // Without the token too.
    fs::remove_file(mount.join("token")).unwrap();
    assert!(enroll().contains("is enrolled as host-1; nothing was changed"));
    assert_eq!(fs::read(&key).unwrap(), before);
    let left = done(site.collector(&["tokens"]).output().unwrap());
    assert!(left.contains("1 of 2"), "{left}");
    // What is damaged is no enrolment, and not replaced unasked.
    fs::write(&key, "no key").unwrap();
    let damaged = site.agent(&["enroll", "--unless-enrolled", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(!damaged.status.success() && said.contains("key.pem"), "{said}");
}
