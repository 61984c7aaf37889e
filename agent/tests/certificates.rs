//! Certificates of running agents: they expire, are renewed and are revoked.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::connection::{Server, connect, control};
use agent::identity::Credentials;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::UnixTime;
use testbed::http::{HTTP, is_ready};
use testbed::{
    Cluster, PATIENCE, Pair, Running, SLACK, Site, done, in_namespace, in_time, metric, wait_for,
    wait_until,
};
use wire::WallNs;
use wire::id::SessionId;
use wire::message::{Hello, Message, Session};
use wire::{pem, private_file};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Issues a client's certificate with the CA of the site's collector, aged so that it expires in `left`
/// seconds and is due for renewal.
fn certify(site: &Site, client: &str, dir: &Path, left: u64) {
    let ca = site.dir().join("collector/identity");
    let issuer_key = KeyPair::try_from(&pem::read_key(&ca.join("ca.key")).unwrap()).unwrap();
    let certificates = pem::read_certificates(&ca.join("ca.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_der(&certificates[0], issuer_key).unwrap();
    let mut params = CertificateParams::new(vec![client.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let at = |seconds| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(now() - 10 * left);
    params.not_after = at(now() + left);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    private_file::create_directory(dir).unwrap();
    fs::copy(ca.join("ca.pem"), dir.join("ca.pem")).unwrap();
    let both = key.serialize_pem() + &certificate.pem();
    private_file::write(&dir.join("key.pem"), both.as_bytes()).unwrap();
}

/// A connected agent built by the test, which never renews its certificate.
struct Host {
    _endpoint: Endpoint,
    connection: Connection,
    _control: (SendStream, RecvStream),
}

impl Host {
    /// Connects with the certificate in a directory and waits for the welcome.
    async fn connect(dir: &Path, port: u16, session: u64) -> Self {
        let credentials = Credentials::load(dir, None, UnixTime::now()).unwrap();
        let server = Server { host: "127.0.0.1".into(), port };
        let name = credentials.server_name(&server.host);
        let connected = connect(&server, name, &credentials.client_config()).await;
        let (endpoint, connection) = connected.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let hello = Hello {
            sessions: vec![Session { session: SessionId::new(session), started_ns: WallNs(1) }],
            ..Hello::default()
        };
        control::write(&mut send, &connection, &Message::Hello(hello)).await.unwrap();
        let answer = control::read(&mut receive, &connection).await.unwrap();
        assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
        Self { _endpoint: endpoint, connection, _control: (send, receive) }
    }

    /// The reason for which it was closed.
    async fn closed(&self) -> String {
        control::close_reason(&in_time("the end", self.connection.closed()).await)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Lifetime of the certificate below, seconds: `NETMON_TEST_LIFE=60` tests a longer one.
fn left() -> u64 {
    std::env::var("NETMON_TEST_LIFE").ok().and_then(|it| it.parse().ok()).unwrap_or(10)
}

#[test]
fn an_agent_whose_certificate_ends_soon_renews_it_and_loses_nothing() {
    if !in_namespace() {
        return;
    }
    let (pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    let dir = site.dir().join("agent/identity");
    certify(&site, "host-1", &dir, left());
    let end = now() + left();
    let key = || fs::read(dir.join("key.pem")).unwrap();
    let first = key();
    // The CA rolls over meanwhile.
    let server = || fs::read(site.dir().join("collector/identity/server.pem")).unwrap();
    let before = server();
    let rolled = done(site.collector(&["ca", "roll"]).output().unwrap());
    assert!(rolled.contains("a new CA, SHA-256"), "{rolled}");
    wait_until("the new CA in force", || server() != before);
    let agent = site.start_agent();
    wait_until("frames", || metric(HTTP, "netmon_collector_frames_total") > 2.0);
    pair.bulk(10_000_000);
    wait_until("a new key", || key() != first);
    assert_eq!(pem::read_certificates(&dir.join("ca.pem")).unwrap().len(), 2, "both CAs");
    wait_for("the end of the first certificate", PATIENCE + Duration::from_secs(left()), || {
        now() > end + 2
    });
    pair.bulk(10_000_000);
    pair.wait_for_silence();
    let connected = || agent.log().matches("\"connected\"").count();
    assert_eq!(connected(), 1, "reconnected: {}", agent.log());
    // A new connection uses the new pair.
    collector.stop();
    let collector = site.start_collector();
    wait_until("a second connection", || connected() == 2);
    pair.bulk(10_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there(), "in the store and on the wire");
}

#[test]
fn a_certificate_that_is_not_renewed_ends_the_connection_with_it() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let collector = site.start_collector();
    let dir = site.dir().join("by-hand");
    certify(&site, "host-1", &dir, 4);
    let end = now() + 4;
    runtime().block_on(async {
        let host = Host::connect(&dir, 8082, 1).await;
        let reason = host.closed().await;
        let late = end + 3 + SLACK.as_secs();
        assert!((end..=late).contains(&now()), "{} s late", now().abs_diff(end));
        assert!(reason.contains("was valid until"), "{reason}");
    });
    let rejects = r#"netmon_collector_rejects_total{reason="expired_certificate"}"#;
    wait_until("the count", || metric(HTTP, rejects) > 0.0);
    collector.stop();
}

/// Longest time until a revoked agent is cut off, with slack for a busy machine.
const CUT_OFF: Duration = Duration::from_secs(1).saturating_add(SLACK);

/// Revokes a client with a command. Returns the time from the command's end until the connection was
/// closed, and the reason that the agent received.
async fn revoked(mut revoke: Command, host: &Host) -> (Duration, String) {
    let (said, at) =
        tokio::task::spawn_blocking(move || (done(revoke.output().unwrap()), Instant::now()))
            .await
            .unwrap();
    assert!(said.contains("within a second"), "{said}");
    let reason = host.closed().await;
    (at.elapsed(), reason)
}

#[test]
fn a_revoked_agent_is_cut_off_within_a_second() {
    if !in_namespace() {
        return;
    }
    let site = Site::new();
    let collector = site.start_collector();
    site.enroll();
    let dir = site.dir().join("agent/identity");
    runtime().block_on(async {
        let host = Host::connect(&dir, 8082, 1).await;
        let (took, reason) = revoked(site.collector(&["revoke", "host-1"]), &host).await;
        println!("cut off after {took:?}");
        assert!(took < CUT_OFF, "{took:?}");
        assert!(reason.contains("host-1 was revoked"), "{reason}");
    });
    collector.stop();
}

#[test]
fn a_revoked_agent_is_cut_off_within_a_second_at_any_collector_of_the_database() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let site = Site::with_database(&cluster.new_database());
    let collector = site.start_collector();
    site.enroll();
    // Collectors that share agents share the CA.
    let shared = site.dir().join("other/identity");
    private_file::create_directory(&shared).unwrap();
    for name in ["ca.key", "ca.pem"] {
        let file = fs::read(site.dir().join("collector/identity").join(name)).unwrap();
        private_file::write(&shared.join(name), &file).unwrap();
    }
    let other = |args: &[&str]| -> Command {
        let mut command = site.collector_in("other", args);
        command.env("NETMON_COLLECTOR_SERVER__PORT", "9082");
        command.env("NETMON_COLLECTOR_HTTP__PORT", "9083");
        command
    };
    let start = || {
        let running = Running::start(other(&["run"]), &site.dir().join("other.log"));
        wait_until("the other collector", || is_ready("127.0.0.1:9083"));
        running
    };
    let second = start();
    let dir = site.dir().join("agent/identity");
    let replace = || {
        let made = done(other(&["token", "--client", "host-1", "--replace"]).output().unwrap());
        let mut enroll = site.agent(&["enroll", made.trim()]);
        enroll.env("NETMON_AGENT_SERVER__PORT", "9082");
        let _report = done(enroll.output().unwrap());
    };
    runtime().block_on(async {
        // Enrolled at the first collector, connected to the second, revoked at the first.
        let host = Host::connect(&dir, 9082, 1).await;
        let (took, reason) = revoked(site.collector(&["revoke", "host-1"]), &host).await;
        println!("cut off at the other collector after {took:?}");
        assert!(took < CUT_OFF, "{took:?}");
        assert!(reason.contains("host-1 was revoked"), "{reason}");
        // Re-enrolled at the second, the client is accepted at the first too.
        replace();
        let host = Host::connect(&dir, 8082, 2).await;
        // Another host takes the client's place at the second: the first closes its connection.
        let start = Instant::now();
        replace();
        let reason = host.closed().await;
        println!("replaced at the other collector within {:?}", start.elapsed());
        assert!(reason.contains("another host took its place"), "{reason}");
        // Revoked while the other collector is down.
        second.stop();
        let host = Host::connect(&dir, 8082, 3).await;
        let (took, _) = revoked(site.collector(&["revoke", "host-1"]), &host).await;
        assert!(took < CUT_OFF, "{took:?}");
    });
    let second = start();
    let kept = site.dir().join("other/identity/revoked/host-1");
    let here = site.dir().join("collector/identity/revoked/host-1");
    wait_until("the same record", || fs::read(&kept).ok() == fs::read(&here).ok());
    let listed = done(other(&["clients"]).output().unwrap());
    assert!(listed.contains("revoked"), "{listed}");
    second.stop();
    collector.stop();
}
